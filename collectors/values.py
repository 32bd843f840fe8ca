"""JSON values of no one type: the text they stand for."""

from typing import Final

import msgspec

_TEXTS: Final = frozenset([b'"', b"-", *(b"%d" % digit for digit in range(10))])


def text(value: bytes | None) -> str | None:
    """The text of a JSON string, or a number as it is written; None for null, a bool, a list or an object."""
    if value is None or value[:1] not in _TEXTS:
        return None
    return msgspec.json.decode(value, type=str) if value[:1] == b'"' else value.decode()
