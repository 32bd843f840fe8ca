"""The rules by which mixtures leave records out, in words: what each means, and what of a record it was that met it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from collectors.mixture import Mixture, Part
from collectors.where import Range, Where

Record = dict[str, Any]

SAID: Final = {
    "where": "its part's where does not let it in",
    "licence": "its licence or a term beside it breaks the mixture's policy",
    "evaluation": "its file is part of a benchmark, for which the part does not ask (evaluation: true)",
    "leak": "it holds an evaluation item of a set that the mixture drops",
    "flag": "it has a flag that the mixture refuses",
    "duplicate": "an earlier record has the same text",
    "prompt": "an earlier record has the same request",
    "near": "it is a near-duplicate of a record that stands for it",
    "max_rows": "over its part's max_rows",
    "weight": "beyond the share that its part's weight gives it",
    "rows": "not drawn for the rows that its part asks for",
    "tokens": "not drawn for the tokens that its part asks for",
    "characters": "not drawn for the characters that its part asks for",
    "total": "not drawn for what parts share: the total, or the quota of a nested mixture",
}
"""What each rule of a mixture means, where nothing nearer is known."""

STANDS: Final = {
    "duplicate": "an earlier record has the same text: {}",
    "prompt": "an earlier record has the same request: {}",
    "near": "it is a near-duplicate of {}, which stands for it",
}
"""The same for rules by which one record stands for others, where it is known which."""

FEW: Final = 3
"""Evaluation items that are named."""


def said(rule: str, mixture: Mixture, part: Part, record: Record, verdict: Record | None) -> str:
    """Why a rule leaves a record out of a part, with what is known of the record.

    `verdict` is the one that the mixture was made by; without it, no more is said than what the rule means.
    """
    if rule == "where":
        return _where(part.where, record, verdict) or SAID[rule]
    if rule == "licence":
        policy = mixture.licence if isinstance(mixture.licence, str) else ", ".join(mixture.licence or [])
        return f"{SAID[rule]}: {record['license']}, the policy is {policy}"
    if rule == "max_rows" and part.max_rows is not None:
        return f"over the part's max_rows of {part.max_rows:,}"
    if rule == "weight" and part.weight is not None:
        return f"beyond the share that weight {part.weight} gives its part"
    if rule in {"rows", "tokens", "characters"} and (asked := getattr(part, rule)) is not None:
        return f"not drawn for the {asked:,} {rule} that its part asks for"
    if rule == "flag" and verdict is not None:
        return _named(SAID[rule], [name for name in verdict["flags"] if name in mixture.flags])
    if rule == "leak" and verdict is not None:
        kept = mixture.leaks if isinstance(mixture.leaks, Mapping) else {}
        dropped = [item for item in verdict["leaks"] if kept.get(item.partition("/")[0], mixture.leaks) == "drop"]
        return _named(SAID[rule], dropped)
    return SAID[rule]


def _named(said: str, names: Sequence[str]) -> str:
    if not names:
        return said
    more = f" and {len(names) - FEW:,} more" if len(names) > FEW else ""
    return f"{said}: {', '.join(names[:FEW])}{more}"


def _where(where: Where, record: Record, verdict: Record | None) -> str:
    """Which keys of a `where` do not let a record in."""
    from pipeline.candidates import admitted  # loads the licences' rules

    known = record | {name: value for name, value in (verdict or {}).items() if name != "id"}
    found = []
    every: dict[str, list[str] | Range] = {**where.names(), **where.ranges()}
    for name, asked in every.items():
        if name not in known or (verdict is None and name in where.verdicts and name != "language"):
            continue
        if not admitted(Where.model_validate({name: asked}), _frame(name, known[name])).all():
            found.append(f"{name} is {_shown(known[name])}, the part takes {_asked(asked)}")
    for name, wanted in where.texts().items():
        if name in known and not admitted(Where.model_validate({name: wanted}), _frame(name, known[name])).all():
            there = f"it has {name}" if known[name] else f"it has no {name}"
            found.append(there if isinstance(wanted, bool) else f"its {name} holds no match of {wanted}")
    return ", ".join(found)


def _frame(name: str, value: Any) -> pl.DataFrame:
    """A frame of one record with one column."""
    return pl.DataFrame({name: [value]}, {name: pl.String} if value is None else None)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        if value and not isinstance(value[0], str):
            return f"{len(value):,} long"
        return " and ".join(value) or "none"
    if isinstance(value, float):
        return f"{value:.3f}"
    return str(value or "not declared") if value is None or isinstance(value, str) else f"{value:,}"


def _asked(asked: list[str] | Range) -> str:
    if not isinstance(asked, Range):
        return " and ".join(asked) or "none"
    sides = [(word, side) for word, side in (("at least", asked.min), ("at most", asked.max)) if side is not None]
    return " and ".join(f"{word} {side:g}" for word, side in sides)
