"""The tokens folder: a mixture encoded and packed for one tokenizer, prompt format and cutoff, before training starts.

`DATA/tokens/<mixture>-<key>/` holds `train.arrow` and `holdout.arrow`, one packed row each line: `ids` and `labels`
(tokens), `bounds` (sequences + 1) and `rows` (which rows of the mixture's part the sequences are). They are not
compressed, so that training maps them into memory and reads a row when it is due.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from collectors.errors import TrainingError
from pipeline import folder
from templates.prompt import Prompt
from train.encode import IGNORED, Encoder, conversation
from train.feed import PackedRows
from train.mixture import Mixture, Part
from train.pack import best_fit, fill, singly
from train.recipe import Recipe

VERSION: Final = 1
"""Part of the key: raised when encoding or packing changes its result."""

PARTS: Final = ("train", "holdout")

BATCH: Final = 1 << 22
"""Tokens gathered and written at a time."""

TOKENIZER_FILES: Final = (
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges.txt",
    "*.model",
)
LISTS: Final = pa.list_(pa.int32())
SCHEMA: Final = pa.schema([("ids", LISTS), ("labels", LISTS), ("bounds", LISTS), ("rows", pa.list_(pa.int64()))])


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """A finished tokens folder."""

    folder: Path
    manifest: dict[str, Any]

    def rows(self, part: Part) -> PackedRows:
        """The packed rows of `train` or `holdout`."""
        return PackedRows(self.folder / f"{part}.arrow")


def tokenizer_hash(base: Path) -> str:
    """sha256 over the tokenizer's files in a base folder, by name and content."""
    files = sorted({path for pattern in TOKENIZER_FILES for path in base.glob(pattern) if path.is_file()})
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name}:{hashlib.sha256(path.read_bytes()).hexdigest()},".encode())
    return digest.hexdigest()


def build(
    out: Path, mixture: Mixture, tokenizer: PreTrainedTokenizerBase, base: Path, prompt: Prompt, recipe: Recipe
) -> tuple[Tokens, bool]:
    """The tokens of a mixture, encoded and packed unless the folder is there already, and whether they were built now.

    `base` is the folder the tokenizer was read from. `TrainingError` when no row has anything to train, or none of the
    held-out rows when the recipe asks for an evaluation.
    """
    settings = {
        "mixture": mixture.fingerprint,
        "tokenizer": tokenizer_hash(base),
        "prompt": hashlib.sha256(prompt.text.encode()).hexdigest(),
        "loss_on": recipe.loss_on,
        "cutoff": recipe.cutoff,
        "beyond_cutoff": recipe.beyond_cutoff,
        "packing": recipe.packing,
        "version": VERSION,
    }
    mark = folder.fingerprint(**settings)
    place = out / "tokens" / f"{mixture.name}-{mark[:12]}"
    encoder = Encoder(
        tokenizer, prompt, loss_on=recipe.loss_on, cutoff=recipe.cutoff, beyond_cutoff=recipe.beyond_cutoff
    )
    with folder.lock(out / "tokens"):
        found = folder.manifest(place)
        fresh = found is None or found.get("fingerprint") != mark
        if found is None or fresh:
            with folder.building(place) as part:
                parts = {name: _pack_part(part, mixture, name, encoder, packing=recipe.packing) for name in PARTS}
                found = {"name": place.name, "settings": settings, "parts": parts, "fingerprint": mark}
                folder.write_manifest(part, found)
    _check(found["parts"], mixture, recipe)
    return Tokens(folder=place, manifest=found), fresh


def _check(parts: dict[str, Any], mixture: Mixture, recipe: Recipe) -> None:
    for name in PARTS:
        counts = parts[name]
        if counts["packed_rows"] or (name == "holdout" and not recipe.evaluate):
            continue
        if name == "holdout" and not counts["rows"]:
            raise TrainingError(
                f"mixture {mixture.name}: holds no rows out, so there is no held-out loss; give it a `holdout`, or "
                "train with --set evaluate=false"
            )
        lost = ", ".join(f"{rows} {reason}" for reason, rows in counts["dropped"].items()) or "it has no rows"
        raise TrainingError(
            f"mixture {mixture.name}: no {name} row can be used ({lost}); cutoff is {recipe.cutoff}: see the recipe's "
            "cutoff and beyond_cutoff"
        )


