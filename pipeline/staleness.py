"""Whether a built mixture is of the records that lie beside it, or of older ones."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from collectors.errors import ArtefactError
from pipeline import folder


def check(name: str, manifest: Mapping[str, Any], out: Path) -> None:
    """Refuse a mixture of the data folder `out` whose sources were built anew since: `ArtefactError` names them.

    `manifest` is the mixture's. A source whose records are not there tells nothing: mixtures are kept without them.
    """
    older = []
    for one in manifest.get("inputs", []):
        found = folder.manifest(out / "records" / one["source"])
        if found is not None and found.get("fingerprint") != one["fingerprint"]:
            older.append(one["source"])
    if older:
        raise ArtefactError(
            f"mixture {name}: built from an older corpus: the records of {', '.join(older)} have changed since; "
            f"run make mix MIX={name} again first"
        )
