"""Rows a second of `corpus` for every source of the catalog, beside the plain loop it replaces and, where a source is a
renaming, raw polars.

    python bench/sources.py [--megabytes 100] [--workers 2] [--source NAME ...] [--rows-from ../shared/raw]

Each source's files are grown to so many megabytes: real rows where they are at hand, else the embedded hand-written
ones (the table says which), repeated with a number in each row's longest text. Hand-written rows are short; where the
size of upstream's is known (`UPSTREAM`), theirs is brought up to it, and of a renaming's the odd ones are left out. The
plain loop is the ancestor's way: json.load or a line at a time, a dict a row, json.dump; it is given for JSON files, as
is polars.
"""

import argparse
import csv
import gzip
import io
import itertools
import json
import os
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import polars as pl

from collectors.catalog import Source, load
from collectors.files import RawFile, claimed
from pipeline.collect import SAMPLES

SURI = """
import json, resource, shutil, sys, time
from pathlib import Path
from collectors.catalog import load
from pipeline.collect import collecting
from pipeline.engine import Engine
if __name__ == "__main__":
    raw, out, workers = sys.argv[1:]
    catalog = load()
    with Engine(int(workers)) as engine:
        # A source at a time, when it is asked for; the first only warms the workers up, as it would in a run over many.
        for name in map(str.strip, sys.stdin):
            shutil.rmtree(out, ignore_errors=True)
            begin = time.monotonic()
            (done,) = collecting(catalog, [name], Path(raw), Path(out), engine)
            print(json.dumps([time.monotonic() - begin, done.manifest["raw_rows"]]), flush=True)
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    print(max(resource.getrusage(kind).ru_maxrss for kind in kinds) / 1e3)
"""

LOOP = """
import json, sys, time
out, names, *paths = sys.argv[1:]
names = json.loads(names)
begin = time.monotonic()
for path in paths:
    text = open(path, encoding="utf-8").read()
    rows = json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in text.splitlines()]
    kept = [{field: row.get(name, "") for field, name in names.items()} for row in rows]
    json.dump(kept, open(out + "/rows.json", "w", encoding="utf-8"), ensure_ascii=False)
print(time.monotonic() - begin)
"""

POLARS = """
import sys, time
import polars as pl
out, names, *paths = sys.argv[1:]
schema = dict.fromkeys(names.split(","), pl.String)
begin = time.monotonic()
for path in paths:
    with open(path, "rb") as handle:
        array = handle.read(64).lstrip().startswith(b"[")
    if array:
        pl.read_json(path, schema=schema).write_parquet(out + "/rows.parquet")
    else:
        pl.scan_ndjson(path, schema=schema).sink_parquet(out + "/rows.parquet")
print(time.monotonic() - begin)
"""


UPSTREAM = {
    # Megabytes of the files over their rows, as upstream's pages give them.
    "coig/exam_*": 1_196,  # 76 MB, 63,532 rows
    "coig/translated_*": 853,  # 57 MB, 66,858
    "coig/human_value_*": 580,  # 20 MB, 34,471
    "coig/leetcode_*": 2_641,  # 31 MB, 11,737
    "coig/counterfactural_*": 11_280,  # 154 MB, and that is packed, 13,653
    "finance_en/*": 623,  # 42.9 MB, 68,912
    "firefly/*": 709,  # 1.17 GB, 1,649,399
    "gpt4tools/*": 3_205,  # 229 MB, 71,446
    "instruct/*": 1_136,  # 1.01 GB, 888,969
    "news_commentary/*": 332,  # 84 MB, 252,776
    "sharegpt/*": 20_600,  # 922 MB and 932 MB, about 90,000
    # Known from elsewhere.
    "alpaca_gpt4/*": 834,  # alpaca_gpt4_data.json: 43.4 MB, 52,002 rows; the other files hold such answers as well
    "baize/*": 2_000,  # 3.1 exchanges (653,699 in 210,311 dialogues) of a sentence and a paragraph, escapes, the head
    "camel/*.zip": 2_000,  # a question of two sentences and a worked solution, 1.7 KB in the mean
    "camel/*_chat*": 6_000,  # ai_society_chat.tar.gz: 30 MB for 25,000 dialogues, and that is packed
    "ultrachat/*": 6_320,  # kaitchup/ultrachat-100k-flattened: 632 MB, 100,000 dialogues
    "webgpt/*": 5_000,  # question and answers 2 KB (llm-blender/Unified-Feedback), their tokens 3 KB; more with quotes
}
"""Bytes of a raw row upstream, by source and file, for rows that are hand-written here."""

TURNS = {"sharegpt": ("conversations", 36), "ultrachat": ("data", 8)}
"""Where a dialogue's turns are, and how many upstream: 1,663,241 exchanges of 90,000, and 5,649,489 of 1,468,352."""

