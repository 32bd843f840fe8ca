"""How many tokens the texts of records have by a named tokenizer, kept in `data/counts/<tokenizer>/<source>/`.

The tokens of a record are those of its system prompt, history, instruction, input, rationale and output, each text by
itself and without special tokens; what a template adds is not counted. A folder of counts holds a shard of one column
for each record shard, in the same order.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from collectors.errors import ArtefactError, CatalogError, RemoteError
from pipeline import folder, shards
from pipeline.candidates import TEXTS
from pipeline.engine import Engine

if TYPE_CHECKING:
    from tokenizers import Tokenizer

VERSION: Final = 1
"""Part of the fingerprint of counts: raised when the same texts would be counted otherwise."""

SCHEMA: Final = pa.schema([pa.field("tokens", pa.uint32(), nullable=False)])

DIGITS: Final = 16
"""Digits of a tokenizer's hash that name its folder."""

AT_ONCE: Final = 4096
"""Records whose texts are handed to a tokenizer together."""


@dataclass(frozen=True, kw_only=True)
class Counter:
    """A tokenizer: the name it was asked for by, its `tokenizer.json` and the sha256 of that."""

    name: str
    file: Path
    digest: str

    def folder(self, out: Path, source: str) -> Path:
        """Where the counts of a source are kept."""
        return out / "counts" / self.digest[:DIGITS] / source


def counter(name: str) -> Counter:
    """The tokenizer of this name: a folder with a `tokenizer.json`, such a file, or a model's id on the Hub.

    Raises `CatalogError` where there is none, `RemoteError` when the Hub cannot be reached.
    """
    place = Path(name)
    file = place if place.suffix == ".json" else place / "tokenizer.json"
    if not file.is_file():
        if place.exists() or name.startswith((".", "/")) or name.count("/") != 1:
            raise CatalogError(f"tokenizer {name}: there is no {file}; name a folder that holds one, or a Hub id")
        file = _fetched(name)
    found = Counter(name=name, file=file, digest=shards.digest(file))
    _loaded(str(file), found.digest)
    return found


def _fetched(name: str) -> Path:
    """The `tokenizer.json` of a model on the Hub, or in its cache."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        return Path(hf_hub_download(name, "tokenizer.json"))
    except LocalEntryNotFoundError:
        raise RemoteError(
            f"tokenizer {name}: is no folder here and not in the cache, and the Hub is out of reach; try again later"
        ) from None
    except EntryNotFoundError:
        raise CatalogError(f"tokenizer {name}: has no tokenizer.json on the Hub; name a model that has one") from None
    except (RepositoryNotFoundError, HFValidationError):
        raise CatalogError(
            f"tokenizer {name}: no folder here, and no model on the Hub that can be seen; a Hub id is owner/name"
        ) from None
    except (HfHubHTTPError, OSError) as error:
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise RemoteError(f"tokenizer {name}: the Hub does not give it: {said}") from None


@lru_cache(maxsize=2)
def _loaded(file: str, digest: str) -> "Tokenizer":
    """A tokenizer, read once a process; `digest` tells one state of its file from the next."""
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise CatalogError(
            "a mixture that counts tokens needs the package tokenizers, which the extra [train] installs"
        ) from None
    text = Path(file).read_bytes()
    if hashlib.sha256(text).hexdigest() != digest:
        raise ArtefactError(f"{file}: changed while tokens were counted by it; start again")
    try:
        found = Tokenizer.from_str(text.decode())
    except Exception as error:  # noqa: BLE001  (the package raises nothing narrower)
        raise CatalogError(f"tokenizer {file}: cannot be read ({str(error).splitlines()[0]})") from None
    found.no_truncation()
    found.no_padding()
    return found


def counted(by: Counter, source: str, out: Path, engine: Engine) -> Path:
    """The folder of a source's counts, made where it is not there or is of other records.

    Raises `ArtefactError` when the records cannot be read or counts not written.
    """
    records = folder.manifest(out / "records" / source)
    if records is None:
        raise ArtefactError(f"{out / 'records'} lacks {source}; run make corpus SOURCES={source} first")
    place = by.folder(out, source)
    folder.restore(place)
    if are_kept(by, source, records["fingerprint"], out):
        return place
    with folder.building(place) as part:
        listed = shards.paths(out / "records" / source)
        totals = list(engine.map(_count, [(path, part / path.name, by) for path in listed]))
        books = {
            "source": source,
            "tokenizer": by.name,
            "tokenizer_sha256": by.digest,
            "records": records["records"],
            "tokens": sum(totals),
            "records_fingerprint": records["fingerprint"],
            "fingerprint": _mark(by, records["fingerprint"]),
        }
        folder.write_manifest(part, books)
    return place


def are_kept(by: Counter, source: str, records: str, out: Path) -> bool:
    """Whether a source's counts are there, of the records of this fingerprint."""
    found = folder.manifest(by.folder(out, source))
    return found is not None and found.get("fingerprint") == _mark(by, records)


def _mark(by: Counter, records: str) -> str:
    return folder.fingerprint(stage="counts", version=VERSION, records=records, tokenizer=by.digest)


def _count(piece: tuple[Path, Path, Counter]) -> int:
    """Count the tokens of one record shard; how many there are."""
    path, out, by = piece
    from pipeline.keys import columns

    found = tokens(columns(path, list(TEXTS)), by)
    shards.write(out, pa.table({"tokens": found}, schema=SCHEMA))
    return int(found.sum(dtype=np.int64))


def tokens(records: pl.DataFrame, by: Counter) -> npt.NDArray[np.uint32]:
    """The tokens of each record; `records` have the columns `TEXTS`."""
    turn = pl.element().struct
    said = (
        pl.col("history")
        .list.eval(pl.concat_list(turn.field("user"), turn.field("assistant")))
        .list.eval(pl.element().explode())
    )
    texts = [said if name == "history" else pl.concat_list(name) for name in TEXTS]
    return tokens_of(records, pl.concat_list(texts), by)


def tokens_of(rows: pl.DataFrame, texts: pl.Expr, by: Counter) -> npt.NDArray[np.uint32]:
    """The tokens of a list of texts of each row, together; a null is no text."""
    encoder = _loaded(str(by.file), by.digest)
    result = np.zeros(rows.height, np.uint32)
    for start in range(0, rows.height, AT_ONCE):
        some = rows[start : start + AT_ONCE].select(text=texts).with_row_index("row")
        flat = some.explode("text").drop_nulls("text")
        found = encoder.encode_batch_fast(flat["text"].to_list(), add_special_tokens=False)
        lengths = np.fromiter((len(one.ids) for one in found), np.int64, len(found))
        result[start : start + some.height] = np.bincount(flat["row"].to_numpy(), lengths, some.height)
    return result


def read(place: Path, shard: str) -> npt.NDArray[np.uint32]:
    """The tokens of each record of a shard; `ArtefactError` when the counts are not whole."""
    path = place / shard
    try:
        table = pa.Table.from_batches(list(shards.batches(path, ["tokens"])), SCHEMA)
        found: npt.NDArray[np.uint32] = table["tokens"].to_numpy()
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise ArtefactError(
            f"{path}: is no whole shard of counts ({str(error).splitlines()[0]}); delete {place} and try again"
        ) from None
    return found
