"""Publishing a mixture: its tree goes to the Hub in one commit, or to a folder.

A tree for the Hub is staged under `OUT/hub/<mixture>`, an artefact folder like the others, so that a push that was cut
does not encode it again.
"""

import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

from pipeline import folder, staleness
from pipeline.card import Credit
from pipeline.formats import Format
from pipeline.parquet import SHARD_BYTES
from pipeline.patience import Wait
from pipeline.standing import File, files
from pipeline.tree import Built, finished, listed, tree
from pipeline.upload import Item, Published, owner, upload

SHARD: Final = re.compile(r"data/(train|holdout)-\d{5}-of-\d{5}\.parquet")
"""Remote files that belong to an earlier push and go when the new tree has no such name."""


def write(
    mix: str,
    to: Path,
    out: Path,
    credits: Mapping[str, Credit],
    *,
    form: Format | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> Published:
    """Write the tree of the mixture `mix` of the data folder `out` to the folder `to`: the bytes a push would publish.

    `form` is one of `export`'s formats; without it rows have all of their columns.

    The caller holds the lock of `out`. Raises `ArtefactError` when the mixture is not built, or of older records than
    `out` holds, or `to` holds something else.
    """
    before = _written(to)
    place = tree(_current(mix, out), to, credits, form=form, shard_bytes=shard_bytes)
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
    form: Format | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> list[File]:
    """The files that `push` or `write` would publish, with sizes and hashes; no server is asked and nothing written.

    A staged tree that is up to date is read; else the shards are encoded and dropped. Raises as `push` does.
    """
    if repo is not None:
        owner(repo, "dataset")
    return listed(_current(mix, out), out / "hub" / mix, credits, form=form, shard_bytes=shard_bytes)


def push(
    mix: str,
    repo: str,
    out: Path,
    credits: Mapping[str, Credit],
    *,
    token: str | None = None,
    private: bool = True,
    endpoint: str | None = None,
    form: Format | None = None,
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
    owner(repo, "dataset")
    place = _staged(mix, out, credits, form, shard_bytes)
    return upload(
        repo,
        [Item(**asdict(file), source=place / file.path) for file in files(place)],
        f"Publish {mix}",
        kind="dataset",
        stale=lambda name: SHARD.fullmatch(name) is not None,
        token=token,
        private=private,
        endpoint=endpoint,
        wait=wait,
    )


def _current(mix: str, out: Path) -> Built:
    """A mixture that is built of the records that `out` holds."""
    mixture = finished(mix, out)
    staleness.check(mix, mixture.manifest, out)
    return mixture


def _staged(mix: str, out: Path, credits: Mapping[str, Credit], form: Format | None, shard_bytes: int) -> Path:
    """The tree of a mixture under `OUT/hub`, encoded when it is not there or out of date."""
    mixture = _current(mix, out)
    place = out / "hub" / mix
    if not (place / folder.MANIFEST).exists():
        shutil.rmtree(place, ignore_errors=True)
    return tree(mixture, place, credits, form=form, shard_bytes=shard_bytes)
