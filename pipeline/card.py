"""The dataset card: what a published mixture is, told to the Hub (YAML front matter) and to a reader (Markdown)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from collectors.catalog import Catalog

Counts = Mapping[str, int]

SPLITS: Final = ("train", "holdout")

# fmt: off
HUB_LICENCES: Final = frozenset(
    {
        "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0",
        "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0",
        "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cdla-sharing-1.0", "cdla-permissive-1.0",
        "cdla-permissive-2.0", "c-uda", "odbl", "odc-by", "pddl", "gfdl", "apache-2.0", "mit", "bsd-2-clause",
        "bsd-3-clause", "mpl-2.0", "gpl-2.0", "gpl-3.0", "lgpl-2.1", "lgpl-3.0", "agpl-3.0", "unlicense",
        "wtfpl", "unknown",
    }
)
# fmt: on
"""Licence ids of https://huggingface.co/docs/hub/repositories-licenses that a set of texts may carry."""

HUB_NAMES: Final = {"odc-by-1.0": "odc-by", "odbl-1.0": "odbl", "pddl-1.0": "pddl"}
"""SPDX ids, in lower case, that the Hub knows by a name of its own."""

LANGUAGES: Final = {"EN": "en", "CN": "zh", "ML": "multilingual"}

TAGS: Final = {
    "lang": {"EN": "English", "CN": "Chinese", "ML": "more than one language"},
    "task": {"MT": "many tasks", "TS": "one task"},
    "gen": {
        "HG": "written by people",
        "SI": "written by a model",
        "MIX": "by people and models",
        "COL": "collected from other data sets",
    },
}
"""What the tags of the Alpaca-CoT collection say of a row: its language, its breadth, how it came about."""

COLUMNS: Final = {
    "messages": "the exchange as the mixture words it, with the roles `system`, `user` and `assistant`",
    "instruction": "the request of the last exchange",
    "input": "the input that goes with it; empty when there is none",
    "rationale": "the chain of thought; null where there is none",
    "rejected": "the worse answer of a preference pair; null where there is none",
    "lang": "language tag",
    "task": "task tag",
    "gen": "generation tag",
    "language": "the language upstream declares for the row (BCP 47); null where it declares none",
    "license": "SPDX id of the row's licence, or `unknown`",
    "template": "the wording `messages` was made with",
    "id": "hash of the record's content; equal records have equal ids",
    "source": "the source, by its key in the catalog",
    "subset": "the upstream file the row comes from",
    "row": "ordinal of the raw row in that file",
    "part": "ordinal of the record made from that raw row",
    "repeat": "ordinal of this copy, where a mixture repeats a record",
}


BENCHMARKS: Final = (
    "**Records of benchmarks are in this set: {}.** A model that is trained on them must not be scored on these"
    " benchmarks."
)
"""What a card says of records that are marked as evaluation."""


@dataclass(frozen=True, kw_only=True)
class Credit:
    """What a card says of a source: its title, one sentence about it, its homepage, and the terms of its use."""

    title: str
    about: str
    homepage: str
    terms: tuple[str, ...] = ()

    @classmethod
    def of(cls, catalog: Catalog) -> dict[str, "Credit"]:
        """The credits of every source of a catalog, by its key."""
        return {
            name: cls(title=source.title, about=source.about, homepage=source.homepage, terms=tuple(source.terms))
            for name, source in catalog.sources.items()
        }


def card(
    manifest: Mapping[str, Any],
    *,
    credits: Mapping[str, Credit],
    licences: Mapping[str, Counts],
    columns: Mapping[str, str],
) -> str:
    """The text of `README.md` for a mixture.

    `manifest` is the mixture's own; `credits` are by source, and one that is missing leaves only the source's key on
    the card; `licences` holds the rows of each licence by source; `columns` the type of each column published.
    """
    front = yaml.safe_dump(front_matter(manifest, licences), sort_keys=False, allow_unicode=True, width=10_000)
    sections = [
        f"---\n{front}---",
        _summary(manifest),
        _sources(manifest, credits),
        _tags(manifest),
        _licences(licences, credits),
        _ledger(manifest),
        _rebuild(manifest),
        "## Columns\n\n" + table(("column", "type", "what it holds"), _described(columns)),
    ]
    return "\n\n".join(sections) + "\n"


