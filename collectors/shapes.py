"""Which shape a raw file is collected by: its columns, or a shape of the module that its catalog entry names.

A module has the one shape `SHAPE`, or several by name in `SHAPES`; the catalog then says `collector: module.name`.
"""

from types import ModuleType
from typing import Final

from collectors import (
    alpaca_gpt4,
    auto_cot,
    baize,
    belle,
    camel,
    chinese_medical,
    coig,
    columns,
    cot,
    csl,
    flan_muffin,
    gaokao,
    gpt4all,
    hc3,
    hh_rlhf,
    moss,
    natural_instructions,
    news_commentary,
    oig,
    pclue,
    prosocial,
    sharegpt,
    stackllama,
    tabular,
    ultrachat,
    webgpt,
    xp3,
)
from collectors.errors import CatalogError, nearest
from collectors.files import RawFile
from collectors.shape import Shape

MODULES: Final[tuple[ModuleType, ...]] = (
    alpaca_gpt4,
    auto_cot,
    baize,
    belle,
    camel,
    chinese_medical,
    coig,
    cot,
    csl,
    flan_muffin,
    gaokao,
    gpt4all,
    hc3,
    hh_rlhf,
    moss,
    natural_instructions,
    news_commentary,
    oig,
    pclue,
    prosocial,
    sharegpt,
    stackllama,
    tabular,
    ultrachat,
    webgpt,
    xp3,
)


def _named(module: ModuleType) -> dict[str, Shape]:
    """The shapes of a module by the names the catalog uses."""
    name = module.__name__.rpartition(".")[2]
    several: dict[str, Shape] | None = getattr(module, "SHAPES", None)
    return {name: module.SHAPE} if several is None else {f"{name}.{form}": shape for form, shape in several.items()}


COLLECTORS: Final[dict[str, Shape]] = {name: shape for module in MODULES for name, shape in _named(module).items()}


def shape(file: RawFile) -> Shape:
    """The shape of a claimed file; `CatalogError` when its collector does not exist."""
    if file.columns is not None:
        return columns.shape(file.columns)
    found = COLLECTORS.get(file.collector or "")
    if found is None:
        known = nearest(str(file.collector), COLLECTORS)
        raise CatalogError(f"sources.{file.source}: unknown collector {file.collector}; {known}")
    return found
