"""What the search for leaked evaluation items finds, and how fast: the figures its rule is chosen by.

    python bench/leaks.py [--rows-from ../shared/raw] [--suites ../shared/evalsets] [--items 2000] [--sample 0]

First table: rows hit by length of the n-grams, share of them asked for, and words from which a question is looked for
alone, in sources that should hold no item (`clean`), in cot and in GAOKAO; items not looked for; and the share found of
items planted into clean rows as they are, and with their marks, case, script or option labels changed, without labels,
and (beyond what is promised) with their options turned round. Second table: leaks by source and set under the rule as
it is, GSM8K's training split, which cot holds by right, among them. `--sample` prints so many hits beside their items,
to be read by eye. Last, rows a second of processor time in one process, folding included.
"""

import argparse
import os

os.environ["POLARS_MAX_THREADS"] = "1"

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import opencc
import polars as pl

from collectors.catalog import load
from collectors.record import keyed
from pipeline.collect import corpus
from pipeline.judge.leakage import overlap
from pipeline.judge.leaks import COMMON, ENOUGH, SHARE, WORDS, Index, hits, leaks
from pipeline.judge.suites import suites
from pipeline.judge.texts import answer, request
from pipeline.judge.tokens import Tokens, tokens
from pipeline.shards import scan

LEAKY = ("gaokao", "auto_cot", "cot")
"""Sources that hold items, or variants of them, by what they are."""
LENGTHS = (5, 6, 8, 10, 13)
SHARES = (0.3, 0.5, 0.6, 0.7, 0.9)
ALONE = (8, 10, 16, 20, 30)
"""Words from which a question is looked for without its options."""
BYTES = 440

MARKS = str.maketrans(
    {**dict.fromkeys("，,、；;", " "), "。": "．", ".": " ", "？": "?", "：": " - ", "“": "「", "”": "」"}
)
TRADITIONAL = opencc.OpenCC("s2t")


def plain(question: str, options: list[str], lead: str = "") -> str:
    """An item as an examination prints it."""
    marked = [f"{letter}{lead or '. '}{option}" for letter, option in zip("ABCDEFGH", options, strict=False)]
    return "\n".join([question, *marked])


def marks(question: str, options: list[str]) -> str:
    """The item with other punctuation, and none in some places."""
    return plain(question, options).translate(MARKS)


def cases(question: str, options: list[str]) -> str:
    """The item in capitals, letters and digits of full width."""
    wide = {code: code + 0xFEE0 for code in range(0x30, 0x5B) if chr(code).isalnum()}
    return plain(question, options).upper().translate(wide)


def traditional(question: str, options: list[str]) -> str:
    """The item in traditional characters."""
    return TRADITIONAL.convert(plain(question, options))


def marked(question: str, options: list[str]) -> str:
    """The item with options marked in another way, behind a heading."""
    return plain(question + "\n选项：" * bool(options), options, "）")


def bare(question: str, options: list[str]) -> str:
    """The question and its options without marks."""
    return "\n".join([question, *options])


def turned(question: str, options: list[str]) -> str:
    """The item with its options in another order: beyond what is promised."""
    return plain(question, options[::-1])


EDITS: dict[str, Callable[[str, list[str]], str]] = {
    "as is": plain,
    "marks": marks,
    "case": cases,
    "trad.": traditional,
    "labels": marked,
    "bare": bare,
    "turned": turned,
}

Folded = tuple[Tokens, Tokens]


def folded(frame: pl.DataFrame) -> Folded:
    """Request and answer of each row as words."""
    return tokens(frame["request"]), tokens(frame["answer"])


