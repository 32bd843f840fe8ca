"""catalog.yaml: every source (where it is, how its files read, its tags and licence), mixture and evaluation set."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from collectors import choice
from collectors.choice import Gen, Lang, Task
from collectors.citation import Citation
from collectors.errors import CatalogError, nearest
from collectors.licences import Licence, Term
from collectors.mixture import Mixture
from collectors.nesting import Known, written_out
from collectors.nodes import Node, parsed, read_yaml
from collectors.origin import Origin, choices
from collectors.suites import Suite

Format = Literal["json", "csv", "tsv", "parquet", "text"]
Encoding = Literal["utf-8", "gb18030"]
Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Names = str | list[str]


class Columns(Node):
    """A mapping from native fields to the record; of several native names the first that is present counts."""

    instruction: Names
    output: Names
    input: Names = []
    rationale: Names = []
    system: Names = []
    rejected: Names = []
    extra: list[str] = []


class Files(Node):
    """Raw files that one glob names (as `Path.glob` reads it), and where they differ from their source.

    `rows` is the key of the list that holds the rows, in a file that is one JSON object. `evaluation` marks them as
    part of a benchmark, where the source as a whole is not: a mixture leaves their records out unless its part asks.
    """

    glob: str
    lang: Lang | None = None
    task: Task | None = None
    gen: Gen | None = None
    format: Format | None = None
    encoding: Encoding | None = None
    rows: str | None = None
    evaluation: bool = False
    columns: Columns | None = None
    collector: str | None = None


class Source(Node):
    """One instruction source; the mapping is `columns`, or `collector`, a shape by its name in `collectors/shapes.py`.

    `rows` are upstream's raw rows, `ancestor_rows` what Alpaca-CoT's table says, `tolerance` the share by which a full
    build may differ from `rows`. `verified` is false where origin, layout or licence could not be confirmed.
    `evaluation` marks test and development splits of benchmarks, which a mixture leaves out unless it names them.
    `citation` is what a card cites; it makes no other records, so no dump holds it.
    """

    title: str
    about: str
    homepage: Annotated[str, Field(pattern=r"^https://\S+$")]
    citation: Annotated[Citation | None, Field(exclude=True)] = None
    origins: list[Origin]
    files: Annotated[list[Files], Field(min_length=1)]
    format: Format = "json"
    encoding: Encoding = "utf-8"
    lang: Lang
    task: Task
    gen: Gen
    license: Licence
    terms: list[Term] = []
    rows: int | None = None
    ancestor_rows: int | None = None
    tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.01
    verified: bool = True
    evaluation: bool = False
    columns: Columns | None = None
    collector: str | None = None
    template: str = "plain"

    @property
    def tags(self) -> dict[str, frozenset[str]]:
        """What a tag filter asks for, by its key: the source's own values and those of files that differ."""
        shared = {"license": frozenset([self.license]), "terms": frozenset(self.terms)}
        own = {key: {getattr(one, key) or getattr(self, key) for one in self.files} for key in ("lang", "task", "gen")}
        return {key: frozenset(values) for key, values in own.items()} | shared

    @property
    def marked(self) -> list[tuple[str, bool]]:
        """The globs of its files, each with whether it marks them as evaluation; empty when none does."""
        globs = [(one.glob, one.evaluation) for one in self.files]
        return globs if any(mark for _, mark in globs) else []

    @property
    def alternatives(self) -> list[list[Origin]]:
        """The origins by choice, the best first; those of one choice complement each other (see `Origin`)."""
        return choices(self.origins)

    @field_validator("files", mode="before")
    @classmethod
    def _globs(cls, files: object) -> object:
        return [{"glob": one} if isinstance(one, str) else one for one in files] if isinstance(files, list) else files

    @model_validator(mode="after")
    def _places_differ(self) -> "Source":
        for taken in self.alternatives:
            paths = [origin.laid(path) for origin in taken for path in origin.paths]
            if twice := sorted({path for path in paths if paths.count(path) > 1}):
                raise ValueError(f"origins: {twice[0]} comes from two of them; give one an `into`")
        return self

    @model_validator(mode="after")
    def _one_mapping(self) -> "Source":
        for one in self.files:
            if (one.encoding or self.encoding) != "utf-8" and (one.format or self.format) != "csv":
                raise ValueError(f"files {one.glob}: only csv may have another encoding than utf-8")
            if (one.columns or self.columns or one.collector or self.collector) is None:
                raise ValueError(f"files {one.glob}: give columns or a collector")
            if (one.columns and one.collector) or (self.columns and self.collector):
                raise ValueError(f"files {one.glob}: give columns or a collector, not both")
        return self


