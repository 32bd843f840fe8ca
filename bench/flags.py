"""How often each flag fires on real rows, what it costs, and hits of one to be read.

    python bench/flags.py [--data DIR] [--read FLAG [--rows 20] [--source NAME]]

`DIR` is a data folder whose records were collected; without it, ../shared/raw is collected into a temporary one. What
is read is drawn by a keyed hash: the same rows every time.
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("POLARS_MAX_THREADS", "1")  # rates are those of one core

import polars as pl

from collectors.catalog import load
from collectors.record import keyed
from pipeline.collect import corpus
from pipeline.judge.flags import COLUMNS, RULES, evidence, flags
from pipeline.judge.language import detect
from pipeline.judge.rule import Exchange, Rule, exchanges

RAW = Path("../shared/raw")
BLOCK = 65_536


def records(folder: Path) -> pl.DataFrame:
    """All records of a data folder, with the languages of request and answer."""
    frames = [
        pl.read_ipc(shard).select(pl.col("id"), pl.col("source").cast(pl.String), *COLUMNS)
        for shard in sorted((folder / "records").glob("*/*.arrow"))
    ]
    frame = pl.concat(frames)
    seen = exchanges(frame.with_columns(request_language=pl.lit("und"), answer_language=pl.lit("und")))
    languages = {f"{side}_language": detect(seen[side])["language"] for side in ("request", "answer")}
    return frame.with_columns(**languages)


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of the fastest of three runs."""
    took = []
    for _ in range(3):
        begin = time.process_time()
        work()
        took.append(time.process_time() - begin)
    return min(took)


def fired(frame: pl.DataFrame) -> None:
    """The table of hits by source, as Markdown."""
    sizes = frame.group_by("source").len().sort("source")
    counts = frame.explode("flags").group_by("source", "flags").len()
    hits = {(source, name): rows for source, name, rows in counts.iter_rows()}
    held = [source for source in sizes["source"] if any((source, name) in hits for name in RULES)]
    print("| flag | all | " + " | ".join(held) + " |")
    print("| --- |" + " ---: |" * (len(held) + 1))
    print(
        f"| rows | {frame.height:,} | " + " | ".join(f"{dict(sizes.iter_rows())[source]:,}" for source in held) + " |"
    )
    for name in RULES:
        row = [hits.get((source, name), 0) for source in held]
        print(f"| {name} | {sum(row):,} | " + " | ".join(f"{rows:,}" if rows else "" for rows in row) + " |")


def costs(frame: pl.DataFrame) -> None:
    """Rows a second of all rules together, and what each takes of it."""
    seen = exchanges(frame)
    print(f"\n{platform.machine()}, Python {platform.python_version()}, polars {pl.__version__}, one core")
    for source in ("alpaca", "belle"):
        some = frame.filter(pl.col("source") == source)
        if some.height:
            rows = pl.concat([some] * (BLOCK // some.height))
            print(f"all rules, rows of {source}: {rows.height / seconds(partial(flags, rows)):,.0f} rows/s")
    ratio = pl.col("answer").str.len_bytes() / pl.col("request").str.len_bytes()
    quantiles = [
        f"{seen.select(ratio.quantile(share)).item():.1f} at {share:.2%}" for share in (0.5, 0.99, 0.999, 0.9999)
    ]
    print(f"bytes of answer / request: {', '.join(quantiles)}")
    print(f"all rules, all rows: {frame.height / seconds(partial(flags, frame)):,.0f} rows/s")
    print(f"\n{'':24}{'gate µs/row':>12}{'let through':>12}{'find µs/row':>12}")
    for name, rule in RULES.items():
        passed = [Exchange._make(row) for row in seen.filter(rule.gate.fill_null(value=False)).iter_rows()]
        looking = seconds(partial(seen.select, rule.gate.alias("gate")))
        finding = seconds(partial(found, rule, passed))
        shares = f"{1e6 * looking / frame.height:12.2f}{len(passed) / frame.height:12.2%}"
        print(f"{name:24}{shares}{1e6 * finding / frame.height:12.2f}")


def found(rule: Rule, passed: list[Exchange]) -> list[str | None]:
    """What a rule finds in the records that its gate let through."""
    return [rule.find(one) for one in passed]


def read(frame: pl.DataFrame, name: str, rows: int, source: str | None) -> None:
    """Print hits of one flag, shortened, with the evidence."""
    hits = frame.filter(pl.col("flags").list.contains(name))
    if source is not None:
        hits = hits.filter(pl.col("source") == source)
    for record in hits.sort(keyed(0, "read", "id")).head(rows).iter_rows(named=True):
        print(f"\n{record['source']} {record['id']}: {evidence(record, name)}")
        for column in ("system", "instruction", "input", "rationale", "output"):
            if record[column]:
                print(f"    {column:12}{shortened(record[column])!r}")


def shortened(text: Any, side: int = 160) -> str:
    """The beginning and the end of a long text."""
    return text if len(text) <= 2 * side else f"{text[:side]} … {text[-side:]}"


def main() -> None:
    """Judge the rows, print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--read", choices=list(RULES))
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--source")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        if options.data is None:
            corpus(load(), [], RAW, Path(place))
        frame = records(options.data or Path(place))
    frame = frame.with_columns(flags(frame))
    if options.read:
        read(frame, options.read, options.rows, options.source)
    else:
        fired(frame)
        costs(frame)


if __name__ == "__main__":
    main()
