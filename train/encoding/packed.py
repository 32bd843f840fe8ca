"""The packed rows of a tokens folder, as they are read for training."""

from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
from numpy.typing import NDArray
from torch.utils.data import Dataset

Fed = dict[str, NDArray[Any]]
"""One packed row: `ids` and `labels` (tokens), `bounds` (sequences + 1: where each starts, then the length)."""


class PackedRows(Dataset[Fed]):
    """The packed rows of one Arrow file of a tokens folder, mapped into memory and read when asked for."""

    def __init__(self, path: Path) -> None:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        self.batches = [reader.get_batch(index) for index in range(reader.num_record_batches)]
        self.ends = list(accumulate(batch.num_rows for batch in self.batches))

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def __getitem__(self, index: int) -> Fed:
        place = bisect_right(self.ends, index)
        batch = self.batches[place]
        row = index - (self.ends[place] - batch.num_rows)
        return {name: batch.column(name)[row].values.to_numpy() for name in ("ids", "labels", "bounds")}