def front_matter(manifest: Mapping[str, Any], licences: Mapping[str, Counts]) -> dict[str, Any]:
    """The card's metadata in the Hub's vocabulary (hub-docs, datasetcard.md)."""
    codes = _languages(manifest.get("counts", {}))
    one = len(codes) == 1 and codes != ["multilingual"]
    files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in splits(manifest)]
    return {
        "pretty_name": manifest["mixture"],
        **hub_licence(licences),
        "language": codes,
        "multilinguality": ["monolingual" if one else "multilingual"],
        "size_categories": [_size(sum(_rows(manifest).values()))],
        "task_categories": ["text-generation"],
        "tags": ["instruction-tuning", "chat", "suri"],
        "configs": [{"config_name": "default", "data_files": files}],
    }


def splits(manifest: Mapping[str, Any]) -> list[str]:
    """The splits a mixture is published in: always `train`, and `holdout` when rows were held out."""
    return ["train", *(split for split in SPLITS[1:] if _rows(manifest).get(split))]


def hub_licence(licences: Iterable[str]) -> dict[str, str]:
    """The Hub's licence keys for a set of SPDX ids: one id it knows, else `other` with the particulars."""
    names = sorted(set(licences)) or ["unknown"]
    known = HUB_NAMES.get(names[0].lower(), re.sub(r"^(a?gpl|lgpl)(-.*)-(only|or-later)$", r"\1\2", names[0].lower()))
    if len(names) == 1 and known in HUB_LICENCES:
        return {"license": known}
    return {
        "license": "other",
        "license_name": "mixed" if len(names) > 1 else re.sub(r"[^a-z0-9.-]+", "-", names[0].lower()).strip("-"),
        "license_details": f"{', '.join(names)}; by source in the section Licences of this card",
    }


def table(head: Sequence[str], rows: Iterable[Sequence[str | int]]) -> str:
    """A Markdown table; whole numbers are set to the right, with thousands separators."""
    body = [list(row) for row in rows]
    right = [bool(body) and all(isinstance(row[place], int) for row in body) for place in range(len(head))]
    cells = [list(head), *([_cell(value) for value in row] for row in body)]
    widths = [max(3, *(len(row[place]) for row in cells)) for place in range(len(head))]

    def line(row: Sequence[str]) -> str:
        padded = (cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right, strict=True))
        return f"| {' | '.join(padded)} |"

    rule = ["-" * (width - 1) + ":" if r else "-" * width for width, r in zip(widths, right, strict=True)]
    return "\n".join([line(cells[0]), line(rule), *(line(row) for row in cells[1:])])


def _cell(value: str | int) -> str:
    return f"{value:,}" if isinstance(value, int) else " ".join(value.replace("|", "\\|").split())


def _rows(manifest: Mapping[str, Any]) -> Counts:
    rows: Counts = manifest["rows"]
    return rows


def _ranked(counts: Counts) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _share(rows: int, whole: int) -> str:
    return f"{100 * rows / whole:.1f} %" if whole else ""


def _size(rows: int) -> str:
    """The Hub's size category of a number of rows."""
    edges = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
    place = next((place for place in range(len(edges)) if rows < 10 ** (place + 3)), len(edges))
    if place == 0:
        return "n<1K"
    return f"{edges[place - 1]}<n<{edges[place]}" if place < len(edges) else "n>1T"


def _languages(counts: Mapping[str, Counts]) -> list[str]:
    """Language codes (ISO 639) of the rows: from the tags, and from what upstream declares where that is counted."""
    declared = {str(name).split("-")[0].lower() for name in counts.get("language", {})}
    tagged = {LANGUAGES[tag] for tag, rows in counts.get("lang", {}).items() if rows and tag in LANGUAGES}
    return sorted(tagged | {code for code in declared if re.fullmatch(r"[a-z]{2,3}", code)}) or ["multilingual"]


def _summary(manifest: Mapping[str, Any]) -> str:
    rows = _rows(manifest)
    sources = [name for name, count in manifest.get("counts", {}).get("source", {}).items() if count]
    about = str(manifest.get("recipe", {}).get("about") or "").strip()
    made = (
        f"{sum(rows.values()):,} rows of instruction data from {len(sources)} source{'s' * (len(sources) != 1)}, each"
        " tagged, licensed and traceable to the raw row it was made from."
    )
    return "\n\n".join(
        [
            f"# {manifest['mixture']}",
            *([about] if about else []),
            made,
            table(("split", "rows"), [(split, rows.get(split, 0)) for split in splits(manifest)]),
        ]
    )


