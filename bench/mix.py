"""Rows a second, processor time and peak memory of building a mixture, beside the same in datasets, in one run.

    python bench/mix.py [--rows 2000000] [--workers 2] [--rounds 3] [--rows-from FILE] [--peer-rows 200000]

Records are made once by `python -m pipeline corpus` from real Alpaca rows, repeated with a number in each so that no
two are equal: two sources of instructions for the plain template, two files of FLAN's for the chain-of-thought ones.
Every job is a process of its own, told from outside: wall seconds from start to end, the processor time of it and all
it started, a row; and, in one run more that is not timed, since looking takes processor time itself, the largest
proportional set size of them together. It is run with `--rows` and with twice as many, which shows how memory grows.

The peer runs beside it on `--peer-rows` (0: not at all), of which it does a few thousand a second. It has the same
records on disk in its own format, and takes `interleave_datasets`, a batched `map` to word them (the plain rule; else
one of the same wordings by a hash of the id, filled in by `str.replace`), `shuffle` and `flatten_indices`; it takes no
quotas, looks for no equal rows and keeps no books.
"""

import argparse
import ctypes
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final, NamedTuple

import psutil
from corpus import memory

ROOT: Final = Path(__file__).resolve().parents[1]
TEN_MILLION: Final = 10_000_000
KINDS: Final = ("plain", "cot")
SUBREAPER: Final = 36
"""Linux's PR_SET_CHILD_SUBREAPER: what a job leaves behind becomes a child of this process, so that it is counted."""

STORE = """
import sys
from pathlib import Path
import polars as pl
from datasets import Dataset, disable_progress_bars
if __name__ == "__main__":
    disable_progress_bars()
    records, to = Path(sys.argv[1]), Path(sys.argv[2])
    rows = pl.scan_ipc(sorted(records.glob("*.arrow"))).with_columns(pl.col(pl.Categorical).cast(pl.String))
    halves = rows.collect().partition_by(sys.argv[3])
    for number, half in enumerate(halves):
        half.write_parquet(to / f"{records.name}-{number}.parquet")
        Dataset.from_parquet(str(to / f"{records.name}-{number}.parquet"), cache_dir=str(to / "cache")).save_to_disk(
            str(to / f"{records.name}-{number}")
        )
"""

PEER = """
import sys
from datasets import disable_progress_bars, interleave_datasets, load_from_disk
from templates.template import load

def plain(batch):
    asked = [one if not more else one + "\\n" + more for one, more in zip(batch["instruction"], batch["input"])]
    return worn(asked, batch["output"])

def worn(asked, told):
    return {"messages": [
        [{"role": "user", "content": one}, {"role": "assistant", "content": other}] for one, other in zip(asked, told)
    ]}

def chained(batch):
    asked, told = [], []
    for name, subset, question, rationale, answer in zip(
        batch["id"], batch["subset"], batch["instruction"], batch["rationale"], batch["output"]
    ):
        wordings = SETS[subset.partition("_")[0]]
        prompt, target = wordings[int(name[:8], 16) % len(wordings)]
        asked.append(prompt.replace("{{ question }}", question))
        told.append(target.replace("{{ answer }}", answer).replace("{{ rationale }}", rationale))
    return worn(asked, told)

SETS = {
    task: [(one.prompt.source, one.target.source) for one in wordings]
    for (task, language), wordings in load("cot").wordings.items() if language == "en"
}

if __name__ == "__main__":
    disable_progress_bars()
    template, workers, to, *halves = sys.argv[1:]
    sets = [load_from_disk(half) for half in halves]
    rows = interleave_datasets(sets, probabilities=[0.5, 0.5], seed=0,
                               stopping_strategy="all_exhausted_without_replacement")
    rows = rows.map(chained if template == "cot" else plain, batched=True, num_proc=int(workers),
                    cache_file_name=to + "/worded.arrow")
    rows = rows.shuffle(seed=0, indices_cache_file_name=to + "/order.arrow")
    rows = rows.flatten_indices(num_proc=int(workers), cache_file_name=to + "/flat.arrow")
    print(len(rows))
"""


class Run(NamedTuple):
    """What one job took."""

    seconds: float
    processor: float
    """Seconds, of all processes together."""


class Runs(NamedTuple):
    """The same job several times."""

    timed: list[Run]
    peak: float
    """Megabytes, in a run that is none of these."""


def varied(rows: int, origin: Path) -> Iterator[dict[str, str]]:
    """So many Alpaca rows, no two of them equal."""
    real = json.loads(origin.read_text(encoding="utf-8"))
    for number in range(rows):
        row = real[number % len(real)]
        yield {
            "instruction": f"{row['instruction']} ({number})",
            "input": row["input"],
            "output": f"{row['output']} [{number}]",
        }


def recorded(place: Path, rows: int, origin: Path, workers: int) -> Path:
    """A data folder with so many records for each template."""
    raw = place / "raw"
    places = {"plain": [raw / "alpaca/alpaca_data.json", raw / "codealpaca/code_alpaca_20k.json"]}
    places["cot"] = [raw / f"cot/{task}_train.tsv" for task in ("gsm8k", "strategyqa")]
    for file in (file for files in places.values() for file in files):
        file.parent.mkdir(parents=True, exist_ok=True)
    handles = {kind: [file.open("w", encoding="utf-8") for file in files] for kind, files in places.items()}
    for number, row in enumerate(varied(rows, origin)):
        handles["plain"][number % 2].write(json.dumps(row, ensure_ascii=False) + "\n")
        fields = (f"{row['instruction']} {row['input']}", str(number), row["output"])
        cells = (" ".join(field.split()).replace("\\", "/").replace('"', "'") for field in fields)
        handles["cot"][number % 2].write("\t".join(cells) + "\n")
    for handle in (handle for opened in handles.values() for handle in opened):
        handle.close()
    words = ["corpus", "--from", str(raw), "--out", str(place / "data"), "--workers", str(workers)]
    pipeline(*words, "--source", "alpaca", "--source", "codealpaca", "--source", "cot")
    shutil.rmtree(raw)
    return place / "data"


