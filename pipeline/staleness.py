"""Whether a built mixture is of the records and verdicts that lie beside it, or of older ones."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from collectors.errors import ArtefactError
from pipeline import folder


def check(name: str, manifest: Mapping[str, Any], out: Path) -> None:
    """Refuse a mixture of the data folder `out` that `mix` would make otherwise now: `ArtefactError` names the sources.

    They were built anew since, or their records were judged anew (or for the first time) and the mixture asks for
    verdicts. `manifest` is the mixture's. What is not there tells nothing: mixtures are kept without it.
    """
    inputs = {str(one["source"]): one for one in manifest.get("inputs", []) if "source" in one}
    unjudged = {source for gap in manifest.get("not_applied", []) for source in gap["sources"]}
    older, rejudged = [], []
    for source, one in inputs.items():
        records = folder.manifest(out / "records" / source)
        if records is None:
            continue
        if records.get("fingerprint") != one["fingerprint"]:
            older.append(source)
        elif _judged(out, source, one, asked=source in unjudged) != one.get("verdicts"):
            rejudged.append(source)
    changed = [
        f"the {what} of {', '.join(sources)} have changed since"
        for what, sources in (("records", older), ("verdicts on the records", rejudged))
        if sources
    ]
    if changed:
        corpus = "an older corpus" if older else "older verdicts"
        raise ArtefactError(
            f"mixture {name}: built from {corpus}: {'; '.join(changed)}; run make mix MIX={name} again first"
        )


def _judged(out: Path, source: str, given: Mapping[str, Any], *, asked: bool) -> str | None:
    """The fingerprint of the verdicts that `mix` would use of a source; that which it used, where there are none.

    It uses those on the source's very records where the mixture asks for verdicts: where it used some, or lacked them.
    """
    used = given.get("verdicts")
    found = folder.manifest(out / "verdicts" / source)
    if found is None or found.get("records_fingerprint") != given["fingerprint"] or (used is None and not asked):
        return used
    return str(found["fingerprint"])
