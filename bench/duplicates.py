"""Near-duplicates: recall, precision, rate and memory on planted edits of real rows, beside datasketch and data-juicer.

    python bench/duplicates.py [--rows 6000] [--peers-python PATH] [--rows-from ../shared/raw]

The planted set: real rows (request and answer, of ten words or more, no two of equal words) and, of each, a copy with
one kind of edit in one strength. What is true is told by an oracle in plain Python that shares no code with the
program: the folded words by `unicodedata`, the sets of pairs of neighbours, and all two rows of the set whose Jaccard
similarity is 0.8 or more (an exact join by prefixes). Peers run in an environment of their own (datasketch,
py-data-juicer, simhash-pybind) on the same texts: datasketch is handed the oracle's shingles, so its rate is without
shingling, and told as its index answers and as checked by its own estimate; data-juicer makes shingles of two words, or
of two letters where most words are Chinese, and its SimHash runs as its defaults have it. Every job is a process of its
own; rates are rows a second of its CPU time.

A pair is found where a tool lists it or says that its words are equal. data-juicer lists none and drops all but one row
of a group, so for all four it is also told how many of the planted pairs lost a row, and how many of the dropped rows
truly are near-duplicates of another. The last line is the rate of the signatures of one notion, folding and shingling
included, over real rows of 330 to 550 bytes.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections import Counter, defaultdict
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ.setdefault("POLARS_MAX_THREADS", "1")

import numpy as np
import opencc
import polars as pl
from merge import lay, merged, real_rows

from pipeline import shards
from pipeline.judge.minhash import BANDS, ROWS
from pipeline.judge.shingles import LENGTH
from pipeline.judge.signed import signature
from pipeline.judge.tokens import keys, tokens
from pipeline.judge.verification import THRESHOLD

TRADITIONAL = opencc.OpenCC("s2t")
SIMPLIFIED = opencc.OpenCC("t2s")
EDITS = ("deletion", "substitution", "reordering", "case", "punctuation", "traditional")
STRENGTHS = (0.02, 0.05, 0.1)
"""Shares of the words that an edit touches; of reordering, one move for each."""

PEER = """
import json, os, sys, time
rows = [json.loads(line) for line in open(sys.argv[2], encoding="utf-8")]
def told(signed, pairs, kept):
    whole = time.process_time() - begin
    peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(json.dumps({"signed": signed, "whole": whole, "peak": peak / 1e3, "pairs": pairs, "kept": kept}), file=real)
real, sys.stdout = sys.stdout, sys.stderr
"""

DATASKETCH = (
    PEER
    + """
from datasketch import MinHash, MinHashLSH
begin = time.process_time()
sketches = []
for row in rows:
    sketch = MinHash(num_perm=128)
    sketch.update_batch([word.encode() for word in row["shingles"]])
    sketches.append(sketch)
signed = time.process_time() - begin
lsh, pairs = MinHashLSH(threshold=0.8, num_perm=128), []
for number, sketch in enumerate(sketches):
    pairs += [[other, number] for other in lsh.query(sketch)]
    lsh.insert(number, sketch)
if sys.argv[1] == "checked":
    pairs = [pair for pair in pairs if sketches[pair[0]].jaccard(sketches[pair[1]]) >= 0.8]
told(signed, pairs, None)
"""
)

JUICER = (
    PEER
    + """
from datasets import Dataset, disable_progress_bars
from data_juicer.ops.deduplicator.document_minhash_deduplicator import DocumentMinhashDeduplicator
from data_juicer.ops.deduplicator.document_simhash_deduplicator import DocumentSimhashDeduplicator
from loguru import logger
logger.remove()
disable_progress_bars()
begin, signed, kept = time.process_time(), 0.0, []
for tokenization in ("space", "character"):
    some = [{"text": row["text"], "number": at} for at, row in enumerate(rows) if row["tokenization"] == tokenization]
    if sys.argv[1] == "minhash":
        words = dict(window_size=2, num_permutations=256, jaccard_threshold=0.8)
        step = DocumentMinhashDeduplicator(tokenization=tokenization, ignore_pattern=r"\\p{P}", **words)
    else:
        words = dict(window_size=6, num_blocks=6, hamming_distance=4)
        step = DocumentSimhashDeduplicator(tokenization=tokenization, ignore_pattern=r"\\p{P}", **words)
    start = time.process_time()
    hashed = Dataset.from_list(some).map(step.compute_hash)
    signed += time.process_time() - start
    kept += step.process(hashed)[0]["number"]
