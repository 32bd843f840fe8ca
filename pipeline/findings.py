"""What judge found in the sources of a mixture, for its card: evaluation items that leaked in, and near-duplicates.

The figures are of all records of a source, as its verdicts have them; what of them a mixture left out stands in the
mixture's own books.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pipeline import folder
from pipeline.judge.verdict import PAIRS, SUITES
from pipeline.markdown import counted, ranked, table

LEAKS: Final = ("evaluation", "leak")
DUPLICATES: Final = ("duplicate", "near", "prompt")
"""How the reasons begin for which a mixture leaves out records of benchmarks, and records that repeat others."""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The manifests of judge that speak of a mixture's records: of its sources, of the pairs, of the suites."""

    sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Those of the very records the mixture is made of, by source."""
    stale: Sequence[str] = ()
    """Sources that were judged, but not these records of them."""
    pairs: Mapping[str, Any] = field(default_factory=dict)
    suites: Mapping[str, Any] = field(default_factory=dict)


def found(out: Path, mixture: Mapping[str, Any]) -> Findings:
    """What the data folder `out` knows of the sources of the mixture of this manifest."""
    verdicts = out / "verdicts"
    inputs = {str(one["source"]): one.get("fingerprint") for one in mixture.get("inputs", []) if "source" in one}
    judged = {name: told for name in inputs if (told := folder.manifest(verdicts / name))}
    fresh = {name: told for name, told in judged.items() if told.get("records_fingerprint") == inputs[name]}
    return Findings(
        sources=fresh,
        stale=[name for name in judged if name not in fresh],
        pairs=folder.manifest(verdicts / PAIRS) or {} if fresh else {},
        suites=(folder.manifest(verdicts / SUITES) or {}).get("suites", {}) if fresh else {},
    )


def leakage(mixture: Mapping[str, Any], findings: Findings) -> str:
    """The section on evaluation items in the records."""
    rows = [
        (
            f"`{name}`",
            int(told["records"]),
            ", ".join(told["suites"]) or "nothing",
            counted(told["leaks"]) or ("none" if told["suites"] else ""),
        )
        for name, told in sorted(findings.sources.items())
    ]
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
            *([table(("source", "records", "looked for", "records that hold an item of"), rows)] if rows else []),
            *([table(("evaluation set", "items", "fingerprint of its files"), sets)] if sets else []),
            _left_out(mixture, LEAKS, "as part of a benchmark or for holding its items"),
        ]
    )


def duplicates(mixture: Mapping[str, Any], findings: Findings) -> str:
    """The section on records that repeat others."""
    rows = [
        (f"`{name}`", int(told["records"]), int(told["clustered"]["request"]), int(told["clustered"]["row"]))
        for name, told in sorted(findings.sources.items())
    ]
    head = ("source", "records", "near-duplicate by request", "near-duplicate by request and answer")
    pairs = findings.pairs.get("pairs", {})
    together = (
        f"{len(findings.pairs.get('sources', {})):,} sources were compared with each other:"
        f" {int(pairs.get('request', 0)):,} pairs of near-duplicate requests and {int(pairs.get('row', 0)):,} of rows"
        " were verified."
    )
    return "\n\n".join(
        [
            "## Duplicates",
            *_judged(mixture, findings, "near-duplicates"),
            *([table(head, rows)] if rows else []),
            *([together] if pairs else []),
            _left_out(mixture, DUPLICATES, "for repeating others"),
        ]
    )


def _judged(mixture: Mapping[str, Any], findings: Findings, what: str) -> list[str]:
    """What the figures are of, and what was not judged."""
    sources = [str(one["source"]) for one in mixture.get("inputs", []) if "source" in one]
    missing = [name for name in sources if name not in findings.sources and name not in findings.stale]
    told = []
    if findings.sources:
        told.append("As judged over all records of each source, whether this mixture takes them or not.")
    if missing:
        told.append(f"Not judged, so that nothing is known of {what} in them: {_keys(missing)}.")
    if findings.stale:
        told.append(f"Judged as other records than this mixture has, which tells nothing: {_keys(findings.stale)}.")
    return ["\n".join(told)] if told else []


def _left_out(mixture: Mapping[str, Any], reasons: tuple[str, ...], why: str) -> str:
    left_out = {reason: rows for reason, rows in mixture.get("left_out", {}).items() if reason.startswith(reasons)}
    if not any(left_out.values()):
        return f"This mixture leaves out no records {why}."
    told = ", ".join(f"{rows:,} as `{reason}`" for reason, rows in ranked(left_out))
    return f"This mixture leaves out {sum(left_out.values()):,} records {why}: {told}."


def _keys(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))
