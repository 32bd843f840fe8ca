"""Publishing a mixture: its tree goes to the Hub in one commit, or to a folder.

A tree for the Hub is staged under `OUT/hub/<mixture>`, an artefact folder like the others, so that a push that was cut
does not encode it again. Files the repository holds already are not sent, and nothing of the repository changes before
the one commit that names them all.
"""

import contextlib
import hashlib
import logging
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants, get_token
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import logging as hub_logging
from huggingface_hub.utils.tqdm import disable_progress_bars

from collectors.errors import RemoteError
from pipeline import folder
from pipeline.card import Credit
from pipeline.tree import SHARD_BYTES, contents, finished, tree

SHARD: Final = re.compile(r"data/(train|holdout)-\d{5}-of-\d{5}\.parquet")
"""Remote files that belong to an earlier push and go when the new tree has no such name."""

NAME: Final = re.compile(r"(?!.*(--|\.\.))(?![-.])[A-Za-z0-9_.-]{1,96}(?<![-.])")
"""An owner's or a repository's name on the Hub."""

ANSWERS: Final = {
    401: "the token is not accepted; log in with `hf auth login`, or set HF_TOKEN to a valid token",
    403: "this token may not write there; use one with write access to {owner}, or a repository of your own",
    404: "there is no such repository, or this token may not see it",
    409: "the repository changed meanwhile; push again",
    412: "the repository changed meanwhile; push again",
    429: "too many requests; wait a while and push again",
}


@dataclass(frozen=True, kw_only=True)
class Published:
    """What a push did: where the tree is, its files, and which were sent, found there already, or removed there."""

    where: str
    """The URL of the repository, or the folder."""
    files: tuple[str, ...]
    uploaded: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    private: bool = False

    @property
    def changed(self) -> bool:
        """Whether the repository was not up to date before."""
        return bool(self.uploaded or self.deleted)


def write(mix: str, to: Path, out: Path, credits: Mapping[str, Credit], *, shard_bytes: int = SHARD_BYTES) -> Published:
    """Write the tree of the mixture `mix` of the data folder `out` to the folder `to`: the bytes a push would publish.

    The caller holds the lock of `out`. Raises `ArtefactError` when the mixture is not built or `to` holds something
    else.
    """
    before = _written(to)
    place = tree(finished(mix, out), to, credits, shard_bytes=shard_bytes)
    names = _names(place)
    return Published(where=str(to), files=names, uploaded=names if _written(to) != before else ())


def _written(to: Path) -> int | None:
    """When the tree at `to` was written."""
    manifest = to / folder.MANIFEST
    return manifest.stat().st_mtime_ns if manifest.is_file() else None


