"""Rows a second and peak memory of building a mixture, beside the same in datasets, in one run.

    python bench/mix.py [--rows 2000000] [--workers 2] [--rounds 3] [--rows-from FILE] [--peer-rounds 1]

Records are made once by `python -m pipeline corpus` from real Alpaca rows, repeated with a number in each so that no
two are equal: two sources of instructions for the plain template, two files of FLAN's for the chain-of-thought ones.
The peer has the same records on disk in its own format, and takes `interleave_datasets`, a batched `map` to word them
(the plain rule; else one of the same wordings by a hash of the id, filled in by `str.replace`), `shuffle` and
`flatten_indices`; it takes no quotas, looks for no equal rows and keeps no books. Every job is a process of its own,
told from outside: wall seconds from start to end, and the largest proportional set size of it and its children. Ours is
run once more with twice the rows, which shows how memory grows.
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
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Final, NamedTuple

import psutil
from corpus import memory

ROOT: Final = Path(__file__).resolve().parents[1]
TEN_MILLION: Final = 10_000_000

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
    peak: float
    """Megabytes."""


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


def timed(command: list[str]) -> Run:
    """One job, from start to end."""
    os.sync()
    begin = time.monotonic()
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    job = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    watched, peak = psutil.Process(job.pid), 0
    while job.poll() is None:
        peak = max(peak, memory(watched))
        time.sleep(0.1)
    if job.returncode:
        raise SystemExit(f"{' '.join(command[:4])}: failed")
    return Run(time.monotonic() - begin, peak / 1e6)


def ours(place: Path, data: Path, template: str, workers: int) -> Run:
    """Build the mixture of all records for a template."""
    sources = ["cot"] if template == "cot" else ["alpaca", "codealpaca"]
    mixture = place / f"bench-{template}.yaml"
    parts = "".join(f"  - {{source: {source}, template: {template}}}\n" for source in sources)
    mixture.write_text(f"about: Every record once.\nparts:\n{parts}", encoding="utf-8")
    shutil.rmtree(data / "mixes", ignore_errors=True)
    words = ["mix", str(mixture), "--out", str(data), "--workers", str(workers)]
    return timed([sys.executable, "-m", "pipeline", *words])


def peers(place: Path, template: str, workers: int) -> Run:
    """The same in datasets."""
    names = ["cot-0", "cot-1"] if template == "cot" else ["alpaca-0", "codealpaca-0"]
    to = place / "worded"
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir()
    halves = [str(place / "stored" / name) for name in names]
    return timed([sys.executable, str(place / "peer.py"), template, str(workers), str(to), *halves])


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-rounds", type=int, default=1)
    parser.add_argument("--rows-from", type=Path, default=ROOT.parent / "shared/raw/alpaca/alpaca_5000.rows0-1999.json")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        data = recorded(place / "once", given.rows, given.rows_from, given.workers)
        (place / "peer.py").write_text(PEER)
        (place / "store.py").write_text(STORE)
        (place / "stored").mkdir()
        for source in ("alpaca", "codealpaca", "cot") if given.peer_rounds else ():
            words = [str(data / "records" / source), str(place / "stored"), "subset"]
            timed([sys.executable, str(place / "store.py"), *words])
        kinds = ("plain", "cot")
        runs: dict[str, list[Run]] = {name: [] for kind in kinds for name in (f"suri {kind}", f"datasets {kind}")}
        for number in range(given.rounds):
            for kind in kinds:
                runs[f"suri {kind}"].append(ours(place, data, kind, given.workers))
                if number < given.peer_rounds:
                    runs[f"datasets {kind}"].append(peers(place, kind, given.workers))
        for used in ("once", "stored", "worded"):
            shutil.rmtree(place / used, ignore_errors=True)
        data = recorded(place / "twice", 2 * given.rows, given.rows_from, given.workers)
        twice = {kind: ours(place, data, kind, given.workers) for kind in kinds}
    packages = ", ".join(f"{name} {version(name)}" for name in ("polars", "pyarrow", "datasets"))
    print(f"{given.rows:,} rows, {given.workers} workers, median of {given.rounds} rounds")
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {packages}")
    print(f"{'':16} {'rows/s':>10} {'peak MB':>8} {'suri / it':>10}")
    for name, found in runs.items():
        kind = name.split()[1]
        if found:
            seconds = statistics.median(run.seconds for run in found)
            own = statistics.median(run.seconds for run in runs[f"suri {kind}"])
            peak = max(run.peak for run in found)
            print(f"{name:16} {given.rows / seconds:>10,.0f} {peak:>8,.0f} {seconds / own:>10.2f}")
    for kind, run in twice.items():
        peak = max(one.peak for one in runs[f"suri {kind}"])
        slope = (run.peak - peak) / given.rows
        ten = run.peak + slope * (TEN_MILLION - 2 * given.rows)
        print(
            f"suri {kind}, {2 * given.rows:,} rows: {2 * given.rows / run.seconds:,.0f} rows/s, {run.peak:,.0f} MB; "
            f"{slope * 1e6:,.0f} bytes a further row, so {ten:,.0f} MB at ten million"
        )


if __name__ == "__main__":
    main()
