"""Checkpoints: what of a training is kept to go on from, sealed when it is whole.

A checkpoint counts once `sealed.json` is in it, which is written last, by the first process, when all of them are done,
and names every file with its size. So one that was cut while it was written, or lost a piece later, is passed over.
"""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from safetensors import SafetensorError

from collectors.errors import ArtefactError
from pipeline import folder

SEAL: Final = "sealed.json"

TORCH_CANNOT_WRITE: Final = ("PytorchStreamWriter", "inline_container", "unexpected pos")
"""What `torch.save` says, among other things, when a file could not be written."""


@contextlib.contextmanager
def writing(place: Path) -> Iterator[None]:
    """Tell a refusal to write as one `ArtefactError`, also where safetensors and torch raise errors of their own."""
    try:
        with folder.writing(place):
            yield
    except (SafetensorError, RuntimeError) as error:
        said = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        if isinstance(error, RuntimeError) and not any(sign in str(error) for sign in TORCH_CANNOT_WRITE):
            raise
        raise ArtefactError(
            f"{place}: cannot be written: {said}; nothing finished before was touched: free some space or name another "
            "folder with --out, and run again to go on"
        ) from None


def seal(place: Path) -> None:
    """Declare a checkpoint whole, once what is in it is on the disk."""
    files = sorted(path for path in place.rglob("*") if path.is_file() and path.name != SEAL)
    for path in files:
        folder.sync(path)
    text = json.dumps({str(path.relative_to(place)): path.stat().st_size for path in files}, indent=1) + "\n"
    aside = place / f"{SEAL}.part"
    aside.write_text(text, encoding="utf-8")
    folder.sync(aside)
    aside.replace(place / SEAL)
    folder.sync(place)


def newest(place: Path, say: Callable[[str], None]) -> Path | None:
    """The newest whole checkpoint of a folder. Those that are not whole are told, by a line each, and removed."""
    found = sorted(place.glob("checkpoint-*"), key=lambda path: int(path.name.rsplit("-", 1)[1]), reverse=True)
    for path in found:
        lacking = _lacking(path)
        if lacking is None:
            return path
        say(f"{path}: passed over, {lacking}")
        shutil.rmtree(path)
    return None


def _lacking(place: Path) -> str | None:
    """Why a checkpoint is not whole, None when it is."""
    try:
        sizes = json.loads((place / SEAL).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "it was cut while it was written"
    for name, size in sizes.items():
        path = place / name
        if not path.is_file():
            return f"{name} is gone"
        if path.stat().st_size != size:
            return f"{name} is cut short"
    return None
