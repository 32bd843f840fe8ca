"""Rules that hold for every source, shown on the sources whose rows are simplest."""

import gzip
import hashlib
import json
from typing import Any

import pytest
import xxhash
from built import Build, array, kept, lines, turn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

GOOD = {"instruction": "Name a river.", "input": "", "output": "The Loire."}
PAIR = {"chosen": "\n\nHuman: q\n\nAssistant: a", "rejected": "\n\nHuman: q\n\nAssistant: b"}
CSV = "department,title,ask,answer\n科,题,问,答\n".encode("gb18030")


def alpaca(**fields: object) -> dict[str, object]:
    return GOOD | fields


def test_a_record_has_every_column(build: Build) -> None:
    row = {"instruction": "Add the numbers.", "input": "2, 3", "output": "5"}
    assert build("alpaca", {"alpaca_data.json": array(GOOD, row)}).records[1] == {
        "id": xxhash.xxh3_128_hexdigest(b"-,0:,16:Add the numbers.,4:2, 3,-,1:5,-,"),
        "source": "alpaca",
        "subset": "alpaca_data.json",
        "row": 1,
        "part": 0,
        "lang": "EN",
        "task": "MT",
        "gen": "SI",
        "language": None,
        "license": "CC-BY-NC-4.0",
        "system": None,
        "history": [],
        "instruction": "Add the numbers.",
        "input": "2, 3",
        "rationale": None,
        "output": "5",
        "rejected": None,
        "extra": None,
    }


def test_the_id_frames_history_and_counts_bytes(build: Build) -> None:
    row = {"instruction": "Human:你好\nAssistant:早\nHuman:再见\nAssistant:", "input": "", "output": "慢走"}
    (record,) = build("belle", {"multiturn_chat_0.8M.json": lines(row)}).records
    assert record["history"] == [turn("你好", "早")]
    assert record["id"] == xxhash.xxh3_128_hexdigest("-,15:6:你好,3:早,,6:再见,0:,-,6:慢走,-,".encode())


TAGS = [
    ("cot", "aqua_train.tsv", "q\ta\tr\n", "EN", "MT", "HG", "Apache-2.0"),
    ("cot", "CoT_Chinese_data.json", array(GOOD), "CN", "MT", "HG", "Apache-2.0"),
    ("gpteacher", "codegen-instruct.json", array(GOOD), "EN", "MT", "SI", "MIT"),
    ("alpaca", "alpaca_data.json", array(GOOD), "EN", "MT", "SI", "CC-BY-NC-4.0"),
    ("codealpaca", "code_alpaca_20k.json", array(GOOD), "EN", "TS", "SI", "CC-BY-NC-4.0"),
    ("alpaca_gpt4", "alpaca_gpt4_data.json", array(GOOD), "EN", "MT", "SI", "CC-BY-NC-4.0"),
    ("alpaca_gpt4", "alpaca_gpt4_data_zh.json", array(GOOD), "CN", "MT", "SI", "CC-BY-NC-4.0"),
    ("alpaca_gpt4", "unnatural_instruction_gpt4_data.json", array(GOOD), "EN", "MT", "SI", "CC-BY-NC-4.0"),
    ("belle", "train_2M_CN.json", lines(GOOD), "CN", "MT", "SI", "unknown"),
    ("belle", "school_math_0.25M.json", lines(GOOD), "CN", "TS", "SI", "unknown"),
    ("belle", "dev1K/dev1K.part_a.json", lines(GOOD), "CN", "TS", "SI", "unknown"),
    ("hh_rlhf", "helpful-base/train.jsonl", lines(PAIR), "EN", "TS", "MIX", "MIT"),
    ("chinese_medical", "a.csv", CSV, "CN", "TS", "COL", "MIT"),
    ("pclue", "pCLUE_train_1.json", lines({"input": "问", "target": "答"}), "CN", "MT", "COL", "unknown"),
    ("alpaca_zh", "alpaca_data_zh_51k.json", array(GOOD), "CN", "MT", "SI", "unknown"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "path", "content", "lang", "task", "gen", "licence"), TAGS, ids=[case[1] for case in TAGS]
)
def test_tags_and_lineage(
    build: Build, source: str, path: str, content: bytes | str, lang: str, task: str, gen: str, licence: str
) -> None:
    (record,) = build(source, {path: content}).records
    shown = [record[name] for name in ("source", "subset", "row", "part", "lang", "task", "gen", "license", "language")]
    assert shown == [source, path, 0, 0, lang, task, gen, licence, None]


