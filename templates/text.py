"""One side of a wording: a Jinja text with slots, rendered for a whole column of records at once.

A wording is text with slots, not a program, so it may use little of Jinja: the five variables, literals, conditions,
one level of loop over lines, a few filters and string methods. Nothing in that set can grow without bound, so a hostile
file fails when it is loaded, before any record is seen. Texts without loops and method calls become polars
expressions; the others run in a sandbox, row by row, with the same result.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Final

import polars as pl
from jinja2 import StrictUndefined, nodes
from jinja2.exceptions import TemplateError as JinjaError
from jinja2.exceptions import TemplateSyntaxError
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

from collectors.errors import TemplateError, nearest

VARIABLES: Final = ("question", "context", "rationale", "answer", "options")
"""What a wording may name. `rationale` and `options` are undefined for a record that has none."""

LIMIT: Final = 4_000_000
"""Characters a rendered text may have."""

COLUMN_FILTERS: Final[dict[str, Callable[[pl.Expr], pl.Expr]]] = {
    "trim": lambda text: text.str.strip_chars(),
    "lower": lambda text: text.str.to_lowercase(),
    "upper": lambda text: text.str.to_uppercase(),
}
"""Filters that both ways of rendering share: polars defines them, whatever Unicode tables this Python carries."""

METHODS: Final = frozenset({"split", "splitlines", "startswith", "endswith"})
LOOP: Final = frozenset({"index", "index0", "first", "last", "length"})
GRAMMAR: Final = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.List, nodes.Tuple),
    *(nodes.If, nodes.CondExpr, nodes.Not, nodes.And, nodes.Or, nodes.Compare, nodes.Operand),
    *(nodes.Filter, nodes.Test, nodes.For, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Neg, nodes.Call),
)
"""The kinds of Jinja node a wording may be made of."""


def bounded(pieces: Iterable[str], limit: int) -> str:
    """The pieces of a running template as one text; Jinja's `TemplateError` as soon as they pass `limit` characters."""
    kept, length = [], 0
    for piece in pieces:
        length += len(piece)
        if length > limit:
            raise JinjaError(f"renders to more than {limit:,} characters")
        kept.append(piece)
    return "".join(kept)


def _join(pieces: Iterable[object], between: str = "") -> str:
    """Jinja's `join`, except that it measures before it builds."""
    texts = [str(piece) for piece in pieces]
    if sum(map(len, texts)) + len(between) * len(texts) > LIMIT:
        raise JinjaError(f"joins to more than {LIMIT:,} characters")
    return between.join(texts)


def _row_filter(column_filter: Callable[[pl.Expr], pl.Expr]) -> Callable[[object], str]:
    """A filter on a column as a filter on one text."""
    return lambda value: str(pl.select(column_filter(pl.lit(str(value)))).item())


def _environment() -> ImmutableSandboxedEnvironment:
    """The sandbox of wordings: strict, nothing escaped, every line break kept, no globals, few filters and tests."""
    sandbox = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
    kept = {name: sandbox.filters[name] for name in ("length", "first", "last")}
    sandbox.filters = kept | {"join": _join} | {name: _row_filter(done) for name, done in COLUMN_FILTERS.items()}
    sandbox.tests = {name: sandbox.tests[name] for name in ("defined", "undefined")}
    sandbox.globals = {}
    return sandbox


SANDBOX: Final = _environment()


class Text:
    """A Jinja text over `VARIABLES`; `where` (file and place in it) begins every error message.

    Raises `TemplateError` when the text does not parse, names an unknown variable or uses what a wording may not.
    """

    def __init__(self, source: str, where: str) -> None:
        self.source = source
        self.where = where
        try:
            tree = SANDBOX.parse(source)
            _check(tree)
            self.names = frozenset(find_undeclared_variables(tree))
            self.expression = _compiled(tree)
            if self.expression is None:
                _ = self._jinja  # so that what Jinja minds is an error of loading
        except TemplateSyntaxError as error:
            raise TemplateError(f"{where}: line {error.lineno}: {error.message}") from None
        except (JinjaError, ValueError, SyntaxError, RecursionError) as error:
            raise TemplateError(f"{where}: {error}") from None
        for name in sorted(self.names - set(VARIABLES)):
            raise TemplateError(f"{where}: unknown variable {name!r}; {nearest(name, VARIABLES)}")

    @cached_property
    def _jinja(self) -> Callable[..., Iterable[str]]:
        """The text as a sandboxed generator of pieces; most texts never need it."""
        return SANDBOX.from_string(self.source).generate

    def render(self, rows: pl.DataFrame) -> pl.Series:
        """The text of each row; `rows` has a column for each variable, null for undefined, and `id` for messages.

        Raises `TemplateError` when a row lacks what the text names or its text would pass `LIMIT` characters.
        """
        if self.expression is None:
            return pl.Series([self.render_row(row) for row in rows.iter_rows(named=True)], dtype=pl.String)
        # Beside another column, a text without slots is repeated for each row.
        texts = rows.select(pl.first(), self.expression.alias("text"))["text"]
        # Bytes are free to count and never fewer than characters.
        long = texts.str.len_bytes() > LIMIT
        if texts.null_count() or long.any():
            for number in (texts.is_null() | long).arg_true():
                self.render_row(rows.row(number, named=True))
        return texts

    def render_row(self, row: Mapping[str, str | None]) -> str:
        """One row the slow way, by Jinja itself: for texts without an expression, and for the exact error."""
        given = {name: row[name] for name in self.names if row[name] is not None}
        try:
            return bounded(self._jinja(**given), LIMIT)
        except (JinjaError, TypeError, ValueError, LookupError, SyntaxError, RecursionError) as error:
            raise TemplateError(f"{self.where}: record {row['id']}: {error}") from None