class Catalog(Node):
    """The whole of catalog.yaml, sources, mixtures and evaluation sets in the order of the file.

    `aliases` are further names of mixtures, such as a paper's, which need not be names that a folder may have.
    """

    sources: dict[Key, Source]
    mixtures: dict[str, Mixture] = {}
    aliases: dict[str, str] = {}
    suites: dict[Key, Suite] = {}

    @model_validator(mode="after")
    def _mixtures_hold(self) -> "Catalog":
        for name, mixture in self.mixtures.items():
            try:
                self._written_out(name, mixture)
            except CatalogError as error:
                raise ValueError(f"mixtures.{error}") from None
        return self

    @model_validator(mode="after")
    def _aliases_lead_to_mixtures(self) -> "Catalog":
        for alias, name in self.aliases.items():
            if name not in self.mixtures:
                raise ValueError(f"aliases.{alias}: unknown mixture {name}; {nearest(name, self.mixtures)}")
            if alias in self.mixtures or _is_path(alias):
                raise ValueError(f"aliases.{alias}: is a mixture's name or path already; choose another")
        return self

    def _written_out(self, name: str, mixture: Mixture) -> Mixture:
        known = Known(
            sources={name: source.tags for name, source in self.sources.items()},
            benchmarks=frozenset(name for name, source in self.sources.items() if source.evaluation),
            find=self._mixture,
        )
        return written_out(name, mixture, known)

    def _mixture(self, name: str) -> Mixture:
        """A mixture as it is written, by its name, an alias or the path of its file."""
        name = self.aliases.get(name, name)
        if name in self.mixtures:
            return self.mixtures[name]
        if _is_path(name):
            return parsed(Mixture, read_yaml(Path(name)), name)
        known = nearest(name, [*self.mixtures, *self.aliases])
        same = "".join(f", {alias} being {meant}" for alias, meant in self.aliases.items() if alias in known)
        raise CatalogError(f"unknown mixture {name}; {known} (or give the path of a .yaml mixture file{same})")

    def chosen(self, asked: list[str]) -> dict[str, Source]:
        """The sources meant by names, globs and tag filters (see `choice.chosen`), in the catalog's order.

        All of them when nothing is asked for. Raises `CatalogError` when something asked for is not there.
        """
        tags = {name: source.tags for name, source in self.sources.items()}
        return {name: self.sources[name] for name in choice.chosen(asked, tags)}

    def mixture(self, name: str) -> tuple[str, Mixture]:
        """A mixture by its name or alias in the catalog or the path of its file, with the name it is built under.

        It is written out: every part has a source (see `nesting.written_out`).
        """
        return self.built_name(name), self._written_out(self.aliases.get(name, name), self._mixture(name))

    def built_name(self, mixture: str) -> str:
        """The name a mixture is built under: its own, that of its file, or the one its alias stands for."""
        if mixture in self.mixtures:
            return mixture
        return self.aliases.get(mixture) or built_name(mixture)


def built_name(mixture: str) -> str:
    """The name a mixture is built under: its own, or that of its file; `Catalog.built_name` knows aliases as well."""
    return Path(mixture).stem if _is_path(mixture) else mixture


def _is_path(mixture: str) -> bool:
    return "/" in mixture or Path(mixture).suffix in {".yaml", ".yml"}


def load(path: Path | None = None) -> Catalog:
    """The catalog at `path`, else catalog.yaml of the working folder, else the one beside the packages."""
    if path is None:
        places = [Path("catalog.yaml"), Path(__file__).resolve().parent.parent / "catalog.yaml"]
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            raise CatalogError(f"no catalog: none of {', '.join(map(str, places))} is there; name one with --catalog")
    return parsed(Catalog, read_yaml(path), str(path))
