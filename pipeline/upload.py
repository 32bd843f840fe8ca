"""A tree of files on its way to a repository on the Hub, a data set's or a model's, in one commit.

Large files go first, a few at a time, and what has arrived stays there for the next upload; files the repository holds
already are not sent, and nothing of it changes before the one commit that names them all.
"""

import hashlib
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants
from huggingface_hub.hf_api import RepoFile

from collectors.errors import RemoteError
from pipeline.patience import Wait, patient, patiently
from pipeline.remote import plain_uploads, told, user_token
from pipeline.standing import File

NAME: Final = re.compile(r"(?!.*(--|\.\.))(?![-.])[A-Za-z0-9_.-]{1,96}(?<![-.])")
"""An owner's or a repository's name on the Hub."""

AT_ONCE: Final = 5
"""Files that are sent at once; after as many it is certain that they arrived."""

Kind = Literal["dataset", "model"]

EXAMPLES: Final[dict[Kind, str]] = {"dataset": "me/alpaca-belle-cot", "model": "me/llama-belle-lora"}


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


@dataclass(frozen=True, kw_only=True)
class Item(File):
    """A file to be published, and where its bytes are: in a file here, or these."""

    source: Path | bytes


def upload(
    repo: str,
    items: list[Item],
    message: str,
    *,
    kind: Kind,
    stale: Callable[[str], bool],
    token: str | None = None,
    private: bool = True,
    endpoint: str | None = None,
    wait: Wait = time.sleep,
) -> Published:
    """Bring the repository `repo` (`owner/name`) of that kind to hold these files, in one commit of that message.

    What else it holds stays, but for the names that are `stale`. `token` and `endpoint` default to HF_TOKEN (or the
    token `hf auth login` keeps) and HF_ENDPOINT. A repository that does not exist is made, private unless `private` is
    false; one that is there must be as private as is asked for. What goes wrong in passing is tried again after `wait`,
    which is given seconds (see `patience`). Raises `RemoteError` when the Hub is out of reach or refuses; another
    upload then goes on where this one ended.
    """
    name = owner(repo, kind)
    endpoint = (endpoint or os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
    api = HfApi(endpoint=endpoint, token=user_token(token), library_name="suri")
    with plain_uploads(), patient(), told(api, repo, name):
        going = _Upload(api, repo, {item.path: item for item in items}, kind, private, wait)
        patiently(lambda: api.create_repo(repo, repo_type=kind, private=private, exist_ok=True), wait)
        patiently(lambda: going.complete(message, stale), wait)
    names = tuple(going.items)
    return Published(
        where=f"{api.endpoint}/{'' if kind == 'model' else kind + 's/'}{repo}",
        files=names,
        uploaded=tuple(name for name in names if name in going.sent),
        skipped=tuple(name for name in names if name not in going.sent),
        deleted=tuple(sorted(going.gone)),
        private=private,
    )


class _Upload:
    """Files on their way to a repository; `sent` and `gone` are those that it adds or replaces, and removes."""

    def __init__(self, api: HfApi, repo: str, items: Mapping[str, Item], kind: Kind, private: bool, wait: Wait) -> None:
        self.api, self.repo, self.items, self.kind, self.private, self.wait = api, repo, items, kind, private, wait
        self.sent: set[str] = set()
        self.gone: set[str] = set()
        self._additions: dict[str, CommitOperationAdd] = {}

    def complete(self, message: str, stale: Callable[[str], bool]) -> None:
        """Bring the repository from the state it is in to that of the tree.

        May be called again after an interruption: a commit whose answer was lost leaves nothing to do.
        """
        head = self._head()
        there = patiently(lambda: self._there(head), self.wait)
        lacking = [name for name, item in self.items.items() if not _equal(item, there.get(name))]
        gone = [name for name in there if stale(name) and name not in self.items]
        self.sent.update(lacking)
        self.gone.update(gone)
        if not lacking and not gone:
            return
        for first in range(0, len(lacking), AT_ONCE):
            self._send(lacking[first : first + AT_ONCE])
        self.api.create_commit(
            self.repo,
            [
                *(self._addition(name) for name in lacking),
                *(CommitOperationDelete(path_in_repo=name) for name in gone),
            ],
            repo_type=self.kind,
            commit_message=message,
            parent_commit=head,
        )

    def _head(self) -> str | None:
        """The commit that is published now, in a repository that is as private as it should be."""
        found = patiently(lambda: self.api.repo_info(self.repo, repo_type=self.kind, revision="main"), self.wait)
        where = f"{self.repo} on {self.api.endpoint}"
        if self.private and found.private is False:
            raise RemoteError(f"{where} is public; say --public to publish there, or make it private")
        if not self.private and found.private:
            raise RemoteError(f"{where} is private; leave out --public to publish there, or make it public")
        return found.sha

    def _there(self, revision: str | None) -> dict[str, RepoFile]:
        listed = self.api.list_repo_tree(self.repo, recursive=True, revision=revision, repo_type=self.kind)
        return {file.path: file for file in listed if isinstance(file, RepoFile)}

    def _send(self, names: list[str]) -> None:
        """Send those files that the Hub keeps as large objects; it knows what has arrived before, which is not sent."""
        additions = [self._addition(name) for name in names]
        patiently(
            lambda: self.api.preupload_lfs_files(
                self.repo, additions, repo_type=self.kind, num_threads=AT_ONCE, free_memory=False
            ),
            self.wait,
        )

    def _addition(self, name: str) -> CommitOperationAdd:
        """The operation that adds a file; the same each time, for it knows what has been sent."""
        if name not in self._additions:
            item = self.items[name]
            addition = CommitOperationAdd(path_in_repo=name, path_or_fileobj=item.source)
            addition.upload_info.sha256 = bytes.fromhex(item.sha256)
            self._additions[name] = addition
        return self._additions[name]


def owner(repo: str, kind: Kind) -> str:
    """The owner in `owner/name`, after the Hub's rules for both; `RemoteError` for what is no such name."""
    found, _, name = repo.partition("/")
    if not (NAME.fullmatch(found) and NAME.fullmatch(name)) or name.endswith(".git"):
        raise RemoteError(
            f"repository {repo!r}: must be owner/name, of letters, digits, '-', '_' and '.', as in {EXAMPLES[kind]}"
        )
    return found


def _equal(item: Item, remote: RepoFile | None) -> bool:
    """Whether the repository holds this very file: by sha256 where it keeps it as a large object, else by git's id."""
    if remote is None or item.bytes != remote.size:
        return False
    if remote.lfs is not None:
        return bool(item.sha256 == remote.lfs.sha256)
    content = item.source if isinstance(item.source, bytes) else item.source.read_bytes()
    return bool(hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == remote.blob_id)
