"""What judge found in the records of a mixture, for its card: evaluation items that leaked in, flags, near-duplicates.

The figures are of the mixture's own records: what those that it took hold, and what its policies left out.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pipeline import folder
from pipeline.held import Held
from pipeline.judge.verdict import PAIRS, SUITES
from pipeline.markdown import counted, ranked, table

LEAKS: Final = ("evaluation", "leak")
FLAGS: Final = ("flag",)
DUPLICATES: Final = ("duplicate", "near", "prompt")
"""How the reasons begin for which a mixture leaves out records of benchmarks, flagged ones, and ones that repeat."""

BY_REASON: Final = "left out, by reason"

Row = Sequence[str | int]


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The manifests of judge that speak of a mixture's records: of its sources, of the pairs, of the suites."""

    sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Those of the very records the mixture is made of, by source."""
    stale: Sequence[str] = ()
    """Sources that were judged, but not these records of them."""
    merged: Mapping[str, str] = field(default_factory=dict)
    """All sources whose near-duplicates were looked for together, with the fingerprints of the records judged."""
    pairs: Mapping[str, Any] = field(default_factory=dict)
    suites: Mapping[str, Any] = field(default_factory=dict)
    named: Sequence[str] = ()
    """Those of the suites that are files which a user named."""
    held: Mapping[str, Held] = field(default_factory=dict)
    """What the mixture took from each source; empty where its rows were not looked at."""


def found(out: Path, mixture: Mapping[str, Any]) -> Findings:
    """What the data folder `out` knows of the sources of the mixture of this manifest; what it `held` is left empty."""
    verdicts = out / "verdicts"
    inputs = {str(one["source"]): one.get("fingerprint") for one in mixture.get("inputs", []) if "source" in one}
    judged = {name: told for name in inputs if (told := folder.manifest(verdicts / name))}
    fresh = {name: told for name, told in judged.items() if told.get("records_fingerprint") == inputs[name]}
    pairs = folder.manifest(verdicts / PAIRS) or {} if fresh else {}
    suites = folder.manifest(verdicts / SUITES) or {} if fresh else {}
    merged = {name: folder.manifest(verdicts / name) or {} for name in pairs.get("sources", {})}
    return Findings(
        sources=fresh,
        stale=[name for name in judged if name not in fresh],
        merged={name: str(told.get("records_fingerprint")) for name, told in merged.items()},
        pairs=pairs,
        suites=suites.get("suites", {}),
        named=suites.get("named", []),
    )


def leakage(mixture: Mapping[str, Any], findings: Findings) -> str:
    """The section on evaluation items in the records."""
    head = ("source", "records taken", "looked for", "of these hold an item of", BY_REASON)
    gone = _left_out(mixture, LEAKS)
    rows: list[Row] = []
    for name, taken in _sources(findings, gone):
        told = findings.sources.get(name)
        suites = [] if told is None else told["suites"]
        holds = counted(findings.held[name].leaks) if name in findings.held else ""
        looked = "not judged" if told is None else ", ".join(suites) or "nothing"
        rows.append((f"`{name}`", taken, looked, holds or ("none" if suites else ""), counted(gone.get(name, {}))))
    named = {suite for told in findings.sources.values() for suite in told["suites"]}
    sets = [
        (f"`{name}`", int(suite["items"]), f"`{folder.fingerprint(files=suite['files'])}`")
        for name, suite in sorted(findings.suites.items())
        if name in named
    ]
    return "\n\n".join(
        [
            "## Leakage",
            *_judged(mixture, findings, "leaks"),
            *([table(head, rows)] if rows else []),
            *([table(("evaluation set", "items", "fingerprint of its files"), sets)] if sets else []),
            _together(gone, "as part of a benchmark or for holding its items"),
        ]
    )


def flagged(mixture: Mapping[str, Any], findings: Findings) -> str:
    """The section on records with flags."""
    gone = _left_out(mixture, FLAGS)
    head = ("source", "records taken", "of these have the flag", BY_REASON)
    rows: list[Row] = []
    for name, taken in _sources(findings, gone):
        has = counted(findings.held[name].flags) if name in findings.held else ""
        has = has or ("none" if name in findings.sources else "not judged")
        rows.append((f"`{name}`", taken, has, counted(gone.get(name, {}))))
    refused = mixture.get("recipe", {}).get("flags") or []
    asked = f"Its recipe refuses {', '.join(f'`{flag}`' for flag in refused)}." if refused else ""
    return "\n\n".join(
        [
            "## Flags",
            *_judged(mixture, findings, "flags"),
            *([table(head, rows)] if rows else []),
            " ".join([_together(gone, "for a flag"), *([asked] if asked else [])]),
        ]
    )


def duplicates(mixture: Mapping[str, Any], findings: Findings) -> str:
    """The section on records that repeat others."""
    gone = _left_out(mixture, DUPLICATES)
    head = ("source", "records taken", "of these repeat a request", "and its answer", BY_REASON)
    rows: list[Row] = []
    for name, taken in _sources(findings, gone):
        near = findings.held[name].near if name in findings.held else {}
        repeat = [f"{near[notion]:,}" if notion in near else "not judged" for notion in ("request", "row")]
        rows.append((f"`{name}`", taken, *repeat, counted(gone.get(name, {}))))
    pairs = findings.pairs.get("pairs", {})
    together = (
        "A record repeats another where it is a near-duplicate of one of this mixture that stands for it. The verified"
        f" pairs are those of {len(findings.pairs.get('sources', {})):,} sources that were compared with each other:"
        f" {int(pairs.get('request', 0)):,} of requests and {int(pairs.get('row', 0)):,} of rows, in all their records."
    )
    return "\n\n".join(
        [
            "## Duplicates",
            *_judged(mixture, findings, "near-duplicates"),
            *([table(head, rows)] if rows else []),
            *([together] if pairs else []),
            _together(gone, "for repeating others"),
        ]
    )


def _sources(findings: Findings, gone: Iterable[str]) -> list[tuple[str, int]]:
    """The sources that a table has a line for, with the records taken of each."""
    names = sorted({*findings.held, *findings.sources, *gone})
    return [(name, findings.held[name].taken if name in findings.held else 0) for name in names]


def _judged(mixture: Mapping[str, Any], findings: Findings, what: str) -> list[str]:
    """What was not judged, of which the figures say nothing."""
    sources = [str(one["source"]) for one in mixture.get("inputs", []) if "source" in one]
    missing = [name for name in sources if name not in findings.sources and name not in findings.stale]
    told = []
    if missing:
        told.append(f"Not judged, so that nothing is known of {what} in them: {_keys(missing)}.")
    if findings.stale:
        told.append(f"Judged as other records than this mixture has, which tells nothing: {_keys(findings.stale)}.")
    return ["\n".join(told)] if told else []


def _left_out(mixture: Mapping[str, Any], reasons: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """The records of each source that the mixture left out for a reason that begins so."""
    found: dict[str, Counter[str]] = {}
    for part in mixture.get("parts", []):
        told = {reason: rows for reason, rows in part.get("left_out", {}).items() if reason.startswith(reasons)}
        found.setdefault(str(part["source"]), Counter()).update(told)
    return {source: dict(told) for source, told in found.items() if told}


def _together(gone: Mapping[str, Mapping[str, int]], why: str) -> str:
    """What the policies left out of all sources."""
    left_out = sum((Counter(dict(told)) for told in gone.values()), Counter[str]())
    if not left_out:
        return f"This mixture leaves out no records {why}."
    told = ", ".join(f"{rows:,} as `{reason}`" for reason, rows in ranked(left_out))
    return f"This mixture leaves out {left_out.total():,} records {why}: {told}."


def _keys(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))