def _check(tree: nodes.Template) -> None:
    """Refuse, by name, what a wording may not use."""
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, GRAMMAR):
            used = getattr(node, "operator", None) or type(node).__name__.lower()
            raise JinjaError(f"line {node.lineno}: a wording may not use {used!r}; it is text with slots, if and for")
        match node:
            case nodes.Filter(name=name) if name not in SANDBOX.filters:
                raise JinjaError(f"line {node.lineno}: unknown filter {name!r}; {nearest(name, SANDBOX.filters)}")
            case nodes.Test(name=name) if name not in SANDBOX.tests:
                raise JinjaError(f"line {node.lineno}: unknown test {name!r}; {nearest(name, SANDBOX.tests)}")
            case nodes.Call(node=nodes.Getattr(attr=name)) if name in METHODS:
                pass
            case nodes.Call():
                raise JinjaError(f"line {node.lineno}: a wording may call only {', '.join(sorted(METHODS))} of a text")
            case nodes.Getattr(node=nodes.Name(name="loop"), attr=name) if name in LOOP:
                pass
            case nodes.Getattr(attr=name) if name not in METHODS:
                raise JinjaError(f"line {node.lineno}: unknown attribute {name!r}; {nearest(name, METHODS | LOOP)}")
            case nodes.For() if node.recursive or node.find(nodes.For):
                raise JinjaError(f"line {node.lineno}: a wording may not nest loops")


class _NotColumnarError(Exception):
    """A part of a text has no expression here; Jinja renders the whole text."""


def _compiled(tree: nodes.Template) -> pl.Expr | None:
    """The text as an expression over columns named like `VARIABLES`, or None where Jinja has to do it.

    Undefined is null, and null spreads wherever `StrictUndefined` would raise.
    """
    try:
        return _body(tree.body)
    except _NotColumnarError:
        return None


def _body(body: list[nodes.Node]) -> pl.Expr:
    pieces: list[pl.Expr] = []
    for node in body:
        match node:
            case nodes.Output(nodes=parts):
                pieces += [_value(part) for part in parts]
            case nodes.If(test=test, body=then, elif_=[], else_=otherwise):
                pieces.append(_choice(_truth(test), _body(then), _body(otherwise)))
            case nodes.If(test=test, body=then, elif_=[following, *more], else_=otherwise):
                nested = nodes.If(following.test, following.body, more, otherwise)
                pieces.append(_choice(_truth(test), _body(then), _body([nested])))
            case _:
                raise _NotColumnarError
    return pl.concat_str(pieces) if pieces else pl.lit("")


def _choice(test: pl.Expr, then: pl.Expr, otherwise: pl.Expr) -> pl.Expr:
    """`if`, except that a null test gives null and not the other branch."""
    return pl.when(test.is_null()).then(None).when(test).then(then).otherwise(otherwise)


def _value(node: nodes.Node) -> pl.Expr:
    match node:
        case nodes.TemplateData(data=str(text)) | nodes.Const(value=str(text)):
            return pl.lit(text)
        case nodes.Name(name=name):
            return pl.col(name)
        case nodes.Filter(node=nodes.Expr() as inner, name=name, args=[], kwargs=[]) if name in COLUMN_FILTERS:
            return COLUMN_FILTERS[name](_value(inner))
    raise _NotColumnarError


def _truth(node: nodes.Node) -> pl.Expr:
    match node:
        case nodes.Not(node=inner):
            return ~_truth(inner)
        case nodes.And(left=left, right=right):
            return _choice(_truth(left), _truth(right), pl.lit(False))
        case nodes.Or(left=left, right=right):
            return _choice(_truth(left), pl.lit(True), _truth(right))
        case nodes.Compare(expr=left, ops=[nodes.Operand(op="eq", expr=right)]):
            return _value(left) == _value(right)
        case nodes.Compare(expr=left, ops=[nodes.Operand(op="ne", expr=right)]):
            return _value(left) != _value(right)
        case nodes.Test(node=nodes.Name(name=name), name="defined"):
            return pl.col(name).is_not_null()
        case nodes.Test(node=nodes.Name(name=name), name="undefined"):
            return pl.col(name).is_null()
        case _:
            return _value(node) != ""
