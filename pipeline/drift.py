"""Drift: where a full build of upstream's files is no longer what the catalog says."""

from collections.abc import Mapping
from typing import Any

from collectors.catalog import Source
from collectors.rows import MISSING


def drift(source: Source, manifest: Mapping[str, Any]) -> list[str]:
    """What of `manifest`, the books of a source's records, is not as the catalog expects; each in one line.

    Raw rows count by the entry's `rows` and `tolerance`, for a converted copy also by `ancestor_rows`, whichever is
    nearer; columns by the rows that lack a field, by the same tolerance; files by the `sha256` of the origins. A build
    that was limited to some rows shows its files only.
    """
    name, found = manifest["source"], [*_hashes(source, manifest)]
    converted = any(origin["converted"] for origin in manifest.get("origins", []))
    known = [one for one in (source.rows, source.ancestor_rows if converted else None) if one is not None]
    if not known or manifest["limit"] is not None:
        return [f"{name}: {line}" for line in found]
    rows = manifest["raw_rows"]
    expected = min(known, key=lambda one: abs(one - rows))
    allowed = expected * source.tolerance
    if abs(rows - expected) > allowed:
        within = f" within {source.tolerance:.0%}" if source.tolerance else ""
        found.append(f"{rows:,} raw rows, the catalog expects {expected:,}{within}")
    if (lacking := manifest["rejected"].get(MISSING, 0)) > allowed:
        found.append(f"{lacking:,} of {rows:,} raw rows lack a field that the catalog names")
    return [f"{name}: {line}" for line in found]


def _hashes(source: Source, manifest: Mapping[str, Any]) -> list[str]:
    expected = {path: sha256 for origin in source.origins for path, sha256 in origin.sha256.items()}
    return [
        f"{file['path']} has the sha256 {file['sha256']}, the catalog expects {expected[file['path']]}"
        for file in manifest["files"]
        if expected.get(file["path"], file["sha256"]) != file["sha256"]
    ]
