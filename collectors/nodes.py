"""Configuration read from YAML: strict nodes, and every mistake told in one line."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from collectors.errors import CatalogError, nearest


class Node(BaseModel):
    """A frozen piece of configuration; a key it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


N = TypeVar("N", bound=Node)


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    """Safe YAML in which a key that stands twice is an error, not a silent overwrite."""


def _mapping(loader: Any, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set()
    for key, _ in node.value:
        name = loader.construct_object(key, deep=True)
        if not isinstance(name, Hashable):
            raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} is no name", key.start_mark)
        if name in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} stands twice", key.start_mark)
        seen.add(name)
    return dict(loader.construct_pairs(node, deep=True))


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_yaml(path: Path) -> Any:
    """The content of a YAML file; `CatalogError` when it is missing, not UTF-8 or not YAML."""
    try:
        text = path.read_text(encoding="utf-8")
        _check_depth(text, path)
        return yaml.load(text, Loader=_Loader)
    except OSError as error:
        raise CatalogError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CatalogError(f"{path}: is not UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise CatalogError(f"{path}:{line} {getattr(error, 'problem', None) or 'is not YAML'}") from None


DEPTH: Final = 50
"""How deep configuration may be nested; libyaml's own loader overflows the stack on what is nested without end."""


def _check_depth(text: str, path: Path) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH:
            raise CatalogError(f"{path}: is nested deeper than {DEPTH} levels")


def parsed(model: type[N], data: Any, where: str) -> N:
    """`data` as a node of type `model`; `CatalogError` names `where`, the key, and what would be right."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise CatalogError(f"{where}: {_first(error, model)}") from None


def _first(error: ValidationError, model: type[Node]) -> str:
    """The first mistake: its place, what is wrong there, and how many more there are."""
    problems = error.errors(include_url=False)
    # An unknown key is the cause more often than the missing one that it was meant to be.
    problem = next((one for one in problems if one["type"] == "extra_forbidden"), problems[0])
    steps = _without_tags(model, problem["loc"])
    place = ".".join(
        str(step) for step in steps if not str(step).startswith(("function-", "list[", "dict[", "literal[", "str"))
    )
    if problem["type"] == "extra_forbidden":
        owner = _owner(model, problem["loc"][:-1])
        keys = [field.alias or name for name, field in owner.model_fields.items()] if owner else []
        text = f"unknown key; {nearest(str(problem['loc'][-1]), keys)}"
    elif problem["type"] == "missing":
        text = "is needed and missing"
    else:
        text = problem["msg"].removeprefix("Value error, ")
        if "input" in problem and not isinstance(problem["input"], dict | list):
            text += f" (found {problem['input']!r})"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{place}: {text}{more}" if place else f"{text}{more}"


def _owner(model: type[Node], steps: tuple[int | str, ...]) -> type[Node] | None:
    """The node type that the path `steps` leads to below `model`."""
    found: list[type[Node]] = [model]
    for step in steps:
        field = found[-1].model_fields.get(str(step))
        tagged = [node for node in found if step in _tags(node)]
        found = tagged or (_nodes_in(field.annotation) if field else []) or found
    return found[-1]


def _without_tags(model: type[Node], steps: tuple[int | str, ...]) -> list[int | str]:
    """A path without the steps that only say which node of a union is meant."""
    shown = []
    for place, step in enumerate(steps):
        inner = _owner(model, steps[:place])
        if inner is not None and str(step) not in inner.model_fields and step in _union_tags(model, steps[:place]):
            continue
        shown.append(step)
    return shown


def _union_tags(model: type[Node], steps: tuple[int | str, ...]) -> set[str]:
    """The tags of the union that the path ends at."""
    owner = _owner(model, steps[:-1])
    field = owner.model_fields.get(str(steps[-1])) if owner and steps else None
    return {tag for node in _nodes_in(field.annotation) for tag in _tags(node)} if field else set()


def _tags(node: type[Node]) -> set[str]:
    """What a node's key `name` may say, where that is fixed."""
    field = node.model_fields.get("name")
    return set(get_args(field.annotation)) if field and get_origin(field.annotation) is Literal else set()


def _nodes_in(annotation: Any) -> list[type[Node]]:
    if isinstance(annotation, type) and issubclass(annotation, Node):
        return [annotation]
    return [node for inner in getattr(annotation, "__args__", ()) for node in _nodes_in(inner)]
