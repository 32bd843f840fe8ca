"""The FLAN import: FLAN's own chain-of-thought patterns as a folder of YAML files, one a task.

The source is `flan/v2/templates.py` of a checkout of google-research/FLAN (Apache-2.0), or the same patterns as JSON.
The Python file is read as a syntax tree and never run: of it count the entries of the dicts `PATTERNS` and
`FEWSHOT_PATTERNS` that the nine tasks need, the aliases `PATTERNS["x"] = PATTERNS["y"]`, and the defaults in the body
of `class FewShotPattern`. Everything else in it is passed over.
"""

import ast
import json
import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ConfigDict

from collectors.errors import ArtefactError, CatalogError, TemplateError
from collectors.nodes import Node, parsed
from templates.sheet import FewShot
from templates.template import load

STEMS: Final = {
    "aqua": "stream",
    "creak": "cot",
    "ecqa": "cot",
    "esnli": "cot",
    "gsm8k": "cot",
    "qasc": "cot",
    "qed": "stream",
    "sensemaking": "cot",
    "strategyqa": "cot",
}
"""FLAN's key of a task is `<stem>_<task>`, of its inversion `<stem>_input_inversion_<task>`."""

SLOTS: Final = {"{question}": "{{ question }}", "{chain_of_thought}": "{{ rationale }}", "{answer}": "{{ answer }}"}
"""FLAN's slots as Jinja."""

LITERALS: Final = {"{": "{{ '{' }}", "\r": "{{ '\\r' }}"}
"""Characters of a pattern's text that Jinja would not leave as they are."""

TOKEN: Final = re.compile("|".join(map(re.escape, [*SLOTS, *LITERALS])))


class Patterns(Node):
    """The patterns by task, in FLAN's order, FLAN's slots still in them; a pair is (input, target)."""

    model_config = ConfigDict(extra="ignore")

    zero_shot: dict[str, list[tuple[str, str]]]
    few_shot: dict[str, list[FewShot]]
    input_inversion: list[tuple[str, str]]
    few_shot_input_inversion: dict[str, list[FewShot]]


def import_flan(source: Path, out: Path) -> int:
    """Write `out/<task>.yaml` for the nine tasks and return the number of zero-shot wordings.

    The folder can then be named as a template. Raises `TemplateError` when `source` does not hold FLAN's patterns, and
    `ArtefactError` when `out` cannot be written.
    """
    patterns = read_patterns(source)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for task in STEMS:
            part = out / f"{task}.yaml.part"
            part.write_text(_sheet(patterns, task), encoding="utf-8")
            part.replace(out / f"{task}.yaml")
    except OSError as error:
        raise ArtefactError(f"{out}: cannot be written: {error.strerror}; --out wants a folder") from None
    load(str(out.resolve()))
    return sum(map(len, patterns.zero_shot.values()))


def read_patterns(source: Path) -> Patterns:
    """The patterns of FLAN's `templates.py`, which is not run, or of the same as JSON; else `TemplateError`."""
    return read_json(source) if source.suffix == ".json" else read_python(source)


def read_json(source: Path) -> Patterns:
    """The patterns of a JSON file with the keys of `Patterns`."""
    try:
        patterns = parsed(Patterns, json.loads(_text(source)), f"{source}: not FLAN's patterns")
    except CatalogError as error:
        raise TemplateError(str(error)) from None
    except (ValueError, RecursionError) as error:
        raise TemplateError(f"{source}: not JSON: {error}") from None
    for listed in (patterns.zero_shot, patterns.few_shot, patterns.few_shot_input_inversion):
        for task in sorted(STEMS.keys() - listed.keys()):
            raise TemplateError(f"{source}: not FLAN's patterns: the task {task} is missing")
    return patterns


def read_python(source: Path) -> Patterns:
    """The patterns of FLAN's `flan/v2/templates.py`, or of a file of the same shape."""
    text = _text(source)
    try:
        with warnings.catch_warnings():  # about the file's string escapes, which are not the user's to mend
            warnings.simplefilter("ignore")
            module = ast.parse(text, source.name)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise TemplateError(f"{source}: not Python: {error}") from None
    tables = {"PATTERNS": _table(module, "PATTERNS"), "FEWSHOT_PATTERNS": _table(module, "FEWSHOT_PATTERNS")}
    defaults = _defaults(module)

    def entries(table: str, key: str) -> list[ast.expr]:
        entry = tables[table].get(repr(key))
        if entry is None:
            raise TemplateError(
                f"{source}: no {table}[{key!r}]; wanted is flan/v2/templates.py of google-research/FLAN"
            )
        if not isinstance(entry, ast.List) or not entry.elts:
            raise TemplateError(f"{source}: line {entry.lineno}: {table}[{key!r}] is not a list of patterns")
        return entry.elts

    def pairs(key: str) -> list[tuple[str, str]]:
        return [_pair(entry, f"{source}: PATTERNS[{key!r}]") for entry in entries("PATTERNS", key)]

    def shots(key: str) -> list[FewShot]:
        table = "FEWSHOT_PATTERNS"
        return [_shot(entry, defaults, f"{source}: {table}[{key!r}]") for entry in entries(table, key)]

    inversions = [pairs(f"{stem}_input_inversion_{task}") for task, stem in STEMS.items()]
    if any(listed != inversions[0] for listed in inversions):
        raise TemplateError(f"{source}: the input inversions of the nine tasks are not one shared list")
    return Patterns(
        zero_shot={task: pairs(f"{stem}_{task}") for task, stem in STEMS.items()},
        few_shot={task: shots(f"{stem}_{task}") for task, stem in STEMS.items()},
        input_inversion=inversions[0],
        few_shot_input_inversion={task: shots(f"{stem}_input_inversion_{task}") for task, stem in STEMS.items()},
    )


