"""The weights of a checkpoint folder, read tensor by tensor and written in shards, so that none is ever held whole."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from collectors.errors import TrainingError
from pipeline import folder

MOST: Final = 2 << 30
"""Bytes of a shard, unless one tensor alone is larger."""

INDEX: Final = "model.safetensors.index.json"
WHOLE: Final = "model.safetensors"


def files(base: Path) -> list[Path]:
    """The files that hold the weights of a base folder, those that transformers would read, in their order.

    `TrainingError` when there are none, or one that the index names is not there.
    """
    for whole in (WHOLE, "pytorch_model.bin"):
        if (base / whole).is_file():
            return [base / whole]
        index = base / f"{whole}.index.json"
        if index.is_file():
            try:
                names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
            except (OSError, ValueError, KeyError, AttributeError):
                raise TrainingError(f"base {base}: its {index.name} cannot be read; fetch it again") from None
            missing = [name for name in names if not (base / name).is_file()]
            if missing:
                raise TrainingError(f"base {base}: lacks {missing[0]}, which its {index.name} names; fetch it again")
            return [base / name for name in names]
    raise TrainingError(f"base {base}: holds no weights ({WHOLE})")


def tensors(path: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors of one file by name; they lie in the file until they are read. `TrainingError` for a cut file."""
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as opened:
                for name in opened.keys():  # noqa: SIM118  # it is no mapping
                    yield name, opened.get_tensor(name)
        else:
            held: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            for name in sorted(held):
                yield name, held[name]
    except (SafetensorError, RuntimeError, EOFError, OSError) as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TrainingError(f"{path}: cannot be read: {said}; fetch it again") from None


class Shards:
    """Writes tensors to a folder as safetensors, a new file after each `most` bytes; `close` names the files.

    The names are those that transformers gives: `model.safetensors`, or numbered shards and their index.
    """

    def __init__(self, place: Path, most: int = MOST) -> None:
        self.place, self.most = place, most
        self.where: dict[str, int] = {}
        self.bytes = 0
        self._held: dict[str, torch.Tensor] = {}
        self._written = 0

    def add(self, name: str, tensor: torch.Tensor) -> None:
        """Take one tensor, and write what is held when this one no longer fits in."""
        size = tensor.nbytes
        if self._held and size + sum(one.nbytes for one in self._held.values()) > self.most:
            self._write()
        # A copy: what is read from a file shares its memory, which safetensors does not write.
        self._held[name] = tensor.clone(memory_format=torch.contiguous_format)
        self.where[name] = self._written
        self.bytes += size

    def close(self) -> list[Path]:
        """Write the rest, give the files their names and the folder its index; the files."""
        self._write()
        count = self._written
        numbered = [f"model-{place + 1:05}-of-{count:05}.safetensors" for place in range(count)]
        names = [WHOLE] if count == 1 else numbered
        for place, name in enumerate(names):
            self._path(place).rename(self.place / name)
        if count > 1:
            found = {name: names[place] for name, place in sorted(self.where.items())}
            index = {"metadata": {"total_size": self.bytes}, "weight_map": found}
            folder.write_text(self.place / INDEX, json.dumps(index, indent=1) + "\n")
        return [self.place / name for name in names]

    def _path(self, place: int) -> Path:
        return self.place / f"shard-{place:05}"

    def _write(self) -> None:
        save_file(self._held, self._path(self._written), metadata={"format": "pt"})
        self._held.clear()
        self._written += 1
