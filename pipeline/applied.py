"""Which policies of a mixture can be applied to which of its parts: what verdicts there are, and what they tell."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from collectors.catalog import Catalog, Source
from collectors.errors import ArtefactError, CatalogError, nearest
from collectors.licences import Key
from collectors.mixture import Mixture, Part
from pipeline import folder
from pipeline.candidates import Asked
from pipeline.judge.read import judged
from pipeline.judge.verdict import PAIRS

Manifest = dict[str, Any]


class Gap(NamedTuple):
    """A policy that could not be applied to a source, and why."""

    policy: str
    source: str
    because: str


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What is asked of the records of each part, the folder of near-duplicates, what of policies could not be applied.

    `verdicts` are the fingerprints of the verdicts that are used, by source; `pairs` is None where no near-duplicates
    are asked for or none are known.
    """

    asked: list[Asked]
    pairs: Path | None
    gaps: list[Gap]
    verdicts: dict[str, str]

    def told(self) -> list[dict[str, Any]]:
        """The gaps for a manifest: policies of the same sources and reason together."""
        sources: dict[tuple[str, str], list[str]] = {}
        for gap in dict.fromkeys(self.gaps):
            sources.setdefault((gap.policy, gap.because), []).append(gap.source)
        policies: dict[tuple[tuple[str, ...], str], list[str]] = {}
        for (policy, because), named in sources.items():
            policies.setdefault((tuple(named), because), []).append(policy)
        return [
            {"policies": asked, "sources": list(named), "because": because}
            for (named, because), asked in policies.items()
        ]


def line(told: Iterable[Mapping[str, Any]]) -> str:
    """Gaps, as `Applied.told` has them, in a line of text."""
    gaps = [f"{', '.join(one['policies'])} ({', '.join(one['sources'])}: {one['because']})" for one in told]
    return f"could not apply {'; '.join(gaps)}; run make judge"


def applied(name: str, mixture: Mixture, catalog: Catalog, out: Path, *, characters: bool) -> Applied:
    """What can be asked of the records of a mixture that is written out, whose sources are built in `out`.

    Raises `CatalogError` for flags and evaluation sets that do not exist.
    """
    books = {part.source: _books(out, part.source) for part in mixture.parts}
    _check_names(name, mixture, catalog, books)
    pairs = folder.manifest(out / "verdicts" / PAIRS)
    near = _near(mixture)
    asked, gaps, used = [], list[Gap](), dict[str, str]()
    for part in mixture.parts:
        wanted, book = _wanted(mixture, part), books[part.source]
        source = catalog.sources[part.source]
        suites: tuple[str, ...] = ()
        if isinstance(book, str):
            gaps += [Gap(policy, part.source, book) for policy in wanted]
        elif wanted:
            used[part.source] = str(book["fingerprint"])
            if near and part.source not in (pairs or {}).get("sources", {}):
                gaps.append(Gap(near, part.source, "near-duplicates not looked for"))
            suites = _suites(mixture, part.source, book["suites"], gaps)
        asked.append(
            Asked(
                where=part.where,
                marks=source.marked,
                judged=None if isinstance(book, str) or not wanted else (out, part.source),
                licence=_licence(mixture, source),
                flags=tuple(mixture.flags),
                suites=suites,
                prompts=mixture.dedup == "prompt",
                notion=mixture.notion if near else None,
                characters=characters,
            )
        )
    known = out / "verdicts" / PAIRS if pairs is not None and near and used else None
    return Applied(asked=asked, pairs=known, gaps=gaps, verdicts=used)


def _books(out: Path, source: str) -> Manifest | str:
    """The manifest of a source's verdicts, or why there are none of these records."""
    try:
        return judged(out, source) or "not judged"
    except ArtefactError:
        return "judged as other records"


def _licence(mixture: Mixture, source: Source) -> tuple[str | list[str], Key] | None:
    if mixture.licence is None or mixture.licence == "any":
        return None
    return mixture.licence, (source.license, tuple(source.terms))


def _near(mixture: Mixture) -> str | None:
    """The policy that near-duplicates are wanted for."""
    if mixture.dedup == "near":
        return "dedup near"
    return "holdout by near-duplicates" if mixture.holdout is not None else None


def _wanted(mixture: Mixture, part: Part) -> list[str]:
    """The policies that need the verdicts on a part's records."""
    wanted = [f"where {name}" for name in part.where.verdicts]
    wanted += [f"dedup {mixture.dedup}"] if mixture.dedup == "prompt" else []
    wanted += ["leaks"] if mixture.leaks != "keep" else []
    wanted += ["flags"] if mixture.flags else []
    near = _near(mixture)
    return [*wanted, *([near] if near else [])]


def _suites(mixture: Mixture, source: str, looked: list[str], gaps: list[Gap]) -> tuple[str, ...]:
    """The evaluation sets whose items are dropped from a source, for which these were `looked`; adds to the gaps."""
    if mixture.leaks == "keep":
        return ()
    if mixture.leaks == "drop":
        if not looked:
            gaps.append(Gap("leaks", source, "no evaluation set was looked for"))
        return tuple(sorted(looked))
    dropped = sorted(suite for suite, what in mixture.leaks.items() if what == "drop")
    gaps += [Gap(f"leaks of {suite}", source, "not looked for") for suite in dropped if suite not in looked]
    return tuple(suite for suite in dropped if suite in looked)


def _check_names(name: str, mixture: Mixture, catalog: Catalog, books: Mapping[str, Manifest | str]) -> None:
    """Refuse flags and evaluation sets that there are not."""
    listed = [part.where.names() for part in mixture.parts]
    flags = {*mixture.flags, *(flag for names in listed for flag in names.get("flags", []))}
    if flags:
        from pipeline.judge.flags import RULES  # loads all rules, which few mixtures want

        if unknown := sorted(flags - RULES.keys()):
            raise CatalogError(f"mixture {name}: unknown flag {unknown[0]}; {nearest(unknown[0], RULES)}")
    suites = {suite for names in listed for suite in names.get("leaks", [])}
    suites |= set(mixture.leaks) if isinstance(mixture.leaks, dict) else set()
    known = {
        *catalog.suites,
        *(suite for book in books.values() if not isinstance(book, str) for suite in book["suites"]),
    }
    if unknown := sorted(suites - known):
        raise CatalogError(f"mixture {name}: unknown evaluation set {unknown[0]}; {nearest(unknown[0], known)}")
