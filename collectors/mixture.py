"""A mixture: which records are taken, how often, and how they are worded. One node a key of the YAML."""

import json
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, model_validator

from collectors.licences import Policy
from collectors.nodes import Node
from collectors.where import Names, Where

Count = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Dedup = Literal["none", "exact", "prompt", "near"]
Leaks = Literal["keep", "drop"]

QUOTAS: Final = ("weight", "rows", "tokens", "characters")
"""The keys that say how much a part gives, of which it has one at most."""

UNITS: Final = ("rows", "tokens", "characters")
"""What a quota or a total is counted in."""

WORDED: Final = ("template", "suffix", "system", "few_shot", "input_inversion")
"""The keys of a part that say how its rows are worded."""

ITS_OWN: Final = frozenset({"where", "evaluation", "max_rows", "max_repeat", *WORDED})
"""The keys of a part that are for a source or for tags, not for another mixture."""


class Quota(Node):
    """How much a part of a mixture gives: everything, a share by `weight`, or so many `rows`, `tokens` or `characters`.

    Without a quota, every candidate is given once. Weights stand to each other as large as the scarcest part allows at
    `max_repeat` copies of a row, or as the mixture's `total` has it. `rows` are met exactly; `tokens` (by the mixture's
    `tokenizer`) and `characters`, both of the record's texts, without what a template adds, are never exceeded and
    missed by less than the next row, unless the part runs dry. At most `max_rows` records are candidates.
    """

    weight: Weight | None = None
    rows: Count | None = None
    tokens: Count | None = None
    characters: Count | None = None
    max_rows: Count | None = None
    max_repeat: Count = 1

    @model_validator(mode="after")
    def _one_quota(self) -> "Quota":
        given = [name for name in QUOTAS if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"has {' and '.join(given)}; give one of them")
        return self

    @property
    def asked(self) -> tuple[str, int] | None:
        """The unit and amount of a quota that is a number; None where there is none."""
        return next(((unit, getattr(self, unit)) for unit in UNITS if getattr(self, unit) is not None), None)


class Part(Quota):
    """One share of a mixture: a `source`, all sources that `tags` mean (names, globs, `lang=CN`), or another `mixture`.

    The sources of `tags` are those that no other part of the mixture names, benchmarks left out unless `evaluation` is
    set; a quota is drawn from all of them together.
    Another mixture, by its name or path, gives what it would by itself, in the proportions it has then where a quota
    cuts it; its own seed holds where it has one, and its holdout does not count. `evaluation` lets in the records of
    files that the catalog marks as part of a benchmark. Of a part that was written out, `within` names the group it
    belongs to, and `meant_by` the tags it was meant by, where no group has their name.

    How rows are worded: `template` and `suffix`; `system`, the system prompt of records that have none (a record's own
    stands, for its answer was given under it); `few_shot`, how many solved examples of the same part stand before a
    request; `input_inversion`, the share of rows in which request and answer change places, as the template has it.
    """

    source: str = ""
    tags: Names | None = None
    mixture: str | None = None
    where: Where = Where()
    evaluation: bool = False
    template: str = "plain"
    suffix: str | None = None
    system: Annotated[str, Field(min_length=1)] | None = None
    few_shot: Annotated[int, Field(ge=0, le=5)] = 0
    input_inversion: Annotated[float, Field(ge=0, le=1)] = 0
    seed: int | None = None
    within: str | None = None
    meant_by: str | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> "Part":
        given = [name for name in ("source", "tags", "mixture") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"has {' and '.join(given) or 'neither'}; give one of source, tags and mixture")
        own = sorted(self.model_fields_set & ITS_OWN)
        if self.mixture is not None and own:
            raise ValueError(f"{', '.join(own)}: is for the parts of mixture {self.mixture} to say; leave it out here")
        return self

    @property
    def name(self) -> str:
        """What a message calls it."""
        words = [self.tags] if isinstance(self.tags, str) else self.tags or []
        return self.source or self.mixture or " ".join(words)


class Temperature(Node):
    """Weights by size: `min(rows, cap) ** (1 / value)` for each part.

    So T5 mixes tasks by examples (Raffel et al. 2020, section 3.5.2; seqio's `mixing_rate_num_examples`), and FLAN.
    A value of a tenth gives parts by the tenth power of their sizes, which leaves the largest alone.
    """

    value: Annotated[float, Field(ge=0.1, allow_inf_nan=False)]
    cap: Count | None = None


def _plain(given: object) -> object:
    return {"value": given} if isinstance(given, int | float) and not isinstance(given, bool) else given


Warmth = Annotated[Temperature, BeforeValidator(_plain, json_schema_input_type=float | Temperature)]
"""The field of a node that holds a temperature: its value may stand for it."""


class Total(Node):
    """How large a mixture is, counted in one unit; parts that run dry are made up for by the others."""

    rows: Count | None = None
    tokens: Count | None = None
    characters: Count | None = None

    @model_validator(mode="after")
    def _one_unit(self) -> "Total":
        if sum(getattr(self, unit) is not None for unit in UNITS) != 1:
            raise ValueError(f"give one of {', '.join(UNITS)}")
        return self

    @property
    def asked(self) -> tuple[str, int]:
        """The unit and the amount."""
        return next((unit, getattr(self, unit)) for unit in UNITS if getattr(self, unit) is not None)


