"""What a command says on the terminal when it is done, and what a data folder holds."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from collectors.catalog import Catalog
from collectors.errors import SourceError
from pipeline.books import worded_plainly
from pipeline.collect import Collected
from pipeline.export import Exported
from pipeline.folder import manifest
from pipeline.markdown import table
from pipeline.mix import Mixed
from pipeline.standing import File
from pipeline.upload import Published

if TYPE_CHECKING:  # what judging needs is not loaded to print of other things
    from pipeline.judge.run import Judged
    from pipeline.page.build import Page

WIDTH = 160
"""Columns to print to where there is no terminal to ask."""


def say(line: str) -> None:
    """Print one line at once, also where the output is a pipe."""
    print(line, flush=True)


def collected(done: "Collected") -> None:
    """One line for a source: rows in, records out, and why rows were left out; one warning when none is left."""
    found = done.manifest
    line = f"{found['source']}: {found['raw_rows']:,} raw rows, {found['records']:,} records"
    if found["rejected"]:
        line += f", rejected {_reasons(found['rejected'])} (see {done.folder / 'rejects.jsonl'})"
    for book in ("dropped_parts", "dropped_turns"):
        if found[book]:
            line += f", {book.replace('_', ' ')} {_reasons(found[book])}"
    if found["unclaimed"]:
        line += f", unclaimed {', '.join(found['unclaimed'][:3])}"
        line += f" and {len(found['unclaimed']) - 3} more" if len(found["unclaimed"]) > 3 else ""
    say(line + ("" if done.fresh else " (up to date)"))
    if not found["records"]:
        say(f"warning: {found['source']}: no row gave a record")


def judged(done: "Judged") -> None:
    """One line for a source: how many records, in which languages, with which flags, duplicates and leaks."""
    found = done.manifest
    languages = Counter[str]()
    for counts in found["languages"].values():
        languages.update(counts)
    line = f"{found['source']}: {found['records']:,} records"
    line += f" in {_reasons(dict(languages.most_common(3)))}" if languages else ""
    line += f", {found['disagree']:,} not in the language declared" if found["disagree"] else ""
    line += f", flags {_reasons(dict(Counter(found['flags']).most_common(3)))}" if found["flags"] else ""
    near = found["clustered"]["row"]
    line += f", {near:,} with near-duplicates" if near else ""
    line += f", leaks {_reasons(found['leaks'])}" if found["leaks"] else ""
    say(line + ("" if done.fresh else " (up to date)"))


def paged(done: "Page") -> None:
    """Where the report is, and what it cannot tell for want of verdicts."""
    say(f"report: {done.rows:,} rows of {done.sources} sources: {done.path}")
    if done.unjudged:
        say(f"warning: no verdicts on the records of {', '.join(done.unjudged)}; run make judge")


def drifted(lines: list[str], *, strict: bool) -> None:
    """A warning for each difference from the catalog; `SourceError` instead when `strict`."""
    for line in lines:
        say(f"warning: {line}")
    if strict and lines:
        raise SourceError(f"{len(lines):,} differences from the catalog, the first: {lines[0]}; mend catalog.yaml")


def mixed(done: "Mixed") -> None:
    """The size of a mixture, what was left out, and where it is."""
    found = done.manifest
    rows = ", ".join(f"{count:,} {split}" for split, count in found["rows"].items() if count)
    line = f"{found['mixture']}: {found['candidates']:,} candidates, {found['taken']:,} taken, {rows} rows"
    if found["left_out"]:
        line += f", left out {_reasons(found['left_out'])}"
    if found["unrepeated"]:
        line += f", {found['unrepeated']:,} further copies of held-out rows not made"
    if found["unused_rationales"]:
        line += f", {found['unused_rationales']:,} rationales that no template used"
    say(f"{line}: {done.folder}" + (" (up to date)" if done.up_to_date else ""))
    for warning in done.warnings:
        say(f"warning: {warning}")
    for part in found["parts"]:
        if part["rows"] and worded_plainly(part) == part["rows"]:
            unfit = f"none of the {part['rows']:,} rows of {part['source']} fits template {part['template']}"
            why = "for want of a rationale, or of wordings for their task and language"
            say(f"warning: mixture {found['mixture']}: {unfit}, {why}; they are worded plainly")


def published(name: str, done: "Published") -> None:
    """Where a mixture is published, and what had to be sent."""
    what = f"{len(done.uploaded)} of {len(done.files)} files written" if done.changed else "up to date"
    say(f"{name}: {done.where} ({what}{', private' if done.private else ''})")


def listed(files: Sequence["File"]) -> None:
    """The files that a push would publish, and how many bytes that is."""
    for file in files:
        say(f"{file.sha256}  {file.bytes:>15,}  {file.path}")
    say(f"{len(files):,} files, {sum(file.bytes for file in files):,} bytes")


def exported(done: "Exported") -> None:
    """How many rows went where, and what of them or instead of them did not."""
    found = done.manifest
    line = f"{found['rows']:,} rows in {', '.join(file['path'] for file in found['files'])}"
    for what, counts in (("dropped", found["dropped"]), ("not told", found.get("unused", {}))):
        if told := {name: rows for name, rows in counts.items() if rows}:
            line += f", {what} {_reasons(told)}"
    if found.get("not_read"):
        line += f", not read {', '.join(found['not_read'])}"
    say(f"{line}: {done.folder}" + (" (up to date)" if done.up_to_date else ""))


def _reasons(counts: dict[str, int]) -> str:
    return ", ".join(f"{rows:,} {reason}" for reason, rows in counts.items())


def sources_table(catalog: Catalog, asked: list[str] | None = None) -> str:
    """The table of the sources `asked` for as Markdown; the README holds it whole, and a test that it is current."""

    rows = [
        (
            f"`{name}`",
            f"[{source.title}]({source.homepage})",
            f"{source.lang} {source.task} {source.gen}",
            source.license + (f" ({', '.join(source.terms)})" if source.terms else ""),
            f"{source.rows:,}" if source.rows else "",
        )
        for name, source in catalog.chosen(asked or []).items()
    ]
    return table(("source", "title", "lang task gen", "licence (terms)", "rows upstream"), rows)


def inventory(out: Path) -> None:
    """A table of what was built below `out`: corpus, mixtures, runs and published trees, how much, and where."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("what", "name", "how much", "where"):
        shown.add_column(column, no_wrap=True)
    for row in _built(out):
        shown.add_row(*row)
    console = Console()
    Console(width=console.width if console.is_terminal else WIDTH).print(shown)


def _built(out: Path) -> Iterator[tuple[str, str, str, str]]:
    """(what, name, how much, where) of every finished folder below `out`, in the data's order."""
    for what, below, amount in (
        ("records", "records", lambda found: f"{found['records']:,} records of {found['raw_rows']:,} raw rows"),
        ("mixture", "mixes", _splits),
        ("adapter", "runs", _losses),
        ("data set", "published", _splits),
    ):
        for place in sorted((out / below).glob("*")):
            if (found := manifest(place)) is not None:
                yield what, place.name, amount(found), str(place)


def _splits(found: dict[str, Any]) -> str:
    return ", ".join(f"{rows:,} {split}" for split, rows in found["rows"].items() if rows) + " rows"


def _losses(found: dict[str, Any]) -> str:
    loss = found["held_out_loss"]
    return f"held-out loss {loss['before']:.3f} to {loss['after']:.3f}" if loss else "no rows held out"
