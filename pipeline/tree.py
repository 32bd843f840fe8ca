"""The tree that is published of a mixture: Parquet shards, the card, and a manifest that names no machine.

    data/train-00000-of-00002.parquet     figures/composition.png   README.md
    data/holdout-00000-of-00001.parquet                             manifest.json

The same mixture gives the same bytes, whether the tree is staged for the Hub or written to a folder of one's own.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Final

import pyarrow as pa

from collectors.errors import ArtefactError, nearest
from pipeline import folder, parquet, shards
from pipeline.card import DRAWN, FIGURE, Credit, card
from pipeline.composition import drawn
from pipeline.findings import found
from pipeline.formats import Format
from pipeline.front_matter import splits
from pipeline.held import held
from pipeline.layout import Layout, layout, plain
from pipeline.licences import check, counted
from pipeline.parquet import SHARD_BYTES
from pipeline.provenance import provenance
from pipeline.standing import File, described, files, kept, stands, up_to_date

VERSION: Final = 4
"""Part of a tree's fingerprint: raised when the same mixture is to be published as other bytes."""


@dataclass(frozen=True, kw_only=True)
class Built:
    """A finished mixture as `mix` left it: its folder and its manifest."""

    place: Path
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        """The mixture's name, which is also its folder's."""
        return self.place.name

    def files(self, split: str) -> list[Path]:
        """The Arrow files of a split, in their order."""
        names = [PurePosixPath(entry["path"]).name for entry in self.manifest["files"]]
        return [self.place / name for name in names if name.startswith(f"{split}-")]


def finished(name: str, out: Path) -> Built:
    """The mixture `name` under the data folder `out`; `ArtefactError` when it is not built, or not to its end."""
    mixes = out / "mixes"
    place = mixes / name
    manifest = folder.manifest(place) if name and "/" not in name else None
    if manifest is not None:
        return Built(place=place, manifest=manifest)
    if name and "/" not in name and place.is_dir():
        raise ArtefactError(f"{place}: is unfinished; run: make mix MIX={name}")
    built = [path.parent.name for path in mixes.glob(f"*/{folder.MANIFEST}")] if mixes.is_dir() else []
    raise ArtefactError(
        f"mixture {name} is not built in {out}; run: make mix MIX={name} (built: {nearest(name, built)})"
    )


