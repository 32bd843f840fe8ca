"""How long a recipe trains on so many rows and tokens: the steps of its optimiser on one device.

A recipe is read here as the plain keys of its YAML, for training is not needed to plan.
"""

import math
from pathlib import Path
from typing import Any, Final

from collectors.errors import CatalogError, nearest
from collectors.nodes import read_yaml

SHELF: Final = Path(__file__).resolve().parents[2] / "train" / "recipes"
"""Where the recipes that come with the program lie."""

USUAL: Final[dict[str, Any]] = {
    "cutoff": 1024,
    "packing": True,
    "epochs": 3,
    "steps": None,
    "batch": 2,
    "accumulation": 8,
}
"""The keys of a recipe that its length depends on, with what holds where they are left out."""


def recipe(name: str) -> dict[str, Any]:
    """The keys of `USUAL` as the recipe of this name or path has them.

    Raises `CatalogError` for one that is not there, and for a value that is none of its key.
    """
    path, known = Path(name), sorted(one.stem for one in SHELF.glob("*.yaml"))
    if name in known:
        path = SHELF / f"{name}.yaml"
    elif path.suffix not in {".yaml", ".yml"}:
        raise CatalogError(f"recipe {name}: unknown; {nearest(name, known)} (or give the path of a .yaml file)")
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise CatalogError(f"recipe {name}: is no mapping of keys to values")
    found = {key: data.get(key, usual) for key, usual in USUAL.items()}
    for key, value in found.items():
        _check(name, key, value)
    return found


def _check(name: str, key: str, value: Any) -> None:
    if key == "packing":
        right, wanted = isinstance(value, bool), "true or false"
    elif key == "steps" and value is None:
        return
    else:
        number = (int, float) if key == "epochs" else int
        right = isinstance(value, number) and not isinstance(value, bool) and value > 0
        wanted = "a number over 0" if key == "epochs" else "a whole number over 0"
    if not right:
        raise CatalogError(f"recipe {name}: {key}: must be {wanted} (found {value!r})")


def steps(chosen: dict[str, Any], rows: int, tokens: int | None) -> dict[str, Any] | None:
    """The steps of an epoch and of the whole training on so many training rows; None where tokens are wanted.

    Packed rows are taken for full, as a best fit has them to a per cent or so.
    """
    if chosen["packing"] and tokens is None:
        return None
    fed = math.ceil((tokens or 0) / chosen["cutoff"]) if chosen["packing"] else rows
    epoch = math.ceil(fed / (chosen["batch"] * chosen["accumulation"]))
    whole = math.ceil(epoch * chosen["epochs"])
    found = {"fed": fed, "an_epoch": epoch, "steps": whole, "epochs": chosen["epochs"]}
    if chosen["steps"] is not None and epoch and chosen["steps"] < whole:
        found |= {"steps": chosen["steps"], "epochs": round(chosen["steps"] / epoch, 2)}
    return found
