"""Which prompt formats only pass texts on, so that one rendering serves for all conversations of the same shape.

A format is transparent when what it writes depends on a message's `content` and `input` in two ways only: they are
written out, joined to other text and perhaps trimmed, and it is asked whether they are empty. Then rendering marks in
their place and putting the texts where the marks are is rendering the texts. This is decided on the parsed template,
following the messages through every variable; whatever is not known to be harmless makes a format opaque, and an
opaque one is rendered for each conversation.
"""

from enum import Enum
from itertools import chain
from typing import Final

from jinja2 import nodes

from templates.prompt import Prompt


class Opacity(Enum):
    """What a format may do with the texts of messages."""

    CLEAR = "passes them on as they are"
    TRIMMED = "trims some of them"
    OPAQUE = "may look into them"


class _Kind(Enum):
    """What the value of an expression is made of."""

    PLAIN = "nothing of a text"
    TEXT = "texts of messages"
    MESSAGE = "a message"
    MESSAGES = "messages"
    SPACE = "a namespace"


PLAIN, TEXT, MESSAGE, MESSAGES, SPACE = _Kind

TEXTS: Final = ("content", "input")
STRINGS_ARE: Final = frozenset({"string", "defined", "undefined", "none", "mapping", "sequence", "iterable", "number"})
"""Tests that are the same for all strings."""
PICKS: Final = {"first": MESSAGE, "last": MESSAGE, "list": MESSAGES, "length": PLAIN, "count": PLAIN}
"""Filters of a list of messages, and what they give."""
STATEMENTS: Final = (nodes.Template, nodes.Scope, nodes.If, nodes.For, nodes.Output, nodes.Assign, nodes.ExprStmt)
HARMLESS: Final = (nodes.Continue, nodes.Break)


class _OpaqueError(Exception):
    """The template does something with a message that is not known to be harmless."""


def opacity(prompt: Prompt) -> Opacity:
    """What a format may do with the texts of messages that have a `role`, a `content` and perhaps an `input`."""
    reading = _Reading()
    try:
        # What a variable holds may be decided below its first use, in a loop.
        while reading.changed:
            reading.changed = False
            reading.statement(prompt.tree)
    except _OpaqueError:
        return Opacity.OPAQUE
    return Opacity.TRIMMED if reading.trims else Opacity.CLEAR


