"""A record's verdict with the rule behind each part of it."""

from typing import Any, Final

import polars as pl

from collectors.record import HISTORY
from pipeline.judge.texts import ANSWER, REQUEST, answer, request

Record = dict[str, Any]

TEXTS: Final = dict.fromkeys((*REQUEST, *ANSWER), pl.String) | {"history": HISTORY}
"""The columns that are compared."""


def judgement(record: Record, verdict: Record, *, full: bool) -> Record:
    """`language` with its confidence beside what was declared, `flags` with their evidence, and the lengths.

    Which language a foreign answer has is told if `full`: its detector takes longer than all the rest.
    """
    return {
        "language": {
            "found": verdict["language"],
            "confidence": round(verdict["confidence"], 3),
            "declared": record["lang"],
            "upstream": record["language"],
        },
        "flags": _flags(record, verdict, full=full) if verdict["flags"] else [],
        "request_chars": verdict["request_chars"],
        "answer_chars": verdict["answer_chars"],
        "prompt_id": verdict["prompt_id"],
    }


def _flags(record: Record, verdict: Record, *, full: bool) -> list[Record]:
    """Each flag with what its rule is and what made it fire: None where it no longer does, or there is no such rule."""
    from pipeline.judge.flags import RULES, evidence  # dear to load, and few records have a flag

    named = record | {"request_language": verdict["language"], "answer_language": "another language"}
    if full and "wrong-language" in verdict["flags"]:
        from pipeline.judge.language import detect  # dearer still, and needed by this rule alone

        named["answer_language"] = detect(pl.Series([texts(record)[1]]))["language"].item()
    return [
        {"flag": name, "meaning": RULES[name].meaning, "evidence": evidence(named, name)}
        if name in RULES
        else {"flag": name, "meaning": None, "evidence": None}
        for name in verdict["flags"]
    ]


def texts(record: Record) -> tuple[str, str]:
    """A record's request and answer as they are compared."""
    frame = pl.DataFrame([{name: record[name] for name in TEXTS}], schema=TEXTS)
    return request(frame)[0], answer(frame)[0]