PACKED = {"camel/code_chat/*": "code_chat.tar.gz"}
"""Files that upstream ships packed: what is one object a file here stands in this archive there."""

SLICED = {"prosocial": {"train.json": 0.73, "valid.json": 0.12, "test.json": 0.15}}
"""Files of which there is a viewer's slice here, and their shares of upstream's rows."""

SENTENCE = re.compile(r"""[^\W\d_][^\n<>\[\]{}"|\\:`]*[.?!。？！]""")
"""A piece of prose that can stand twice: no line break, no mark-up, no JSON."""


def upstream(source: str, subset: str, rows: list[Any]) -> list[Any]:
    """Hand-written rows made as long as upstream's are in the mean: more turns, then each sentence so many times."""
    size = next((size for pattern, size in UPSTREAM.items() if fnmatchcase(f"{source}/{subset}", pattern)), None)
    if size is None or not all(isinstance(row, dict | list) for row in rows):
        return rows
    if source in TURNS:
        field, turns = TURNS[source]
        times = turns * len(rows) // max(1, sum(len(row.get(field) or []) for row in rows))
        rows = [row | {field: row[field] * max(1, times)} if row.get(field) else row for row in rows]
    once, twice = one_size(rows), one_size([longer(row, 2) for row in rows])
    times = 1 + round((size - once) / (twice - once)) if twice > once else 1
    return [longer(row, max(1, times)) for row in rows]


def longer(value: Any, times: int) -> Any:
    """A JSON value with each sentence in its texts, and each list of numbers, so many times."""
    if isinstance(value, dict):
        return {key: longer(inner, times) for key, inner in value.items()}
    if isinstance(value, list):
        numbers = all(isinstance(one, int) for one in value)
        return value * times if numbers else [longer(inner, times) for inner in value]
    if isinstance(value, str):
        return SENTENCE.sub(lambda found: " ".join([found[0]] * times), value)
    return value


def varied(value: Any, number: int) -> Any:
    """A copy of a JSON value with a number in the longest text, in its prose where it has any."""
    longest = max((text for text in texts(value)), key=len, default=None)

    def copy(one: Any) -> Any:
        if isinstance(one, dict):
            return {key: copy(inner) for key, inner in one.items()}
        if isinstance(one, list):
            return [copy(inner) for inner in one]
        if isinstance(one, str) and one is longest:
            prose = SENTENCE.search(one)
            end = prose.end() - 1 if prose else len(one)
            return f"{one[:end]} {number}{one[end:]}"
        return one

    return copy(value)


def texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from itertools.chain.from_iterable(map(texts, value.values()))
    elif isinstance(value, list):
        yield from itertools.chain.from_iterable(map(texts, value))


def sound(lines: list[str]) -> list[Any]:
    """The rows of JSON Lines, broken ones left out."""
    rows = []
    for line in lines:
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def repeated(rows: list[Any]) -> Iterator[Any]:
    """Rows over and over, each with a number of its own; dialogues that rows name by a number are others each time."""
    ids = [row["dialogue_id"] for row in rows if isinstance(row, dict) and isinstance(row.get("dialogue_id"), int)]
    for number, row in enumerate(itertools.cycle(rows)):
        other = varied(row, number)
        if ids and "dialogue_id" in row:
            other["dialogue_id"] += number // len(rows) * (max(ids) + 1)
        yield other


