"""What the tests of the sources share: raw files written in a few words, and what the program made of them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

WHITE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""Unicode White_Space, all of it."""

EXCHANGE = ("system", "history", "instruction", "input", "rationale", "output", "rejected", "extra")


@dataclass(frozen=True, kw_only=True)
class Built:
    """One built source: its records in shard order, its rejected raw rows, its manifest, its shards' names."""

    records: list[dict[str, Any]]
    rejects: list[dict[str, Any]]
    manifest: dict[str, Any]
    shards: list[str]

    @property
    def said(self) -> list[dict[str, Any]]:
        """Each record's exchange: the columns among `EXCHANGE` that hold something, `extra` read as JSON."""
        rows = [{name: row[name] for name in EXCHANGE if row[name] not in (None, "", [])} for row in self.records]
        return [row | {"extra": json.loads(row["extra"])} if "extra" in row else row for row in rows]

    @property
    def places(self) -> list[tuple[str, int]]:
        """Where each record comes from: subset and row."""
        return [(row["subset"], row["row"]) for row in self.records]

    @property
    def refused(self) -> list[tuple[int, str]]:
        """Row and reason of each rejected raw row."""
        return [(line["row"], line["reason"]) for line in self.rejects]


Build = Callable[[str, Mapping[str, bytes | str]], Built]


def read(folder: Path) -> Built:
    """What lies in `folder`, one source's `data/records/<source>`."""
    shards = sorted(folder.glob("*.arrow"))
    records = [row for shard in shards for row in pl.read_ipc(shard).to_dicts()]
    refused = folder / "rejects.jsonl"
    lines = refused.read_text(encoding="utf-8").split("\n")[:-1] if refused.exists() else []
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    rejects = [json.loads(line) for line in lines]
    return Built(records=records, rejects=rejects, manifest=manifest, shards=[shard.name for shard in shards])


def array(*rows: object) -> str:
    """The rows as a JSON array."""
    return json.dumps(rows, ensure_ascii=False, indent=2)


def lines(*rows: object) -> str:
    """The rows as JSON Lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def kept(text: str) -> str:
    """The contract's text rule in plain Python: LF line ends, no white space at the ends."""
    return text.replace("\r\n", "\n").strip(WHITE)


def turn(user: str, assistant: str) -> dict[str, str]:
    """One finished exchange, as `history` holds it."""
    return {"user": user, "assistant": assistant}