TEXT = [
    ("  both ends \n", "both ends"),
    ("a\r\nb", "a\nb"),
    ("a\rb", "a\rb"),
    ("\u3000\u00a0\u2003\u0085\u2028全角\u1680\u202f\u205f\v\f", "全角"),
    ("in\u3000side", "in\u3000side"),
    ("\u200bzero width\ufeff", "\u200bzero width\ufeff"),
    ("\u001cfile\u001f", "\u001cfile\u001f"),
    ("cafe\u0301 ﬁ Ａ１", "cafe\u0301 ﬁ Ａ１"),
    ("你好，世界！（真的？）", "你好，世界！（真的？）"),
    ("line\\nbreak", "line\\nbreak"),
    ("<p>a &amp; b</p>", "<p>a &amp; b</p>"),
    ("    indented\n      more", "indented\n      more"),
    ("nul\u0000inside", "nul\u0000inside"),
    ("😀 𠮷", "😀 𠮷"),
]


@pytest.mark.parametrize(("written", "kept"), TEXT, ids=[ascii(one) for one, _ in TEXT])
def test_text_is_kept_but_for_its_ends_and_line_breaks(build: Build, written: str, kept: str) -> None:
    row = {"instruction": written, "input": written, "output": written}
    assert build("alpaca", {"alpaca_data.json": array(row)}).said == [
        {"instruction": kept, "input": kept, "output": kept}
    ]


NO_INPUT = [
    "noinput", "Noinput", "NOINPUT", "no input", "No Input", "none", "None", "n/a", "N/A", "nan", "NaN",
    "not applicable", "Not Applicable", "<noinput>", "< noinput >", "[No input]", "(No input)", "{none}",
    "{\\noinput}", "\\<noinput\\>", "No input.", "None!", "(No input.)", "No input required", "no input needed",
    "No input needed.", "no input necessary", "no input provided", "(no input given)", " \n<noinput>\n ", "", "  ",
]  # fmt: skip
INPUT = [
    "no", "input", "nothing", "none of them", "noinput here", "Text.\n<noinput>", "no input? why", "nan bread",
    "n/a, n/a", "无", "<noinput>。", "<noinput>.", '"<noinput>"', "<>", ".", "not applicable to cats",
]  # fmt: skip


@pytest.mark.parametrize("written", NO_INPUT)
def test_no_input(build: Build, written: str) -> None:
    assert build("alpaca", {"alpaca_data.json": array(alpaca(input=written))}).records[0]["input"] == ""


@pytest.mark.parametrize("written", INPUT)
def test_an_input_that_is_one(build: Build, written: str) -> None:
    assert build("alpaca", {"alpaca_data.json": array(alpaca(input=written))}).records[0]["input"] == written


@pytest.mark.parametrize("source", ["alpaca", "alpaca_zh", "belle", "codealpaca", "gpteacher", "alpaca_gpt4"])
def test_no_input_holds_wherever_there_is_an_input(build: Build, source: str) -> None:
    path = {
        "alpaca": "alpaca_data.json",
        "alpaca_zh": "alpaca_data_zh_51k.json",
        "belle": "train_2M_CN.json",
        "codealpaca": "code_alpaca_20k.json",
        "gpteacher": "codegen-instruct.json",
        "alpaca_gpt4": "alpaca_gpt4_data.json",
    }[source]
    built = build(source, {path: array(alpaca(input="<noinput>"), alpaca(input=None), alpaca(input="Europe"))})
    assert [row["input"] for row in built.records] == ["", "", "Europe"]


