r"""Auto-CoT: questions of nine benchmarks, demonstrations, and logs of zero-shot chains of thought, in eight forms.

The question files and logs are kojima-takeshi188/zero_shot_cot's, the demonstrations amazon-science/auto-cot's; the
shapes below say what a raw row of each looks like. Alpaca-CoT's share are the log blocks with the right answer.
"""

import ast
import re
from typing import Any, Final

import polars as pl

from collectors.columns import extra, json_text
from collectors.conversation import strip
from collectors.rows import RAW_JSON, Schema
from collectors.shape import Shape
from collectors.texts import texts

WRONG: Final = "wrong answer"

AQUA: Schema = {"question": pl.String, "options": pl.List(pl.String), "rationale": pl.String, "correct": pl.String}
ARITHMETIC: Schema = {
    "iIndex": RAW_JSON,
    "lEquations": pl.List(pl.String),
    "lSolutions": RAW_JSON,
    "sQuestion": pl.String,
}
SVAMP: Schema = dict.fromkeys(("ID", "Body", "Question", "Equation", "Answer", "Type"), pl.String)
SYMBOLIC: Schema = {"question": pl.String, "answer": pl.String}
_CHOICE: Final = pl.Struct({"label": pl.String, "text": pl.String})
COMMONSENSE: Schema = {
    "answerKey": pl.String,
    "id": pl.String,
    "question": pl.Struct({"stem": pl.String, "choices": pl.List(_CHOICE)}),
}
GSM8K: Schema = {"question": pl.String, "answer": pl.String}
DEMO: Schema = dict.fromkeys(("question", "rationale", "pred_ans", "gold_ans"), pl.String)

FOLDER: Final = pl.col("subset").str.split("/").list.get(-2, null_on_oob=True)
FILE: Final = pl.col("subset").str.split("/").list.last()


def _beside(dataset: pl.Expr, **values: pl.Expr) -> pl.Expr:
    return extra(dataset=json_text(dataset), **values)


def _with_options(question: pl.Expr, options: pl.Expr) -> pl.Expr:
    return pl.concat_str(question.str.strip_chars(), pl.lit("\nOptions:\n"), options.list.join("\n"))


def _bracketed(letter: pl.Expr) -> pl.Expr:
    """A letter as an answer, `(A)`; none stays none, so that the row is refused."""
    stripped = letter.str.strip_chars()
    return pl.when(stripped == "").then(stripped).otherwise(pl.format("({})", stripped))


def aqua(raw: pl.LazyFrame) -> pl.LazyFrame:
    """`{"question", "options": ["A)5", ...], "rationale", "correct": "A"}`; options and answer are as in cot's aqua."""
    options = pl.col("options").list.eval(pl.element().str.replace(r"^\s*([A-Z])\)\s*", "($1) "))
    return raw.select(
        "row",
        "rationale",
        instruction=_with_options(pl.col("question"), options),
        output=_bracketed(pl.col("correct")),
        extra=_beside(FOLDER),
    )


def arithmetic(raw: pl.LazyFrame) -> pl.LazyFrame:
    """`{"iIndex": 1, "lEquations": ["X=70-27"], "lSolutions": ["43"] or [43.0], "sQuestion"}`; 43 is the answer."""
    solutions = texts(pl.col("lSolutions")).list
    first = _whole_number(solutions.get(0, null_on_oob=True))
    return raw.select(
        "row",
        instruction="sQuestion",
        output=pl.when(solutions.len() == 0).then(pl.lit("")).otherwise(first),
        extra=_beside(FOLDER, id=pl.col("iIndex").cast(pl.String), equations=json_text(pl.col("lEquations"))),
    )


def svamp(raw: pl.LazyFrame) -> pl.LazyFrame:
    """`{"ID", "Body", "Question", "Equation", "Answer": 145.0, "Type"}`; body and question are one request."""
    return raw.select(
        "row",
        instruction=pl.concat_str(
            pl.col("Body").str.strip_chars(), pl.col("Question").str.strip_chars(), separator=" "
        ),
        output=_whole_number(pl.col("Answer")),
        extra=_beside(
            FOLDER,
            id=json_text(pl.col("ID")),
            equation=json_text(pl.col("Equation")),
            type=json_text(pl.col("Type")),
        ),
    )


def _whole_number(text: pl.Expr) -> pl.Expr:
    return text.str.strip_chars().str.replace(r"\.0$", "")


def symbolic(raw: pl.LazyFrame) -> pl.LazyFrame:
    """`{"question", "answer"}` under the key `examples`."""
    return raw.select("row", instruction="question", output="answer", extra=_beside(FOLDER))


