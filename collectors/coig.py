r"""COIG: Chinese exams, value alignment, programming tasks, translations and corrected chats (BAAI/COIG).

Raw rows: exam and the second alignment file, `{"textbox_q_instruction", "textbox_q_context", "textbox_question",
"textbox_answer", "textbox_answer_analysis", "subject"}`; the first alignment file and leetcode, `{"instruction",
"input", "output"}`; translated, the same and `trans_instruction`, `trans_input`, `trans_output`; chat, one object a
dialogue, `{"round_0": {"response": "{\"Q\": \"...\", \"A\": \"...\"}"}, "round_1": ...}`.
"""

from typing import Final

import msgspec
import numpy as np
import polars as pl

from collectors.columns import extra, json_text
from collectors.conversation import SPOKEN, TALK, dialogues, placed
from collectors.rows import RAW_JSON, UNPARSABLE, Schema
from collectors.shape import Shape

METADATA: Final = ("split", "task_name_in_eng", "task_type", "domain", "other")
"""Upstream's loader declares these without saying for which file, so their types are left open."""

EXAM: Schema = {
    "textbox_q_instruction": pl.String,
    "textbox_q_context": pl.String,
    "textbox_question": pl.String,
    "textbox_answer": pl.String,
    "textbox_answer_analysis": RAW_JSON,
    "subject": pl.String,
}
_METADATA: Schema = dict.fromkeys(METADATA, RAW_JSON)
WORDED: Schema = {"instruction": pl.String, "input": pl.String, "output": pl.String} | _METADATA
TRANSLATED: Schema = {"trans_instruction": pl.String, "trans_input": pl.String, "trans_output": pl.String} | _METADATA

ROUNDS: Final = tuple(f"round_{number}" for number in range(32))
"""Dialogues have up to ten rounds, with gaps in the numbers; the room above is so that a longer one is not cut."""

CHAT: Schema = dict.fromkeys(ROUNDS, pl.Struct({"response": pl.String}))

_TURNED: Final = pl.Struct([*TALK.fields, pl.Field("reject", pl.String)])


def exam(raw: pl.LazyFrame) -> pl.LazyFrame:
    """A question with its analysis as the rationale; an analysis without an answer is the answer."""
    return _analysed(raw).select("row", **_exam())