def _pack_part(place: Path, mixture: Mixture, part: Part, encoder: Encoder, *, packing: bool) -> dict[str, Any]:
    """Encode and pack one part of the mixture; its counts for the manifest."""
    lengths, origins, counts, lost, noted = _encode_part(place, mixture, part, encoder)
    bins = best_fit(lengths, encoder.cutoff) if packing else singly(lengths)
    ids, labels = (_flat(place / f"{name}.flat") for name in ("ids", "labels"))
    with pa.OSFile(str(place / f"{part}.arrow"), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
        for gathered in _gather(ids, labels, lengths, origins, bins):
            writer.write_batch(gathered)
    trained = int((labels != IGNORED).sum())
    for name in ("ids", "labels"):
        (place / f"{name}.flat").unlink()
    return {
        "rows": counts,
        "encoded": len(lengths),
        "dropped": dict(sorted(lost.items())),
        "noted": dict(sorted(noted.items())),
        "tokens": int(lengths.sum()),
        "trained_tokens": trained,
        "packed_rows": len(bins),
        "fill": round(fill(lengths, len(bins), encoder.cutoff), 6),
    }


def _encode_part(
    place: Path, mixture: Mixture, part: Part, encoder: Encoder
) -> tuple[NDArray[np.int64], NDArray[np.int64], int, Counter[str], Counter[str]]:
    """Encode a part to two flat files; lengths and ordinals of the kept rows, rows read, and both counters."""
    lengths, origins = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    dropped: Counter[str] = Counter()
    noted: Counter[str] = Counter()
    read = 0
    with (place / "ids.flat").open("wb") as ids, (place / "labels.flat").open("wb") as labels:
        for rows in mixture.rows(part):
            encoded = encoder.encode([conversation(row, encoder.prompt) for row in rows])
            _append(ids, encoded.ids)
            _append(labels, encoded.labels)
            lengths.append(encoded.lengths)
            origins.append(encoded.rows + read)
            dropped += encoded.dropped
            noted += encoded.noted
            read += len(rows)
    kept = np.concatenate(lengths)
    if read != len(kept) + dropped.total():
        raise AssertionError(f"{part}: {read} rows in, {len(kept)} encoded and {dropped.total()} dropped")
    return kept, np.concatenate(origins), read, dropped, noted


def _append(file: BinaryIO, values: NDArray[np.int32]) -> None:
    file.write(np.ascontiguousarray(values).data)


def _flat(path: Path) -> NDArray[np.int32]:
    """A flat file of int32, mapped into memory."""
    return np.memmap(path, np.int32, mode="r") if path.stat().st_size else np.empty(0, np.int32)


def _gather(
    ids: NDArray[np.int32],
    labels: NDArray[np.int32],
    lengths: NDArray[np.int64],
    origins: NDArray[np.int64],
    bins: list[list[int]],
) -> Iterator[pa.RecordBatch]:
    """The packed rows as record batches of at most about `BATCH` tokens."""
    starts = np.cumsum(lengths) - lengths
    for group in _groups(bins, lengths):
        members = np.fromiter((row for packed in group for row in packed), np.int64)
        sizes = lengths[members]
        sequences = np.array([0, *map(len, group)]).cumsum()
        ends = np.concatenate([[0], sizes.cumsum()])
        places = np.repeat(starts[members] - ends[:-1], sizes) + np.arange(ends[-1])
        targets = labels[places]
        # The shift of the loss would have a row's last token predict the next row's first one.
        targets[ends[:-1]] = IGNORED
        tokens = ends[sequences]
        within = [ends[first : last + 1] - ends[first] for first, last in pairwise(sequences)]
        bounds = np.concatenate(within)
        edges = sequences + np.arange(len(sequences))
        yield pa.record_batch(
            [
                _lists(tokens, ids[places], LISTS),
                _lists(tokens, targets, LISTS),
                _lists(edges, bounds.astype(np.int32), LISTS),
                _lists(sequences, origins[members], SCHEMA.field("rows").type),
            ],
            schema=SCHEMA,
        )


def _groups(bins: list[list[int]], lengths: NDArray[np.int64]) -> Iterator[list[list[int]]]:
    group: list[list[int]] = []
    tokens = 0
    for packed in bins:
        group.append(packed)
        tokens += int(lengths[packed].sum())
        if tokens >= BATCH:
            yield group
            group, tokens = [], 0
    if group:
        yield group


def _lists(edges: NDArray[np.int64], values: NDArray[Any], kind: pa.DataType) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(edges.astype(np.int32)), pa.array(values), type=kind)