REASONS: list[tuple[str, str, str]] = [
    ("cut in the middle", '{"instruction": "a", "outp', "unparsable"),
    ("a lone surrogate", '{"instruction": "\\ud83d", "output": "b"}', "unparsable"),
    ("NaN in a field not used", '{"instruction": "a", "output": "b", "score": NaN}', "unparsable"),
    ("Infinity", '{"instruction": "a", "output": Infinity}', "unparsable"),
    ("a raw control character", '{"instruction": "a\tb", "output": "c"}', "unparsable"),
    ("two objects on a line", '{"instruction": "a", "output": "b"} {"instruction": "a", "output": "b"}', "unparsable"),
    ("words after the object", '{"instruction": "a", "output": "b"} and', "unparsable"),
    ("no output", '{"instruction": "a", "input": ""}', "missing field"),
    ("no instruction", '{"input": "", "output": "b"}', "missing field"),
    ("a null output", '{"instruction": "a", "output": null}', "missing field"),
    ("a bool for an output", '{"instruction": "a", "output": true}', "missing field"),
    ("a list for an instruction", '{"instruction": ["a"], "output": "b"}', "missing field"),
    ("an object for an input", '{"instruction": "a", "input": {}, "output": "b"}', "missing field"),
    ("an array for a row", '["a", "b"]', "missing field"),
    ("a null row", "null", "missing field"),
    ("an empty object", "{}", "missing field"),
    ("an empty instruction", '{"instruction": " \\u3000", "output": "b"}', "empty instruction"),
    ("an empty output", '{"instruction": "a", "output": "\\n"}', "empty output"),
    ("both empty", '{"instruction": "", "output": ""}', "empty instruction"),
    ("an empty instruction, no output", '{"instruction": ""}', "missing field"),
]


@pytest.mark.parametrize(("line", "reason"), [case[1:] for case in REASONS], ids=[case[0] for case in REASONS])
def test_a_bad_row_has_one_reason_and_costs_one_row(build: Build, line: str, reason: str) -> None:
    text = f"{json.dumps(GOOD)}\n{line}\n{json.dumps(GOOD)}\n"
    built = build("belle", {"train_2M_CN.json": text})
    assert built.places == [("train_2M_CN.json", 0), ("train_2M_CN.json", 2)]
    assert built.rejects == [{"file": "train_2M_CN.json", "row": 1, "reason": reason, "bytes": line}]
    assert (built.manifest["raw_rows"], built.manifest["records"]) == (3, 2)
    assert built.manifest["rejected"] == {reason: 1}


IN_ARRAY = [case for case in REASONS if case[2] != "unparsable" or "NaN" in case[0] or "surrogate" in case[0]]


@pytest.mark.parametrize(("element", "reason"), [case[1:] for case in IN_ARRAY], ids=[case[0] for case in IN_ARRAY])
def test_a_bad_element_of_an_array_costs_one_row(build: Build, element: str, reason: str) -> None:
    text = f"[\n  {json.dumps(GOOD)},\n  {element},\n  {json.dumps(GOOD)}\n]"
    built = build("alpaca", {"alpaca_data.json": text})
    assert built.places == [("alpaca_data.json", 0), ("alpaca_data.json", 2)]
    assert built.refused == [(1, reason)]


def test_bytes_that_are_no_utf8_cost_one_row(build: Build) -> None:
    good = json.dumps(GOOD).encode()
    built = build("belle", {"train_2M_CN.json": b"\n".join([good, good.replace(b"river", b"ri\xffer"), good, b""])})
    assert built.places == [("train_2M_CN.json", 0), ("train_2M_CN.json", 2)]
    assert built.refused == [(1, "unparsable")]


NUMBERS = ["5", "5.0", "-0.50", "1e3", "12345678901234567890123", "0.1234567890123456789"]


@pytest.mark.parametrize("written", NUMBERS)
def test_a_number_becomes_its_text_as_it_is_written(build: Build, written: str) -> None:
    line = f'{{"instruction": "Repeat the number.", "input": {written}, "output": {written}}}'
    for source, path, text in [("alpaca", "alpaca_data.json", f"[{line}]"), ("belle", "train_2M_CN.json", line)]:
        (said,) = build(source, {path: text}).said
        assert (said["input"], said["output"]) == (written, written)


