"""The licences of a built mixture: counted over its rows, checked against its policy, and told on cards."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from collectors.catalog import Catalog
from collectors.errors import ArtefactError, CatalogError
from collectors.licences import Key, Licensed, broken, key, obligations, policy, rows_of, rules
from collectors.spdx import USES
from pipeline import shards
from pipeline.markdown import ranked, table

COLUMNS: Final = ["source", "license"]

DUTIES: Final = {
    "attribution": "attribution",
    "share_alike": "share-alike",
    "research_only": "research only",
    "model_output": "terms of the model that wrote it",
}
"""How a card names the duties; the last one binds beside every licence, and is kept apart from them."""

NOTE: Final = (
    "`unknown` means that upstream states no licence, or several that disagree, and is no permission. Terms are"
    " conditions of use that come beside a licence. This is a reading of what upstream states, not legal advice."
)


def stated(catalog: Catalog) -> dict[str, Key]:
    """What the catalog says of each source: its licence and terms."""
    return {name: (source.license, tuple(source.terms)) for name, source in catalog.sources.items()}


def licensed(manifest: Mapping[str, Any], place: Path, sources: Mapping[str, Key]) -> Licensed:
    """The rows of the mixture in the folder `place`: as its manifest has them, else as they are counted there.

    `sources` are those of the catalog; one that is not among them has terms that are not known. Raises `ArtefactError`
    when a shard cannot be read.
    """
    if "licences" in manifest:
        return rows_of(manifest["licences"])
    return with_terms(counted(shards.paths(place)), sources)


def with_terms(licences: Mapping[str, Mapping[str, int]], sources: Mapping[str, Key]) -> Licensed:
    """Rows by licence and source as the algebra has them, each licence with the terms of the source."""
    rows: dict[Key, dict[str, int]] = {}
    for license, counts in licences.items():
        for name, count in counts.items():
            rows.setdefault(key(license, sources.get(name)), {})[name] = count
    return rows


def counted(paths: Iterable[Path]) -> dict[str, dict[str, int]]:
    """The rows of each licence by source in these shards; a source may hold files, and rows, of several licences."""
    pairs: Counter[tuple[str, str]] = Counter()
    for path in paths:
        try:
            for batch in shards.batches(path, COLUMNS):
                plain = pa.table({name: batch[name].cast(pa.large_string()) for name in COLUMNS})
                found = plain.group_by(COLUMNS).aggregate([([], "count_all")])
                pairs.update({(row["license"], row["source"]): row["count_all"] for row in found.to_pylist()})
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            raise ArtefactError(
                f"{path}: is no whole shard of a mixture ({str(error).splitlines()[0]}); "
                f"run make mix MIX={path.parent.name} again"
            ) from None
    licences: dict[str, dict[str, int]] = {}
    for (license, source), rows in sorted(pairs.items()):
        licences.setdefault(license, {})[source] = rows
    return licences


def check(name: str, manifest: Mapping[str, Any], place: Path, sources: Mapping[str, Key]) -> None:
    """Hold a mixture to the licence policy that it declares, if it does: `CatalogError` names the parts that break it.

    `sources` are those of the catalog (see `stated`): what it says now counts beside what it said when the mixture was
    built.
    """
    asked = declared(name, manifest)
    if asked is None or asked == "any":
        return
    rows = licensed(manifest, place, sources)
    if lines := broken(asked, rows) or broken(asked, _restated(rows, sources)):
        raise CatalogError(
            f"mixture {name}: breaks the licence policy it declares, {worded(asked)}: {'; '.join(lines)}; leave these "
            "parts out or declare another policy, then run make mix again"
        )


def _restated(rows: Licensed, sources: Mapping[str, Key]) -> Licensed:
    """The same rows under the terms that the catalog states now, of the sources that it holds."""
    found: dict[Key, dict[str, int]] = {}
    for (license, terms), counts in rows.items():
        for name, count in counts.items():
            its = found.setdefault(key(license, sources[name]) if name in sources else (license, terms), {})
            its[name] = its.get(name, 0) + count
    return found


def declared(name: str, manifest: Mapping[str, Any]) -> str | list[str] | None:
    """The licence policy of a built mixture, None where it declares none; `CatalogError` for one that is not known."""
    if manifest.get("licence") is None:
        return None
    try:
        return policy(manifest["licence"])
    except ValueError as error:
        raise CatalogError(f"mixture {name}: licence: {error}") from None


def worded(asked: str | list[str]) -> str:
    """A policy in a line of text."""
    return asked if isinstance(asked, str) else f"[{', '.join(asked)}]"


def section(about: str, rows: Licensed, asked: str | list[str] | None = None) -> str:
    """The section of a card: the rows of each licence and source with their terms, and what they ask together.

    `about` says whose licences these are, `asked` is the policy that the mixture declares.
    """
    lines = [
        (license, f"`{name}`", count, "; ".join(terms))
        for license, sources in _by_licence(rows)
        for name, count, terms in sources
    ]
    kept = f" The mixture keeps to the licence policy `{worded(asked)}`." if asked is not None else ""
    return "\n\n".join(
        [
            "## Licences",
            f"{about} {NOTE}",
            table(("licence", "source", "rows", "terms"), lines),
            f"Together the rows permit what all of them permit, and ask what any of them asks.{kept}",
            "\n".join(f"- **{what}**: {answer}" for what, answer in _together(rows)),
        ]
    )


def _by_licence(rows: Licensed) -> list[tuple[str, list[tuple[str, int, tuple[str, ...]]]]]:
    """The sources of each licence with their rows and terms, the largest first."""
    found: dict[str, list[tuple[str, int, tuple[str, ...]]]] = {}
    for (license, terms), sources in rows.items():
        found.setdefault(license, []).extend((name, count, terms) for name, count in sources.items())
    largest = {license: sum(count for _, count, _ in sources) for license, sources in found.items()}
    return [
        (license, sorted(found[license], key=lambda one: (-one[1], one[0], one[2]))) for license, _ in ranked(largest)
    ]


def _together(rows: Licensed) -> list[tuple[str, str]]:
    """What a set permits and asks, each with the sources that are the cause."""
    found = obligations(rows)
    lines = []
    for use in USES:
        answer, because = found.uses[use]
        lines.append(("commercial use" if use == "commercial" else use, answer.told, _causes(rows, because, use)))
    lines += [
        (title, "asked", _causes(rows, found.duties[duty], duty))
        for duty, title in DUTIES.items()
        if duty in found.duties
    ]
    return [(what, f"{answer} by {causes}" if causes else answer) for what, answer, causes in lines]


def _causes(rows: Licensed, sources: Mapping[str, int], field: str) -> str:
    """Sources, the largest first, each with its licences and terms that have this field of a rule set highest."""
    words: dict[str, set[str]] = {name: set() for name in sources}
    for (license, terms), counts in rows.items():
        found = {word: getattr(rule, field) for word, rule in rules(license, terms).items()}
        for name in sources.keys() & counts.keys():
            words[name] |= {word for word, value in found.items() if value and value == max(found.values())}
    return ", ".join(f"`{name}` ({', '.join(sorted(words[name]))})" for name, _ in ranked(sources))
