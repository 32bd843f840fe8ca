"""The whole answer to "why": what was asked for, found in the data folder, and all that is known of it."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from collectors.catalog import Catalog
from collectors.errors import ArtefactError, CatalogError, nearest
from pipeline.why.chosen import Asked, Built, mixtures
from pipeline.why.judgement import judgement
from pipeline.why.leaked import leaked
from pipeline.why.near import duplicates
from pipeline.why.places import Lineage, Place, Records
from pipeline.why.raw import RawRows
from pipeline.why.verdicts import Verdicts

Record = dict[str, Any]

FEW: Final = 10
"""Records, and duplicates of a kind, that are told of unless all are asked for."""

_ID: Final = re.compile(r"[0-9a-fA-F]{32}")


def why(catalog: Catalog, asked: str, out: Path, raw: Path | None = None, *, full: bool = False) -> Record:
    """All that is known of a record by its id, or of a raw row by SOURCE:SUBSET:ROW, ready for JSON.

    `records` are those that were asked for, each with its `lineage`, `raw` row, `record`, `verdict`, `duplicates`,
    `leaks` and `mixtures`; `more` counts those left out; `reject` is what became of a raw row without any. Where a part
    of it cannot be known, it is an object with `problem`. `raw` is a folder of `<source>/<raw files>`. Of many records
    and duplicates `FEW` are told of, unless `full`.

    Raises `CatalogError` for what is not there, `ArtefactError` when no records are built or cannot be read.
    """
    records = Records.of(catalog, out)
    rows = RawRows(out, raw)
    most = None if full else FEW
    if _ID.fullmatch(asked):
        places = records.by_id({asked.lower()}).get(asked.lower(), [])
        if not places:
            raise CatalogError(
                f"why {asked}: no record has this id; {records.count:,} records of {len(records.manifests)} sources "
                "were looked through"
            )
        return _answer(asked, catalog, records, rows, places, most)
    source, subset, row = _split(asked, records, catalog)
    places = records.by_row(source, subset, row)
    if places:
        return _answer(asked, catalog, records, rows, places, most)
    return {"asked": asked, "records": [], "more": 0, "reject": _reject(catalog, records, rows, source, subset, row)}


def _split(asked: str, records: Records, catalog: Catalog) -> tuple[str, str, int]:
    """Source, subset and row of SOURCE:SUBSET:ROW, of which there are the first two."""
    source, _, rest = asked.partition(":")
    subset, parted, row = rest.rpartition(":")
    if not parted or not (row.isascii() and row.isdecimal()) or len(row) > 18:
        raise CatalogError(
            f"why {asked}: is neither a record's id, 32 hexadecimal digits, nor SOURCE:SUBSET:ROW, such as "
            "belle:Belle_open_source_1M.json:17"
        )
    if source not in records.manifests:
        if source in catalog.sources:
            raise ArtefactError(f"why {asked}: {source} has no records; run make corpus SOURCES={source}")
        raise CatalogError(
            f"why {asked}: unknown source {source}; {nearest(source, {*catalog.sources, *records.manifests})}"
        )
    if not any(file["path"] == subset for file in records.manifests[source]["files"]):
        known = records.subsets(source)
        if subset not in known:
            near = nearest(subset, known)
            few = near if len(known) <= FEW or near.startswith("did") else f"it has {len(known):,} others"
            raise CatalogError(f"why {asked}: {source} has no file {subset}; {few}")
    return source, subset, int(row)


def _answer(
    asked: str, catalog: Catalog, records: Records, rows: RawRows, places: list[Place], most: int | None
) -> Record:
    known = Verdicts.of(records)
    built = mixtures(records, known)
    ids = records.read(places[:most], ["id"])["id"]
    same = records.by_id(set(ids))
    told = [
        _told(catalog, records, rows, known, built, place, same[ident], most)
        for place, ident in zip(places[:most], ids, strict=True)
    ]
    return {"asked": asked, "records": told, "more": len(places) - len(told), "reject": None}


def _told(
    catalog: Catalog,
    records: Records,
    rows: RawRows,
    known: Verdicts,
    built: list[Built],
    place: Place,
    same: list[Place],
    most: int | None,
) -> Record:
    record = records.read([place]).row(0, named=True)
    lineage = Lineage(record["source"], record["subset"], record["row"], record["part"])
    verdict, problem = None, {}
    try:
        verdict = known.at(place)
    except ArtefactError as error:
        problem = {"problem": str(error)}
    # While one thread reads, another loads what rules and texts are compared by.
    with ThreadPoolExecutor(2) as pool:
        raw = pool.submit(_raw, catalog, records, rows, lineage)
        judged = pool.submit(_judged, record, verdict, records.out, full=most is None) if verdict else None
        near = duplicates(place, record, verdict, same, known, most)
        near["problems"] = [text for source, text in known.problems.items() if source != place.source]
        asked = Asked(place, lineage, record, verdict, same)
        chosen = [one.decision(asked) for one in built]
        reasons, leaks = judged.result() if judged else (problem, problem)
    return {
        "lineage": lineage._asdict(),
        "raw": raw.result(),
        "record": record | {"extra": _parsed(record["extra"])},
        "verdict": reasons,
        "duplicates": near,
        "leaks": leaks,
        "mixtures": chosen,
    }


def _judged(record: Record, verdict: Record, out: Path, *, full: bool) -> tuple[Record, Any]:
    """The verdict with its reasons, and the leaks; an object with `problem` for these where their items are lost."""
    reasons = judgement(record, verdict, full=full)
    try:
        return reasons, leaked(record, verdict["leaks"], out)
    except ArtefactError as error:
        return reasons, {"problem": str(error)}


def _raw(catalog: Catalog, records: Records, rows: RawRows, lineage: Lineage) -> Record:
    book = records.manifests[lineage.source]
    found = rows.row(lineage.source, catalog.sources.get(lineage.source), book, lineage.subset, lineage.row)
    return {"file": str(found.file) if found.file else None, "text": found.text, "problem": found.note}


def _parsed(extra: str | None) -> Any:
    return None if extra is None else json.loads(extra)


def _reject(catalog: Catalog, records: Records, rows: RawRows, source: str, subset: str, row: int) -> Record:
    """Why a raw row gave no record, with the row; `CatalogError` when there is no such row."""
    raw = _raw(catalog, records, rows, Lineage(source, subset, row, 0))
    lineage = {"source": source, "subset": subset, "row": row}
    path = records.out / "records" / source / "rejects.jsonl"
    for found in _rejects(path, row):
        if found["file"] == subset:
            return {"lineage": lineage, "reason": found["reason"], "bytes": found["bytes"], "raw": raw}
    if raw["text"] is not None and not raw["text"].strip():
        return {"lineage": lineage, "reason": "a blank line, which is no row", "bytes": "", "raw": raw}
    book = records.manifests[source]
    said = f"{book['raw_rows']:,} raw rows of {source}"
    said = next((f"{file['rows']:,} raw rows of it" for file in book["files"] if file["path"] == subset), said)
    if book["limit"]:
        said += f", with a limit of {book['limit']:,} a file"
    raise CatalogError(
        f"why {source}:{subset}:{row}: no record and no reject is of row {row:,}; the records were made of {said}, "
        "counted from 0"
    )


def _rejects(path: Path, row: int) -> "list[Record]":
    """The rejected rows of this number, in whatever file."""
    mark = f'"row":{row},'.encode()
    try:
        with path.open("rb") as lines:
            found = [json.loads(line) for line in lines if mark in line]
    except (OSError, ValueError) as error:
        raise ArtefactError(f"{path}: cannot be read ({error}); delete {path.parent} and run make corpus") from None
    return [one for one in found if one["row"] == row]