def test_of_equal_keys_the_last_counts(build: Build) -> None:
    line = '{"instruction": "a", "output": "first", "output": "last"}'
    assert build("belle", {"train_2M_CN.json": line}).said == [{"instruction": "a", "output": "last"}]


def test_a_byte_order_mark_is_no_text(build: Build) -> None:
    raw = {
        ("alpaca", "alpaca_data.json"): array(GOOD),
        ("belle", "train_2M_CN.json"): lines(GOOD),
        ("cot", "aqua_train.tsv"): "Name a river.\tThe Loire.\t\n",
    }
    for (source, path), text in raw.items():
        built = build(source, {path: b"\xef\xbb\xbf" + text.encode()})
        assert built.said == [{"instruction": "Name a river.", "output": "The Loire."}], source


def test_a_blank_line_counts_but_is_no_row(build: Build) -> None:
    line = json.dumps(GOOD)
    built = build("belle", {"train_2M_CN.json": f"{line}\n\n  \n{line}\n"})
    assert built.places == [("train_2M_CN.json", 0), ("train_2M_CN.json", 3)]
    assert built.manifest["raw_rows"] == 2
    assert built.manifest["rejected"] == {}


def test_the_last_line_needs_no_break(build: Build) -> None:
    assert len(build("belle", {"train_2M_CN.json": lines(GOOD, GOOD).removesuffix("\n")}).records) == 2


def test_line_ends_of_windows(build: Build) -> None:
    built = build("belle", {"train_2M_CN.json": lines(GOOD, GOOD).replace("\n", "\r\n")})
    assert built.said == [{"instruction": "Name a river.", "output": "The Loire."}] * 2


CONTAINERS = [
    ("array", array(GOOD, GOOD).encode()),
    ("array after blanks", b" \n\t" + array(GOOD, GOOD).encode()),
    ("array on one line", json.dumps([GOOD, GOOD]).encode()),
    ("JSON Lines", lines(GOOD, GOOD).encode()),
    ("gzip of an array", gzip.compress(array(GOOD, GOOD).encode())),
    ("gzip of JSON Lines", gzip.compress(lines(GOOD, GOOD).encode())),
]


@pytest.mark.parametrize("content", [case[1] for case in CONTAINERS], ids=[case[0] for case in CONTAINERS])
@pytest.mark.parametrize(("source", "path"), [("alpaca", "alpaca_data.json"), ("belle", "train_2M_CN.json")])
def test_the_bytes_decide_the_container(build: Build, source: str, path: str, content: bytes) -> None:
    built = build(source, {path: content})
    assert built.places == [(path, 0), (path, 1)]
    assert built.said == [{"instruction": "Name a river.", "output": "The Loire."}] * 2