told(signed, None, kept)
"""
)

SURI = """
import json, os, sys, time
os.environ["POLARS_MAX_THREADS"] = "1"
sys.path[:0] = sys.argv[3:]
from pathlib import Path
import polars as pl
from duplicates import judged
print(json.dumps(judged(Path(sys.argv[2]))))
"""


def distinct_rows(raw: Path, place: Path) -> pl.Series:
    """The real rows of ten words or more, no two of equal words."""
    texts = real_rows(raw, place)
    found = tokens(texts)
    _, first = np.unique(keys(found.hashes, found.offsets), return_index=True)
    several = np.diff(found.offsets)[first] >= 10
    return texts[np.sort(first[several])]


def edited(text: str, kind: str, strength: float, number: int) -> str:
    """A text with one kind of edit; what is touched is drawn by the row's number."""
    draw = np.random.default_rng(number)
    if kind == "case":
        return text.swapcase()
    if kind == "punctuation":
        return re.sub(r"[,.!?;:，。！？；：、]", lambda mark: draw.choice([" ", " - ", "…", mark[0] * 2]), text)
    if kind == "traditional":
        return TRADITIONAL.convert(text)
    words = re.findall(r"[一-鿿]|[^\s一-鿿]+|\s+", text)
    places = [at for at, word in enumerate(words) if not word.isspace()]
    touched = draw.choice(places, max(1, round(strength * len(places))), replace=False).tolist()
    for at in touched:
        if kind == "deletion":
            words[at] = ""
        elif kind == "substitution":
            words[at] = words[draw.choice(places)]
        else:
            other = int(draw.choice(places))
            words[at], words[other] = words[other], words[at]
    return "".join(words)


def folded(text: str) -> list[str]:
    """The folded words of a text as `pipeline/judge/tokens.py` describes them, by other means."""
    words, word = [], ""
    for character in text:
        category = unicodedata.category(character)
        if character in "'’\u00ad\u200b\u200c\u200d\u2060\ufe0e\ufe0f" or (category[0] == "M" and category != "Mc"):
            continue
        form = unicodedata.normalize("NFKC", SIMPLIFIED.convert(character)).casefold()
        form = form if len(form) == 1 else character
        alone = re.fullmatch(
            r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff々-〇\u3040-\u30ffㇰ-ㇿ㐀-鿿豈-\ufaff\U00020000-\U0003347f]", form
        )
        joins = (category[0] in "LN" or category == "Mc") and not alone
        if joins:
            word += form
            continue
        words += [word] * bool(word) + [form] * bool(alone and category[0] in "LN")
        word = ""
    return words + [word] * bool(word)


def shingles(text: str) -> frozenset[str]:
    """The pairs of neighbouring words of a text."""
    words = folded(text)
    return frozenset(map(" ".join, pairwise(words))) or frozenset(words)


