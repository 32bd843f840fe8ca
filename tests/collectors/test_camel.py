"""camel: chats of two roles, questions of science, and lists of instructions, packed or unpacked."""

import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from typing import Any

import pytest
from built import Build, array, lines, turn

from collectors.camel import MOST

ABOUT = {
    "role_1": "Programmer_RoleType.ASSISTANT",
    "role_2": "Baker_RoleType.USER",
    "id": "001_002_003",
    "original_task": "Plan a bakery's stock.",
    "specified_task": "Write a table of flour and yeast for a week.",
    "termination_reason": "<CAMEL_TASK_DONE>",
}


def message(who: str, content: object) -> dict[str, object]:
    return {"role_name": "Somebody", "role_type": who, "role": who.lower(), "content": content}


def chat(*said: str, first: str = "USER", **fields: object) -> dict[str, object]:
    other = {"USER": "ASSISTANT", "ASSISTANT": "USER"}[first]
    messages = {
        f"message_{number}": message(first if number % 2 else other, text) for number, text in enumerate(said, 1)
    }
    return ABOUT | messages | {"num_messages": len(said)} | fields


def science(question: object, answer: object, **fields: object) -> dict[str, object]:
    about = {"role_1": "Physicist_RoleType.ASSISTANT", "topic;": "Optics", "sub_topic": "Lenses"}
    return about | {"message_1": question, "message_2": answer} | fields


def played(instruction: str, output: str, *history: dict[str, str]) -> dict[str, Any]:
    before = {"history": list(history)} if history else {}
    return before | {"instruction": instruction, "output": output, "extra": ABOUT}


OPTICS = {"role_1": "Physicist_RoleType.ASSISTANT", "topic": "Optics", "sub_topic": "Lenses"}

SCIENCE: dict[str, tuple[dict[str, object], dict[str, Any]]] = {
    "the key with a semicolon": (
        science("What is focal length?", " The distance.\n"),
        {"instruction": "What is focal length?", "output": "The distance.", "extra": OPTICS},
    ),
    "the key without one": (
        {"role_1": "Mathematician_RoleType.ASSISTANT", "topic": "Sets", "sub_topic": "Unions"}
        | {"message_1": "Why?", "message_2": "So."},
        {
            "instruction": "Why?",
            "output": "So.",
            "extra": {"role_1": "Mathematician_RoleType.ASSISTANT", "topic": "Sets", "sub_topic": "Unions"},
        },
    ),
    "no topic": (
        {"message_1": "Why?", "message_2": 'So "it" is: \u00e9.'},
        {"instruction": "Why?", "output": 'So "it" is: \u00e9.'},
    ),
    "an answer that is a number": (
        science("6*7?", 42.0),
        {"instruction": "6*7?", "output": "42.0", "extra": OPTICS},
    ),
}

CHATS: dict[str, tuple[dict[str, object], dict[str, Any]]] = {
    "one exchange, boilerplate and all": (
        chat("Instruction: Begin.\nInput: None", "Solution: Here.\n\nNext request."),
        played("Instruction: Begin.\nInput: None", "Solution: Here.\n\nNext request."),
    ),
    "an end without an answer": (
        chat("Begin.", "Here.", "<CAMEL_TASK_DONE>"),
        played("Begin.", "Here."),
    ),
    "messages by number, not by name": (
        chat(*(f"m{number}" for number in range(1, 13))),
        played("m11", "m12", *(turn(f"m{n}", f"m{n + 1}") for n in (1, 3, 5, 7, 9))),
    ),
    "an answer first": (chat("Hello.", "Begin.", "Here.", first="ASSISTANT"), played("Begin.", "Here.")),
    "empty messages are skipped": (
        chat("Begin.", " ", "With flour.", "Here.", "", "Enjoy."),
        played("Begin.\n\nWith flour.", "Here.\n\nEnjoy."),
    ),
    "a message without content": (
        chat("Begin.", "Here.") | {"message_3": message("USER", None)},
        played("Begin.", "Here."),
    ),
    "as many messages as are read": (
        chat(*(f"m{number}" for number in range(1, MOST + 1))),
        played(f"m{MOST - 1}", f"m{MOST}", *(turn(f"m{n}", f"m{n + 1}") for n in range(1, MOST - 1, 2))),
    ),
}

FORMS = SCIENCE | CHATS