PATTERNS: dict[str, dict[str, Any]] = {
    "alpaca": {
        "text": array(GOOD),
        "taken": ["alpaca_data.json", "deep/er/alpaca_data.rows0-99.json", "alpaca_5000.part_b.json"],
        "left": ["alpaca_data_cleaned.json", "seed_tasks.json", "SOURCE.md"],
    },
    "alpaca_zh": {
        "text": array(GOOD),
        "taken": ["alpaca_data_zh_51k.json", "data/alpaca_data_zh_51k.rows0-99.json"],
        "left": ["alpaca_data.json"],
    },
    "alpaca_gpt4": {
        "text": array(GOOD),
        "taken": ["alpaca_gpt4_data.rows0-99.json", "data/alpaca_gpt4_data_zh.json"],
        "left": ["gpt4_data.json"],
    },
    "belle": {
        "text": lines(GOOD),
        "taken": [
            "Belle_open_source_0.5M.json",
            "a/train_2M_CN.rows0-99.json",
            "b/multiturn_chat_0.8M.part_b.json",
            "school_math_0.25M.json",
            "generated_chat_0.4M.json",
            "dev1K.json",
        ],
        "left": ["train_2M_EN.json", "eval_set.json"],
    },
    "codealpaca": {
        "text": array(GOOD),
        "taken": ["code_alpaca_2k.rows0-99.json", "data/new_codealpaca.json", "rosetta_alpaca.json"],
        "left": ["code_alpaca.json"],
    },
    "gpteacher": {
        "text": array(GOOD),
        "taken": [
            "Instruct/gpt4-instruct-dedupe-only-dataset.json",
            "toolformer-dedupe-only-dataset.rows0-99.json",
            "Roleplay Supplemental/roleplay-instruct-v2.1.json",
            "roleplay-simple-deduped-roleplay-instruct.json",
            "codegen-instruct.json",
        ],
        "left": ["Instruct/gpt4-instruct-similarity-0.9-dataset.json", "toolformer-similarity-0.6-dataset.json"],
    },
    "pclue": {
        "text": lines({"input": "问", "target": "答"}),
        "taken": ["pCLUE_train_1.json", "datasets/pCLUE_train_9.part_a.json", "pCLUE_dev.json"],
        "left": ["clue_train.json"],
    },
    "hh_rlhf": {
        "text": lines(PAIR),
        "taken": [
            "harmless-base/test.part_a.jsonl",
            "a/helpful-online/train.jsonl",
            "helpful-rejection-sampled/test.jsonl",
        ],
        "left": ["red-team-attempts/red_team_attempts.jsonl", "train.jsonl"],
    },
    "cot": {
        "text": "q\ta\tr\n",
        "taken": ["aqua_train.tsv", "cot_data/gsm8k_train.rows0-99.tsv"],
        "left": ["aqua_test.tsv", "flan_patterns.json"],
    },
    "chinese_medical": {
        "text": CSV,
        "taken": ["样例_内科5000-6000.csv", "Data_数据/内科/内科.rows_1-2000.csv"],
        "left": ["README.md"],
    },
}


@pytest.mark.parametrize("source", PATTERNS)
def test_which_files_are_taken(build: Build, source: str) -> None:
    case = PATTERNS[source]
    built = build(source, dict.fromkeys([*case["taken"], *case["left"]], case["text"]))
    assert sorted(one["path"] for one in built.manifest["files"]) == sorted(case["taken"])
    assert sorted(row["subset"] for row in built.records) == sorted(case["taken"])
    assert sorted(built.manifest["unclaimed"]) == sorted(case["left"])


def test_the_manifest_accounts_for_every_file_and_row(build: Build) -> None:
    one = array(GOOD, alpaca(output=""), alpaca(instruction=""))
    two = array(GOOD, alpaca(output=" "), GOOD)
    built = build("alpaca", {"a/alpaca_data.json": one, "b/alpaca_data.json": two})
    manifest = {key: built.manifest[key] for key in ("source", "raw_rows", "records", "rejected")}
    assert manifest == {
        "source": "alpaca",
        "raw_rows": 6,
        "records": 3,
        "rejected": {"empty instruction": 1, "empty output": 2},
    }
    assert [(one["path"], one["sha256"], one["rows"]) for one in built.manifest["files"]] == [
        ("a/alpaca_data.json", hashlib.sha256(one.encode()).hexdigest(), 3),
        ("b/alpaca_data.json", hashlib.sha256(two.encode()).hexdigest(), 3),
    ]
    assert built.places == [("a/alpaca_data.json", 0), ("b/alpaca_data.json", 0), ("b/alpaca_data.json", 2)]
    assert [(one["file"], one["row"], one["reason"]) for one in built.rejects] == [
        ("a/alpaca_data.json", 1, "empty output"),
        ("a/alpaca_data.json", 2, "empty instruction"),
        ("b/alpaca_data.json", 1, "empty output"),
    ]


def test_a_reject_shows_its_first_500_bytes(build: Build) -> None:
    line = json.dumps(alpaca(instruction="x" * 900, output=""))
    (reject,) = build("belle", {"train_2M_CN.json": f"{json.dumps(GOOD)}\n{line}\n"}).rejects
    assert reject["bytes"] == line[:500]


def test_a_letter_is_not_the_worse_for_standing_at_the_500th_byte(build: Build) -> None:
    line = json.dumps(alpaca(instruction="字" * 300, output=""), ensure_ascii=False)
    (reject,) = build("belle", {"train_2M_CN.json": f"{json.dumps(GOOD)}\n{line}\n"}).rejects
    whole = reject["bytes"].rstrip("\ufffd")
    assert line.startswith(whole)
    assert 497 <= len(whole.encode()) <= 500


