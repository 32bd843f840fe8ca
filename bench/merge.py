"""The merge of near-duplicates as the corpus grows: seconds, memory, and disk space, and what a million rows add.

    python bench/merge.py [--rows 1000000 4000000] [--workers 2] [--rows-from ../shared/raw]

Rows are put together of fragments of real ones, about 440 bytes each. One in ten is a copy of its neighbour with
another end, one in a hundred a copy in capitals, and one in twenty is of one template of 90 words with a number in it.
The merge runs over both notions in a process of its own, after the signatures; its memory is the largest proportional
set size of the process and its children, its disk space the largest of its scratch folder.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import psutil
import pyarrow as pa
from corpus import memory

from collectors.catalog import load
from collectors.record import HISTORY, SCHEMA, ids, keyed
from pipeline import shards
from pipeline.collect import corpus
from pipeline.engine import Engine
from pipeline.judge.merge import Merged, merge
from pipeline.judge.signed import Signed, signature, write_signatures
from pipeline.judge.texts import ANSWER, REQUEST, answer, request
from pipeline.judge.tokens import joined, tokens
from pipeline.keys import columns

FRAGMENT = 63
"""Characters of a fragment at most, cut at a blank where there is one."""

JOB = """
import os, sys
sys.path[:0] = sys.argv[1:3]
from pathlib import Path
from merge import merged
from pipeline.judge.signed import Signed
if __name__ == "__main__":
    folder = Path(sys.argv[3])
    paths = tuple(sorted(folder.glob("*.arrow")))
    source = Signed(name="grown", records=paths, signatures=tuple(path.with_suffix(".signed") for path in paths))
    for notion, books in merged([source], folder, int(sys.argv[4])).books.items():
        print(f"  {notion}: {books}")
"""


def lay(texts: pl.Series, folder: Path, source: str) -> Signed:
    """Write texts as the requests of records, in shards with their signatures beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for start in range(0, len(texts), shards.ROWS):
        paths.append(folder / f"{start // shards.ROWS:05d}.arrow")
        _record(texts[start : start + shards.ROWS], paths[-1], source)
    return Signed(name=source, records=tuple(paths), signatures=tuple(map(_sign, paths)))


def _record(texts: pl.Series, path: Path, source: str) -> None:
    nothing = {name: pl.lit(None, pl.String) for name in ("language", "system", "rationale", "rejected", "extra")}
    tags = dict.fromkeys(("subset", "lang", "task", "gen", "license"), pl.lit("x"))
    frame = (
        texts.alias("instruction")
        .to_frame()
        .with_columns(
            row=pl.int_range(pl.len(), dtype=pl.UInt64),
            part=pl.lit(0, pl.UInt16),
            source=pl.lit(source),
            **nothing,
            **tags,
        )
    )
    frame = frame.with_columns(history=pl.lit([], HISTORY), input=pl.lit(""), output=pl.lit(""))
    table = frame.with_columns(id=ids(frame)).select(SCHEMA.names).to_arrow(compat_level=pl.CompatLevel.oldest())
    columns = [table[field.name].combine_chunks() for field in SCHEMA]
    tagged = [pa.types.is_dictionary(field.type) for field in SCHEMA]
    whole = [column.dictionary_encode() if tag else column for column, tag in zip(columns, tagged, strict=True)]
    arrays = [column.cast(field.type) for column, field in zip(whole, SCHEMA, strict=True)]
    shards.write(path, pa.Table.from_arrays(arrays, schema=SCHEMA))


def _sign(path: Path) -> Path:
    frame = columns(path, ["id", *REQUEST, *ANSWER])
    asked = tokens(request(frame))
    both = joined(asked, tokens(answer(frame)))
    out = path.with_suffix(".signed")
    write_signatures(out, frame["id"], signature(asked.hashes, asked.offsets), signature(*both[:2]))
    return out


def merged(sources: Sequence[Signed], folder: Path, workers: int) -> Merged:
    """The merge of some sources; pairs and scratch lie in folders of `folder`."""
    for name in ("scratch", "pairs"):
        (folder / name).mkdir()
    with Engine(workers) as engine:
        return merge(sources, folder / "scratch", folder / "pairs", engine)


