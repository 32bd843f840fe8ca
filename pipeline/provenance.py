"""Where the records of a mixture came from: the samples, upstream's places at their revisions, or a folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import folder, shards
from pipeline.collect import SAMPLES
from pipeline.findings import Findings


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where records came from: what `--from` said, the places and number of raw files, how many rows of each, what
    the records are known by.
    """

    origin: str
    places: Sequence[str]
    files: int
    limit: int | None
    fingerprint: str


def provenance(out: Path, mixture: Mapping[str, Any], findings: Findings) -> dict[str, Provenance]:
    """Where the records came from that a mixture was made of, and that its verdicts were made with.

    Those that were built anew since are left out.
    """
    inputs = {str(one["source"]): one.get("fingerprint") for one in mixture.get("inputs", []) if "source" in one}
    told = {}
    for name, mark in (dict(findings.merged) | inputs).items():
        records = folder.manifest(out / "records" / name)
        if records is not None and records.get("fingerprint") == mark:
            told[name] = _provenance(records)
    return told


def _provenance(records: Mapping[str, Any]) -> Provenance:
    origins = records.get("origins") or []
    origin = "hub" if origins else "sample" if _is_sample(records) else "RAW"
    return Provenance(
        origin=origin,
        places=[_place(one) for one in origins],
        files=len(records.get("files", [])),
        limit=records.get("limit"),
        fingerprint=str(records["fingerprint"]),
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
