"""Publishing a mixture: its tree goes to the Hub in one commit, or to a folder.

A tree for the Hub is staged under `OUT/hub/<mixture>`, an artefact folder like the others, so that a push that was cut
does not encode it again. Large files go first, a few at a time, and what has arrived stays there for the next push;
files the repository holds already are not sent, and nothing of it changes before the one commit that names them all.
"""

import hashlib
import os
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants
from huggingface_hub.hf_api import RepoFile

from collectors.errors import RemoteError
from pipeline import folder, staleness
from pipeline.card import Credit
from pipeline.parquet import SHARD_BYTES
from pipeline.patience import Wait, patient, patiently
from pipeline.remote import plain_uploads, told, user_token
from pipeline.standing import File, files
from pipeline.tree import Built, finished, listed, tree

SHARD: Final = re.compile(r"data/(train|holdout)-\d{5}-of-\d{5}\.parquet")
"""Remote files that belong to an earlier push and go when the new tree has no such name."""

NAME: Final = re.compile(r"(?!.*(--|\.\.))(?![-.])[A-Za-z0-9_.-]{1,96}(?<![-.])")
"""An owner's or a repository's name on the Hub."""

AT_ONCE: Final = 5
"""Files that are sent at once; after as many it is certain that they arrived."""


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

    The caller holds the lock of `out`. Raises `ArtefactError` when the mixture is not built, or of older records than
    `out` holds, or `to` holds something else.
    """
    before = _written(to)
    place = tree(_current(mix, out), to, credits, shard_bytes=shard_bytes)
    names = tuple(file.path for file in files(place))
    return Published(where=str(to), files=names, uploaded=names if _written(to) != before else ())


def _written(to: Path) -> int | None:
    """When the tree at `to` was written."""
    manifest = to / folder.MANIFEST
    return manifest.stat().st_mtime_ns if manifest.is_file() else None


def listing(
    mix: str,
    out: Path,
    credits: Mapping[str, Credit],
    *,
    repo: str | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> list[File]:
    """The files that `push` or `write` would publish, with sizes and hashes; no server is asked and nothing written.

    A staged tree that is up to date is read; else the shards are encoded and dropped. Raises as `push` does.
    """
    if repo is not None:
        _owner(repo)
    return listed(_current(mix, out), out / "hub" / mix, credits, shard_bytes=shard_bytes)


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
    wait: Wait = time.sleep,
) -> Published:
    """Publish the mixture `mix` of the data folder `out` as the data set `repo` (`owner/name`), in one commit.

    `token` and `endpoint` default to HF_TOKEN (or the token `hf auth login` keeps) and HF_ENDPOINT. A repository that
    does not exist is made, private unless `private` is false; one that is there must be as private as is asked for.
    What goes wrong in passing is tried again after `wait`, which is given seconds (see `patience`). The caller holds
    the lock of `out`. Raises `ArtefactError` when the mixture is not built, or of older records than `out` holds, and
    `RemoteError` when the Hub is out of reach or refuses; another push then goes on where this one ended.
    """
    owner = _owner(repo)
    place = _staged(mix, out, credits, shard_bytes)
    endpoint = (endpoint or os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
    api = HfApi(endpoint=endpoint, token=user_token(token), library_name="suri")
    with plain_uploads(), patient(), told(api, repo, owner):
        upload = _Upload(api, repo, place, private, wait)
        patiently(lambda: api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True), wait)
        patiently(lambda: upload.complete(f"Publish {mix}"), wait)
    names = tuple(upload.files)
    return Published(
        where=f"{api.endpoint}/datasets/{repo}",
        files=names,
        uploaded=tuple(name for name in names if name in upload.sent),
        skipped=tuple(name for name in names if name not in upload.sent),
        deleted=tuple(sorted(upload.gone)),
        private=private,
    )


class _Upload:
    """A tree on its way to a repository; `sent` and `gone` are the files that it adds or replaces, and removes."""

    def __init__(self, api: HfApi, repo: str, place: Path, private: bool, wait: Wait) -> None:
        self.api, self.repo, self.place, self.private, self.wait = api, repo, place, private, wait
        self.files = {file.path: file for file in files(place)}
        self.sent: set[str] = set()
        self.gone: set[str] = set()
        self._additions: dict[str, CommitOperationAdd] = {}

    def complete(self, message: str) -> None:
        """Bring the repository from the state it is in to that of the tree.

        May be called again after an interruption: a commit whose answer was lost leaves nothing to do.
        """
        head = self._head()
        there = patiently(lambda: self._there(head), self.wait)
        lacking = [name for name, file in self.files.items() if not _equal(self.place, file, there.get(name))]
        stale = [name for name in there if SHARD.fullmatch(name) and name not in self.files]
        self.sent.update(lacking)
        self.gone.update(stale)
        if not lacking and not stale:
            return
        for first in range(0, len(lacking), AT_ONCE):
            self._send(lacking[first : first + AT_ONCE])
        self.api.create_commit(
            self.repo,
            [
                *(self._addition(name) for name in lacking),
                *(CommitOperationDelete(path_in_repo=name) for name in stale),
            ],
            repo_type="dataset",
            commit_message=message,
            parent_commit=head,
        )

    def _head(self) -> str | None:
        """The commit that is published now, in a repository that is as private as it should be."""
        found = patiently(lambda: self.api.dataset_info(self.repo, revision="main"), self.wait)
        where = f"{self.repo} on {self.api.endpoint}"
        if self.private and found.private is False:
            raise RemoteError(f"{where} is public; say --public to publish there, or make it private")
        if not self.private and found.private:
            raise RemoteError(f"{where} is private; leave out --public to publish there, or make it public")
        return found.sha

    def _there(self, revision: str | None) -> dict[str, RepoFile]:
        listed = self.api.list_repo_tree(self.repo, recursive=True, revision=revision, repo_type="dataset")
        return {file.path: file for file in listed if isinstance(file, RepoFile)}

    def _send(self, names: list[str]) -> None:
        """Send those files that the Hub keeps as large objects; it knows what has arrived before, which is not sent."""
        additions = [self._addition(name) for name in names]
        patiently(
            lambda: self.api.preupload_lfs_files(
                self.repo, additions, repo_type="dataset", num_threads=AT_ONCE, free_memory=False
            ),
            self.wait,
        )

    def _addition(self, name: str) -> CommitOperationAdd:
        """The operation that adds a file; the same each time, for it knows what has been sent."""
        if name not in self._additions:
            addition = CommitOperationAdd(path_in_repo=name, path_or_fileobj=self.place / name)
            addition.upload_info.sha256 = bytes.fromhex(self.files[name].sha256)
            self._additions[name] = addition
        return self._additions[name]


def _owner(repo: str) -> str:
    """The owner in `owner/name`, after the Hub's rules for both."""
    owner, _, name = repo.partition("/")
    if not (NAME.fullmatch(owner) and NAME.fullmatch(name)) or name.endswith(".git"):
        raise RemoteError(
            f"repository {repo!r}: must be owner/name, of letters, digits, '-', '_' and '.', as in me/alpaca-belle-cot"
        )
    return owner


def _current(mix: str, out: Path) -> Built:
    """A mixture that is built of the records that `out` holds."""
    mixture = finished(mix, out)
    staleness.check(mix, mixture.manifest, out)
    return mixture


def _staged(mix: str, out: Path, credits: Mapping[str, Credit], shard_bytes: int) -> Path:
    """The tree of a mixture under `OUT/hub`, encoded when it is not there or out of date."""
    mixture = _current(mix, out)
    place = out / "hub" / mix
    if not (place / folder.MANIFEST).exists():
        shutil.rmtree(place, ignore_errors=True)
    return tree(mixture, place, credits, shard_bytes=shard_bytes)


def _equal(place: Path, file: File, remote: RepoFile | None) -> bool:
    """Whether the repository holds this very file: by sha256 where it keeps it as a large object, else by git's id."""
    if remote is None or file.bytes != remote.size:
        return False
    if remote.lfs is not None:
        return bool(file.sha256 == remote.lfs.sha256)
    content = (place / file.path).read_bytes()
    return bool(hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == remote.blob_id)