def _text(source: Path) -> str:
    try:
        return source.read_text(encoding="utf-8")
    except OSError as error:
        raise TemplateError(
            f"{source}: {error.strerror}; wanted is FLAN's templates.py or its patterns as JSON"
        ) from None
    except UnicodeDecodeError:
        raise TemplateError(
            f"{source}: not UTF-8 text; wanted is FLAN's templates.py or its patterns as JSON"
        ) from None


def _table(module: ast.Module, name: str) -> dict[str, ast.expr]:
    """The entries of a module's dict, unread, by their keys as Python writes them; aliases set later are followed."""
    table: dict[str, ast.expr] = {}
    for statement in module.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=target)], value=ast.Dict(keys=keys, values=values)) if target == name:
                table = {ast.unparse(key): value for key, value in zip(keys, values, strict=True) if key is not None}
            case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=target), slice=key)], value=value):
                if target == name:
                    table[ast.unparse(key)] = _aliased(value, name, table)
    return table


def _aliased(value: ast.expr, name: str, table: dict[str, ast.expr]) -> ast.expr:
    """What `name["x"]` stands for, or the value itself where it is no alias."""
    match value:
        case ast.Subscript(value=ast.Name(id=other), slice=key) if other == name:
            return table.get(ast.unparse(key), value)
    return value


def _defaults(module: ast.Module) -> dict[str, ast.expr]:
    """The defaults that the body of `class FewShotPattern` gives its fields, unread."""
    return {
        field.target.id: field.value
        for statement in module.body
        if isinstance(statement, ast.ClassDef) and statement.name == "FewShotPattern"
        for field in statement.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and field.value is not None
    }


def _pair(entry: ast.expr, where: str) -> tuple[str, str]:
    match _literal(entry, where):
        case (str(ask), str(target)):
            return ask, target
    raise TemplateError(f"{where}: line {entry.lineno}: not a pair of texts (input, target)")


def _shot(entry: ast.expr, defaults: dict[str, ast.expr], where: str) -> FewShot:
    """A `FewShotPattern(field=literal, ...)`. A pattern that arranges its examples by other rules is refused."""
    match entry:
        case ast.Call(func=ast.Name(id="FewShotPattern"), args=[], keywords=given):
            fields = {name: _literal(value, where) for name, value in defaults.items()}
            usual = fields.get("input_pattern")
            fields |= {str(each.arg): _literal(each.value, where) for each in given}
            if fields.pop("input_pattern", None) == usual:
                try:
                    return parsed(FewShot, fields, f"{where}: line {entry.lineno}")
                except CatalogError as error:
                    raise TemplateError(str(error)) from None
    raise TemplateError(f"{where}: line {entry.lineno}: not a FewShotPattern of literals by field name")


def _literal(value: ast.expr, where: str) -> Any:
    try:
        return ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise TemplateError(f"{where}: line {value.lineno}: not a literal; nothing in the file is run") from None


def as_jinja(pattern: str) -> str:
    """A pattern's text with FLAN's slots as Jinja; every other character means itself."""
    return TOKEN.sub(lambda found: (SLOTS | LITERALS)[found[0]], pattern)


class _Dumper(yaml.SafeDumper):
    """YAML with texts of several lines on one line, in double quotes."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        """A text as a YAML scalar."""
        return self.represent_scalar("tag:yaml.org,2002:str", data, style='"' if "\n" in data else None)


_Dumper.add_representer(str, _Dumper.represent_str)


def _sheet(patterns: Patterns, task: str) -> str:
    """The YAML file of a task."""
    head = "# FLAN's chain-of-thought patterns (google-research/FLAN, flan/v2/templates.py, Apache-2.0), imported.\n"
    sheet = {
        "wordings": {"en": _pairs(patterns.zero_shot[task])},
        "input_inversion": {"en": _pairs(patterns.input_inversion)},
        "few_shot": {"en": _shots(patterns.few_shot[task])},
        "few_shot_input_inversion": {"en": _shots(patterns.few_shot_input_inversion[task])},
    }
    return head + yaml.dump(sheet, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=1_000_000)


def _pairs(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"prompt": as_jinja(ask), "target": as_jinja(target)} for ask, target in pairs]


def _shots(shots: Iterable[FewShot]) -> list[dict[str, Any]]:
    return [shot.model_dump() | {"inputs": as_jinja(shot.inputs), "targets": as_jinja(shot.targets)} for shot in shots]
