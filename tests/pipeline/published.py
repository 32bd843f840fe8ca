"""A mixture as `mix` leaves it, of rows written out by the test, what its sources are credited with, and trees read."""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import folder, shards
from pipeline.card import Credit
from pipeline.judge.verdict import SCHEMA as VERDICT

CREDITS = {
    "alpaca": Credit(
        title="Stanford Alpaca",
        about="52 thousand English instructions.",
        homepage="https://example.org/alpaca",
        terms=("non-commercial", "openai-output"),
        citation="@misc{alpaca,\n  title = {{Stanford Alpaca}}\n}",
        entry="cd" * 32,
    ),
    "belle": Credit(title="BELLE", about="Chinese instructions | dialogues.", homepage="https://example.org/belle"),
}

TAG = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        pa.field("messages", pa.list_(pa.struct([("role", pa.large_string()), ("content", pa.large_string())]))),
        *(pa.field(name, pa.large_string()) for name in ("instruction", "input", "rationale", "rejected")),
        *(pa.field(name, TAG) for name in ("lang", "task", "gen", "language", "license", "template")),
        pa.field("id", pa.large_string()),
        *(pa.field(name, TAG) for name in ("source", "subset")),
        pa.field("row", pa.uint64()),
        pa.field("part", pa.uint16()),
        pa.field("repeat", pa.uint32()),
    ]
)


def row(
    number: int, source: str = "alpaca", instruction: str = "Name a colour.", answer: str = "Blue."
) -> dict[str, Any]:
    """A row of a mixture; those of belle are Chinese, of no known licence, and hold a worse answer."""
    chinese = source == "belle"
    return {
        "messages": [{"role": "user", "content": instruction}, {"role": "assistant", "content": answer}],
        "instruction": instruction,
        "input": "",
        "rationale": None,
        "rejected": "不知道。" if chinese else None,
        "lang": "CN" if chinese else "EN",
        "task": "MT",
        "gen": "SI",
        "language": None,
        "license": "unknown" if chinese else "CC-BY-NC-4.0",
        "template": "plain",
        "id": f"{number:032x}",
        "source": source,
        "subset": f"{source}.json",
        "row": number,
        "part": 0,
        "repeat": 0,
    }


def mixture(
    out: Path,
    train: list[dict[str, Any]],
    holdout: list[dict[str, Any]] | None = None,
    *,
    name: str = "two",
    per_file: int = 1000,
    **more: Any,
) -> Path:
    """Write the mixture `name` of these rows under the data folder `out`; `more` are further keys of its manifest."""
    place = out / "mixes" / name
    with folder.building(place) as part:
        files = []
        for split, rows in (("train", train), ("holdout", holdout or [])):
            for count, start in enumerate(range(0, len(rows), per_file)):
                table = pa.Table.from_pylist(rows[start : start + per_file], SCHEMA)
                path = part / f"{split}-{count:05d}.arrow"
                shards.write(path, table)
                files.append({"path": path.name, "sha256": shards.digest(path), "rows": table.num_rows})
        everything = train + (holdout or [])
        counts = {tag: Counter(row[tag] for row in everything) for tag in ("source", "lang", "task", "gen", "license")}
        taken = len(everything)
        manifest = {
            "mixture": name,
            "fingerprint": folder.fingerprint(files=files),
            "rows": {"train": len(train), "holdout": len(holdout or [])},
            "candidates": taken + 1200,
            "taken": taken,
            "left_out": {"duplicate": 1000, "max_rows": 200},
            "parts": [
                {
                    "source": source,
                    "candidates": rows + 1200,
                    "taken": rows,
                    "rows": rows,
                    "left_out": {"duplicate": 1000, "max_rows": 200},
                    "template": "plain",
                }
                for source, rows in sorted(counts["source"].items())
            ],
            "counts": {tag: dict(sorted(found.items())) for tag, found in counts.items()},
            "unused_rationales": 1234,
            "inputs": [{"source": source, "fingerprint": "ab" * 32} for source in sorted(counts["source"])],
            "recipe": {"about": "Two sources for a test.", "parts": [{"source": "alpaca"}], "seed": 0},
            "files": files,
        }
        folder.write_manifest(part, manifest | more)
    return place


def verdict(number: int, **more: Any) -> dict[str, Any]:
    """The verdict on the record of `row(number)`."""
    plain = {"language": "en", "confidence": 1.0, "flags": [], "prompt_id": "0" * 32, "leaks": []}
    keys = {"request_key": number, "row_key": number, "request_chars": 0, "answer_chars": 0}
    return {"id": f"{number:032x}", **plain, **keys, **more}


def judged(
    out: Path,
    source: str,
    *verdicts: dict[str, Any],
    records: int,
    fingerprint: str = "ab" * 32,
    **more: Any,
) -> None:
    """What `judge` leaves of a source, with these of its verdicts; by default of the records `mixture` is made of."""
    place = out / "verdicts" / source
    place.mkdir(parents=True)
    if verdicts:
        shards.write(place / "00000.arrow", pa.Table.from_pylist(list(verdicts), VERDICT))
    told = {
        "source": source,
        "records": records,
        "records_fingerprint": fingerprint,
        "leaks": {},
        "clustered": {"request": 0, "row": 0},
        "suites": [],
        "fingerprint": "ef" * 32,
    }
    folder.write_manifest(place, told | more)


def collected(out: Path, source: str, **more: Any) -> None:
    """What `corpus` leaves of a source, but for its shards."""
    place = out / "records" / source
    place.mkdir(parents=True)
    told = {"source": source, "fingerprint": "ab" * 32, "origins": [], "limit": None, "files": []}
    folder.write_manifest(place, told | more)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def content(place: Path) -> dict[str, bytes]:
    """The files of a folder by their paths in it."""
    files = [path for path in sorted(place.rglob("*")) if path.is_file()]
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in files}


def rows_of(place: Path, split: str) -> list[dict[str, Any]]:
    """The rows of a split of a tree, in their order."""
    files = sorted((place / "data").glob(f"{split}-*.parquet"))
    return [found for file in files for found in pq.ParquetFile(file).read().to_pylist()]