class _Reading:
    """Follows messages through a template; variables are told apart by name alone, wherever they are set."""

    def __init__(self) -> None:
        self.known: dict[str, _Kind] = {"messages": MESSAGES}
        self.changed = True
        self.trims = False

    def statement(self, node: nodes.Node) -> None:
        """Read a statement and those within; `_OpaqueError` where it may look into a text."""
        if isinstance(node, HARMLESS):
            return
        if not isinstance(node, STATEMENTS):
            raise _OpaqueError
        if isinstance(node, nodes.Output):
            for part in node.nodes:
                self._only(part, PLAIN, TEXT)
        elif isinstance(node, nodes.Assign):
            self._assign(node.target, node.node)
        elif isinstance(node, nodes.ExprStmt):
            self._only(node.node, PLAIN)
        elif isinstance(node, nodes.For):
            self._loop(node)
        elif isinstance(node, nodes.If):
            self._asked(node.test)
        inner = [getattr(node, name, None) or [] for name in ("body", "elif_", "else_")]
        for statement in chain.from_iterable(inner):
            self.statement(statement)

    def _loop(self, node: nodes.For) -> None:
        if node.recursive:
            raise _OpaqueError
        over = self._only(node.iter, PLAIN, MESSAGES)
        if over is MESSAGES:
            self._set(_name(node.target), MESSAGE)
        else:
            for target in node.target.find_all(nodes.Name) if isinstance(node.target, nodes.Tuple) else [node.target]:
                self._set(_name(target), PLAIN)
        if node.test is not None:
            self._asked(node.test)

    def _assign(self, target: nodes.Node, value: nodes.Node) -> None:
        call = value if isinstance(value, nodes.Call) else None
        if call is not None and isinstance(call.node, nodes.Name) and call.node.name == "namespace":
            if call.args or call.dyn_args or call.dyn_kwargs:
                raise _OpaqueError
            self._set(_name(target), SPACE)
            for given in call.kwargs:
                self._set(f"{_name(target)}.{given.key}", self._kind(given.value))
        elif isinstance(target, nodes.Tuple):
            self._only(value, PLAIN)
        else:
            kind = self._kind(value)
            if kind is SPACE:
                raise _OpaqueError
            self._set(_name(target), kind)

    def _set(self, name: str, kind: _Kind) -> None:
        joined = _joined(self.known.get(name, PLAIN), kind)
        self.changed |= self.known.get(name) is not joined
        self.known[name] = joined

    def _only(self, node: nodes.Node, *kinds: _Kind) -> _Kind:
        kind = self._kind(node)
        if kind not in kinds:
            raise _OpaqueError
        return kind

    def _asked(self, node: nodes.Node) -> None:
        """Read a condition: whether anything is empty is part of a shape."""
        if isinstance(node, nodes.And | nodes.Or):
            self._asked(node.left)
            self._asked(node.right)
        elif isinstance(node, nodes.Not):
            self._asked(node.node)
        else:
            self._kind(node)

    def _kind(self, node: nodes.Node) -> _Kind:
        """What the value of an expression is made of."""
        match node:
            case nodes.Const() | nodes.TemplateData():
                return PLAIN
            case nodes.Name(name=name):
                if name == "loop":
                    raise _OpaqueError
                return self.known.get(name, PLAIN)
            case nodes.Getattr() | nodes.Getitem():
                return self._part(node)
            case nodes.Concat():
                return self._text(node.nodes)
            case nodes.Add():
                return self._text([node.left, node.right])
            case nodes.And() | nodes.Or():
                return _joined(self._kind(node.left), self._kind(node.right))
            case nodes.Not():
                self._asked(node.node)
                return PLAIN
            case nodes.CondExpr(test=test, expr1=one, expr2=other):
                self._asked(test)
                return _joined(self._kind(one), self._kind(other) if other is not None else PLAIN)
            case nodes.Filter():
                return self._filtered(node)
            case nodes.Test():
                return self._tested(node)
            case nodes.Compare():
                return self._compared(node)
        for part in node.iter_child_nodes():  # calls, lists, arithmetic: nothing of a message may go in
            self._only(part, PLAIN)
        return PLAIN

    def _text(self, parts: list[nodes.Expr]) -> _Kind:
        kinds = {self._only(part, PLAIN, TEXT) for part in parts}
        return TEXT if TEXT in kinds else PLAIN

    def _part(self, node: nodes.Getattr | nodes.Getitem) -> _Kind:
        """`whole.key` or `whole[key]`."""
        whole = node.node
        key = node.attr if isinstance(node, nodes.Getattr) else node.arg
        if isinstance(key, nodes.Const):
            key = key.value
        if isinstance(whole, nodes.Name) and whole.name == "loop":
            return MESSAGE if key in {"previtem", "nextitem"} else PLAIN
        if isinstance(whole, nodes.Name) and self.known.get(whole.name) is SPACE and isinstance(key, str):
            return self.known.get(f"{whole.name}.{key}", PLAIN)
        kind = self._only(whole, PLAIN, MESSAGE, MESSAGES)
        if kind is MESSAGE:
            # A dict's methods would hand out its texts; any other key is not there.
            if not isinstance(key, str) or hasattr(dict, key):
                raise _OpaqueError
            return TEXT if key in TEXTS else PLAIN
        if isinstance(key, nodes.Slice):
            for bound in (key.start, key.stop, key.step):
                if bound is not None:
                    self._only(bound, PLAIN)
            return kind
        if isinstance(key, nodes.Node):
            self._only(key, PLAIN)
        elif kind is MESSAGES and not isinstance(key, int):
            raise _OpaqueError
        return MESSAGE if kind is MESSAGES else PLAIN

    def _filtered(self, node: nodes.Filter) -> _Kind:
        if node.node is None:
            raise _OpaqueError
        kind = self._kind(node.node)
        bare = not (node.args or node.kwargs or node.dyn_args or node.dyn_kwargs)
        if kind is TEXT and node.name == "trim" and bare:
            self.trims = True
            return TEXT
        if kind is MESSAGES and node.name in PICKS and bare:
            return PICKS[node.name]
        for part in node.iter_child_nodes():
            self._only(part, PLAIN)
        return PLAIN

    def _tested(self, node: nodes.Test) -> _Kind:
        kind = self._kind(node.node)
        if kind is not PLAIN and node.name not in STRINGS_ARE:
            raise _OpaqueError
        for argument in node.args or []:
            self._only(argument, PLAIN)
        return PLAIN

    def _compared(self, node: nodes.Compare) -> _Kind:
        """`'key' in message` and `text != none` depend on no text; anything else may."""
        kind, (first, *more) = self._kind(node.expr), node.ops
        against = first.expr
        if kind is TEXT and not more and isinstance(against, nodes.Const) and against.value is None:
            return PLAIN
        if kind is PLAIN and not more and first.op in {"in", "notin"} and self._kind(against) is MESSAGE:
            return PLAIN
        for part in (node.expr, *(operand.expr for operand in node.ops)):
            self._only(part, PLAIN)
        return PLAIN


def _name(target: nodes.Node) -> str:
    """The name that a variable, or the attribute of a namespace, is followed by."""
    if isinstance(target, nodes.NSRef):
        return f"{target.name}.{target.attr}"
    if isinstance(target, nodes.Name):
        return target.name
    raise _OpaqueError


def _joined(one: _Kind, other: _Kind) -> _Kind:
    """What is one or the other."""
    if one is other or other is PLAIN:
        return one
    if one is PLAIN:
        return other
    raise _OpaqueError