def pipeline(*words: str) -> None:
    """One command of the program, which must end well."""
    subprocess.run([sys.executable, "-m", "pipeline", *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def job(command: list[str]) -> subprocess.Popen[bytes]:
    """Start a job when the disk is at rest."""
    os.sync()
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)


def timed(command: list[str]) -> Run:
    """One job, from start to end."""
    before, begin = used(), time.monotonic()
    ended(job(command))
    return Run(time.monotonic() - begin, used() - before)


def watched(command: list[str]) -> float:
    """The most memory that one job takes, in megabytes."""
    running, peak = job(command), 0
    process = psutil.Process(running.pid)
    while running.poll() is None:
        peak = max(peak, memory(process))
        time.sleep(0.1)
    ended(running)
    used()
    return peak / 1e6


def ended(running: subprocess.Popen[bytes]) -> None:
    """Wait for a job, which must end well."""
    if running.wait():
        raise SystemExit(f"{running.args}: failed")


def several(prepare: Callable[[], list[str]], rounds: int) -> Runs:
    """A job so many times, each after what prepares it and says its command."""
    return Runs([timed(prepare()) for _ in range(rounds)], watched(prepare()))


def used() -> float:
    """Seconds of the processor that all jobs took which have ended, with what they started."""
    try:
        while True:
            os.wait()
    except ChildProcessError:
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def ours(place: Path, data: Path, template: str, workers: int) -> list[str]:
    """What builds the mixture of all records for a template."""
    sources = ["cot"] if template == "cot" else ["alpaca", "codealpaca"]
    mixture = place / f"bench-{template}.yaml"
    parts = "".join(f"  - {{source: {source}, template: {template}}}\n" for source in sources)
    mixture.write_text(f"about: Every record once.\nparts:\n{parts}", encoding="utf-8")
    shutil.rmtree(data / "mixes", ignore_errors=True)
    words = ["mix", str(mixture), "--out", str(data), "--workers", str(workers)]
    return [sys.executable, "-m", "pipeline", *words]


def peers(place: Path, template: str, workers: int) -> list[str]:
    """The same in datasets."""
    names = ["cot-0", "cot-1"] if template == "cot" else ["alpaca-0", "codealpaca-0"]
    to = place / "worded"
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir()
    halves = [str(place / "stored" / name) for name in names]
    return [sys.executable, str(place / "peer.py"), template, str(workers), str(to), *halves]


def beside(place: Path, given: argparse.Namespace) -> dict[str, Runs]:
    """Both, once each, on the rows of the peer."""
    data = recorded(place / "few", given.peer_rows, given.rows_from, given.workers)
    (place / "peer.py").write_text(PEER)
    (place / "store.py").write_text(STORE)
    (place / "stored").mkdir()
    for source in ("alpaca", "codealpaca", "cot"):
        timed(
            [sys.executable, str(place / "store.py"), str(data / "records" / source), str(place / "stored"), "subset"]
        )
    runs = {}
    for kind in KINDS:
        runs[f"suri {kind}"] = several(partial(ours, place, data, kind, given.workers), 1)
        runs[f"datasets {kind}"] = several(partial(peers, place, kind, given.workers), 1)
    for finished in ("few", "stored", "worded"):
        shutil.rmtree(place / finished)
    return runs


def many(place: Path, rows: int, rounds: int, given: argparse.Namespace) -> dict[str, Runs]:
    """Ours on so many rows."""
    data = recorded(place / "many", rows, given.rows_from, given.workers)
    runs = {f"suri {kind}": several(partial(ours, place, data, kind, given.workers), rounds) for kind in KINDS}
    shutil.rmtree(place / "many")
    return runs


def table(rows: int, runs: dict[str, Runs]) -> None:
    """Print what was measured on so many rows."""
    print(f"{f'{rows:,} rows':18} {'rows/s':>10} {'CPU µs/row':>10} {'peak MB':>8} {'suri / it':>10}")
    for name, found in runs.items():
        seconds, processor = (statistics.median(one) for one in zip(*found.timed, strict=True))
        own = statistics.median(run.seconds for run in runs[f"suri {name.split()[1]}"].timed)
        told = f"{rows / seconds:>10,.0f} {processor / rows * 1e6:>10.2f} {found.peak:>8,.0f} {seconds / own:>10.2f}"
        print(f"{name:18} {told}")


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-rows", type=int, default=200_000)
    parser.add_argument("--rows-from", type=Path, default=ROOT.parent / "shared/raw/alpaca/alpaca_5000.rows0-1999.json")
    given = parser.parse_args()
    if platform.system() == "Linux":
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        peer = beside(place, given) if given.peer_rows else {}
        once = many(place, given.rows, given.rounds, given)
        twice = many(place, 2 * given.rows, 1, given)
    packages = ", ".join(f"{name} {version(name)}" for name in ("polars", "pyarrow", "datasets"))
    print(f"{given.workers} workers, median of {given.rounds} rounds")
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {packages}")
    for rows, runs in ((given.peer_rows, peer), (given.rows, once), (2 * given.rows, twice)):
        if runs:
            table(rows, runs)
    for name, found in twice.items():
        slope = (found.peak - once[name].peak) / given.rows
        ten = found.peak + slope * (TEN_MILLION - 2 * given.rows)
        print(f"{name}: {slope * 1e6:,.0f} bytes a further row, so {ten:,.0f} MB at ten million")


if __name__ == "__main__":
    main()