def _sources(manifest: Mapping[str, Any], credits: Mapping[str, Credit]) -> str:
    counts: Counts = manifest.get("counts", {}).get("source", {})
    whole = sum(counts.values())
    lines = []
    for name, rows in _ranked(counts):
        credit = credits.get(name)
        title = f"[{credit.title}]({credit.homepage})" if credit else ""
        lines.append((f"`{name}`", rows, _share(rows, whole), title, credit.about if credit else ""))
    return "## Sources\n\n" + table(("source", "rows", "share", "title", "about"), lines)


def _tags(manifest: Mapping[str, Any]) -> str:
    lines: list[tuple[str, str, str, int]] = [
        (tag, f"`{value}`", meanings.get(value, ""), rows)
        for tag, meanings in TAGS.items()
        for value, rows in _ranked(manifest.get("counts", {}).get(tag, {}))
    ]
    return "## Tags\n\n" + table(("tag", "value", "meaning", "rows"), lines)


def _licences(licences: Mapping[str, Counts], credits: Mapping[str, Credit]) -> str:
    lines = []
    for licence, sources in sorted(licences.items(), key=lambda item: (-sum(item[1].values()), item[0])):
        for name, rows in _ranked(sources):
            terms = "; ".join(credits[name].terms) if name in credits else ""
            lines.append((licence, f"`{name}`", rows, terms))
    text = (
        "Each row carries its own licence in the column `license`; `unknown` means that upstream states none, and is"
        " no permission. Terms are conditions of use that come beside a licence."
    )
    return f"## Licences\n\n{text}\n\n" + table(("licence", "source", "rows", "terms"), lines)


def _ledger(manifest: Mapping[str, Any]) -> str:
    left_out: Counts = manifest.get("left_out", {})
    books: list[tuple[str, int]] = [
        ("candidates", manifest["candidates"]),
        *((f"left out: {reason}", rows) for reason, rows in _ranked(left_out)),
        ("taken", manifest["taken"]),
        ("rows written, repeats counted", sum(_rows(manifest).values())),
    ]
    parts = [
        (
            f"`{part['source']}`",
            f"`{part.get('template') or 'plain'}`",
            int(part["candidates"]),
            int(part["taken"]),
            int(part["rows"]),
            ", ".join(f"{reason} {rows:,}" for reason, rows in _ranked(part.get("left_out", {}))),
        )
        for part in manifest.get("parts", [])
    ]
    unused = manifest.get("unused_rationales", 0)
    tests = [
        f"{part['evaluation']:,} of `{part['source']}`" for part in manifest.get("parts", []) if part.get("evaluation")
    ]
    sections = [
        "## Ledger",
        "Every record of the sources is accounted for: candidates are the rows taken and the rows left out.",
        table(("", "records"), books),
        table(("part", "template", "candidates", "taken", "rows", "left out"), parts),
        *([BENCHMARKS.format(", ".join(tests))] if tests else []),
        *([f"{unused:,} rows hold a rationale that their template does not use."] if unused else []),
    ]
    return "\n\n".join(sections)


def _rebuild(manifest: Mapping[str, Any]) -> str:
    inputs = manifest.get("inputs", [])
    names = " ".join(dict.fromkeys(str(one["source"]) for one in inputs if "source" in one))
    named = {manifest["mixture"]: manifest.get("recipe", {})}
    recipe = yaml.safe_dump(named, sort_keys=False, allow_unicode=True, width=10_000)
    prints = [
        ("this mixture", f"`{manifest['fingerprint']}`"),
        *((f"records of `{one['source']}`", f"`{one['fingerprint']}`") for one in inputs if "fingerprint" in one),
    ]
    return "\n\n".join(
        [
            "## Rebuild",
            "In a checkout of Suri, with the recipe below under `mixtures:` of its catalog. `FROM` says where the raw"
            " files are: `hub`, a folder that holds them, or `sample` for the samples that come with the program.",
            f'```sh\nmake corpus SOURCES="{names}" FROM=hub\nmake mix MIX={manifest["mixture"]}\n```',
            "The same raw files give the same fingerprints, and the same fingerprints the same bytes:",
            table(("of", "fingerprint"), prints),
            f"```yaml\n{recipe}```",
        ]
    )


def _described(columns: Mapping[str, str]) -> list[tuple[str, str, str]]:
    return [(f"`{name}`", f"`{kind}`", COLUMNS.get(name, "")) for name, kind in columns.items()]