def tree(
    mixture: Built,
    target: Path,
    credits: Mapping[str, Credit],
    *,
    form: Format | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> Path:
    """Write the tree of `mixture` to the folder `target`, unless it stands there already; the folder.

    `target` appears whole or not at all; where only the card is out of date, the shards of the tree before are kept.
    `credits` are what the card says of each source; `form` lays the rows out as `export` does. Raises `ArtefactError`
    when `target` holds anything but a tree written here before, or the mixture's files are not those of its manifest.
    """
    target = target.resolve()
    plan = _Plan(mixture, credits, form, shard_bytes)
    with folder.writing(target):
        if stands(target, plan.mark):
            return target
    with folder.building(target) as part:
        (part / "data").mkdir()
        plan.fill(part, kept(target, part, plan.data) or plan.shards(part / "data"))
    return target


def listed(
    mixture: Built,
    target: Path,
    credits: Mapping[str, Credit],
    *,
    form: Format | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> list[File]:
    """The files that `tree` would write to `target`, or that stand there; nothing stays written.

    What is out of date or missing is encoded and dropped.
    """
    plan = _Plan(mixture, credits, form, shard_bytes)
    if up_to_date(target, plan.mark):
        return files(target)
    with tempfile.TemporaryDirectory() as place:
        plan.fill(Path(place), plan.shards(None))
        return files(Path(place))


class _Plan:
    """What a tree is to hold: the marks it is known by, and its files as they are made."""

    def __init__(self, mixture: Built, credits: Mapping[str, Credit], form: Format | None, shard_bytes: int) -> None:
        stated = {name: credit.stated for name, credit in credits.items()}
        check(mixture.name, mixture.manifest, mixture.place, stated)
        named = mixture.manifest.get("counts", {}).get("source", {})
        self.mixture, self.form, self.shard_bytes = mixture, form, shard_bytes
        self.credits = {name: credits[name] for name in sorted(named) if name in credits}
        out = mixture.place.parent.parent
        self.findings = found(out, mixture.manifest)
        self.origins = provenance(out, mixture.manifest, self.findings)
        self.data = folder.fingerprint(
            version=VERSION, shard_bytes=shard_bytes, mixture=mixture.manifest, **({"format": form} if form else {})
        )
        self.mark = folder.fingerprint(
            data=self.data,
            credits={name: asdict(credit) for name, credit in self.credits.items()},
            findings=asdict(self.findings),
            origins={name: asdict(one) for name, one in self.origins.items()},
        )

    @cached_property
    def layout(self) -> Layout:
        """The columns of the rows; the mixture's files must be there."""
        return layout(_paths(self.mixture), self.form)

    def shards(self, data: Path | None) -> list[dict[str, Any]]:
        """Write the shards of every split to the folder `data`, or nowhere; an entry of the manifest for each."""
        _check(self.mixture)
        entries = []
        for split in splits(self.mixture.manifest):
            written = _split(self.mixture, split, data, self.layout, self.shard_bytes)
            _same_rows(self.mixture, split, sum(entry["rows"] for entry in written))
            entries += written
        return entries

    def fill(self, part: Path, entries: list[dict[str, Any]]) -> None:
        """Write what stands beside the shards of these entries, the manifest last."""
        out = self.mixture.place.parent.parent
        taken = held(out, _paths(self.mixture), sorted(self.findings.sources))
        # The decisions are of records that stay here, and so stays their file.
        shown = without_paths({key: value for key, value in self.mixture.manifest.items() if key != "decisions"})
        text = card(
            shown,
            credits=self.credits,
            licences=counted(_paths(self.mixture)),
            columns=_types(self.layout.schema),
            form=self.form,
            findings=replace(self.findings, held=taken),
            origins=self.origins,
        )
        for path, data in ((FIGURE, drawn(shown.get("counts", {}), DRAWN)), ("README.md", text.encode())):
            (part / path).parent.mkdir(exist_ok=True)
            (part / path).write_bytes(data)
            entries = [*entries, {"path": path, **described(data)}]
        marks = {"version": VERSION, "fingerprint": self.mark, "data": self.data, "format": self.form}
        folder.write_manifest(part, {**shown, "files": entries, "tree": marks})


def without_paths(value: Any) -> Any:
    """A manifest's value in which absolute paths are cut to their last step, so that no machine shows in it."""
    if isinstance(value, dict):
        return {without_paths(key): without_paths(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_paths(inner) for inner in value]
    if isinstance(value, str) and value.startswith(("/", "~/", "file:/")) and not any(map(str.isspace, value)):
        return PurePosixPath(value).name
    return value


def _paths(mixture: Built) -> list[Path]:
    return [path for split in splits(mixture.manifest) for path in mixture.files(split)]


def _check(mixture: Built) -> None:
    """See to it that each of a mixture's files is the one of its manifest, and that they have the same columns."""
    again = f"{mixture.place}: run make mix MIX={mixture.name} again"
    digests = {PurePosixPath(entry["path"]).name: entry.get("sha256") for entry in mixture.manifest["files"]}
    paths = _paths(mixture)
    if not paths:
        raise ArtefactError(f"{again}: it holds no rows")
    for path in paths:
        if not path.is_file():
            raise ArtefactError(f"{again}: {path.name} is missing")
        if digests[path.name] not in (None, shards.digest(path)):
            raise ArtefactError(f"{again}: {path.name} is not the file its manifest names")
        if plain(path).names != plain(paths[0]).names:
            raise ArtefactError(f"{again}: {path.name} has other columns than the files before it")


def _same_rows(mixture: Built, split: str, rows: int) -> None:
    told = mixture.manifest["rows"].get(split, 0)
    if rows != told:
        raise ArtefactError(
            f"{mixture.place}: {split} holds {rows:,} rows, its manifest tells of {told:,};"
            f" run make mix MIX={mixture.name} again"
        )


def _types(schema: pa.Schema) -> dict[str, str]:
    return {field.name: str(field.type).replace("large_", "") for field in schema}


def _split(mixture: Built, split: str, data: Path | None, rows: Layout, shard_bytes: int) -> list[dict[str, Any]]:
    """Write the shards of a split to the folder `data`, or nowhere; an entry of the manifest for each."""

    def at(place: int) -> Path | None:
        return None if data is None else data / f"{split}-{place:05d}.parquet"

    written = parquet.write(mixture.files(split), rows, at, shard_bytes)
    entries = []
    for place, shard in enumerate(written):
        name = f"{split}-{place:05d}-of-{len(written):05d}.parquet"
        if (path := at(place)) is not None:
            path.rename(path.with_name(name))
        entries.append({"path": f"data/{name}", "split": split, **asdict(shard)})
    return entries
