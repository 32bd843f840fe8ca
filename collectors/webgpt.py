"""WebGPT: one question, two answers written with a browser, and how much better one is (OpenAI, JSON Lines).

A raw row is a list of two objects, `[{"question": {"full_text": "..."}, "answer": "... [1].", "score": 0.5}, {...}]`,
or one object with both answers, `{"question": {...}, "answer_0": "...", "score_0": 0.5, "answer_1": "...", ...}`. The
reader of JSON takes no list for a row, so a line is read as the one cell of a table and decoded here. Quotes and
tokens, nearly all of a line, are passed over.
"""

from typing import Final

import msgspec
import polars as pl

from collectors.columns import extra
from collectors.rows import UNPARSABLE, Schema
from collectors.shape import Shape
from collectors.values import text

RAW: Schema = {"line": pl.String}

MARK: Final = r"\[\d+(?:,\s*\d+)*\]"
"""A reference to a quote, `[1]` or `[1, 2]`."""

_NULL: Final = msgspec.Raw(b"null")


class _Question(msgspec.Struct):
    full_text: msgspec.Raw = _NULL


class _Answer(msgspec.Struct):
    question: _Question | None = None
    answer: msgspec.Raw = _NULL
    score: float | None = None


class _Pair(msgspec.Struct):
    question: _Question | None = None
    answer_0: msgspec.Raw = _NULL
    answer_1: msgspec.Raw = _NULL
    score_0: float | None = None
    score_1: float | None = None


_ROW: Final = msgspec.json.Decoder(list[_Answer] | _Pair)

_COMPARISON: Final = pl.Struct(
    {
        "instruction": pl.String,
        "output": pl.String,
        "rejected": pl.String,
        "scores": pl.List(pl.Float64),
        "reject": pl.String,
    }
)


def collect(raw: pl.LazyFrame) -> pl.LazyFrame:
    """The answer with the higher score is the output, the other is rejected; a tie keeps the first, rejects none."""
    rows = pl.col("line").map_elements(_comparison, return_dtype=_COMPARISON)
    scores = pl.concat_str(pl.lit("["), pl.col("scores").cast(pl.List(pl.String)).list.join(","), pl.lit("]"))
    return (
        raw.select("row", comparison=rows)
        .unnest("comparison")
        .select(
            "row",
            "instruction",
            "reject",
            output=pl.col("output").str.replace_all(MARK, ""),
            rejected=pl.col("rejected").str.replace_all(MARK, ""),
            extra=extra(scores=scores),
        )
    )


def _comparison(line: str) -> dict[str, object] | None:
    """A row function: a row is a list or an object, which no declared schema says."""
    try:
        row = _ROW.decode(line)
    except msgspec.ValidationError:
        return None if _is_json(line) else _unparsable(line)
    except (msgspec.DecodeError, RecursionError):
        return _unparsable(line)
    pair = row if isinstance(row, _Pair) else _paired(row)
    if pair is None or pair.score_0 is None or pair.score_1 is None:
        return None
    question = text(bytes(pair.question.full_text)) if pair.question is not None else None
    first, second = text(bytes(pair.answer_0)), text(bytes(pair.answer_1))
    if first is None or second is None:
        return None
    better, worse = (second, first) if pair.score_1 > pair.score_0 else (first, second)
    return {
        "instruction": question,
        "output": better,
        "rejected": worse if pair.score_0 != pair.score_1 else None,
        "scores": [pair.score_0, pair.score_1],
    }


def _paired(answers: list[_Answer]) -> _Pair | None:
    """The two answers as one object; the question is that of the first which has its text."""
    if len(answers) != 2:
        return None
    first, second = answers
    asked = [one.question for one in answers if one.question is not None and one.question.full_text != _NULL]
    return _Pair(
        question=asked[0] if asked else None,
        answer_0=first.answer,
        answer_1=second.answer,
        score_0=first.score,
        score_1=second.score,
    )


def _is_json(line: str) -> bool:
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _unparsable(line: str) -> dict[str, object]:
    """A line that is no JSON; it stands for its texts, as without them the row would lack a field first."""
    return {"instruction": line, "output": line, "reject": UNPARSABLE}


SHAPE = Shape(schema=RAW, collect=collect)
