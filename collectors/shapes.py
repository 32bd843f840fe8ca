"""Which schema and function a raw file is collected by: its columns, or the module that its catalog entry names."""

from dataclasses import dataclass
from types import ModuleType
from typing import Final

from collectors import alpaca_gpt4, belle, chinese_medical, columns, cot, hh_rlhf, pclue
from collectors.columns import Collect
from collectors.errors import CatalogError, nearest
from collectors.files import RawFile
from collectors.rows import Schema

COLLECTORS: Final[dict[str, ModuleType]] = {
    "alpaca_gpt4": alpaca_gpt4,
    "belle": belle,
    "chinese_medical": chinese_medical,
    "cot": cot,
    "hh_rlhf": hh_rlhf,
    "pclue": pclue,
}


@dataclass(frozen=True, slots=True)
class Shape:
    """The native schema to read a file with, and the function from its frame to record columns."""

    schema: Schema
    collect: Collect


def shape(file: RawFile) -> Shape:
    """The shape of a claimed file; `CatalogError` when its collector does not exist."""
    if file.columns is not None:
        return Shape(columns.schema(file.columns), columns.collector(file.columns))
    module = COLLECTORS.get(file.collector or "")
    if module is None:
        raise CatalogError(
            f"sources.{file.source}: unknown collector {file.collector}; {nearest(str(file.collector), COLLECTORS)}"
        )
    return Shape(module.RAW, module.collect)
