"""drift: what of a build is not as the catalog says, from the books alone."""

from typing import Any

import pytest

from collectors.catalog import Source
from pipeline.drift import drift

FOUND, OTHER = "a" * 64, "b" * 64


def source(**changes: Any) -> Source:
    entry = {
        "title": "T",
        "about": "a",
        "homepage": "https://example.org/t",
        "origins": [{"hub": "a/b", "paths": ["rows.json"]}],
        "files": ["*.json"],
        "lang": "EN",
        "task": "MT",
        "gen": "HG",
        "license": "MIT",
        "columns": {"instruction": "i", "output": "o"},
    }
    return Source.model_validate({**entry, **changes})


def books(**changes: Any) -> dict[str, Any]:
    """The manifest of 1,000 rows from one file."""
    files = [{"path": "rows.json", "sha256": FOUND, "rows": 1000}]
    origins = [{"hub": "a/b", "revision": "main", "commit": None, "converted": False}]
    whole = {"source": "s", "raw_rows": 1000, "rejected": {}, "files": files, "origins": origins, "limit": None}
    return {**whole, **changes}


CASES = [
    (source(), books(), None),
    (source(rows=1000), books(), None),
    (source(rows=991), books(), None),
    (source(rows=990), books(), "s: 1,000 raw rows, the catalog expects 990 within 1%"),
    (source(rows=1011), books(), "s: 1,000 raw rows, the catalog expects 1,011 within 1%"),
    (source(rows=1001, tolerance=0), books(), "s: 1,000 raw rows, the catalog expects 1,001"),
    (source(rows=2000, tolerance=0.5), books(), None),
    (source(rows=990), books(limit=1000), None),
    (source(rows=1000), books(rejected={"missing field": 10, "empty output": 500}), None),
    (
        source(rows=1000),
        books(rejected={"missing field": 11}),
        "s: 11 of 1,000 raw rows lack a field that the catalog names",
    ),
    (source(rows=5, ancestor_rows=1000), books(origins=[{"hub": "c/d", "converted": True}]), None),
    (source(rows=1000), books(origins=[{"hub": "c/d", "converted": True}]), None),
    (source(rows=1000, ancestor_rows=5), books(origins=[{"hub": "c/d", "converted": True}]), None),
    (
        source(rows=900, ancestor_rows=500),
        books(origins=[{"hub": "c/d", "converted": True}]),
        "s: 1,000 raw rows, the catalog expects 900 within 1%",
    ),
    (source(origins=[{"hub": "a/b", "paths": ["rows.json"], "sha256": {"rows.json": FOUND}}]), books(), None),
    (
        source(origins=[{"hub": "a/b", "paths": ["rows.json"], "sha256": {"rows.json": OTHER}}]),
        books(limit=5),
        f"s: rows.json has the sha256 {FOUND}, the catalog expects {OTHER}",
    ),
]


@pytest.mark.parametrize(("entry", "manifest", "said"), CASES)
def test_drift(entry: Source, manifest: dict[str, Any], said: str | None) -> None:
    assert drift(entry, manifest) == ([] if said is None else [said])