def alike(sets: list[frozenset[str]]) -> dict[tuple[int, int], float]:
    """Every two sets of a Jaccard similarity of 0.8 or more: two such share one of their rarest fifth."""
    count = Counter(shingle for one in sets for shingle in one)
    index: dict[str, list[int]] = defaultdict(list)
    found = {}
    for number, one in enumerate(sets):
        rare = sorted(one, key=lambda shingle: (count[shingle], shingle))[: len(one) - -(-4 * len(one) // 5) + 1]
        for other in {other for shingle in rare for other in index[shingle]}:
            both = len(one & sets[other])
            if (similarity := both / (len(one) + len(sets[other]) - both)) >= 0.8:
                found[other, number] = similarity
        for shingle in rare:
            index[shingle].append(number)
    return found


def planted(texts: list[str]) -> list[dict[str, Any]]:
    """The rows of the planted set: real ones and, right behind each, its edited copy."""
    rows: list[dict[str, Any]] = []
    for number, text in enumerate(texts):
        kind = EDITS[number % len(EDITS)]
        if kind == "traditional" and not re.search(r"[一-鿿]", text):
            kind = EDITS[number // len(EDITS) % 3]
        strength = STRENGTHS[number // 18 % len(STRENGTHS)]
        name = f"{kind} {strength:.0%}" if kind in EDITS[:3] else kind
        rows += [{"text": text, "edit": ""}, {"text": edited(text, kind, strength, number), "edit": name}]
    for row in rows:
        words = folded(row["text"])
        row["tokenization"] = "character" if 2 * sum(len(w) == 1 and w > "一" for w in words) >= len(words) else "space"
        row["shingles"] = sorted(shingles(row["text"]))
    return rows


def judged(rows: Path) -> dict[str, Any]:
    """Run the program over the rows of a file as a peer is run; what a peer tells."""
    texts = pl.read_ndjson(rows, schema={"text": pl.String})["text"]
    # What is compiled is compiled, or loaded, now.
    _signed(texts[:100])
    merged([lay(texts[:100], rows.parent / "warm", "warm")], rows.parent / "warm", 1)
    begin = time.process_time()
    known = _signed(texts)
    signed = time.process_time() - begin
    begin = time.process_time()
    folder = rows.parent / "suri"
    source = lay(texts, folder, "planted")
    found = merged([source], folder, 1).clusters("request").tolist()
    whole = time.process_time() - begin
    first: dict[int, int] = {}
    for number, key in enumerate(known):
        first.setdefault(key, number)
    frames = [pl.read_ipc(path) for path in shards.paths(folder / "pairs", "request-*")]
    pairs = [(first[a], first[b]) for frame in frames for a, b in frame.select("a_key", "b_key").iter_rows()]
    kept = [number for number, place in enumerate(found) if place in (-1, number)]
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1e3
    equal = [first[key] for key in known]
    return {"signed": signed, "whole": whole, "peak": peak, "pairs": pairs, "equal": equal, "kept": kept}


def _signed(texts: pl.Series) -> list[int]:
    """The keys of some texts; their bands are made too."""
    found = tokens(texts)
    known: list[int] = signature(found.hashes, found.offsets).keys.tolist()
    return known


def told(name: str, script: str, rows: Path, python: str) -> dict[str, Any]:
    """Run one job over the rows of a file: its books, pairs in ascending order."""
    file = rows.with_name(f"job_{name}.py".replace(" ", "_"))
    file.write_text(script, encoding="utf-8")
    folders = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1])] if script is SURI else []
    words = [python, str(file), name.split()[-1].lower(), str(rows), *folders]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    equal = found.pop("equal", list(range(sum(1 for _ in rows.open(encoding="utf-8")))))
    found["equal"] = equal
    if found["pairs"] is not None:
        found["pairs"] = {(min(pair), max(pair)) for pair in found["pairs"]}
        found["kept"] = found["kept"] or sorted(set(range(len(equal))) - {pair[1] for pair in found["pairs"]})
    return found


def finds(found: dict[str, Any], pair: tuple[int, int]) -> bool:
    """Whether a tool that lists pairs has found this one."""
    one, other = sorted(found["equal"][row] for row in pair)
    return one == other or (one, other) in found["pairs"]


def line(name: str, found: dict[str, Any], rows: int, true: dict[tuple[int, int], float]) -> str:
    """A line of the table."""
    plants = [pair for pair in true if pair[0] % 2 == 0 and pair[1] == pair[0] + 1]
    kept, near = set(found["kept"]), {row for pair in true for row in pair}
    dropped = set(range(rows)) - kept
    cells = ["", "", ""]
    if found["pairs"] is not None:
        right = sum(pair in true for pair in found["pairs"]) / max(1, len(found["pairs"]))
        shares = [sum(finds(found, pair) for pair in some) / len(some) for some in (plants, list(true))]
        cells = [f"{share:.4f}" for share in (*shares, right)]
    lost = sum(not kept.issuperset(pair) for pair in plants) / len(plants)
    cells += [f"{lost:.4f}", f"{len(dropped & near) / max(1, len(dropped)):.4f}"]
    cells += [f"{rows / found['signed']:,.0f}", f"{rows / found['whole']:,.0f}", f"{found['peak']:,.0f}"]
    return f"{name:21}" + "".join(f"{cell:>11}" for cell in cells)


def rate(texts: pl.Series) -> tuple[float, float]:
    """Rows a second of CPU time, median of seven rounds, and the mean bytes of a row."""
    sizes = texts.str.len_bytes()
    near = texts.filter(sizes.is_between(330, 550))
    seconds = []
    for _ in range(7):
        begin = time.process_time()
        _signed(near)
        seconds.append(time.process_time() - begin)
    return len(near) / float(np.median(seconds)), float(near.str.len_bytes().mean())


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=6000)
    parser.add_argument("--peers-python", type=Path)
    parser.add_argument("--rows-from", type=Path, default=Path("../shared/raw"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        texts = distinct_rows(given.rows_from, place / "records")
        rows = planted(texts[: given.rows].to_list())
        file = place / "rows.jsonl"
        with file.open("w", encoding="utf-8") as handle:
            handle.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        sets = [frozenset(row["shingles"]) for row in rows]
        true = alike(sets)
        found = {"suri": told("suri", SURI, file, sys.executable)}
        if given.peers_python:
            peers = {"datasketch": DATASKETCH, "datasketch checked": DATASKETCH}
            peers |= {"data-juicer MinHash": JUICER, "data-juicer SimHash": JUICER}
            found |= {name: told(name, script, file, str(given.peers_python)) for name, script in peers.items()}
    size = sum(len(row["text"].encode()) for row in rows) / len(rows)
    packages = ", ".join(f"{name} {version(name)}" for name in ("polars", "numba", "OpenCC"))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {packages}")
    plants = [at for at in range(0, len(rows), 2) if (at, at + 1) in true]
    print(
        f"{len(rows):,} rows of {size:,.0f} bytes; {len(rows) // 2:,} planted pairs, of which {len(plants):,} at 0.8 or"
    )
    print(
        f"more; {len(true):,} pairs at {THRESHOLD} or more in all; shingles of {LENGTH} words, {BANDS} bands of {ROWS}"
    )
    titles = ["planted", "all pairs", "precision", "plants cut", "cut right", "signed/s", "whole/s", "peak MB"]
    print(f"{'':21}" + "".join(f"{title:>11}" for title in titles))
    for name, one in found.items():
        print(line(name, one, len(rows), true))
    print(f"\n{'edit':18}{'pairs':>7}{'mean J':>8}{'>= 0.8':>8}{'found':>8}")
    for edit in sorted({row["edit"] for row in rows} - {""}):
        places = [at for at in range(0, len(rows), 2) if rows[at + 1]["edit"] == edit]
        similar = [len(sets[at] & sets[at + 1]) / len(sets[at] | sets[at + 1]) for at in places]
        near = [at for at in places if (at, at + 1) in true]
        share = sum(finds(found["suri"], (at, at + 1)) for at in near) / max(1, len(near))
        print(f"{edit:18}{len(places):>7,}{np.mean(similar):>8.3f}{len(near):>8,}{share:>8.4f}")
    print(f"\n{'similarity':18}{'pairs':>7}{'found':>8}")
    for low, high in ((0.8, 0.85), (0.85, 0.9), (0.9, 1.0), (1.0, 1.1)):
        some = [pair for pair, similarity in true.items() if low <= similarity < high]
        share = sum(finds(found["suri"], pair) for pair in some) / max(1, len(some))
        print(f"{f'{low} to {high}' if low < 1 else 'equal':18}{len(some):>7,}{share:>8.4f}")
    speed, length = rate(texts)
    print(f"\nsignatures of one notion: {speed:,.0f} rows/s a core, rows of {length:.0f} bytes")


if __name__ == "__main__":
    main()
