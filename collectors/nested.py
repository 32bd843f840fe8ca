"""Objects that stand inside a row under names no schema can list, read by the rules that rows are read by."""

from collections.abc import Sequence

import msgspec

from collectors.rows import Schema, exact

Values = tuple[str | None, ...]


def objects(texts: Sequence[bytes], schema: Schema) -> list[Values | None]:
    """Each JSON text's declared fields, all of them text, in the schema's order; None for what is no such object."""
    values, good, _ = exact(texts, schema)
    found: list[Values | None] = [None] * len(texts)
    for index, value in zip(good, values, strict=True):
        found[index] = msgspec.structs.astuple(value) if isinstance(value, msgspec.Struct) else value
    return found


def members(text: bytes) -> dict[str, bytes] | None:
    """The values of a JSON object as the texts they are, by name; None when `text` is no object."""
    try:
        return {name: bytes(value) for name, value in _MEMBERS.decode(text).items()}
    except msgspec.DecodeError:
        return None


_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
