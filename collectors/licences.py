"""The algebra of licences: what one row's licence and terms ask, what a set of rows asks, and what a policy lets in.

A row has a licence (an SPDX id, `unknown`, or a `LicenseRef-` name) and the terms of its source. Of a set of rows every
duty of any row holds, and each use is permitted as its most cautious row permits it: so sets can be joined in any order
and a larger set never asks less. Not legal advice; the rules are those of `collectors/spdx.py`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import AfterValidator

from collectors.errors import nearest
from collectors.spdx import DUTIES, LICENCES, NOT_TOLD, OWN, TERMS, UNKNOWN, UNREAD, UNTOLD, USES, Rule, Use

Key = tuple[str, tuple[str, ...]]
"""A licence and the terms beside it, those in alphabetical order."""

Licensed = Mapping[Key, Mapping[str, int]]
"""The rows of a set: by licence and terms, and of these by source."""

POLICIES: Final = {
    "any": "every row",
    "no-noncommercial": "rows whose commercial use is granted: `unknown` and `contested` grant nothing",
    "permissive": "rows under which every use is granted, with no duty but attribution",
}
"""The policies that have a name, and what they let in; any other is a list of licences and terms."""


def licence(name: str) -> str:
    """An SPDX id that has a rule, `unknown`, or a `LicenseRef-` name; `ValueError` for any other."""
    if name in LICENCES or (name.startswith(OWN) and name != OWN):
        return name
    raise ValueError(f"unknown licence; {_near(name, LICENCES)} (or {OWN}<name>, or {UNKNOWN})")


def term(name: str) -> str:
    """A word that `terms` may hold; `ValueError` for any other."""
    if name not in TERMS:
        raise ValueError(f"unknown term {name}; {nearest(name, TERMS)}")
    return name


def policy(asked: str | list[str]) -> str | list[str]:
    """A policy's name, or a list of licences and terms; `ValueError` for any other."""
    if isinstance(asked, str):
        if asked not in POLICIES:
            named = f"; did you mean [{asked}]?" if asked in LICENCES or asked in TERMS else ""
            raise ValueError(f"give {', '.join(POLICIES)}, or a list of licences and terms{named}")
        return asked
    for name in asked:
        if name not in TERMS:
            try:
                licence(name)
            except ValueError:
                raise ValueError(f"unknown licence or term {name}; {_near(name, LICENCES | TERMS)}") from None
    if not asked:
        raise ValueError("the list is empty, so it lets nothing in; name licences and terms, or give any")
    return asked


Licence = Annotated[str, AfterValidator(licence)]
Term = Annotated[str, AfterValidator(term)]
Policy = Annotated[str | list[str], AfterValidator(policy)]
"""The fields of nodes that hold a licence, a term or a policy."""


def key(license: str, source: Key | None) -> Key:
    """What holds for a row: its licence, and the terms of its source; `source` is what the catalog says of that.

    Where a row's licence is known and another than its source's, upstream states it for that row, so that the source's
    `parts-differ` says nothing more of it.
    """
    if source is None:
        return license, (UNTOLD,)
    own = license not in {source[0], UNKNOWN}
    return license, tuple(sorted({name for name in source[1] if not (own and name == "parts-differ")}))


def rules(license: str, terms: Iterable[str]) -> dict[str, Rule]:
    """The rule of a row's licence and of each of its terms, by name."""
    known = LICENCES.get(license, UNREAD)
    return {license: known} | {name: NOT_TOLD if name == UNTOLD else TERMS[name] for name in terms}


def forbidden(asked: str | list[str], license: str, terms: Iterable[str]) -> list[str]:
    """Why a policy keeps out rows of this licence and these terms, a clause each; empty when it lets them in."""
    found = rules(license, terms)
    if asked == "any":
        return []
    if isinstance(asked, list):
        entailed = {name for name in found if name in TERMS and _adds_nothing(found[name], found[license])}
        return [f"{name} is not in the list" for name in found if name not in asked and name not in entailed]
    barred = _noncommercial if asked == "no-noncommercial" else _unfree
    return [f"{name} ({rule.says})" for name, rule in found.items() if barred(rule)]


def _noncommercial(rule: Rule) -> bool:
    return rule.commercial >= Use.UNSTATED


