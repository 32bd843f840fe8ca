"""CSL: Chinese papers with title, abstract, keywords and classification (ydli-ai/CSL, TSV without header or quoting).

A raw row of the full file: title, abstract, `变形_数值计算`, discipline, category. Of the benchmark: `to title`, the
text, the answer. Neither words a request: `wording` names one of templates/tasks/csl.yaml.
"""

from typing import Final

import polars as pl

from collectors.columns import extra, json_text
from collectors.rows import Schema
from collectors.shape import Shape

FULL: Schema = dict.fromkeys(["title", "abstract", "keywords", "discipline", "category"], pl.String)
BENCHMARK: Schema = dict.fromkeys(["prompt", "text_a", "text_b"], pl.String)

TASKS: Final = ("title", "keywords", "category", "discipline")
"""The tasks of a paper, in the order of their parts."""


def full(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Four records a paper; the benchmark says which text goes with which task: the category goes by the title."""
    answers = pl.concat_list("title", _listed(pl.col("keywords")), "category", "discipline")
    return (
        raw.select(
            "row",
            part=pl.lit([0, 1, 2, 3], pl.List(pl.UInt16)),
            task=pl.lit(list(TASKS), pl.List(pl.String)),
            input=pl.concat_list("abstract", "abstract", "title", "abstract"),
            output=answers,
        )
        .explode("part", "task", "input", "output")
        .select("row", "part", "input", "output", **_asked(pl.col("task")))
    )


def benchmark(raw: pl.LazyFrame) -> pl.LazyFrame:
    """One record a line, its task by the prompt; an unknown prompt leaves the row without a request."""
    task = pl.col("prompt").replace_strict({f"to {task}": task for task in TASKS}, default=None, return_dtype=pl.String)
    output = pl.when(task == "keywords").then(_listed(pl.col("text_b"))).otherwise("text_b")
    return raw.select("row", input="text_a", output=output, **_asked(task))


def _asked(task: pl.Expr) -> dict[str, pl.Expr]:
    """The columns that say what is asked."""
    return {
        "instruction": pl.lit(None, pl.String),
        "wording": pl.concat_str(pl.lit("csl/"), task),
        "extra": extra(task=json_text(task)),
    }


def _listed(keywords: pl.Expr) -> pl.Expr:
    """Keywords joined by `_` as a Chinese list, without the empty ones."""
    each = pl.element()
    return keywords.str.split("_").list.eval(each.filter(each.str.strip_chars() != "")).list.join("、")


SHAPES = {
    "full": Shape(schema=FULL, collect=full),
    "benchmark": Shape(schema=BENCHMARK, collect=benchmark),
}
