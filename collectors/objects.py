"""JSON files that are one object: a single row, the list of rows under one of its keys, or columns side by side."""

from collections.abc import Iterator
from itertools import islice
from typing import Final

import msgspec

from collectors import blocks
from collectors.blocks import BOM, Block, Broken

LARGEST: Final = 256 << 20
"""Bytes of the largest file that is taken for one object."""

_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])


def may_be_one(head: bytes) -> bool:
    """Whether a file that begins so may be one object over several lines: its first line begins one and no more."""
    line, found, _ = head.removeprefix(BOM).lstrip().partition(b"\n")
    if not found or not line.startswith(b"{"):
        return False
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except msgspec.DecodeError as error:
        return "truncated" in str(error)
    return False


def is_one(data: bytes, broken: Broken) -> bool:
    """Whether a whole file is one object; a file that ends within it is cut short."""
    try:
        msgspec.json.decode(data.removeprefix(BOM), type=msgspec.Raw)
    except RecursionError:
        return True
    except msgspec.DecodeError as error:
        if "truncated" in str(error) and len(data) <= LARGEST:
            raise broken("is one JSON object and ends within it; the file is cut short, fetch it again") from None
        return False
    return True


def listed_blocks(data: bytes, key: str, broken: Broken, limit: int | None) -> Iterator[Block]:
    """Blocks of the elements of the list under `key`; the object's other fields come along as `enclosing`."""
    try:
        fields = _FIELDS.decode(data.removeprefix(BOM))
        elements = _LIST.decode(fields.pop(key))
    except KeyError:
        raise broken(f"has no list {key!r}") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise broken(f"is no object with a list {key!r} ({error}); fetch it again") from None
    enclosing = b"{" + b",".join(msgspec.json.encode(name) + b":" + bytes(raw) for name, raw in fields.items()) + b"}"
    yield from element_blocks(map(bytes, elements), enclosing, limit)


def element_blocks(
    elements: Iterator[bytes], enclosing: bytes | None = None, limit: int | None = None
) -> Iterator[Block]:
    """Blocks of JSON texts that come one by one, sound or not."""
    first = 0
    texts: list[bytes] = []
    size = 0
    for element in islice(elements, limit):
        texts.append(element)
        size += len(element) + 1
        if len(texts) == blocks.ROWS or size >= blocks.BYTES:
            yield joined(texts, first, enclosing)
            first, texts, size = first + len(texts), [], 0
    if texts:
        yield joined(texts, first, enclosing)


def joined(texts: list[bytes], first: int, enclosing: bytes | None = None) -> Block:
    """One block of JSON texts, sound or not, the first of them being row `first`."""
    spans, position = [], 0
    for text in texts:
        spans.append((position, position + len(text)))
        position += len(text) + 1
    data = b",".join(texts)
    return Block(
        offset=0,
        length=len(data),
        first=first,
        rows=len(texts),
        array=True,
        spans=tuple(spans),
        data=data,
        enclosing=enclosing,
    )


def transposed(data: bytes) -> Iterator[bytes] | None:
    """The rows of an object of column lists; None when it is no such object.

    One unsound row stands for lists of unequal length.
    """
    try:
        columns = msgspec.json.decode(data.removeprefix(BOM), type=dict[str, list[msgspec.Raw]])
    except (msgspec.DecodeError, RecursionError):
        return None
    if len({len(column) for column in columns.values()}) != 1:
        return iter([b"{" + data])  # two opening brackets: no JSON, whatever follows
    names = [msgspec.json.encode(name) for name in columns]
    return (
        b"{" + b",".join(name + b":" + bytes(value) for name, value in zip(names, row, strict=True)) + b"}"
        for row in zip(*columns.values(), strict=True)
    )