def commonsense(raw: pl.LazyFrame) -> pl.LazyFrame:
    """`{"answerKey": "A", "id", "question": {"stem", "choices": [{"label": "A", "text"}, ...]}}`."""
    question, choice = pl.col("question").struct, pl.element().struct
    options = question.field("choices").list.eval(pl.format("({}) {}", choice.field("label"), choice.field("text")))
    return raw.select(
        "row",
        instruction=_with_options(question.field("stem"), options),
        output=_bracketed(pl.col("answerKey")),
        extra=_beside(FOLDER, id=json_text(pl.col("id"))),
    )


def gsm8k(raw: pl.LazyFrame) -> pl.LazyFrame:
    r"""`{"question", "answer": "9 * 2 = <<9*2=18>>18.\n#### 18"}`; notes between `<<` and `>>` are a calculator's."""
    answer = pl.col("answer")
    return raw.select(
        "row",
        instruction="question",
        rationale=answer.str.extract(r"(?s)^(.*)####").str.replace_all(r"<<.*?>>", ""),
        output=answer.str.extract(r"(?s)^.*####(.*)$").str.replace_all(",", "", literal=True),
        extra=_beside(FOLDER),
    )


def demo(raw: pl.LazyFrame) -> pl.LazyFrame:
    r"""`{"question": "Q: ...\nA:", "rationale", "pred_ans", "gold_ans"}` under the key `demo`; gold may be missing."""
    question = pl.col("question").str.strip_chars().str.strip_prefix("Q:").str.strip_suffix("A:")
    return raw.select(
        "row",
        "rationale",
        instruction=question,
        output=pl.coalesce("gold_ans", "pred_ans"),
        extra=_beside(FILE),
    )


BLOCK: Final = re.compile(r"^\d+st data\r?$(?:\n(?!\*{25}\r?\n\d+st data\r?$).*)*", re.MULTILINE)
"""A block of a log, all lines to the next one's beginning: what is cut within is a row as well."""

_TRIGGER: Final = re.compile(r"""direct_answer_trigger=('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")
_PARTS: Final = re.compile(
    r"\d+st data\n[^\n]*sampling\nQ: (?P<question>.*?)\nA: (?P<said>.*)"
    r"\npred_before : (?P<before>.*?)\npred_after : .*?\npred_mode : (?P<mode>.*?)\nGT : (?P<right>[^\n]*)\n\*{25}",
    re.DOTALL,
)
_FOUND: Final = pl.Struct(dict.fromkeys(("instruction", "rationale", "output", "reject"), pl.String))


def log(raw: pl.LazyFrame) -> pl.LazyFrame:
    """A block `Q: ... A: <rationale> <trigger> <answer> ... GT : <right answer>`; the trigger is in the file's head."""
    found = pl.struct("text", "head").map_batches(_blocks, return_dtype=_FOUND)
    return raw.select("row", found.alias("found"), extra=_beside(FILE.str.replace("_zero_shot_cot.*$", ""))).unnest(
        "found"
    )


def _blocks(rows: pl.Series) -> pl.Series:
    """A row function: where a rationale ends depends on the trigger and on another field, which no pattern can say."""
    blocks, heads = (rows.struct.field(name).to_list() for name in ("text", "head"))
    stated = _TRIGGER.search(heads[0]) if heads else None
    trigger = "" if stated is None else ast.literal_eval(stated[1])
    found = [_block(text.replace("\r\n", "\n"), trigger) for text in blocks]
    return pl.Series(rows.name, found, dtype=_FOUND)


def _block(text: str, trigger: str) -> dict[str, Any] | None:
    """The columns of a block; None when a part of it is not there."""
    parts = _PARTS.match(text)
    if parts is None or not trigger:
        return None
    end = _end(parts["said"], trigger, strip(parts["before"]))
    if end is None:
        return None
    right = strip(parts["right"])
    return {
        "instruction": parts["question"],
        "rationale": parts["said"][:end],
        "output": right,
        "reject": None if strip(parts["mode"]) == right else WRONG,
    }


def _end(said: str, trigger: str, before: str) -> int | None:
    """Where the trigger stands that counts: the only one, or the one that just the answer follows."""
    places = [match.start() for match in re.finditer(re.escape(trigger), said)]
    if len(places) == 1:
        return places[0]
    return next((place for place in places if strip(said[place + len(trigger) :]) == before), None)


SHAPES: Final[dict[str, Shape]] = {
    "aqua": Shape(schema=AQUA, collect=aqua),
    "arithmetic": Shape(schema=ARITHMETIC, collect=arithmetic),
    "svamp": Shape(schema=SVAMP, collect=svamp),
    "symbolic": Shape(schema=SYMBOLIC, collect=symbolic),
    "commonsense": Shape(schema=COMMONSENSE, collect=commonsense),
    "gsm8k": Shape(schema=GSM8K, collect=gsm8k),
    "demo": Shape(schema=DEMO, collect=demo),
    "log": Shape(schema={"text": pl.String, "head": pl.String}, collect=log, pattern=BLOCK),
}
