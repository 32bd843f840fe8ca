"""What an origin of the catalog holds: its files with their addresses, and what upstream announces of each."""

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote

import httpx2

from collectors.download import Downloads
from collectors.errors import RemoteError, nearest
from collectors.globs import is_glob, matches
from collectors.origin import Origin

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

GITHUB: Final = "https://raw.githubusercontent.com"
GITHUB_API: Final = "https://api.github.com"
Entry = TypeVar("Entry")
COMMIT: Final = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Upstream:
    """A file upstream: its path, address and headers to send; size in bytes and hashes where upstream tells them.

    `cached` is a copy in the cache of huggingface_hub.
    """

    path: str
    url: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    size: int | None = None
    sha256: str | None = None
    blob: str | None = None
    cached: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """The files an origin's paths name, and the commit they are of, where it is known."""

    commit: str | None
    files: list[Upstream]


def place(origin: Origin) -> str:
    """An origin in words: owner/name@revision, or its address."""
    return origin.url or f"{origin.hub or origin.github}@{origin.revision}"


def listing(name: str, origin: Origin, net: Downloads, github: str = GITHUB, github_api: str = GITHUB_API) -> Listing:
    """What `origin` holds of the source `name`; the Hub is asked, and GitHub where a path is a pattern.

    Raises `RemoteError` when it is out of reach, refuses, or has no file that a path names.
    """
    if origin.hub is not None:
        return _hub(f"{name}: {place(origin)}", origin.hub, origin, net)
    top = origin.url or f"{github}/{origin.github}/{origin.revision}/"
    paths = origin.paths
    if any(map(is_glob, paths)):
        every = _github_paths(f"{name}: {place(origin)}", origin, net, github_api)
        paths = list(_named(f"{name}: {place(origin)}", paths, every))
    files = [Upstream(path=path, url=top + quote(path)) for path in paths]
    known = origin.github is not None and COMMIT.fullmatch(origin.revision)
    return Listing(commit=origin.revision if known else None, files=files)


def _github_paths(label: str, origin: Origin, net: Downloads, github_api: str) -> dict[str, str]:
    """Every file of a GitHub repository at a revision (REST API, git trees)."""
    address = f"{github_api}/repos/{origin.github}/git/trees/{origin.revision}"

    def ask() -> dict[str, Any]:
        answer = httpx2.get(address, params={"recursive": "1"}, follow_redirects=True, timeout=30)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    tree = net.patiently(label, ask)
    if tree.get("truncated") or not isinstance(tree.get("tree"), list):
        raise RemoteError(f"{label}: is too large for GitHub to list; name its files in the catalog")
    return {entry["path"]: entry["path"] for entry in tree["tree"] if entry["type"] == "blob"}


def _named(label: str, paths: list[str], every: "dict[str, Entry]") -> "dict[str, Entry]":
    """The files that paths and patterns name, in their order; each must name one."""
    chosen: dict[str, Entry] = {}
    for path in paths:
        named = {one: every[one] for one in every if one == path or (is_glob(path) and matches(one, path))}
        if not named:
            raise RemoteError(f"{label}: has no file {path}; {_near(path, every)}")
        chosen |= named
    return chosen


def _hub(label: str, repository: str, origin: Origin, net: Downloads) -> Listing:
    from huggingface_hub import HfApi, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # left out of its __all__

    # Its account of every try would stand around the one line that counts.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    api = HfApi()
    # Asked for a known commit too: what comes after has no time limit and patience of its own.
    info = net.patiently(label, lambda: api.dataset_info(repository, revision=origin.revision, timeout=30), gated=True)
    commit = str(info.sha)
    files = []
    for path, entry in _entries(label, api, repository, commit, origin.paths, net).items():
        cached = try_to_load_from_cache(repository, path, repo_type="dataset", revision=commit)
        files.append(
            Upstream(
                path=path,
                url=hf_hub_url(repository, path, repo_type="dataset", revision=commit, endpoint=api.endpoint),
                headers=build_hf_headers(),
                size=entry.size,
                sha256=entry.lfs.sha256 if entry.lfs else None,
                blob=None if entry.lfs else entry.blob_id,
                cached=Path(cached) if isinstance(cached, str) else None,
            )
        )
    return Listing(commit=commit, files=files)


def _entries(
    label: str, api: "HfApi", repository: str, commit: str, paths: list[str], net: Downloads
) -> "dict[str, RepoFile]":
    """The repository's entries that the paths and patterns name, in their order."""
    from huggingface_hub.hf_api import RepoFile

    plain = [path for path in paths if not is_glob(path)]
    found: dict[str, RepoFile] = {}
    if plain:
        asked = net.patiently(
            label, lambda: api.get_paths_info(repository, plain, revision=commit, repo_type="dataset"), gated=True
        )
        found = {entry.path: entry for entry in asked if isinstance(entry, RepoFile)}
    if len(found) == len(set(plain)) == len(set(paths)):
        return {path: found[path] for path in paths}
    tree = net.patiently(
        label,
        lambda: list(api.list_repo_tree(repository, recursive=True, revision=commit, repo_type="dataset")),
        gated=True,
    )
    every = {entry.path: entry for entry in sorted(tree, key=lambda one: one.path) if isinstance(entry, RepoFile)}
    return _named(label, paths, every)


def _near(path: str, every: Iterable[str]) -> str:
    """The end of "no such file", with at most a few names."""
    said = nearest(path, every)
    few = list(islice(every, 11))
    return said if said.startswith("did") or len(few) <= 10 else f"it has {', '.join(few[:10])} and others"