def planted(items: pl.DataFrame, hosts: pl.DataFrame, count: int) -> tuple[pl.DataFrame, dict[str, Folded]]:
    """Some items, and for each edit one clean row an item that holds it, in the request or in the answer."""
    chosen = items.sort(keyed(0, "planted", "name"), "name").head(count)
    rows = hosts.sort(keyed(0, "hosts", "id"), "id").gather_every(max(1, hosts.height // count)).head(chosen.height)
    chosen = chosen.head(rows.height)
    found = {}
    for name, edit in EDITS.items():
        texts = [
            edit(question, options.split("\n") if options else [])
            for question, options in chosen.select("question", "options").rows()
        ]
        asked = pl.int_range(rows.height, eager=True) % 2 == 0
        added = pl.Series(texts)
        both = rows.with_columns(
            request=pl.when(asked).then(pl.col("request") + "\n" + added).otherwise("request"),
            answer=pl.when(asked).then("answer").otherwise(added + "\n" + pl.col("answer")),
        )
        found[name] = folded(both)
    return chosen, found


def recall(index: Index, chosen: pl.DataFrame, rows: Folded) -> float:
    """The share of planted rows in which the item planted is found."""
    found = leaks(*rows, index)
    return sum(name in held for name, held in zip(chosen["name"], found, strict=True)) / chosen.height


def grid(items: pl.DataFrame, frames: dict[str, pl.DataFrame], words: dict[str, Folded], count: int) -> None:
    """Print the first table."""
    clean = [name for name in frames if name not in LEAKY]
    hosts = pl.concat([frames[name].select("id", "request", "answer") for name in clean])
    chosen, plants = planted(items, hosts, count)
    print(f"{chosen.height:,} items planted into as many of {hosts.height:,} clean rows of {', '.join(clean)}")
    edits = "".join(f"{name:>8}" for name in plants)
    print(f"{'n':>3} {'share':>6} {'alone':>6} {'clean':>6} {'cot':>5} {'gaokao':>7} {'unsought':>9} {edits}")
    rules = [(length, share, ENOUGH) for length in LENGTHS for share in SHARES]
    for length, share, enough in rules + [(WORDS, SHARE, enough) for enough in ALONE]:
        index = Index.of(items, words=length, share=share, enough=enough)
        rows = {name: len(np.unique(hits(*words[name], index).rows)) for name in words}
        recalls = "".join(f"{recall(index, chosen, plants[name]):>8.4f}" for name in plants)
        print(
            f"{length:>3} {share:>6} {enough:>6} {sum(rows[name] for name in clean):>6} {rows.get('cot', 0):>5} "
            f"{rows.get('gaokao', 0):>7} {len(index.unsought):>9} {recalls}",
            flush=True,
        )


def table(items: pl.DataFrame, frames: dict[str, pl.DataFrame], words: dict[str, Folded], sample: int) -> None:
    """Print the second table, and the hits to be read."""
    index = Index.of(items)
    sizes = dict(items.group_by(pl.col("name").str.extract("^([^/]*)/")).len().rows())
    texts = {name: f"{question}\n{options}" for name, question, options in items.select(items.columns[:3]).rows()}
    seen: list[tuple[str, str, str]] = []
    print(f"\n{'source':22} {'rows':>7} {'set':>12} {'rows hit':>9} {'items':>6} {'of the set':>11}")
    for source, frame in frames.items():
        found = frame.with_columns(leaks=leaks(*words[source], index)).filter(pl.col("leaks").list.len() > 0)
        each = found.explode("leaks").with_columns(suite=pl.col("leaks").str.extract("^([^/]*)/"))
        if not each.height:
            print(f"{source:22} {frame.height:>7,} {'none':>12}")
        for suite, hit, held in (
            each.group_by("suite").agg(pl.col("place").n_unique(), pl.col("leaks").n_unique()).sort("suite").rows()
        ):
            print(f"{source:22} {frame.height:>7,} {suite:>12} {hit:>9,} {held:>6,} {held / sizes[suite]:>11.2%}")
        shown = each.filter(pl.col("suite") != "gsm8k_train").select("leaks", "request", "answer").rows()
        seen += [(source, item, f"{asked}\n{given}") for item, asked, given in shown]
    step = max(1, len(seen) // sample) if sample else len(seen) + 1
    for source, item, text in seen[::step] if sample else []:
        spans = overlap(text, texts[item]).record
        parts = " … ".join(text[first:end] for first, end in spans).replace("\n", " ")
        print(f"\n{source} holds {item}\n  item: {texts[item][:300]!r}\n  in both: {parts[:300]!r}")


def rate(items: pl.DataFrame, frames: dict[str, pl.DataFrame]) -> None:
    """Print rows a second, over rows of all sources cut or put together to the usual size."""
    texts = pl.concat([frame.select(text=pl.col("request") + "\n" + pl.col("answer")) for frame in frames.values()])
    every = "\n".join(texts.sort(keyed(0, "rate", "text"), "text")["text"].to_list()).encode()
    cut = [every[at : at + BYTES].decode(errors="ignore") for at in range(0, len(every), BYTES)]
    half = [text[: len(text) // 2] for text in cut]
    frame = pl.DataFrame({"request": half, "answer": [text[len(text) // 2 :] for text in cut]})[:65536]
    index = Index.of(items)
    leaks(*folded(frame[:100]), index)
    best = [0.0, 0.0]
    for _ in range(5):
        begin = time.process_time()
        words = folded(frame)
        middle = time.process_time()
        leaks(*words, index)
        end = time.process_time()
        best = [max(best[0], frame.height / (end - begin)), max(best[1], frame.height / (end - middle))]
    held = sum(getattr(index, name).nbytes for name in index.__dataclass_fields__) / 1e6
    print(f"\n{frame.height:,} rows of {BYTES} bytes: {best[0]:,.0f} rows/s of processor time")
    print(f"the search alone: {best[1]:,.0f} rows/s")
    print(f"index of {items.height:,} items: {len(index.starts) - 1:,} n-grams, {held:,.0f} MB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows-from", type=Path, default=Path("../shared/raw"))
    parser.add_argument("--suites", type=Path, default=Path("../shared/evalsets"))
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--sample", type=int, default=0)
    given = parser.parse_args()
    catalog = load()
    items = pl.concat([one.items for one in suites(catalog, given.suites, [])])
    train = given.suites / "gsm8k" / "train.jsonl"
    named = suites(catalog, None, [("gsm8k_train", train)]) if train.is_file() else []
    with tempfile.TemporaryDirectory() as folder:
        frames = {}
        for one in corpus(catalog, [], given.rows_from, Path(folder)):
            if one.manifest["records"] >= 100:
                records = scan(one.folder).collect()
                frames[one.manifest["source"]] = records.select(
                    "id", pl.int_range(pl.len()).alias("place"), request=request(records), answer=answer(records)
                )
    words = {name: folded(frame) for name, frame in frames.items()}
    print(f"n {WORDS}, share {SHARE}, question alone from {ENOUGH} words, n-gram in at most {COMMON} needles")
    grid(items, frames, words, given.items)
    table(pl.concat([items, *(one.items for one in named)]), frames, words, given.sample)
    rate(items, frames)


if __name__ == "__main__":
    main()