class Group(Quota):
    """Parts of one mixture that share a quota; what `tags` and nested mixtures become when a mixture is written out.

    A `pooled` group is drawn from as if its parts were one source. The parts of another stand to each other by their
    own quotas, `total` and `temperature`, and what they give so is cut to the group's quota.
    """

    pooled: bool = False
    total: Total | None = None
    temperature: Warmth | None = None
    within: str | None = None


class Holdout(Node):
    """How many of the rows taken are held out of training: a number of rows, or a share of them."""

    rows: Count | None = None
    share: Annotated[float, Field(gt=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "Holdout":
        if (self.rows is None) == (self.share is None):
            raise ValueError("give either rows or share")
        return self


class Mixture(Node):
    """What `make mix` builds: parts in order (of equal rows the earlier part's is kept), one seed, one holdout.

    `total` is its size and `temperature` its weights by size. `dedup` leaves out rows whose id (`exact`), request
    (`prompt`) or, nearly, whole text (`near`; the request with `notion: request`) an accepted row of an earlier part
    has. `leaks` drops rows that hold items of evaluation sets, all or some; `flags` names flags that are refused;
    `licence` is the policy that rows must meet. `tokenizer`, a folder or a model's id on the Hub, counts tokens.
    `groups` is for mixtures that are written out.
    """

    about: str
    parts: Annotated[list[Part], Field(min_length=1)]
    groups: dict[str, Group] | None = None
    total: Total | None = None
    temperature: Warmth | None = None
    dedup: Dedup = "exact"
    notion: Literal["request", "row"] = "row"
    leaks: Leaks | dict[str, Leaks] = "keep"
    flags: list[str] = []
    licence: Policy | None = None
    tokenizer: str | None = None
    seed: int = 0
    holdout: Holdout | None = None
    version: Literal[1] = 1

    @model_validator(mode="after")
    def _parts_once(self) -> "Mixture":
        named = [(part.name, part.where.model_dump_json(), part.within, part.meant_by) for part in self.parts]
        if twice := sorted({one[0] for one in named if named.count(one) > 1}):
            raise ValueError(f"{', '.join(twice)} stands in two parts; merge them")
        return self

    @model_validator(mode="after")
    def _groups_there(self) -> "Mixture":
        groups = self.groups or {}
        # A part may have the name of a group: a mixture that is called after its source.
        listed = [(part.name, part.within, list[str]()) for part in self.parts]
        listed += [(name, group.within, [name]) for name, group in groups.items()]
        for name, above, steps in listed:
            while above is not None:
                if above not in groups:
                    raise ValueError(f"{name} is within {above}, which is no group")
                if above in steps:
                    raise ValueError(f"groups lie within each other: {' within '.join([*steps, above])}")
                steps.append(above)
                above = groups[above].within
        return self

    @property
    def units(self) -> set[str]:
        """The units that quotas and totals are counted in."""
        groups = list((self.groups or {}).values())
        totals = [one.asked for one in [self.total, *(group.total for group in groups)] if one is not None]
        quotas = [one.asked for one in [*self.parts, *groups] if one.asked is not None]
        return {unit for unit, _ in [*totals, *quotas]}

    def measures(self, part: Part, unit: str) -> bool:
        """Whether the rows of one of its parts are counted in a unit, by itself or with others."""
        levels: list[Quota | Total | None] = [part, self.total]
        name = part.within
        while name is not None:
            group = (self.groups or {})[name]
            levels += [group, group.total]
            name = group.within
        return any(one is not None and one.asked is not None and one.asked[0] == unit for one in levels)

    @model_validator(mode="after")
    def _tokenizer_named(self) -> "Mixture":
        if "tokens" in self.units and self.tokenizer is None:
            raise ValueError("tokens are counted by a tokenizer; name one, tokenizer: a folder or a Hub id")
        return self

    @model_validator(mode="after")
    def _quotas_agree(self) -> "Mixture":
        groups = self.groups or {}
        levels: list[tuple[str | None, Mixture | Group]] = [(None, self)]
        levels += [(name, group) for name, group in groups.items() if not group.pooled]
        for name, level in levels:
            members: list[tuple[str, Quota]] = [(part.name, part) for part in self.parts if part.within == name]
            members += [(one, group) for one, group in groups.items() if group.within == name]
            _agree(members, level.total, level.temperature)
        return self


def _agree(members: list[tuple[str, Quota]], total: Total | None, temperature: Temperature | None) -> None:
    """Refuse quotas that contradict each other, among the parts of one mixture or group."""
    weighted = [name for name, one in members if one.weight is not None]
    free = [name for name, one in members if one.weight is None and one.asked is None]
    if temperature is not None and weighted:
        raise ValueError(f"{weighted[0]} has a weight, and temperature gives every part one by its size; leave one out")
    if total is None:
        return
    if weighted and free:
        raise ValueError(
            f"{free[0]} has no quota, {weighted[0]} has a weight: under a total, give all a weight or none"
        )
    unit, amount = total.asked
    fixed = [(name, *one.asked) for name, one in members if one.asked is not None]
    other = next((name for name, its, _ in fixed if its != unit), None)
    if other is not None:
        raise ValueError(f"{other} has its quota in another unit than the total, which counts {unit}; give it {unit}")
    if (wanted := sum(its for _, _, its in fixed)) > amount:
        raise ValueError(f"the parts' {unit} are {wanted:,} together, over the total of {amount:,}")


def schema() -> str:
    """The JSON schema of a mixture file, for editors that check YAML by it."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(head | Mixture.model_json_schema(), ensure_ascii=False, indent=1)