def test_a_source_whose_rows_are_all_refused_is_no_error(build: Build) -> None:
    built = build("alpaca", {"alpaca_data.json": array(alpaca(output=""), alpaca(output=""))})
    assert (built.records, built.shards) == ([], [])
    assert built.manifest["rejected"] == {"empty output": 2}


def test_equal_rows_stay_and_have_equal_ids(build: Build) -> None:
    built = build("alpaca", {"alpaca_data.json": array(GOOD, alpaca(input="N/A"), alpaca(output="The Po."))})
    first, second, third = (row["id"] for row in built.records)
    assert first == second != third
    (elsewhere,) = build("alpaca_zh", {"alpaca_data_zh_51k.json": array(GOOD)}).records
    assert elsewhere["id"] == first


def test_fields_without_a_column_are_left_out_unless_the_source_keeps_them(build: Build) -> None:
    (record,) = build("alpaca", {"alpaca_data.json": array(alpaca(text="Below is an instruction", score=3))}).records
    assert record["extra"] is None


# --- laws ---------------------------------------------------------------------------------------------------------

EDGES = st.text(st.sampled_from('a字\r\n \u3000\u200b\ufeff\x1c\x85\\"<\u0301'), max_size=8)

many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@many
@given(texts=st.lists(st.text() | EDGES, min_size=1, max_size=20), ascii_only=st.booleans())
def test_the_text_rule_is_one_rule_for_any_text(build: Build, texts: list[str], ascii_only: bool) -> None:
    rows = [{"instruction": f"{text}|", "input": "", "output": f"|{text}"} for text in texts]
    content = "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows)
    assert build("belle", {"train_2M_CN.json": content}).said == [
        {"instruction": kept(row["instruction"]), "output": kept(row["output"])} for row in rows
    ]


SOUND = [
    json.dumps(GOOD),
    '{"output": "The Loire.", "input": null, "instruction": "Name a river."}',
    '{"instruction": "Name a lake.", "instruction": "Name a river.", "output": "The Loire."}',
    '  {"instruction": "Name a river.", "output": "The \\u004coire.", "score": [1, {"a": null}]}  ',
    '{"instruction": "Name a river.", "input": "N/A", "output": "The Loire.", "note": "\\ud83d\\ude00"}',
]
LINES: dict[str, str | None] = dict.fromkeys(SOUND) | {line: reason for _, line, reason in REASONS}


@many
@given(chosen=st.lists(st.sampled_from(sorted(LINES)), max_size=12))
def test_bad_rows_do_not_touch_their_neighbours(build: Build, chosen: list[str]) -> None:
    lines_ = [SOUND[0], *chosen, SOUND[0]]
    built = build("belle", {"train_2M_CN.json": "\n".join(lines_) + "\n"})
    assert built.refused == [(row, reason) for row, line in enumerate(lines_) if (reason := LINES[line])]
    assert [row["row"] for row in built.records] == [row for row, line in enumerate(lines_) if not LINES[line]]
    assert {(row["instruction"], row["input"], row["output"]) for row in built.records} == {
        ("Name a river.", "", "The Loire.")
    }


ELEMENTS = sorted([*SOUND, *(line for _, line, _ in IN_ARRAY)])


@many
@given(chosen=st.lists(st.sampled_from(ELEMENTS), max_size=12), gap=st.sampled_from(["", "\n", "\r\n    ", "\t"]))
def test_an_array_reads_as_its_elements_do_on_lines(build: Build, chosen: list[str], gap: str) -> None:
    elements = [SOUND[0], *chosen]
    built = build("alpaca", {"alpaca_data.json": f"[{gap}" + f",{gap}".join(elements) + f"{gap}]"})
    assert built.refused == [(row, reason) for row, line in enumerate(elements) if (reason := LINES[line])]
    assert [row["row"] for row in built.records] == [row for row, line in enumerate(elements) if not LINES[line]]
