"""Publishing a run: its adapter (or model), or what it was merged to, as a model on the Hub or in a folder.

    README.md   adapter_config.json   adapter_model.safetensors   tokenizer …   loss.png   metrics.jsonl   manifest.json

A folder gets the bytes that a push would publish. No path of this machine is among them.
"""

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from collectors.errors import ArtefactError, CatalogError
from pipeline import folder
from pipeline.patience import Wait
from pipeline.shards import digest
from pipeline.standing import described
from pipeline.tree import without_paths
from pipeline.upload import Item, owner, upload
from train.methods.save import SETTINGS
from train.recipe import TINY
from train.release import card
from train.release.trained import CARD, Run, finished

PLOTS: Final = ("metrics.jsonl", "*.png")
"""What of a run's folder goes with the adapter, from beside it."""

STALE: Final = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?")
"""Remote files that belong to an earlier push of a model and go when the new one has no such name."""


def publish(
    run: Path,
    *,
    repo: str | None,
    to: Path | None,
    public: bool = False,
    dry: bool = False,
    merged: Path | None = None,
    say: Callable[[str], None] = print,
    wait: Wait = time.sleep,
) -> None:
    """Publish what the run in the folder `run` made: its adapter or, where `merged` names it, the model merged of it.

    It goes to the model repository `repo` (`owner/name`), made private unless `public`, or to the folder `to`. With
    `dry` its files are listed, and nothing is sent or written. `ArtefactError` when the run is not finished, `merged`
    is another's or `to` holds something else; `RemoteError` when the Hub is out of reach or refuses; another push then
    goes on where this one ended.
    """
    if (repo is None) == (to is None) and not (dry and repo is None):
        raise CatalogError("push: say where to, either --repo OWNER/NAME or --to DIR")
    if repo is not None:
        owner(repo, "model")
    found = finished(run)
    items = _adapter(found) if merged is None else _model(found, merged)
    if dry:
        for item in items:
            say(f"{item.bytes:>14,}  {item.sha256[:12]}  {item.path}")
        return
    if to is not None:
        _written(to, items, say)
    if repo is not None:
        done = upload(
            repo,
            items,
            f"Publish {found.place.name}",
            kind="model",
            stale=lambda name: merged is not None and STALE.fullmatch(name) is not None,
            private=not public,
            wait=wait,
        )
        state = f"{len(done.uploaded)} of {len(done.files)} files sent" if done.changed else "up to date"
        say(f"{done.where}: {state}, {'private' if done.private else 'public'}")


def _adapter(run: Run) -> list[Item]:
    """The files of a run's adapter, with its measures; configurations name a base in a folder by that folder's name."""
    paths = {path.name: path for path in run.trained.iterdir() if path.is_file()}
    paths |= {path.name: path for pattern in PLOTS for path in run.place.glob(pattern)}
    sources: dict[str, Path | bytes] = {**paths}
    for name in (SETTINGS, "config.json"):
        if name in paths:
            sources[name] = _anonymous(paths[name])
    if run.recipe.base == TINY:
        sources |= {f"base/{path.name}": path for path in (run.place / "base").iterdir()}
        sources[CARD] = paths[CARD].read_text(encoding="utf-8").replace(card.BASE, '"base"').encode()
    if CARD not in sources:
        raise ArtefactError(f"{run.trained}: holds no {CARD}, its card; run the training again to have it written")
    return _with_manifest(sources, run.manifest)


def _model(run: Run, merged: Path) -> list[Item]:
    """The files of a model that this run was merged to."""
    manifest = folder.manifest(merged) or {}
    told = manifest.get("merged", {})
    if not told:
        raise ArtefactError(f"{merged}: holds no merged model; merge the run into it first")
    if told.get("fingerprint") != run.manifest["fingerprint"]:
        raise ArtefactError(f"{merged}: was merged of another run ({told.get('run')}) than {run.place.name}")
    return _with_manifest({one["path"]: merged / one["path"] for one in manifest["files"]}, manifest)


def _anonymous(path: Path) -> bytes:
    """A configuration in which a base's folder goes by its name."""
    found = json.loads(path.read_text(encoding="utf-8"))
    for key in ("base_model_name_or_path", "_name_or_path"):
        base = found.get(key)
        if isinstance(base, str) and not card.on_hub(base):
            found[key] = Path(base).name
    return (json.dumps(found, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()


def _with_manifest(sources: dict[str, Path | bytes], told: dict[str, Any]) -> list[Item]:
    """The files in the order of their names, with a manifest that lists the others and names no machine."""
    items = [_item(name, source) for name, source in sorted(sources.items()) if name != folder.MANIFEST]
    listed = [{"path": one.path, "bytes": one.bytes, "sha256": one.sha256} for one in items]
    manifest = without_paths({**told, "files": listed})
    data = (json.dumps(manifest, ensure_ascii=False, indent=1) + "\n").encode()
    return sorted([*items, _item(folder.MANIFEST, data)], key=lambda one: one.path)


def _item(name: str, source: Path | bytes) -> Item:
    if isinstance(source, bytes):
        return Item(path=name, source=source, **described(source))
    return Item(path=name, source=source, bytes=source.stat().st_size, sha256=digest(source))


def _written(to: Path, items: list[Item], say: Callable[[str], None]) -> None:
    """Write the files to the folder `to`, whole or not at all."""
    manifest = next(one.source for one in items if one.path == folder.MANIFEST)
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        there = folder.manifest(to)
        if there is None or "recipe" not in there or "files" not in there:
            raise ArtefactError(f"{to}: holds something else than a published model; name a new folder with --to")
        if (to / folder.MANIFEST).read_bytes() == manifest:
            say(f"{to}: up to date")
            return
    with folder.building(to) as part:
        for item in items:
            place = part / item.path
            place.parent.mkdir(exist_ok=True)
            if isinstance(item.source, bytes):
                place.write_bytes(item.source)
            else:
                shutil.copyfile(item.source, place)
    say(f"{to}: {len(items)} files written")