def worded(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Rows that are worded already."""
    return raw.select("row", **_worded())


def alignment(raw: pl.LazyFrame) -> pl.LazyFrame:
    """The two alignment files differ in shape; which one a row has is told by its keys."""
    textbox = pl.any_horizontal(pl.col("textbox_q_instruction", "textbox_question", "textbox_answer").is_not_null())
    choice, first = _exam(), _worded()
    return _analysed(raw).select(
        "row", **{name: pl.when(textbox).then(column).otherwise(first.get(name)) for name, column in choice.items()}
    )


def translated(raw: pl.LazyFrame) -> pl.LazyFrame:
    """The Chinese side; the English one is not kept."""
    return raw.select("row", **_worded("trans_"))


def chat(raw: pl.LazyFrame) -> pl.LazyFrame:
    """One record a dialogue, its rounds in the order of their numbers."""
    turned = pl.struct(ROUNDS).map_batches(_dialogues, return_dtype=_TURNED)
    return raw.select("row", turned.alias("dialogue")).unnest("dialogue")


def _exam() -> dict[str, pl.Expr]:
    instruction, context, question, answer, analysis = (
        pl.col(name)
        for name in ("textbox_q_instruction", "textbox_q_context", "textbox_question", "textbox_answer", "analysis")
    )
    bare, alone = _blank(instruction), context.is_null() | _blank(context)
    unanswered = (answer.is_null() | _blank(answer)) & analysis.is_not_null()
    asked = pl.when(alone).then(question).otherwise(pl.concat_str(context, pl.lit("\n"), question))
    return {
        # Without a question the row lacks a field it needs, whatever else it says.
        "instruction": pl.when(question.is_not_null()).then(pl.when(bare).then(question).otherwise(instruction)),
        "input": pl.when(bare).then(context).otherwise(asked),
        "rationale": pl.when(~unanswered).then(analysis),
        "output": pl.when(unanswered).then(analysis).otherwise(answer),
        "extra": extra(subject=json_text(pl.col("subject"))),
    }


def _worded(prefix: str = "") -> dict[str, pl.Expr]:
    named = {name: pl.col(f"{prefix}{name}") for name in ("instruction", "input", "output")}
    return named | {"extra": extra(**{name: pl.col(name).cast(pl.String) for name in METADATA})}


def _blank(text: pl.Expr) -> pl.Expr:
    return text.str.strip_chars() == ""


def _analysed(raw: pl.LazyFrame) -> pl.LazyFrame:
    """With `analysis`, the analysis where it is a string of more than blanks; a number or a list is none."""
    text = pl.col("textbox_answer_analysis").map_batches(_strings, return_dtype=pl.String)
    return raw.with_columns(analysis=text).with_columns(analysis=pl.when(~_blank(pl.col("analysis"))).then("analysis"))


def _strings(values: pl.Series) -> pl.Series:
    """JSON values as text where they are strings, else null; all of a column is decoded at once."""
    decoded = msgspec.json.decode(b"[%s]" % b",".join(value or b"null" for value in values))
    return pl.Series(values.name, [one if isinstance(one, str) else None for one in decoded], dtype=pl.String)


def _dialogues(rows: pl.Series) -> pl.Series:
    """Every dialogue; a round that lacks a half is a missing field, one that is no JSON makes its row unparsable.

    A row function: responses are JSON texts of their own, which expressions would decode with silent repairs.
    """
    numbered = rows.struct.unnest().with_row_index("row").unpivot(index="row").drop_nulls("value")
    rounds = numbered.sort("row", maintain_order=True).select("row", pl.col("value").struct.field("response"))
    exchanges, unparsable = [], []
    for row, response in rounds.iter_rows():
        try:
            exchanges.append(_exchange(response) if response is not None else None)
        except (msgspec.DecodeError, RecursionError):
            unparsable.append(row)
            exchanges.append(None)
    halves = [half for one in exchanges for half in ((one.Q, one.A) if one is not None else (None, None))]
    said = pl.DataFrame(
        {
            "row": rounds["row"].gather(np.arange(len(rounds)).repeat(2)),
            "user": pl.Series(np.tile([True, False], len(rounds))),
            "text": halves,
        },
        schema=SPOKEN,
    )
    found = dialogues(
        said.join(said.filter(pl.col("text").is_null()), on="row", how="anti", maintain_order="left"), len(rows)
    )
    reject = (
        pl.DataFrame({"row": unparsable}, schema={"row": pl.UInt32}).unique().with_columns(reject=pl.lit(UNPARSABLE))
    )
    return pl.concat([found, placed(reject, len(rows))], how="horizontal").to_struct(rows.name)


class _Exchange(msgspec.Struct, gc=False):
    Q: str
    A: str


_EXCHANGE: Final = msgspec.json.Decoder(_Exchange)


def _exchange(response: str) -> _Exchange | None:
    """A response's question and answer, None where one is missing or no string; `DecodeError` where it is no JSON."""
    try:
        return _EXCHANGE.decode(response)
    except msgspec.ValidationError:
        msgspec.json.decode(response)  # what follows the wrong value may be no JSON at all
        return None


SHAPES = {
    "exam": Shape(schema=EXAM, collect=exam),
    "alignment": Shape(schema=EXAM | WORDED, collect=alignment),
    "worded": Shape(schema=WORDED, collect=worded),
    "translated": Shape(schema=TRANSLATED, collect=translated),
    "chat": Shape(schema=CHAT, collect=chat),
}
