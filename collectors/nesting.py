"""A mixture written out: tags become sources, and nested mixtures become groups of the parts they are made of."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from collectors import choice
from collectors.errors import CatalogError, nearest
from collectors.mixture import Group, Mixture, Part, Quota

Lookup = Callable[[str], Mixture]
"""Gives a mixture by its name or path; `CatalogError` when there is none."""

EVERYTHING: Final = Quota().model_dump()
"""The keys of a part that gives every candidate once."""

POLICIES: Final = ("dedup", "notion", "leaks", "flags", "licence", "tokenizer")
"""The keys that hold for all rows of a mixture, whatever part they come from."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What a mixture may name: the sources of the catalog with their tags, which are benchmarks, other mixtures."""

    sources: Mapping[str, choice.Tags]
    benchmarks: frozenset[str]
    find: Lookup


def written_out(name: str, mixture: Mixture, known: Known) -> Mixture:
    """The same mixture with a source in every part.

    Raises `CatalogError` for a source, tag or mixture that does not exist, for mixtures that hold each other, and for a
    nested mixture that declares another policy than the one it is nested in.
    """
    groups: dict[str, Group] = dict(mixture.groups or {})
    parts = list(_parts([name], mixture, None, groups, known))
    return mixture.model_copy(update={"parts": parts, "groups": groups or None})


def _parts(
    path: list[str], mixture: Mixture, within: str | None, groups: dict[str, Group], known: Known
) -> Iterator[Part]:
    """The parts of a mixture, which lies in the mixtures `path` and in the group `within`; new groups are added."""
    named = {part.source for part in mixture.parts}
    for part in mixture.parts:
        part = _inside(part, mixture, within) if len(path) > 1 else part
        if part.source:
            if part.source not in known.sources:
                raise CatalogError(f"{path[-1]}: unknown source {part.source}; {nearest(part.source, known.sources)}")
            yield part
        elif part.tags is not None:
            yield from _tagged(path[-1], part, named, groups, known)
        elif part.mixture is not None:
            if part.mixture in path:
                circle = " -> ".join([*path[path.index(part.mixture) :], part.mixture])
                raise CatalogError(f"{path[0]}: its mixtures hold each other, {circle}; take one of them out")
            inner = known.find(part.mixture)
            if inner.groups:
                raise CatalogError(f"{path[-1]}: {part.mixture} has groups, and such a mixture cannot be nested")
            _same_policies(path[0], mixture, part.mixture, inner)
            group = Group(**_quota(part), total=inner.total, temperature=inner.temperature, within=part.within)
            title = _new(part.mixture, groups)
            groups[title] = group
            yield from _parts([*path, part.mixture], inner, title, groups, known)


def _inside(part: Part, mixture: Mixture, within: str | None) -> Part:
    """A part of a nested mixture, with the seed of that where it has one of its own."""
    seeded = part.seed is None and "seed" in mixture.model_fields_set
    return part.model_copy(update={"within": within} | ({"seed": mixture.seed} if seeded else {}))


def _tagged(owner: str, part: Part, named: set[str], groups: dict[str, Group], known: Known) -> Iterator[Part]:
    """A part for each source that the tags of one mean; they are pooled where the part has a quota.

    Benchmarks are meant by their names alone, or where the part asks for them.
    """
    asked = [part.tags] if isinstance(part.tags, str) else part.tags or []
    try:
        meant = choice.chosen(asked, known.sources)
    except CatalogError as error:
        raise CatalogError(f"{owner}: tags {part.name}: {error}") from None
    barred = set() if part.evaluation else known.benchmarks - set(choice.words(asked))
    left = [source for source in meant if source not in named | barred]
    if not left:
        raise CatalogError(
            f"{owner}: tags {part.name}: every source they mean is a part by its name, or a benchmark; leave them out"
        )
    within, quota = part.within, _quota(part)
    if quota:
        within = _new(part.name, groups)
        groups[within] = Group(**quota, pooled=True, within=part.within)
    meant_by = None if quota else part.name
    plain = {"tags": None, "within": within, "meant_by": meant_by, **EVERYTHING}
    for source in left:
        yield part.model_copy(update={"source": source, **plain})


def _quota(part: Part) -> dict[str, Any]:
    """The keys of a part that say how much it gives, where they are set."""
    return {name: getattr(part, name) for name in Quota.model_fields if getattr(part, name) != EVERYTHING[name]}


def _new(name: str, groups: Mapping[str, Group]) -> str:
    """A name that no group has."""
    names = (name if number == 1 else f"{name} ({number})" for number in range(1, len(groups) + 2))
    return next(one for one in names if one not in groups)


def _same_policies(name: str, outer: Mixture, inner_name: str, inner: Mixture) -> None:
    """Refuse to loosen in silence what a nested mixture asks of its rows."""
    for key in POLICIES:
        said, kept = getattr(inner, key), getattr(outer, key)
        if key in inner.model_fields_set and said != kept:
            raise CatalogError(
                f"{name}: {inner_name} declares {key}: {said}, and {name} has {kept}; declare it there too"
            )
