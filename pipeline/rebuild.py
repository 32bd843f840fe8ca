"""How a mixture is built again: where its raw files came from, the commands in their order, and what must come out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline import folder, shards
from pipeline.collect import SAMPLES
from pipeline.findings import Findings
from pipeline.markdown import table


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where records came from: what `FROM` said, the places and number of raw files, and how many rows of each."""

    origin: str
    places: Sequence[str]
    files: int
    limit: int | None


def provenance(out: Path, mixture: Mapping[str, Any]) -> dict[str, Provenance]:
    """Where the records of a mixture's sources came from; those that were built anew since are left out."""
    told = {}
    for one in mixture.get("inputs", []):
        records = folder.manifest(out / "records" / str(one["source"])) if "source" in one else None
        if records is not None and records.get("fingerprint") == one.get("fingerprint"):
            told[str(one["source"])] = _provenance(records)
    return told


def _provenance(records: Mapping[str, Any]) -> Provenance:
    origins = records.get("origins") or []
    origin = "hub" if origins else "sample" if _is_sample(records) else "RAW"
    return Provenance(
        origin=origin,
        places=[_place(one) for one in origins],
        files=len(records.get("files", [])),
        limit=records.get("limit"),
    )


def _is_sample(records: Mapping[str, Any]) -> bool:
    """Whether the raw files are the samples that come with the program."""
    paths = [(SAMPLES / str(records.get("source")) / file["path"], file["sha256"]) for file in records.get("files", [])]
    return bool(paths) and all(path.is_file() and shards.digest(path) == digest for path, digest in paths)


def _place(origin: Mapping[str, Any]) -> str:
    """A place upstream at the revision that was fetched."""
    if "url" in origin:
        return str(origin["url"])
    kind = "hub" if "hub" in origin else "github"
    return f"{kind} {origin[kind]} at `{origin.get('commit') or origin.get('revision')}`"


def rebuilding(
    mixture: Mapping[str, Any], entries: Mapping[str, str], origins: Mapping[str, Provenance], findings: Findings
) -> str:
    """The section that tells how to build the mixture again.

    `entries` are the fingerprints of the catalog's entries, by source.
    """
    inputs = [one for one in mixture.get("inputs", []) if "source" in one]
    names = list(dict.fromkeys(str(one["source"]) for one in inputs))
    recipe = yaml.safe_dump(
        {mixture["mixture"]: mixture.get("recipe", {})}, sort_keys=False, allow_unicode=True, width=10_000
    )
    places = [
        (
            f"`{name}`",
            "; ".join(told.places) or told.origin,
            told.files,
            "" if told.limit is None else f"{told.limit:,}",
        )
        for name in names
        if (told := origins.get(name))
    ]
    prints = [
        ("this mixture", f"`{mixture['fingerprint']}`"),
        *([("the catalog's entries of its sources", f"`{folder.fingerprint(entries=entries)}`")] if entries else []),
        *((f"records of `{one['source']}`", f"`{one['fingerprint']}`") for one in inputs if "fingerprint" in one),
        *((f"verdicts on `{name}`", f"`{told['fingerprint']}`") for name, told in sorted(findings.sources.items())),
    ]
    return "\n\n".join(
        [
            "## Rebuild",
            _words(mixture, names, origins, findings),
            "```sh\n" + "\n".join(_commands(mixture, names, origins, findings)) + "\n```",
            *([table(("source", "raw files from", "files", "rows of each at most"), places)] if places else []),
            "The same raw files give the same fingerprints, and the same fingerprints the same bytes:",
            table(("of", "fingerprint"), prints),
            f"```yaml\n{recipe}```",
        ]
    )


def _words(
    mixture: Mapping[str, Any], names: Sequence[str], origins: Mapping[str, Provenance], findings: Findings
) -> str:
    told = ["In a checkout of Suri, with the recipe below under `mixtures:` of its catalog."]
    if any(one.origin == "RAW" for one in origins.values()):
        told.append("`RAW` is the folder that holds the raw files, `RAW/<source>/`.")
    suites = _suites(findings)
    if suites:
        told.append(
            f"`EVAL` is the folder that holds the evaluation sets: {', '.join(f'`EVAL/{s}/`' for s in suites)}."
        )
    unknown = [name for name in names if name not in origins]
    if unknown:
        named = ", ".join(f"`{name}`" for name in unknown)
        told.append(f"Not known any more is where the raw files of these came from, so upstream is named: {named}.")
    return "\n".join(told)


def _commands(
    mixture: Mapping[str, Any], names: Sequence[str], origins: Mapping[str, Provenance], findings: Findings
) -> list[str]:
    """The commands from raw files to the mixture, sources of one origin and limit together."""
    corpora: dict[tuple[str, int | None], list[str]] = {}
    for name in names:
        told = origins.get(name)
        corpora.setdefault((told.origin, told.limit) if told else ("hub", None), []).append(name)
    suites = " SUITES=EVAL" if _suites(findings) else " SUITES=none"
    return [
        *(
            f'make corpus SOURCES="{" ".join(group)}" FROM={origin}' + (f" LIMIT={limit}" if limit is not None else "")
            for (origin, limit), group in corpora.items()
        ),
        *([f'make judge SOURCES="{" ".join(findings.sources)}"{suites}'] if findings.sources else []),
        f"make mix MIX={mixture['mixture']}",
    ]


def _suites(findings: Findings) -> list[str]:
    return sorted({str(suite) for told in findings.sources.values() for suite in told["suites"]})
