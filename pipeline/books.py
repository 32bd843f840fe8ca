"""The books of a mixture: what its manifest tells of records taken and left out, and that these figures agree."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from collectors.licences import Key, summary
from collectors.mixture import Mixture
from pipeline.keys import Keys
from pipeline.licences import with_terms
from pipeline.selection import TAKEN, Selection, left_out
from pipeline.wording import COUNTED, Worded

Manifest = dict[str, Any]


def books(
    mixture: Mixture,
    known: Keys,
    selection: Selection,
    worded: Sequence[Worded],
    benchmarks: Collection[str],
    sources: Mapping[str, Key],
) -> Manifest:
    """What a manifest tells of the records taken and left out, and of the rows made of them.

    `benchmarks` are the sources that are marked as evaluation as a whole, `sources` has their licences and terms.
    """
    parts: list[Manifest] = []
    licences: dict[str, Counter[str]] = {}
    for number, (part, span) in enumerate(zip(mixture.parts, known.parts, strict=True)):
        verdict = selection.verdict[span]
        parts.append(
            {
                "source": part.source,
                "template": part.template,
                "candidates": len(verdict),
                "taken": int((verdict == TAKEN).sum()),
                "rows": int(selection.repeats[span].sum()),
                "holdout": int(selection.held[span].sum()),
                "evaluation": int(((verdict == TAKEN) & (known.evaluation[span] | (part.source in benchmarks))).sum()),
                "left_out": left_out(verdict),
                "templates": _merged(one.counts["template"] for one in worded if one.part == number),
            }
        )
        for one in worded:
            if one.part == number:
                for license, rows in one.counts["license"].items():
                    licences.setdefault(license, Counter())[part.source] += rows
    holdout = sum(part["holdout"] for part in parts)
    return {
        "rows": {"train": sum(part["rows"] for part in parts) - holdout, "holdout": holdout},
        "candidates": sum(part["candidates"] for part in parts),
        "taken": sum(part["taken"] for part in parts),
        "left_out": _merged(part["left_out"] for part in parts),
        "shortfalls": [asdict(one) for one in selection.shortfalls],
        "unrepeated": selection.unrepeated,
        "unused_rationales": sum(one.unused_rationales for one in worded),
        "counts": {name: _merged(one.counts[name] for one in worded) for name in COUNTED if name != "template"},
        "licences": summary(with_terms(licences, sources)),
        "parts": parts,
    }


def worded_plainly(part: Mapping[str, Any]) -> int:
    """The rows of a part of a manifest that are worded plainly though it names another template.

    No wording of that template fits them: not their task and language, or they lack the rationale that it names.
    """
    if part.get("template", "plain") == "plain":
        return 0
    return sum(rows for name, rows in part.get("templates", {}).items() if name.partition("+")[0] == "plain")


def _merged(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(sorted(total.items()))


def close(manifest: Manifest) -> None:
    """Check that the books close: every candidate is taken or left out, every row is in a file and has a wording."""
    rows = sum(manifest["rows"].values())
    pairs = [
        *(
            (entry["candidates"], entry["taken"] + sum(entry["left_out"].values()))
            for entry in [manifest, *manifest["parts"]]
        ),
        *((part["rows"], sum(part["templates"].values())) for part in manifest["parts"]),
        (rows, sum(part["rows"] for part in manifest["parts"])),
        (rows, sum(file["rows"] for file in manifest["files"])),
        *(
            (rows, sum(manifest["counts"][name].values()))
            for name in COUNTED
            if name in manifest["counts"] and name != "language"
        ),
    ]
    if any(said != found for said, found in pairs):
        raise AssertionError(f"the books of the mixture {manifest['mixture']} do not close: {pairs}")
