"""Records as the tests of mixtures write them, and mixtures of them."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from collectors.catalog import Catalog
from collectors.record import HISTORY, SCHEMA, ids
from pipeline import folder, shards
from pipeline.engine import Engine
from pipeline.mix import Mixed, mix

Row = dict[str, Any]


def tokenizer_of_words(place: Path, truncated: int | None = None) -> Path:
    """The folder `place` with a tokenizer of which every word is one token, as a model has it."""
    words = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    words.pre_tokenizer = WhitespaceSplit()
    if truncated is not None:
        words.enable_truncation(truncated)
    words.save(str(place / "tokenizer.json"))
    return place


PLAIN: Row = {
    "subset": "data.json",
    "row": 0,
    "part": 0,
    "lang": "EN",
    "task": "MT",
    "gen": "SI",
    "language": None,
    "license": "MIT",
    "system": None,
    "history": [],
    "instruction": "Say hello.",
    "input": "",
    "rationale": None,
    "output": "Hello.",
    "rejected": None,
    "extra": None,
}
"""A record as the tests give it; `source` and `id` are added."""

DICTIONARY = pa.dictionary(pa.int32(), pa.large_string())


def frame(source: str, rows: list[Row]) -> pl.DataFrame:
    """Records: each of `rows` says where it differs from `PLAIN`; rows are numbered where they do not say otherwise."""
    types: dict[str, Any] = {"row": pl.UInt64, "part": pl.UInt16, "history": HISTORY}
    full = [{**PLAIN, "row": number, **row} for number, row in enumerate(rows)]
    plain = pl.DataFrame(full, schema={name: types.get(name, pl.String) for name in PLAIN})
    return plain.with_columns(ids(plain), source=pl.lit(source)).select(SCHEMA.names)


def store(out: Path, source: str, records: pl.DataFrame, *, cuts: int = 1, constant: bool = False) -> None:
    """Write a record folder in `cuts` shards; `constant` writes tags and source as dictionaries, as collect may."""
    place = out / "records" / source
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    table = records.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(SCHEMA)
    step = -(-len(table) // cuts)
    for number in range(cuts if len(table) else 0):
        shard = table.slice(number * step, step)
        for name in ("source", "lang", "license", "language") if constant else ():
            index = shard.schema.get_field_index(name)
            shard = shard.set_column(index, SCHEMA.field(name).with_type(DICTIONARY), shard[name].cast(DICTIONARY))
        shards.write(place / f"{number:05d}.arrow", shard)
    text = records.hash_rows().sort().to_list()
    folder.write_manifest(
        place, {"source": source, "records": records.height, "fingerprint": folder.fingerprint(rows=text)}
    )


def catalog(*parts: Mapping[str, Any], **rest: Any) -> Catalog:
    """A catalog with one mixture, `both`, of the given parts."""
    source = {
        "title": "A source",
        "about": "Rows of a test.",
        "homepage": "https://example.org/",
        "origins": [],
        "files": ["*.json"],
        "lang": "EN",
        "task": "MT",
        "gen": "SI",
        "license": "MIT",
        "columns": {"instruction": "instruction", "output": "output"},
    }
    return Catalog.model_validate(
        {
            "sources": {part["source"]: source for part in parts},
            "mixtures": {"both": {"about": "A test.", "parts": list(parts), **rest}},
        }
    )


def built(out: Path, *parts: Mapping[str, Any], engine: Engine | None = None, **rest: Any) -> Mixed:
    return mix(catalog(*parts, **rest), "both", out, engine or Engine(1))


def rows(mixed: Mixed, split: str = "train") -> list[Row]:
    found: list[Row] = shards.scan(mixed.folder, f"{split}-*.arrow").collect().to_dicts()
    return found


def contents(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(place.iterdir())}


def numbered(count: int, **rest: Any) -> list[Row]:
    return [{"instruction": f"Count to {number}.", **rest} for number in range(count)]