def real_rows(raw: Path, place: Path) -> pl.Series:
    """The texts, request and answer, of the real rows under `raw`, in an order that a keyed hash gives."""
    names = [path.name for path in sorted(raw.iterdir()) if path.name in load().sources]
    paths = [path for one in corpus(load(), names, raw, place, workers=1) for path in shards.paths(one.folder)]
    frame = pl.concat([columns(path, ["id", *REQUEST, *ANSWER]) for path in paths])
    frame = frame.sort(frame.select(keyed(0, "bench", "id")).to_series())
    return pl.select(text=pl.concat_str(request(frame), answer(frame), separator="\n"))["text"].str.strip_chars()


def grown(fragments: pl.Series, start: int, rows: int) -> pl.Series:
    """The rows `start` and following of a corpus of any size."""
    frame = pl.select(row=pl.int_range(start, start + rows))
    near = pl.col("row") % 10 == 9
    copy = pl.col("row") % 100 == 58
    source = pl.when(near | copy).then(pl.col("row") - 1).otherwise("row")
    frame = frame.with_columns(
        *(source.alias(f"of{part}") for part in range(6)), of6=pl.when(copy).then(pl.col("row") - 1).otherwise("row")
    )
    picks = [(keyed(part, "grow", f"of{part}") % len(fragments)).alias(f"part{part}") for part in range(7)]
    parts = [fragments.gather(column).alias(column.name) for column in frame.select(picks).get_columns()]
    text = pl.concat_str(*(f"part{part}" for part in range(6)), pl.col("part6").str.slice(0, 25), separator=" ")
    template = pl.lit(" ".join(fragments[:8])) + " " + pl.col("row").cast(pl.String)
    whole = pl.DataFrame([frame["row"], *parts]).select(
        text=pl.when(pl.col("row") % 20 == 3).then(template).when(copy).then(text.str.to_uppercase()).otherwise(text)
    )
    return whole["text"]


def measured(folder: Path, workers: int) -> tuple[float, float, float]:
    """(seconds, peak megabytes of memory, peak megabytes of disk) of the merge of the shards in `folder`."""
    file = folder / "job.py"
    file.write_text(JOB, encoding="utf-8")
    here = Path(__file__).resolve().parent
    begin = time.monotonic()
    job = subprocess.Popen([sys.executable, str(file), str(here), str(here.parent), str(folder), str(workers)])
    watched, peak, room = psutil.Process(job.pid), 0, 0
    while job.poll() is None:
        peak = max(peak, memory(watched))
        room = max(room, sum(_size(path) for path in (folder / "scratch").glob("*")))
        time.sleep(0.1)
    if job.returncode:
        raise SystemExit("the merge failed")
    return time.monotonic() - begin, peak / 1e6, room / 1e6


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # deleted meanwhile
        return 0


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 4_000_000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rows-from", type=Path, default=Path("../shared/raw"))
    given = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        texts = real_rows(given.rows_from, Path(folder) / "records")
        pieces = texts.str.extract_all(f"(?s).{{1,{FRAGMENT}}}(?:\\s|$)|.{{1,{FRAGMENT // 2}}}")
        fragments = pieces.explode().str.strip_chars().unique(maintain_order=True)
        for rows in given.rows:
            place = Path(folder) / str(rows)
            place.mkdir()
            size = 0
            begin = time.process_time()
            for start in range(0, rows, shards.ROWS):
                grew = grown(fragments, start, min(shards.ROWS, rows - start))
                size += int(grew.str.len_bytes().sum())
                _record(grew, place / f"{start // shards.ROWS:05d}.arrow", "grown")
                _sign(place / f"{start // shards.ROWS:05d}.arrow")
            print(f"{rows:,} rows of {size / rows:.0f} bytes, made and signed in {time.process_time() - begin:.0f} s")
            found.append((rows, *measured(place, given.workers)))
            subprocess.run(["rm", "-r", str(place)], check=True)
    print(f"{platform.machine()}, {os.cpu_count()} cores, {given.workers} workers, Python {platform.python_version()}")
    print(f"{'rows':>12}{'seconds':>10}{'rows/s':>10}{'memory MB':>11}{'disk MB':>10}")
    for rows, seconds, peak, room in found:
        print(f"{rows:>12,}{seconds:>10.0f}{rows / seconds:>10,.0f}{peak:>11,.0f}{room:>10,.0f}")
    if len(found) > 1:
        (small, _, low, thin), (large, _, high, wide) = found[0], found[-1]
        slope = (high - low) / (large - small)
        disk = (wide - thin) / (large - small)
        print(f"a million rows more: {slope * 1e6:,.0f} MB of memory, {disk * 1e6:,.0f} of disk")
        print(f"so ten million: {high + slope * (1e7 - large):,.0f} MB of memory")


if __name__ == "__main__":
    main()
