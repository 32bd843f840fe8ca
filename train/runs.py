"""What every run has, told without torch: its name, its folder in OUT/runs/, how it is spread over GPUs."""

from pathlib import Path
from typing import Final, Literal

from collectors.errors import ArtefactError, TrainingError, nearest
from pipeline import folder

Sharding = Literal["none", "fsdp", "zero2", "zero3"]
"""How a model, its gradients and its optimiser are divided: not at all, or by PyTorch's FSDP or DeepSpeed's ZeRO."""

ASIDE: Final = (".work", ".part", ".old")
"""Ends of the names of folders that are being written."""


def place(out: Path, name: str) -> Path:
    """The folder of the run of that name; `TrainingError` when it cannot be a folder's name."""
    if not name or name == ".." or Path(name).name != name or name.endswith(ASIDE):
        raise TrainingError(f"run name {name!r}: is no plain folder name")
    return out / "runs" / name


def find(out: Path, name: str) -> Path:
    """The folder of a finished run; `ArtefactError` names those that are near, or says how to finish it."""
    found = place(out, name)
    folder.restore(found)
    if folder.manifest(found) is not None:
        return found
    if found.with_name(f"{name}.work").is_dir():
        raise ArtefactError(f"run {name}: is not finished; give the command that began it again, and it goes on")
    known = [path.parent.name for path in found.parent.glob(f"*/{folder.MANIFEST}")]
    raise ArtefactError(f"run {name}: there is none in {found.parent}; {nearest(name, known)}")
