"""The dataset card: what a published mixture is, told to the Hub (YAML front matter) and to a reader (Markdown)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from collectors.catalog import Catalog, Source
from collectors.citation import bibtex
from collectors.licences import Key
from collectors.spdx import UNKNOWN
from pipeline.findings import Findings, duplicates, flagged, leakage
from pipeline.folder import fingerprint
from pipeline.front_matter import front_matter, splits
from pipeline.ledger import ledger
from pipeline.licences import declared, section, with_terms
from pipeline.markdown import ranked, table
from pipeline.provenance import Provenance
from pipeline.rebuild import rebuilding

Counts = Mapping[str, int]

FIGURE: Final = "figures/composition.png"
"""The picture of the composition, by its path beside the card."""

DRAWN: Final = {
    "lang": "Rows by language",
    "task": "Rows by task",
    "gen": "Rows by generation",
    "license": "Rows by licence",
}
"""The counts that the picture shows beside those of the sources, with their titles."""

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
    "conversations": "the exchange as the mixture words it, from `system`, `human` and `gpt`",
    "prompt": "the exchange as the mixture words it, without its last answer",
    "completion": "the last answer",
    "instruction": "the request of the last exchange",
    "input": "the input that goes with it; empty when there is none",
    "output": "the last answer",
    "system": "the system prompt; empty when there is none",
    "history": "the exchanges before the last one, request and answer of each",
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


@dataclass(frozen=True, kw_only=True)
class Credit:
    """What a card says of a source: its title, one sentence about it, its homepage, its licence and terms of use.

    `citation` is its BibTeX entry, `entry` the fingerprint of what the catalog says of it.
    """

    title: str
    about: str
    homepage: str
    license: str = UNKNOWN
    terms: tuple[str, ...] = ()
    citation: str = ""
    entry: str = ""

    @classmethod
    def of(cls, catalog: Catalog) -> dict[str, "Credit"]:
        """The credits of every source of a catalog, by its key."""
        return {name: cls._of(name, source) for name, source in catalog.sources.items()}

    @classmethod
    def _of(cls, name: str, source: Source) -> "Credit":
        return cls(
            title=source.title,
            about=source.about,
            homepage=source.homepage,
            license=source.license,
            terms=tuple(source.terms),
            citation=bibtex(name, source.citation, source.title, source.homepage),
            entry=fingerprint(entry=source.model_dump(mode="json")),
        )

    @property
    def stated(self) -> Key:
        """Its licence and terms, as the algebra has them."""
        return self.license, self.terms


def card(
    manifest: Mapping[str, Any],
    *,
    credits: Mapping[str, Credit],
    licences: Mapping[str, Counts],
    columns: Mapping[str, str],
    form: str | None = None,
    findings: Findings | None = None,
    origins: Mapping[str, Provenance] | None = None,
) -> str:
    """The text of `README.md` for a mixture.

    `manifest` is the mixture's own; `credits` are by source, and one that is missing leaves only the source's key on
    the card; `licences` holds the rows of each licence by source; `columns` the type of each column published, those of
    the format `form` of `export` where they are not all of the mixture's. `findings` are judge's and `origins` tell
    where the raw files came from; without them the card says they are not known.
    """
    judged = findings or Findings()
    entries = {name: credit.entry for name, credit in credits.items() if credit.entry}
    front = yaml.safe_dump(front_matter(manifest, licences), sort_keys=False, allow_unicode=True, width=10_000)
    sections = [
        f"---\n{front}---",
        _summary(manifest),
        _sources(manifest, credits),
        _tags(manifest),
        _licences(manifest, licences, credits, "license" in columns),
        leakage(manifest, judged),
        flagged(manifest, judged),
        duplicates(manifest, judged),
        ledger(manifest),
        rebuilding(manifest, entries, origins or {}, judged),
        _columns(columns, form),
        _citation(manifest, credits),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _rows(manifest: Mapping[str, Any]) -> Counts:
    rows: Counts = manifest["rows"]
    return rows


def _share(rows: int, whole: int) -> str:
    return f"{100 * rows / whole:.1f} %" if whole else ""


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
    for name, rows in ranked(counts):
        credit = credits.get(name)
        title = f"[{credit.title}]({credit.homepage})" if credit else ""
        lines.append((f"`{name}`", rows, _share(rows, whole), title, credit.about if credit else ""))
    largest = ", ".join(f"{name} {_share(rows, whole)}" for name, rows in ranked(counts)[:3])
    figure = f"![Rows by source, language, task, generation and licence; the largest sources: {largest}]({FIGURE})"
    return f"## Composition\n\n{figure}\n\n" + table(("source", "rows", "share", "title", "about"), lines)


def _tags(manifest: Mapping[str, Any]) -> str:
    lines: list[tuple[str, str, str, int]] = [
        (tag, f"`{value}`", meanings.get(value, ""), rows)
        for tag, meanings in TAGS.items()
        for value, rows in ranked(manifest.get("counts", {}).get(tag, {}))
    ]
    return "## Tags\n\n" + table(("tag", "value", "meaning", "rows"), lines)


def _licences(
    manifest: Mapping[str, Any], licences: Mapping[str, Counts], credits: Mapping[str, Credit], told: bool
) -> str:
    """What the rows are under; it is `told` of each row where there is a column for it."""
    rows = with_terms(licences, {name: credit.stated for name, credit in credits.items()})
    about = "Each row carries its own licence in the column `license`." if told else "No column tells a row's licence."
    return section(about, rows, declared(manifest["mixture"], manifest))


def _citation(manifest: Mapping[str, Any], credits: Mapping[str, Credit]) -> str:
    """What to cite: an entry a source that gives rows."""
    given: Counts = manifest.get("counts", {}).get("source", {})
    entries = [credits[name].citation for name, rows in ranked(given) if rows and name in credits]
    text = "Whoever uses this set uses the work of its sources; cite those that matter to what you did."
    told = [entry for entry in entries if entry]
    return "\n\n".join(["## Citation", text, "```bibtex\n" + "\n\n".join(told) + "\n```"]) if told else ""


def _columns(columns: Mapping[str, str], form: str | None) -> str:
    lines = [(f"`{name}`", f"`{kind}`", COLUMNS.get(name, "")) for name, kind in columns.items()]
    laid = [f"Rows are laid out as `--format {form}` has them: tags, lineage and licence of each are left out."]
    return "\n\n".join(["## Columns", *(laid if form else []), table(("column", "type", "what it holds"), lines)])
