"""A data set's metadata in the vocabulary of the Hub: the YAML front matter of its card (hub-docs, datasetcard.md)."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

SPLITS: Final = ("train", "holdout")

# fmt: off
HUB_LICENCES: Final = frozenset(
    {
        "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0",
        "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0",
        "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cdla-sharing-1.0", "cdla-permissive-1.0",
        "cdla-permissive-2.0", "c-uda", "odbl", "odc-by", "pddl", "gfdl", "apache-2.0", "mit", "bsd-2-clause",
        "bsd-3-clause", "mpl-2.0", "gpl-2.0", "gpl-3.0", "lgpl-2.1", "lgpl-3.0", "agpl-3.0", "unlicense",
        "wtfpl", "unknown",
    }
)
# fmt: on
"""Licence ids of https://huggingface.co/docs/hub/repositories-licenses that a set of texts may carry."""

HUB_NAMES: Final = {"odc-by-1.0": "odc-by", "odbl-1.0": "odbl", "pddl-1.0": "pddl"}
"""SPDX ids, in lower case, that the Hub knows by a name of its own."""

LANGUAGES: Final = {"EN": "en", "CN": "zh", "ML": "multilingual"}


def front_matter(manifest: Mapping[str, Any], licences: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """The card's metadata in the Hub's vocabulary (hub-docs, datasetcard.md)."""
    codes = _languages(manifest.get("counts", {}))
    one = len(codes) == 1 and codes != ["multilingual"]
    files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in splits(manifest)]
    return {
        "pretty_name": manifest["mixture"],
        **hub_licence(licences),
        "language": codes,
        "multilinguality": ["monolingual" if one else "multilingual"],
        "size_categories": [_size(sum(manifest["rows"].values()))],
        "task_categories": ["text-generation"],
        "tags": ["instruction-tuning", "chat", "suri"],
        "configs": [{"config_name": "default", "data_files": files}],
    }


def splits(manifest: Mapping[str, Any]) -> list[str]:
    """The splits a mixture is published in: always `train`, and `holdout` when rows were held out."""
    return ["train", *(split for split in SPLITS[1:] if manifest["rows"].get(split))]


def hub_licence(licences: Iterable[str]) -> dict[str, str]:
    """The Hub's licence keys for a set of SPDX ids: one id it knows, else `other` with the particulars."""
    names = sorted(set(licences)) or ["unknown"]
    known = HUB_NAMES.get(names[0].lower(), re.sub(r"^(a?gpl|lgpl)(-.*)-(only|or-later)$", r"\1\2", names[0].lower()))
    if len(names) == 1 and known in HUB_LICENCES:
        return {"license": known}
    return {
        "license": "other",
        "license_name": "mixed" if len(names) > 1 else re.sub(r"[^a-z0-9.-]+", "-", names[0].lower()).strip("-"),
        "license_details": f"{', '.join(names)}; by source in the section Licences of this card",
    }


def _size(rows: int) -> str:
    """The Hub's size category of a number of rows."""
    edges = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
    place = next((place for place in range(len(edges)) if rows < 10 ** (place + 3)), len(edges))
    if place == 0:
        return "n<1K"
    return f"{edges[place - 1]}<n<{edges[place]}" if place < len(edges) else "n>1T"


def _languages(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Language codes (ISO 639) of the rows: from the tags, and from what upstream declares where that is counted."""
    declared = {str(name).split("-")[0].lower() for name in counts.get("language", {})}
    tagged = {LANGUAGES[tag] for tag, rows in counts.get("lang", {}).items() if rows and tag in LANGUAGES}
    return sorted(tagged | {code for code in declared if re.fullmatch(r"[a-z]{2,3}", code)}) or ["multilingual"]