def push(
    mix: str,
    repo: str,
    out: Path,
    credits: Mapping[str, Credit],
    *,
    token: str | None = None,
    private: bool = True,
    endpoint: str | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> Published:
    """Publish the mixture `mix` of the data folder `out` as the data set `repo` (`owner/name`), in one commit.

    `token` and `endpoint` default to HF_TOKEN (or the token `hf auth login` keeps) and HF_ENDPOINT. A repository that
    does not exist is made, private unless `private` is false; one that is public already is written to only when
    `private` is false. The caller holds the lock of `out`. Raises `ArtefactError` when the mixture is not built and
    `RemoteError` when the Hub is out of reach or refuses.
    """
    owner = _owner(repo)
    place = _staged(mix, out, credits, shard_bytes)
    endpoint = (endpoint or os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
    api = HfApi(endpoint=endpoint, token=_token(token), library_name="suri")
    with _plain_uploads(), _told(api, repo, owner):
        api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
        head = api.dataset_info(repo, revision="main")
        if private and head.private is False:
            raise RemoteError(f"{repo} on {api.endpoint} is public; say --public to publish there, or make it private")
        there = {
            file.path: file
            for file in api.list_repo_tree(repo, recursive=True, revision=head.sha, repo_type="dataset")
            if isinstance(file, RepoFile)
        }
        names = _names(place)
        send = tuple(name for name in names if name not in there or not _equal(place / name, there[name]))
        gone = tuple(sorted(name for name in there if SHARD.fullmatch(name) and name not in names))
        if send or gone:
            api.create_commit(
                repo,
                [
                    *(CommitOperationAdd(path_in_repo=name, path_or_fileobj=place / name) for name in send),
                    *(CommitOperationDelete(path_in_repo=name) for name in gone),
                ],
                repo_type="dataset",
                commit_message=f"Publish {mix}",
                parent_commit=head.sha,
            )
    return Published(
        where=f"{api.endpoint}/datasets/{repo}",
        files=names,
        uploaded=send,
        skipped=tuple(name for name in names if name not in send),
        deleted=gone,
        private=bool(head.private),
    )


def _owner(repo: str) -> str:
    """The owner in `owner/name`, after the Hub's rules for both."""
    owner, _, name = repo.partition("/")
    if not (NAME.fullmatch(owner) and NAME.fullmatch(name)) or name.endswith(".git"):
        raise RemoteError(
            f"repository {repo!r}: must be owner/name, of letters, digits, '-', '_' and '.', as in me/alpaca-belle-cot"
        )
    return owner


def _staged(mix: str, out: Path, credits: Mapping[str, Credit], shard_bytes: int) -> Path:
    """The tree of a mixture under `OUT/hub`, encoded when it is not there or out of date."""
    mixture = finished(mix, out)
    place = out / "hub" / mix
    if not (place / folder.MANIFEST).exists():
        shutil.rmtree(place, ignore_errors=True)
    return tree(mixture, place, credits, shard_bytes=shard_bytes)


def _names(place: Path) -> tuple[str, ...]:
    return tuple(sorted(path.as_posix() for path in contents(place)))


def _token(given: str | None) -> str:
    """The token to speak to the Hub with: the one given, else the user's; never to be shown."""
    token = given or get_token()
    if not token:
        raise RemoteError("not logged in to the Hub: run `hf auth login`, or set HF_TOKEN to a token with write access")
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise RemoteError("the Hub token holds characters no token has; set HF_TOKEN to the token alone")
    return token


def _equal(path: Path, remote: RepoFile) -> bool:
    """Whether the repository holds this very file: by sha256 where it keeps it as a large object, else by git's id."""
    if path.stat().st_size != remote.size:
        return False
    with path.open("rb") as handle:
        if remote.lfs is not None:
            return hashlib.file_digest(handle, "sha256").hexdigest() == remote.lfs.sha256
        content = handle.read()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == remote.blob_id


@contextlib.contextmanager
def _plain_uploads() -> Iterator[None]:
    """Have huggingface_hub upload by LFS, without Xet, draw no bars but on a terminal, and keep its log to itself.

    The library reads HF_HUB_DISABLE_XET when it is imported, which may be long before; the constant is what it asks.
    Its warnings name upload URLs, which are signed and so are secrets.
    """
    xet, verbosity = constants.HF_HUB_DISABLE_XET, hub_logging.get_verbosity()
    constants.HF_HUB_DISABLE_XET = True
    hub_logging.set_verbosity(logging.ERROR)
    bars = contextlib.nullcontext() if sys.stderr.isatty() else disable_progress_bars()
    try:
        with bars:
            yield
    finally:
        constants.HF_HUB_DISABLE_XET = xet
        hub_logging.set_verbosity(verbosity)


@contextlib.contextmanager
def _told(api: HfApi, repo: str, owner: str) -> Iterator[None]:
    """Tell what goes wrong between here and the Hub as one `RemoteError`, from which the token is struck."""
    who = f"{repo} on {api.endpoint}"
    try:
        yield
    except (httpx2.HTTPError, httpx2.InvalidURL, OfflineModeIsEnabled, RuntimeError, ValueError, KeyError) as error:
        cause = _cause(error)
        if isinstance(cause, HfHubHTTPError):
            status = cause.response.status_code
            default = "the server fails; push again later" if status >= 500 else "the server refuses"
            what = f"{ANSWERS.get(status, default).format(owner=owner)} (HTTP {status}"
            what += f": {cause.server_message})" if cause.server_message else ")"
        elif isinstance(cause, OfflineModeIsEnabled):
            what = "HF_HUB_OFFLINE is set; unset it to push"
        elif isinstance(cause, httpx2.HTTPError | httpx2.InvalidURL):
            what = f"out of reach ({cause}); check the connection and HF_ENDPOINT, then push again"
        elif isinstance(cause, RuntimeError):
            raise
        else:
            what = f"the server answers what the Hub would not ({cause}); check HF_ENDPOINT"
        raise RemoteError(_clean(f"{who}: {what}", str(api.token))) from None


def _cause(error: BaseException) -> BaseException:
    """The HTTP error at the bottom of one the library wrapped (`RuntimeError: Error while uploading …`), if any."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, httpx2.HTTPError):
            return cause
        cause = cause.__cause__
    return error


def _clean(text: str, token: str) -> str:
    """The text as one line of bounded length, without the token or anything that looks like one."""
    line = " ".join(text.replace(token, "***").split())
    line = re.sub(r"\bhf_\w{8,}", "***", line)
    return line if len(line) <= 500 else line[:499] + "…"