@pytest.mark.parametrize(("raw", "record"), FORMS.values(), ids=FORMS.keys())
def test_an_unpacked_object_is_a_record(build: Build, raw: dict[str, object], record: dict[str, Any]) -> None:
    path = "physics/001_001_001.json" if "role_2" not in raw else "code_chat/code/001_001_001.json"
    built = build("camel", {path: json.dumps(raw, indent=1)})
    assert built.said == [record]
    assert built.places == [(path, 0)]


def zipped(members: Mapping[str, object]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in members.items():
            archive.writestr(zipfile.ZipInfo(name), json.dumps(raw))
    return target.getvalue()


def tarred(members: Mapping[str, object]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for name, raw in members.items():
            data = json.dumps(raw).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return target.getvalue()


@pytest.mark.parametrize(
    ("path", "pack"),
    [("math50k.zip", zipped), ("code_chat.zip", zipped), ("ai_society_chat.tar.gz", tarred), ("biology.zip", zipped)],
)
def test_the_form_is_the_rows_not_the_archives(build: Build, path: str, pack: Any) -> None:
    members = {f"data/{index:03}_001_001.json": raw for index, (raw, _) in enumerate(FORMS.values())}
    built = build("camel", {path: pack(dict(reversed(members.items())))})
    assert built.said == [record for _, record in FORMS.values()]
    assert built.places == [(path, index) for index in range(len(FORMS))]


def test_members_are_sorted_by_name_and_a_bad_one_costs_itself(build: Build) -> None:
    members = {"b/2.json": chat(), "b/10.json": chat("Begin.", "Here."), "a/9.json": chat("Why?", "So.")}
    built = build("camel", {"code_chat.zip": zipped(members)})
    assert built.said == [played("Why?", "So."), played("Begin.", "Here.")]
    assert built.places == [("code_chat.zip", 0), ("code_chat.zip", 1)]
    assert built.refused == [(2, "missing field")]


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "a chat of no message": (chat(), "missing field"),
    "a chat of one message": (chat("Begin."), "missing field"),
    "a chat of answers": (chat("a", "", "b", first="ASSISTANT"), "missing field"),
    "a message of nobody": (chat("Begin.", "Here.") | {"message_3": message("SYSTEM", "x")}, "missing field"),
    "a message without a role": (chat("Begin.", "Here.") | {"message_3": {"content": "x"}}, "missing field"),
    "a message that is a text among objects": (chat("Begin.", "Here.", "x") | {"message_3": "x"}, "missing field"),
    "content that is a list": (chat("Begin.", "Here.") | {"message_2": message("ASSISTANT", ["x"])}, "missing field"),
    "more messages than are read": (chat(*(MOST + 1) * ["x"]), "missing field"),
    "no answer": ({"message_1": "Why?"}, "missing field"),
    "an answer that is a list": (science("Why?", ["So."]), "missing field"),
    "a question that is an object": (science(message("USER", "Why?"), "So."), "missing field"),
    "an empty answer": (science("Why?", " "), "empty output"),
    "an empty question": (science("", "So."), "empty instruction"),
}


@pytest.mark.parametrize(("raw", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_row_that_is_none(build: Build, raw: dict[str, object], reason: str) -> None:
    good = science("a", "b")
    built = build("camel", {"chemistry/x/all.json": lines(good, raw, good)})
    assert [record["row"] for record in built.records] == [0, 2]
    assert built.refused == [(1, reason)]


@pytest.mark.parametrize("name", ["ai_society_instructions.json", "code_instructions.json"])
@pytest.mark.parametrize("written", [lines, array], ids=["JSON Lines", "array"])
def test_lists_of_instructions(build: Build, name: str, written: Any) -> None:
    beside = {"role_1_response": "Solution: 3", "role_1_message_id": 2}
    raw = ABOUT | beside | {"instruction": "Add.", "input": "1 and 2", "output": "3"}
    built = build("camel", {name: written(raw, raw | {"input": "None"}, raw | {"output": ""})})
    assert built.said == [
        {"instruction": "Add.", "input": "1 and 2", "output": "3", "extra": ABOUT},
        {"instruction": "Add.", "output": "3", "extra": ABOUT},
    ]
    assert built.refused == [(2, "empty output")]


def test_what_is_lost_is_counted(build: Build) -> None:
    raw = [chat("Hello.", "Begin.", "Here.", "More.", first="ASSISTANT"), science("Why?", "So.")]
    assert build("camel", {"physics/all.json": lines(*raw)}).manifest["dropped_turns"] == {
        "answer before the first user turn": 1,
        "user turn after the last answer": 1,
    }
