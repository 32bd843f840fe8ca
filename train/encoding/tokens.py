"""The tokens folder: a mixture encoded and packed for one tokenizer, prompt format and cutoff, before training starts.

`DATA/tokens/<mixture>-<key>/` holds `train.arrow` and `holdout.arrow`, one packed row each line: `ids` and `labels`
(tokens), `bounds` (sequences + 1) and `rows` (which rows of the mixture's part the sequences are). They are not
compressed, so that training maps them into memory and reads a row when it is due. The encoded pieces that they are
gathered from stand in `<mixture>-<key>.work/` until then; a build that was cut goes on from those that are there.
"""

import functools
import hashlib
import pickle
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from collectors.errors import ArtefactError, TrainingError
from pipeline import folder
from pipeline.engine import Engine, cores
from templates.prompt import Prompt
from train.encoding import assemble, pieces
from train.encoding.encode import Encoder
from train.encoding.pack import Places, best_fit, fill, singly
from train.encoding.packed import PackedRows
from train.encoding.pieces import Work
from train.mixture import Mixture, Part, release
from train.recipe import Recipe

VERSION: Final = 2
"""Part of the key: raised when encoding or packing changes its result."""

PARTS: Final = ("train", "holdout")

FEW: Final = 3
"""Pieces that are encoded sooner than other processes are started for them."""

IMPORTS: Final = ("train.encoding.pieces", "pandas")
"""What a worker needs; pyarrow imports the last, where it is installed, as soon as it makes an array."""

TOKENIZER_FILES: Final = (
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges.txt",
    "*.model",
)


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """A finished tokens folder."""

    folder: Path
    manifest: dict[str, Any]

    def rows(self, part: Part) -> PackedRows:
        """The packed rows of `train` or `holdout`; `ArtefactError` when their file is cut short."""
        path = self.folder / f"{part}.arrow"
        try:
            return PackedRows(path)
        except (pa.ArrowInvalid, OSError) as error:
            said = next(iter(str(error).splitlines()), type(error).__name__)
            raise ArtefactError(f"{path}: cannot be read ({said}); delete {self.folder} and train again") from None


def tokenizer_hash(base: Path) -> str:
    """sha256 over the tokenizer's files in a base folder, by name and content."""
    files = sorted({path for pattern in TOKENIZER_FILES for path in base.glob(pattern) if path.is_file()})
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name}:{hashlib.sha256(path.read_bytes()).hexdigest()},".encode())
    return digest.hexdigest()


def build(
    out: Path,
    mixture: Mixture,
    tokenizer: PreTrainedTokenizerBase,
    base: Path,
    prompt: Prompt,
    recipe: Recipe,
    *,
    workers: int | None = None,
    piece_rows: int = pieces.ROWS,
) -> tuple[Tokens, bool]:
    """The tokens of a mixture, encoded and packed unless the folder is there already, and whether they were built now.

    `base` is the folder the tokenizer was read from. `workers` are processes to encode with, all cores without it; what
    comes out does not depend on them, nor on `piece_rows`. `TrainingError` when no row has anything to train, or none
    of the held-out rows when the recipe asks for an evaluation.
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
    with folder.lock(out / "tokens"):
        folder.restore(place)
        found = _finished(place, mark)
        fresh = found is None
        if found is None:
            encoder = Encoder(
                tokenizer, prompt, loss_on=recipe.loss_on, cutoff=recipe.cutoff, beyond_cutoff=recipe.beyond_cutoff
            )
            work = place.with_name(f"{place.name}.work")
            with folder.writing(work):
                files = _encode(work, mixture, encoder, mark, workers, piece_rows)
            with folder.building(place) as part:
                parts = {name: _pack(part / f"{name}.arrow", files[name], recipe) for name in PARTS}
                sizes = {path.name: path.stat().st_size for path in sorted(part.glob("*.arrow"))}
                found = {"name": place.name, "settings": settings, "parts": parts, "files": sizes, "fingerprint": mark}
                folder.write_manifest(part, found)
            shutil.rmtree(work, ignore_errors=True)
    _check(found["parts"], mixture, recipe)
    return Tokens(folder=place, manifest=found), fresh


def _finished(place: Path, mark: str) -> dict[str, Any] | None:
    """The manifest of the folder if it was made for this and its files have the sizes that they were written with."""
    found = folder.manifest(place)
    if found is None or found.get("fingerprint") != mark:
        return None
    sizes = {name: (place / name).stat().st_size for name in found["files"] if (place / name).is_file()}
    return found if sizes == found["files"] else None


def _encode(
    work: Path, mixture: Mixture, encoder: Encoder, mark: str, workers: int | None, rows: int
) -> dict[Part, list[Path]]:
    """Encode the pieces that are not there yet; the files of all pieces, in order."""
    work.mkdir(parents=True, exist_ok=True)
    planned = {
        part: [
            Work(stretch=stretch, path=work / f"{part}-{stretch.first:012d}-{rows}.arrow", mark=mark)
            for stretch in mixture.stretches(part, rows)
        ]
        for part in PARTS
    }
    todo = [piece for part in PARTS for piece in planned[part] if not pieces.whole(piece)]
    alone = len(todo) <= FEW or not encoder.writer.portable
    with Engine(1 if alone else workers or cores(), IMPORTS) as engine:
        if engine.workers == 1:
            job = functools.partial(pieces.encode, encoder)
        else:
            (work / pieces.ENCODER).write_bytes(pickle.dumps(encoder))
            job = functools.partial(pieces.encode_apart, work / pieces.ENCODER)
        for _ in engine.map(job, todo):
            pass
    release()
    return {part: [piece.path for piece in planned[part]] for part in PARTS}


def _pack(path: Path, files: Sequence[Path], recipe: Recipe) -> dict[str, Any]:
    """Pack one part of the mixture; its counts for the manifest."""
    lengths: list[Places] = []
    counts: Counter[str] = Counter(rows=0, encoded=0, trained_tokens=0)
    reasons: dict[str, Counter[str]] = {name: Counter() for name in pieces.COUNTERS}
    for file in files:
        piece = pieces.opened(file)
        lengths.append(piece.lengths)
        # A sequence's first token is never a target, see `assemble`.
        trained = np.count_nonzero(piece.mask) - np.count_nonzero(piece.mask[np.cumsum(piece.lengths) - piece.lengths])
        counts.update(rows=piece.ledger["rows"], encoded=piece.ledger["kept"], trained_tokens=int(trained))
        for name, counter in reasons.items():
            counter.update(piece.ledger[name])
    every = np.concatenate([np.empty(0, np.int64), *lengths])
    bins = best_fit(every, recipe.cutoff) if recipe.packing else singly(every)
    assemble.write(path, files, lengths, bins)
    if counts["rows"] != counts["encoded"] + reasons["dropped"].total():
        raise AssertionError(f"{path.stem}: {counts} do not add up with {reasons['dropped']}")
    return {
        "rows": counts["rows"],
        "encoded": counts["encoded"],
        **{name: dict(sorted(counter.items())) for name, counter in reasons.items()},
        "sequences": len(every),
        "tokens": int(every.sum()),
        "trained_tokens": counts["trained_tokens"],
        "packed_rows": len(bins),
        "fill": round(fill(every, len(bins), recipe.cutoff), 6),
    }


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
