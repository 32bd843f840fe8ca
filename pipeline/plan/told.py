"""A plan as plain text: the mixture in a line, its parts and tags as tables, what is forbidden, steps, warnings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from pipeline.mix import Mixed
from pipeline.plan.cells import TAGS
from pipeline.plan.outcome import COUNTED

Record = dict[str, Any]

MARKS: Final = {"exact": "", "estimated": "~", "at most": "≤", "unknown": "?"}
"""What stands before a figure that is known so well."""

BASES: Final = {
    "exact": "as mix will have it",
    "estimated": "~ estimated",
    "at most": "≤ at most, for what is not reckoned leaves out more",
    "unknown": "? not known",
}

PARTS: Final = ("part", "known", "candidates", "left out", "rows", "epochs", "repeats", "characters", "tokens", "share")
WORDS: Final = frozenset({"part", "known", "left out"})
"""The columns of words, which stand to the left."""

WIDTH: Final = 160
"""Columns to print to where there is no terminal to ask."""


def show(answer: Record) -> None:
    """Print a plan (see `figures`); on a narrow terminal cells are folded, never cut."""
    console = Console(highlight=False, markup=False)
    paper = Console(width=console.width if console.is_terminal else WIDTH, highlight=False, markup=False)
    paper.print(_head(answer), soft_wrap=True)
    parts, bases = Table(box=None, pad_edge=False), {part["basis"] for part in answer["parts"]}
    for title in PARTS:
        parts.add_column(title, justify="left" if title in WORDS else "right", overflow="fold")
    for part in answer["parts"]:
        parts.add_row(*_part(part, answer))
    paper.print(parts)
    if bases != {"exact"}:
        paper.print("; ".join(said for basis, said in BASES.items() if basis in bases), soft_wrap=True)
    paper.print(_tags(answer))
    for line in _lines(answer):
        paper.print(line, soft_wrap=True)


def _head(answer: Record) -> str:
    rows, mark = answer["rows"], MARKS[answer["basis"]]
    counted = all(part["known"] == COUNTED for part in answer["parts"])
    line = f"{answer['mixture']}: {'' if counted else '~'}{answer['candidates']:,} candidates"
    line += f", {mark}{sum(rows.values()):,} rows"
    line += f" ({mark}{rows['train']:,} train, {mark}{rows['holdout']:,} holdout)" if rows["holdout"] else ""
    for unit in ("characters", "tokens"):
        if (length := answer[unit]["all"]) is not None:
            line += f", {mark}{length:,} {unit}" + (" that are known" if answer["unknown"][unit] else "")
    return line


def _part(part: Record, answer: Record) -> Iterator[str]:
    mark, rows = MARKS[part["basis"]], sum(answer["rows"].values())
    expected = "" if part["known"] == COUNTED else "~"
    lost = [
        f"{'~' if reason in part['estimated'] else expected}{count:,} {reason}"
        for reason, count in part["left_out"].items()
    ]
    lost += ["not reckoned: " + ", ".join(part["unreckoned"])] if part["unreckoned"] else []
    yield part["source"] + (f" ({part['within']})" if part["within"] else "")
    yield part["known"]
    yield _figure(part["candidates"], expected)
    yield "; ".join(lost)
    yield _figure(part["rows"], mark)
    yield "" if part["epochs"] is None else f"{part['epochs']:.2f}"
    yield _figure(part["repeats"])
    yield _figure(part["characters"], mark)
    yield _figure(part["tokens"], mark)
    yield "" if part["rows"] is None or not rows else f"{part['rows'] / rows:.1%}"


def _figure(count: int | None, mark: str = "") -> str:
    return "?" if count is None else f"{mark}{count:,}"


def _tags(answer: Record) -> Table:
    """The shares of the values of each tag."""
    shown = Table(box=None, pad_edge=False)
    for title in ("tag", "", "rows", "share"):
        shown.add_column(title, justify="right" if title in {"rows", "share"} else "left", overflow="fold")
    mark = MARKS[answer["basis"]]
    for tag in TAGS:
        for value, one in answer["by"][tag].items():
            name = "licence" if tag == "license" else tag
            shown.add_row(name, value, f"{mark}{one['rows']:,}", f"{one['share']:.1%}")
    return shown


def _lines(answer: Record) -> Iterator[str]:
    """What the licence policy forbids, how long a recipe trains, and what `mix` will warn of."""
    policy, barred = answer["licence"]["policy"], answer["licence"]["forbidden"]
    if policy is not None:
        named = policy if isinstance(policy, str) else f"[{', '.join(policy)}]"
        yield f"licence policy {named}: " + ("forbids these rows" if barred else "forbids none of these rows")
    expected = {part["source"] for part in answer["parts"] if part["known"] != COUNTED}
    for one in barred:
        mark = "~" if one["source"] in expected else ""
        rows = "rows" if one["rows"] is None else f"{mark}{one['rows']:,} row{'s' * (one['rows'] != 1)}"
        yield f"  {one['source']}, {rows} under {one['licence']}: {', '.join(one['because'])}"
    if "recipe" in answer:
        yield _training(answer["recipe"], MARKS[answer["basis"]] or "~")
    known = [part for part in answer["parts"] if part["rows"] is not None]
    warned = Mixed(folder=Path(), manifest=answer | {"parts": known}, up_to_date=False)
    yield from (f"warning: {line}" for line in warned.warnings)
    if unknown := answer["unknown"]["rows"]:
        yield f"warning: rows are not known of {', '.join(unknown)}; run make corpus for what they depend on"


def _training(recipe: Record, mark: str) -> str:
    """The steps of a recipe; packed rows are about as many as tokens make, which templates and prompts add to."""
    found = recipe["training"]
    if found is None:
        return f"recipe {recipe['name']}: packs rows, so its steps depend on tokens; name a tokenizer with --tokenizer"
    step = recipe["batch"] * recipe["accumulation"]
    what = f"packed rows of {recipe['cutoff']:,} tokens" if recipe["packing"] else "rows"
    epochs = f"{found['epochs']:g} epochs of {mark}{found['an_epoch']:,}"
    less = ", without what templates and prompts add" if recipe["packing"] else ""
    return f"recipe {recipe['name']}: {mark}{found['steps']:,} steps, {epochs}, of {step} {what} on one device{less}"
