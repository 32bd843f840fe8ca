"""The ledger of a mixture's card: every record of its sources, taken or left out, in all and by part."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pipeline.books import worded_plainly
from pipeline.markdown import counted, ranked, table

BENCHMARKS: Final = (
    "**Records of benchmarks are in this set: {}.** A model that is trained on them must not be scored on these"
    " benchmarks."
)
"""What a card says of records that are marked as evaluation."""


def ledger(manifest: Mapping[str, Any]) -> str:
    """The section of a mixture's card, by its manifest."""
    left_out: Mapping[str, int] = manifest.get("left_out", {})
    books: list[tuple[str, int]] = [
        ("candidates", manifest["candidates"]),
        *((f"left out: {reason}", rows) for reason, rows in ranked(left_out)),
        ("taken", manifest["taken"]),
        ("rows written, repeats counted", sum(manifest["rows"].values())),
    ]
    told = manifest.get("parts", [])
    parts = [
        (
            label,
            f"`{part.get('template') or 'plain'}`",
            int(part["candidates"]),
            int(part["taken"]),
            int(part["rows"]),
            counted(part.get("left_out", {})),
        )
        for label, part in zip(labels(manifest), told, strict=True)
    ]
    tests = [f"{part['evaluation']:,} of `{part['source']}`" for part in told if part.get("evaluation")]
    sections = [
        "## Ledger",
        "Every record of the sources is accounted for: candidates are the rows taken and the rows left out.",
        table(("", "records"), books),
        table(("part", "template", "candidates", "taken", "rows", "left out"), parts),
        *([BENCHMARKS.format(", ".join(tests))] if tests else []),
        *_lacks(manifest),
    ]
    return "\n\n".join(sections)


def _lacks(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Where a mixture is not all that its recipe asks for, a line each."""
    for gap in manifest.get("not_applied", []):
        sources = ", ".join(f"`{source}`" for source in gap["sources"])
        yield f"Not applied to {sources} ({gap['because']}): {', '.join(gap['policies'])}."
    for one in manifest.get("shortfalls", []):
        yield f"Asked of {one['part']} were {one['asked']:,} {one['unit']}, of which there are {one['given']:,}."
    if unrepeated := manifest.get("unrepeated", 0):
        yield f"Held-out rows stand once: {unrepeated:,} further copies of them were not made."
    for label, part in zip(labels(manifest), manifest.get("parts", []), strict=True):
        if rows := worded_plainly(part):
            unfit = f"Worded plainly, for no wording of `{part['template']}` fits them"
            yield f"{unfit}: {rows:,} of the {part['rows']:,} rows of {label}."
    if unused := manifest.get("unused_rationales", 0):
        yield f"{unused:,} rows hold a rationale that their template does not use."


def labels(manifest: Mapping[str, Any]) -> list[str]:
    """What each part of a mixture is called: the mixtures or tags of its recipe that it lies in, and its source.

    Parts that would be called the same are told apart by their `where`.
    """
    recipe = manifest.get("recipe", {})
    parts, asked = manifest.get("parts", []), recipe.get("parts", [])
    if len(asked) != len(parts):  # of a recipe that was not written out, nothing is known but the sources
        return [f"`{part['source']}`" for part in parts]
    found = [": ".join(f"`{step}`" for step in _path(one, recipe.get("groups") or {})) for one in asked]
    return [
        f"{label} where `{_where(one)}`" if found.count(label) > 1 and one.get("where") else label
        for label, one in zip(found, asked, strict=True)
    ]


def _path(part: Mapping[str, Any], groups: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The groups that a part lies in, the outermost first, then what the recipe calls it."""
    path = [str(part.get("source"))]
    if part.get("meant_by"):
        path.append(str(part["meant_by"]))
    above = part.get("within")
    while above is not None and above in groups:
        path.append(str(above))
        above = groups[above].get("within")
    return path[::-1]


def _where(part: Mapping[str, Any]) -> str:
    return json.dumps(part["where"], ensure_ascii=False)