def grow_json(file: RawFile, target: Path, size: int, real: bool) -> None:
    """A larger file of the same container: an array, JSON Lines, a list in an object, or many files of one object.

    An object of column lists is a viewer's form of a slice; it grows into an array of rows, as upstream's files are.
    """
    data = file.path.read_bytes()
    packed = data[:2] == b"\x1f\x8b"
    text = (gzip.decompress(data) if packed else data).decode("utf-8", "replace").lstrip("\ufeff")
    try:
        whole = json.loads(text)
    except ValueError:
        whole = None
    if file.rows is not None and isinstance(whole, dict):
        rows = whole[file.rows]
        taken = list(itertools.islice(repeated(rows), max(1, size // one_size(rows))))
        target.write_text(json.dumps(whole | {file.rows: taken}, ensure_ascii=False), encoding="utf-8")
    elif isinstance(whole, dict) and all(isinstance(column, list) for column in whole.values()):
        rows = [dict(zip(whole, row, strict=True)) for row in zip(*whole.values(), strict=True)]
        for name, share in SLICED.get(file.source, {target.name: 1.0}).items():
            write_rows(rows, target.with_name(name), int(size * share))
    elif file.source == "moss":  # its 1.07 million conversations come a line each, 1,120 of them also a file each
        lines = target.parents[len(Path(file.subset).parts) - 1] / "moss-003-sft-no-tools.jsonl"
        if not lines.exists():
            every = sorted(file.path.parents[len(Path(file.subset).parts) - 1].rglob("*.json"))
            write_rows([json.loads(one.read_bytes()) for one in every], lines, size * len(every), array=False)
    elif isinstance(whole, dict) and "\n" in text.strip():
        for number in range(max(1, size // len(data))):
            place = target.with_name(f"{target.stem}_{number}{target.suffix}")
            place.write_text(json.dumps(varied(whole, number), ensure_ascii=False, indent=1), encoding="utf-8")
    else:
        rows = whole if isinstance(whole, list) else sound(text.splitlines())
        if not real:
            rows = upstream(file.source, file.subset, ordinary(rows) if file.columns else rows)
        write_rows(rows, target, size, array=isinstance(whole, list), packed=packed)


def ordinary(rows: list[Any]) -> list[Any]:
    """The rows of the commonest form; half of the hand-written ones of a renaming are there for their oddness."""
    forms = [str(sorted((name, type(value).__name__) for name, value in row.items())) for row in rows]
    commonest = Counter(forms).most_common(1)[0][0]
    return [row for row, form in zip(rows, forms, strict=True) if form == commonest]


def write_rows(rows: list[Any], target: Path, size: int, *, array: bool = True, packed: bool = False) -> None:
    """So many bytes of rows as a JSON array or as JSON Lines."""
    opener: Callable[..., Any] = gzip.open if packed else open
    with opener(target, "wt", encoding="utf-8") as handle:
        written = 0
        for number, row in enumerate(repeated(rows)):
            line = json.dumps(row, ensure_ascii=False)
            between = ("[" if not number else ",\n") if array else ("" if not number else "\n")
            handle.write(between + line)
            written += len(line.encode())
            if written >= size:
                break
        handle.write("]" if array else "\n")


def one_size(rows: list[Any]) -> int:
    """The mean size of a row in bytes of JSON."""
    return max(1, len(json.dumps(rows, ensure_ascii=False).encode()) // max(1, len(rows)))


def grow_table(file: RawFile, target: Path, size: int) -> None:
    """A larger CSV or TSV, the last column varied."""
    encoding = "utf-8" if file.format == "tsv" else file.encoding
    text = file.path.read_text(encoding=encoding, errors="replace")
    if file.format == "tsv":
        rows = [line.split("\t") for line in text.splitlines() if line]
        head: list[str] | None = None
    else:
        head, *rows = list(csv.reader(io.StringIO(text, newline="")))
    with target.open("w", encoding=encoding, errors="replace", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        written = 0
        if head is not None:
            writer.writerow(head)
        for number, row in enumerate(itertools.cycle(rows)):
            out = [*row[:-1], f"{row[-1]} {number}"]
            if file.format == "tsv":
                handle.write("\t".join(out) + "\n")
            else:
                writer.writerow(out)
            written += sum(len(cell.encode()) for cell in out)
            if written >= size:
                break


def grow(file: RawFile, target: Path, size: int, real: bool) -> None:
    """A larger file in the format of a claimed one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    name = file.path.name
    packed = next((one for glob, one in PACKED.items() if fnmatchcase(f"{file.source}/{file.subset}", glob)), None)
    if packed is not None:
        (row,) = upstream(file.source, file.subset, [json.loads(file.path.read_bytes())])
        members = {
            f"{number}.json": json.dumps(varied(row, number)).encode() for number in range(size // one_size([row]))
        }
        write_archive(target.parents[1] / packed, members.items())
        return
    if name.endswith((".zip", ".tar.gz", ".tgz")):
        grow_archive(file, target, size, real)
    elif file.format == "parquet":
        frame = pl.read_parquet(file.path)
        times = max(1, size // max(1, int(frame.estimated_size())))
        pl.concat([frame] * times).write_parquet(target)
    elif file.format == "text":
        target.write_bytes(file.path.read_bytes() * max(1, size // file.path.stat().st_size))
    elif file.format in {"csv", "tsv"} and not name.endswith(".jsonl"):
        grow_table(file, target, size)
    else:
        grow_json(file, target, size, real)


def grow_archive(file: RawFile, target: Path, size: int, real: bool) -> None:
    """A larger archive: its members under more names."""
    if file.path.name.endswith(".zip"):
        with zipfile.ZipFile(file.path) as archive:
            members = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    else:
        with tarfile.open(file.path) as tar:
            members = {one.name: tar.extractfile(one).read() for one in tar if one.isfile()}
    if not real:
        rows = {name: one for name, data in members.items() for one in sound([data.decode("utf-8", "replace")])}
        longs = upstream(file.source, file.subset, list(rows.values()))
        members |= {name: json.dumps(row, ensure_ascii=False).encode() for name, row in zip(rows, longs, strict=True)}
    times = max(1, size // max(1, sum(map(len, members.values()))))
    named = ((f"{time}/{name}", data) for time in range(times) for name, data in members.items())
    write_archive(target, named)


def write_archive(target: Path, named: Iterable[tuple[str, bytes]]) -> None:
    """A zip or a packed tar of these members."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.name.endswith(".zip"):
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, data in named:
                archive.writestr(name, data)
        return
    with tarfile.open(target, "w:gz", compresslevel=1) as tar:
        for name, data in named:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def printed(words: list[str]) -> Iterator[str]:
    """What a process prints, line by line."""
    os.sync()
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        yield from job.stdout
    if job.returncode:
        raise SystemExit(f"{words[0]}: failed")


def unpacked(path: Path) -> int:
    """Bytes of a file, of an archive or a gzip those within it."""
    if path.name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            return sum(one.file_size for one in archive.infolist())
    if path.name.endswith((".tar.gz", ".tgz")):
        with tarfile.open(path) as tar:
            return sum(one.size for one in tar)
    if path.suffix != ".gz":
        return path.stat().st_size
    with gzip.open(path) as handle:
        return handle.seek(0, os.SEEK_END)


def peers(source: Source, files: list[Path], out: Path) -> tuple[float, float] | None:
    """Seconds of the plain loop and of raw polars, where a source is a renaming of fields in JSON files."""
    if (
        source.columns is None
        or any(one.collector for one in source.files)
        or len(files) > 50
        or not all(path.suffix in {".json", ".jsonl"} for path in files)
    ):
        return None
    names = {field: getattr(source.columns, field) for field in ("instruction", "input", "output")}
    every = {field: [name] if isinstance(name, str) else name for field, name in names.items() if name}
    paths = list(map(str, files))
    # The loop renames too, but of several names a field may have, it knows the first.
    first = json.dumps({field: several[0] for field, several in every.items()})
    loop = float(*printed(["-c", LOOP, str(out), first, *paths]))
    flat = ",".join(name for several in every.values() for name in several)
    return loop, float(*printed(["-c", POLARS, str(out), flat, *paths]))


def main() -> None:
    """Measure every source asked for, in one run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--source", action="append", default=[])
    parser.add_argument("--rows-from", type=Path, default=Path("../shared/raw"))
    given = parser.parse_args()
    packages = ", ".join(f"{name} {version(name)}" for name in ("polars", "pyarrow", "msgspec"))
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {packages}"
    print(f"{given.megabytes} MB a source, {given.workers} workers, median of {given.rounds}; {machine}")
    print("\n| source | rows | bytes a row | raw rows | MB | rows/s | MB/s | plain loop / it | of raw polars |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        sources = load().chosen(given.source)
        real = {name: (given.rows_from / name).is_dir() for name in sources}
        for name, source in sources.items():
            files, _ = claimed(name, source, (given.rows_from if real[name] else SAMPLES) / name)
            for file in files:
                grow(file, place / "raw" / name / file.subset, given.megabytes * 1_000_000 // len(files), real[name])
        runner = place / "run.py"
        runner.write_text(SURI)
        words = [sys.executable, str(runner), str(place / "raw"), str(place / "out"), str(given.workers)]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as job:

            def suri(name: str) -> tuple[float, int]:
                assert job.stdin is not None
                assert job.stdout is not None
                os.sync()
                print(name, file=job.stdin, flush=True)
                seconds, rows = json.loads(job.stdout.readline())
                return seconds, rows

            suri(next(iter(sources)))
            for name in sources:
                grown = [path for path in (place / "raw" / name).rglob("*") if path.is_file()]
                size = sum(map(unpacked, grown)) / 1e6
                # In turn, and never at the same time; the median of the rounds counts.
                rounds = [(*suri(name), peers(sources[name], grown, place)) for _ in range(given.rounds)]
                seconds, rows = median(one[0] for one in rounds), rounds[0][1]
                cells = [name, "real" if real[name] else "hand-written", f"{size * 1e6 / rows:,.0f}", f"{rows:,}"]
                cells += [f"{size:,.0f}", f"{rows / seconds:,.0f}", f"{size / seconds:,.0f}"]
                others = [median(one[2][peer] for one in rounds if one[2]) for peer in (0, 1) if rounds[0][2]]
                cells += [f"{others[0] / seconds:.1f}", f"{others[1] / seconds:.2f}"] if others else ["", ""]
                print("| " + " | ".join(cells) + " |", flush=True)
            peak = job.communicate()[0]
    print(f"\npeak of any one of Suri's processes: {float(peak):,.0f} MB")


if __name__ == "__main__":
    main()
