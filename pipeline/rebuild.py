"""How a mixture is built again: the commands in their order, what they need, and what must come out."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import yaml

from pipeline import folder
from pipeline.findings import Findings
from pipeline.markdown import table
from pipeline.provenance import Provenance

COMMAND: Final = "python -m pipeline"


def rebuilding(
    mixture: Mapping[str, Any], entries: Mapping[str, str], origins: Mapping[str, Provenance], findings: Findings
) -> str:
    """The section that tells how to build the mixture again.

    `entries` are the fingerprints of the catalog's entries, by source.
    """
    steps = _Steps(mixture, origins, findings)
    recipe = yaml.safe_dump(mixture.get("recipe", {}), sort_keys=False, allow_unicode=True, width=10_000)
    places = [
        (
            f"`{name}`",
            "; ".join(told.places) or told.origin,
            told.files,
            "" if told.limit is None else f"{told.limit:,}",
        )
        for name in steps.names
        if (told := origins.get(name))
    ]
    return "\n\n".join(
        [
            "## Rebuild",
            steps.words(),
            "```sh\n" + "\n".join(steps.commands()) + "\n```",
            *([table(("source", "raw files from", "files", "rows of each at most"), places)] if places else []),
            f"This is the recipe, `{steps.file}`:",
            f"```yaml\n{recipe}```",
            "The same raw files give the same fingerprints, and the same fingerprints the same bytes:",
            table(("of", "fingerprint"), list(_prints(mixture, entries, origins, findings, steps))),
        ]
    )


def _prints(
    mixture: Mapping[str, Any],
    entries: Mapping[str, str],
    origins: Mapping[str, Provenance],
    findings: Findings,
    steps: "_Steps",
) -> Iterator[tuple[str, str]]:
    """What must come out, with its fingerprint."""
    yield "this mixture", f"`{mixture['fingerprint']}`"
    if entries:
        yield "the catalog's entries of its sources", f"`{folder.fingerprint(entries=entries)}`"
    for one in steps.inputs:
        if "fingerprint" in one:
            yield f"records of `{one['source']}`", f"`{one['fingerprint']}`"
    for name in steps.names:
        if name in origins and name not in {one["source"] for one in steps.inputs}:
            yield f"records of `{name}`, judged with them", f"`{origins[name].fingerprint}`"
    for one in steps.inputs:
        if mark := one.get("verdicts") or findings.sources.get(one["source"], {}).get("fingerprint"):
            yield f"verdicts on `{one['source']}`", f"`{mark}`"
    for one in mixture.get("templates", []):
        yield f"template `{one['template']}`", f"`{one['fingerprint']}`"
    if counted := mixture.get("counted_by"):
        yield f"`tokenizer.json` of `{counted['tokenizer']}`, sha256", f"`{counted['sha256']}`"
    for name in _suites(findings):
        files = findings.suites.get(name, {}).get("files", {})
        yield f"files of the evaluation set `{name}`", f"`{folder.fingerprint(files=files)}`"


class _Steps:
    """The commands from raw files to a mixture, and what is to be known of them."""

    def __init__(self, mixture: Mapping[str, Any], origins: Mapping[str, Provenance], findings: Findings) -> None:
        self.mixture, self.origins, self.findings = mixture, origins, findings
        self.inputs = [one for one in mixture.get("inputs", []) if "source" in one]
        sources = [str(one["source"]) for one in self.inputs]
        self.decided = any("verdicts" in one for one in self.inputs)
        """Whether verdicts decided on the rows; then the near-duplicates of all sources that were judged do."""
        self.judged = list(findings.merged) or sorted(findings.sources)
        self.names = list(dict.fromkeys([*sources, *(self.judged if findings.sources else [])]))
        self.file = f"{mixture['mixture']}.yaml"

    def commands(self) -> list[str]:
        """The commands, sources of one origin and limit together."""
        corpora: dict[tuple[str, int | None], list[str]] = {}
        for name in self.names:
            told = self.origins.get(name)
            corpora.setdefault((told.origin, told.limit) if told else ("hub", None), []).append(name)
        built = [
            f"{COMMAND} corpus --from {origin}{_sources(group)}" + (f" --limit {limit}" if limit is not None else "")
            for (origin, limit), group in corpora.items()
        ]
        mix = f"{COMMAND} mix {shlex.quote(self.file)}"
        if not self.findings.sources:
            return [*built, mix]
        judge = f"{COMMAND} judge{_sources(self.judged)}{self._suites()}"
        return [*built, judge, mix] if self.decided else [*built, mix, f"{judge}  # for the figures of this card alone"]

    def words(self) -> str:
        """What the commands take for granted, and what is not known any more."""
        told = [
            "In a checkout of Suri that is installed, with a new data folder (`--out` names another than `data`) and"
            f" the recipe below as `{self.file}`. `--workers`, `--engine` and `--address` may be added to each command:"
            " they change no byte."
        ]
        if any(one.origin == "RAW" for one in self.origins.values()):
            told.append("`RAW` is the folder that holds the raw files, `RAW/<source>/`.")
        if suites := _suites(self.findings):
            folders = [f"`EVAL/{one}/`" for one in suites if one not in self.findings.named]
            files = [f"`{self._file(one)}`" for one in suites if one in self.findings.named]
            told.append(
                f"`EVAL` is the folder that holds the evaluation sets, these alone: {', '.join(folders + files)}."
            )
        if "counted_by" in self.mixture:
            told.append(
                "`tokenizer` in the recipe is the folder of the one whose sha256 is told below; under another name it"
                " gives the same rows and another fingerprint of the mixture."
            )
        told += self._unknown()
        return "\n".join(told)

    def _unknown(self) -> Iterator[str]:
        unknown = ", ".join(f"`{name}`" for name in self.names if name not in self.origins)
        if unknown:
            yield f"Not known any more is where the raw files of these came from, so upstream is named: {unknown}."
        now = {name: told["fingerprint"] for name, told in self.findings.sources.items()}
        names = [
            one["source"] for one in self.inputs if "verdicts" in one and one["verdicts"] != now.get(one["source"])
        ]
        if names:
            yield (
                "The verdicts that decided on the rows of these are not those that are there now, so that the commands"
                f" may give others: {', '.join(f'`{name}`' for name in names)}."
            )

    def _suites(self) -> str:
        suites = _suites(self.findings)
        named = [name for name in suites if name in self.findings.named]
        where = " --suites EVAL" if len(named) < len(suites) else "" if named else " --suites none"
        return where + "".join(f" --suite {shlex.quote(f'{name}={self._file(name)}')}" for name in named)

    def _file(self, suite: str) -> str:
        """Where the file of a set that a user named is to lie."""
        return f"EVAL/{next(iter(self.findings.suites.get(suite, {}).get('files', {})), suite)}"


def _sources(names: Sequence[str]) -> str:
    return "".join(f" --source {name}" for name in names)


def _suites(findings: Findings) -> list[str]:
    return sorted({str(suite) for told in findings.sources.values() for suite in told["suites"]})
