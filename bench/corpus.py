"""Rows a second, megabytes a second and peak memory of `corpus`, beside datasets and raw polars, in one run.

    python bench/corpus.py [--rows 6000000] [--workers 2] [--rounds 3] [--rows-from FILE]

The input is one JSON Lines file of real Alpaca rows, repeated with a number in each so that no two are equal. Peers: a
bare `datasets` job (load_dataset("json"), a batched map that strips, Parquet out) and a bare polars job (scan_ndjson,
sink_parquet), neither of which takes ids, checks types or keeps books. Every job is a process of its own, told from
outside: wall seconds from start to end, and the largest proportional set size of the process and its children.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import psutil

SURI = """
import sys
from collectors.commands import run
from pipeline.__main__ import app
if __name__ == "__main__":
    raw, out, workers = sys.argv[1:]
    words = ["corpus", "--from", raw, "--source", "alpaca", "--out", out, "--workers", workers]
    run(app, "python -m pipeline", words)
"""

DATASETS = """
import sys
from datasets import disable_progress_bars, load_dataset
def strip(batch):
    return {name: [text.strip() for text in column] for name, column in batch.items()}
if __name__ == "__main__":
    disable_progress_bars()
    workers = int(sys.argv[3])
    rows = load_dataset("json", data_files=sys.argv[1] + "/alpaca/alpaca_data.json", split="train",
                        cache_dir=sys.argv[2] + "/cache")
    rows.map(strip, batched=True, num_proc=workers).to_parquet(sys.argv[2] + "/rows.parquet")
"""

POLARS = """
import sys
import polars as pl
if __name__ == "__main__":
    schema = dict.fromkeys(["instruction", "input", "output"], pl.String)
    pl.scan_ndjson(sys.argv[1] + "/alpaca/alpaca_data.json", schema=schema).sink_parquet(sys.argv[2] + "/rows.parquet")
"""

JOBS = {"suri corpus": SURI, "datasets": DATASETS, "raw polars": POLARS}


def written(place: Path, rows: int, origin: Path) -> Path:
    """A folder `<place>/raw/alpaca/` with the input file of so many rows."""
    real = json.loads(origin.read_text(encoding="utf-8"))
    target = place / "raw" / "alpaca" / "alpaca_data.json"
    target.parent.mkdir(parents=True)
    with target.open("w", encoding="utf-8") as handle:
        for number in range(rows):
            row = real[number % len(real)]
            varied = {"instruction": f"{row['instruction']} ({number})", "input": row["input"]}
            handle.write(json.dumps(varied | {"output": f"{row['output']} [{number}]"}, ensure_ascii=False) + "\n")
    return place / "raw"


def timed(script: str, raw: Path, out: Path, workers: int) -> tuple[float, float]:
    """(seconds, peak megabytes) of one job."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    file = out.with_suffix(".py")
    file.write_text(script)
    os.sync()
    begin = time.monotonic()
    words = [sys.executable, str(file), str(raw), str(out), str(workers)]
    job = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL)
    watched, peak = psutil.Process(job.pid), 0
    while job.poll() is None:
        peak = max(peak, memory(watched))
        time.sleep(0.1)
    seconds = time.monotonic() - begin
    if job.returncode:
        raise SystemExit(f"{script.splitlines()[-1]}: failed")
    return seconds, peak / 1e6


def memory(process: psutil.Process) -> int:
    """Bytes that a process and its children hold, shared pages counted once."""
    held = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            held += one.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):  # ended meanwhile
            continue
    return held


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=6_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows-from", type=Path, default=Path("../shared/raw/alpaca/alpaca_5000.rows0-1999.json"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        raw = written(place, given.rows, given.rows_from)
        size = (raw / "alpaca" / "alpaca_data.json").stat().st_size / 1e6
        runs: dict[str, list[tuple[float, float]]] = {name: [] for name in JOBS}
        for _ in range(given.rounds):
            for name, script in JOBS.items():
                runs[name].append(timed(script, raw, place / "out", given.workers))
    packages = ", ".join(f"{name} {version(name)}" for name in ("polars", "pyarrow", "datasets", "msgspec"))
    print(
        f"{given.rows:,} rows, {size:,.0f} MB of JSON Lines, {given.workers} workers, median of {given.rounds} rounds"
    )
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {packages}")
    print(f"{'':12} {'rows/s':>10} {'MB/s':>7} {'peak MB':>8} {'suri / it':>10}")
    seconds = {name: statistics.median(run[0] for run in found) for name, found in runs.items()}
    for name, found in runs.items():
        ratios = [other[0] / own[0] for own, other in zip(runs["suri corpus"], found, strict=True)]
        print(
            f"{name:12} {given.rows / seconds[name]:>10,.0f} {size / seconds[name]:>7,.0f} "
            f"{max(run[1] for run in found):>8,.0f} {statistics.median(ratios):>10.2f}"
        )


if __name__ == "__main__":
    main()