def _unfree(rule: Rule) -> bool:
    """Whether anything but attribution is asked, or anything is not granted."""
    duties = rule.share_alike or rule.research_only or rule.model_output
    return duties or any(getattr(rule, use) > Use.GRANTED for use in USES)


def _adds_nothing(one: Rule, beside: Rule) -> bool:
    """Whether all that a term asks is asked by the licence as well, so that who accepts this accepts the term."""
    uses = all(getattr(one, use) <= getattr(beside, use) for use in USES)
    return uses and all(getattr(one, duty) <= getattr(beside, duty) for duty in DUTIES)


def broken(asked: str | list[str], rows: Licensed) -> list[str]:
    """What of a set a policy does not let in: a line for each source and licence, with the rows and the reasons."""
    lines = []
    for (license, terms), sources in rows.items():
        if reasons := forbidden(asked, license, terms):
            lines += [
                ((name, license, terms), f"{name}, {count:,} row{'s' * (count != 1)}: {', '.join(reasons)}")
                for name, count in sources.items()
                if count
            ]
    return [line for _, line in sorted(lines)]


@dataclass(frozen=True, kw_only=True)
class Obligations:
    """What a set of rows asks: `uses` and `duties` each with the rows, by source, that are the cause.

    Of a use these are the rows that permit it least, none where all of them grant it; of a duty those that it binds.
    """

    licences: dict[str, dict[str, int]]
    terms: dict[str, dict[str, int]]
    uses: dict[str, tuple[Use, dict[str, int]]]
    duties: dict[str, dict[str, int]]


def obligations(rows: Licensed) -> Obligations:
    """The licences and terms of a set, the strictest that they ask together, and the sources that are the cause."""
    licences: dict[str, Counter[str]] = {}
    terms: dict[str, Counter[str]] = {}
    uses = {use: (Use.GRANTED, Counter[str]()) for use in USES}
    duties = {duty: Counter[str]() for duty in DUTIES}
    for (license, named), sources in rows.items():
        if not any(sources.values()):
            continue
        licences.setdefault(license, Counter()).update(sources)
        for name in named:
            terms.setdefault(name, Counter()).update(sources)
        found = rules(license, named).values()
        for use in USES:
            least = max(getattr(rule, use) for rule in found)
            if least > uses[use][0]:
                uses[use] = least, Counter(sources)
            elif least == uses[use][0] > Use.GRANTED:
                uses[use][1].update(sources)
        for duty in DUTIES:
            if any(getattr(rule, duty) for rule in found):
                duties[duty].update(sources)
    return Obligations(
        licences=_sorted(licences),
        terms=_sorted(terms),
        uses={use: (answer, dict(sorted(cause.items()))) for use, (answer, cause) in uses.items()},
        duties={duty: dict(sorted(cause.items())) for duty, cause in duties.items() if cause},
    )


def _sorted(counts: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    return {name: dict(sorted(sources.items())) for name, sources in sorted(counts.items())}


def summary(rows: Licensed) -> dict[str, Any]:
    """A set's licences for its manifest, as JSON has it: `rows` is what it is made of, the rest what follows."""
    found = obligations(rows)
    parts = [
        {"licence": license, "terms": list(terms), "source": name, "rows": count}
        for (license, terms), sources in sorted(rows.items())
        for name, count in sorted(sources.items())
        if count
    ]
    return {
        "rows": parts,
        "licences": sorted(found.licences),
        "terms": sorted(found.terms),
        "uses": {use: {"answer": use_.name.lower(), "because": cause} for use, (use_, cause) in found.uses.items()},
        "duties": found.duties,
    }


def rows_of(told: Mapping[str, Any]) -> dict[Key, dict[str, int]]:
    """The rows that a `summary` was made of."""
    rows: dict[Key, dict[str, int]] = {}
    for part in told["rows"]:
        rows.setdefault((part["licence"], tuple(part["terms"])), {})[part["source"]] = part["rows"]
    return rows


def _near(name: str, known: Iterable[str]) -> str:
    """The near misses of a name; where there are none, what is asked for: there are too many names to list."""
    said = nearest(name, known)
    return said if said.startswith("did you mean") else "give an SPDX id of docs/licences.md"
