"""Rows of a mixture, written by hand, and the folder that `mix` would have left of them."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa

TEXT = pa.large_string()
TAG = pa.dictionary(pa.int32(), pa.string())
MESSAGE = pa.struct([("role", TEXT), ("content", TEXT)])
SCHEMA = pa.schema(
    [
        ("messages", pa.list_(MESSAGE)),
        *((name, TEXT) for name in ("instruction", "input", "rationale", "rejected")),
        *((name, TAG) for name in ("lang", "task", "gen", "language", "license", "template")),
        ("id", TEXT),
        *((name, TAG) for name in ("source", "subset")),
        ("row", pa.uint64()),
        ("part", pa.uint16()),
        ("repeat", pa.uint32()),
    ]
)


def user(content: str, **more: str) -> dict[str, str]:
    return {"role": "user", "content": content, **more}


def assistant(content: str) -> dict[str, str]:
    return {"role": "assistant", "content": content}


def row(instruction: str, answer: str, input: str = "", before: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """A row worded plainly; `before` holds earlier requests and answers in turn."""
    turns = [(user if place % 2 == 0 else assistant)(text) for place, text in enumerate(before)]
    request = f"{instruction}\n{input}" if input else instruction
    return {
        "messages": [*turns, user(request), assistant(answer)],
        "instruction": instruction,
        "input": input,
        "rationale": None,
        "rejected": None,
        "lang": "EN",
        "task": "MT",
        "gen": "SI",
        "language": None,
        "license": "CC-BY-NC-4.0",
        "template": "plain",
        "id": sha256(f"{instruction}|{input}|{answer}".encode()).hexdigest()[:32],
        "source": "alpaca",
        "subset": "alpaca.json",
        "row": 0,
        "part": 0,
        "repeat": 0,
    } | more


PLAIN = row("Translate to French.", "Bonjour.", input="Good morning.")
ZH = row("把这句话译成英文。", "Good morning, teacher.", input="老师早上好。", lang="CN", license="Apache-2.0")
EMOJI = row("Which animal is this?", "A fox 🦊, I think.", input="🦊")
CHAT = row("And tomorrow?", "明天下雨。", before=("How is the weather?", "Sunny ☀️.", "今天呢？", "晴天。"))
WORDED = row("Is a whale a fish?", "It breathes air. So no.", template="cot/yes-no/3")


def write(out: Path, name: str, train: list[dict[str, Any]], holdout: list[dict[str, Any]]) -> Path:
    """Write the mixture `name` below the data folder `out`; its folder."""
    place = out / "mixes" / name
    place.mkdir(parents=True)
    for part, rows in (("train", train), ("holdout", holdout)):
        if not rows:
            continue
        with pa.OSFile(str(place / f"{part}-00000.arrow"), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
            writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
    licences = [one["license"] for one in train]
    manifest = {
        "mixture": name,
        "fingerprint": sha256(json.dumps([train, holdout]).encode()).hexdigest(),
        "rows": {"train": len(train), "holdout": len(holdout)},
        "counts": {
            "license": {licence: licences.count(licence) for licence in sorted(set(licences))},
            "source": {"alpaca": len(train)},
            "lang": {"EN": len(train) - 1, "CN": 1},
        },
    }
    (place / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return place
