"""Evaluation items are read in every shape their files have, and what cannot be read is told in one line."""

import io
import json
import zipfile
from pathlib import Path

import pytest

from collectors.catalog import Catalog, load
from collectors.errors import CatalogError, SourceError
from collectors.fetch import fetch
from pipeline.judge.suites import SuiteItems, asked, suites

ROOT = Path(__file__).resolve().parents[3]
CATALOG = load(ROOT / "catalog.yaml")
REAL = ROOT.parent / "shared" / "evalsets"

MATH = {"question": "Ann has 3 pens and buys 4 more. How many has she?", "answer": "3 + 4 = <<3+4=7>>7\n#### 7"}


def laid(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def zipped(files: dict[str, str]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def read(folder: Path, catalog: Catalog = CATALOG) -> dict[str, SuiteItems]:
    return {one.name: one for one in suites(catalog, folder, [])}


def test_json_lines_under_a_json_name_without_a_last_line_break(tmp_path: Path) -> None:
    rows = [
        {"question": "写一首诗", "std_answer": "", "class": "generation"},
        {"question": "翻译：你好", "std_answer": "Hello", "class": "open qa"},
    ]
    lines = "\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    folder = laid(tmp_path, {"belle_eval/eval_set.json": lines, "belle_eval/eval_prompt.json": '{"class": "x"}'})
    assert read(folder)["belle_eval"].items.rows() == [
        ("belle_eval/eval_set.json:0", "写一首诗", "", ""),
        ("belle_eval/eval_set.json:1", "翻译：你好", "", "Hello"),
    ]


def test_an_array_with_chinese_keys(tmp_path: Path) -> None:
    row = {"类别": "心理", "题目": "下列哪一项是颜色？", "选项": "A:红\nB:三", "答案": "A"}
    folder = laid(tmp_path, {"mmcu/test.json": json.dumps([row], ensure_ascii=False)})
    assert read(folder)["mmcu"].items.rows() == [("mmcu/test.json:0", "下列哪一项是颜色？", "A:红\nB:三", "A")]


def test_sheets_are_read_by_position(tmp_path: Path) -> None:
    sheets = {
        "外科": [["题目", "选项甲", "选项乙", "答案"], ["一加一是几？", "二", "三", "A"]],
        "教育": [["第二题", "x", "y", "z", "AB"], ["", "", "", "", ""], ["第三题", "x", "y", "z", "Ｃ"]],
    }
    folder = laid(tmp_path, {"mmcu/医疗.xlsx": workbook(sheets)})
    assert read(folder)["mmcu"].items.rows() == [
        ("mmcu/医疗.xlsx:0", "一加一是几？", "二\n三", "A"),
        ("mmcu/医疗.xlsx:1", "第二题", "x\ny\nz", "AB"),
        ("mmcu/医疗.xlsx:2", "第三题", "x\ny\nz", "Ｃ"),
    ]


def workbook(sheets: dict[str, list[list[str]]]) -> bytes:
    """The least that is an Excel workbook (ECMA-376) with these sheets of texts."""
    office, main = "http://schemas.openxmlformats.org/officeDocument/2006/relationships", "spreadsheetml/2006/main"
    package = "http://schemas.openxmlformats.org/package/2006"

    def relations(targets: dict[str, str]) -> str:
        links = (
            f'<Relationship Id="r{number}" Type="{office}/{kind}" Target="{target}"/>'
            for number, (target, kind) in enumerate(targets.items())
        )
        return f'<Relationships xmlns="{package}/relationships">{"".join(links)}</Relationships>'

    parts = {f"worksheets/s{number}.xml": rows for number, rows in enumerate(sheets.values())}
    named = "".join(f'<sheet name="{name}" sheetId="{n + 1}" r:id="r{n}"/>' for n, name in enumerate(sheets))
    kinds = '<Default Extension="xml" ContentType="application/xml"/>'
    kinds += '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    files = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">{kinds}</Types>',
        "_rels/.rels": relations({"xl/workbook.xml": "officeDocument"}),
        "xl/workbook.xml": f'<workbook xmlns="http://schemas.openxmlformats.org/{main}" xmlns:r="{office}">'
        f"<sheets>{named}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": relations(dict.fromkeys(parts, "worksheet")),
    }
    for part, rows in parts.items():
        lines = (
            "".join(
                f'<c r="{chr(65 + column)}{row}" t="inlineStr"><is><t>{text}</t></is></c>'
                for column, text in enumerate(cells)
                if text
            )
            for row, cells in enumerate(rows, 1)
        )
        body = "".join(f'<row r="{row}">{line}</row>' for row, line in enumerate(lines, 1))
        files[f"xl/{part}"] = (
            f'<worksheet xmlns="http://schemas.openxmlformats.org/{main}"><sheetData>{body}</sheetData></worksheet>'
        )
    return zipped(files)


def test_what_is_no_workbook_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"mmcu: .*a\.xlsx: is no Excel workbook"):
        read(laid(tmp_path, {"mmcu/a.xlsx": b"PK junk"}))


def test_csv_with_an_unnamed_column_a_mark_and_a_break_within_a_cell(tmp_path: Path) -> None:
    table = '\ufeff,Question,A,B,C,D,Answer\r\n0,"一加一，\n等于？",一,二,三,四,B\r\n'
    folder = laid(tmp_path, {"cmmlu/data/test/sums.csv": table, "cmmlu/README.md": "not data"})
    found = read(folder)["cmmlu"]
    assert found.items.rows() == [("cmmlu/data/test/sums.csv:0", "一加一，\n等于？", "一\n二\n三\n四", "B")]
    assert list(found.files) == ["data/test/sums.csv"]


def test_a_zip_reads_as_if_unpacked_and_its_test_split_has_no_answer(tmp_path: Path) -> None:
    members = {
        "test/law_test.csv": "id,question,A,B,C,D\n0,谁立法____,甲,乙,丙,丁\n",
        "val/law_val.csv": "id,question,A,B,C,D,answer\n0,谁执法____,甲,乙,丙,丁,C\n",
    }
    packed, plain = tmp_path / "packed", tmp_path / "plain"
    laid(packed, {"ceval/ceval-exam.zip": zipped(members)})
    laid(plain, {f"ceval/{name}": content for name, content in members.items()})
    rows = [
        ("ceval/test/law_test.csv:0", "谁立法____", "甲\n乙\n丙\n丁", ""),
        ("ceval/val/law_val.csv:0", "谁执法____", "甲\n乙\n丙\n丁", "C"),
    ]
    assert read(packed)["ceval"].items.rows() == rows == read(plain)["ceval"].items.rows()
    assert list(read(packed)["ceval"].files) == ["ceval-exam.zip"]
    assert len(read(packed)["ceval"].files["ceval-exam.zip"]) == 64


def test_a_training_split_is_not_scored_so_it_is_no_leak(tmp_path: Path) -> None:
    line = json.dumps(MATH)
    folder = laid(tmp_path, {"gsm8k/train.jsonl": line, "gsm8k/grade_school_math/data/test.jsonl": line})
    assert read(folder)["gsm8k"].items["name"].to_list() == ["gsm8k/grade_school_math/data/test.jsonl:0"]


@pytest.mark.parametrize("column", ["question", "Question", "prompt", "instruction", "text", "input", "题目"])
def test_the_column_of_a_named_file_is_found(tmp_path: Path, column: str) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(json.dumps({"id": 7, column: "What is a yak?", "choices": ["a cow", "a bird"], "answer": 0}))
    (found,) = suites(CATALOG, None, [("yaks", file)])
    assert found.items.rows() == [("yaks/mine.jsonl:0", "What is a yak?", "a cow\na bird", "0")]


def test_a_named_csv_reads_too_with_options_in_columns(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("Question,A,B,Answer\nWhich is red?,blood,snow,A\n")
    (found,) = suites(CATALOG, None, [("colours", file)])
    assert found.items.rows() == [("colours/mine.csv:0", "Which is red?", "blood\nsnow", "A")]


BAD = {
    "no text column": (
        b'{"id": 1, "label": "x"}',
        "mine: {}: has no column of questions, its columns are id, label; call",
    ),
    "empty": (b" \n", "mine: {}: is empty; fetch it again, or remove it"),
    "not json": (
        b"id\tquestion\n",
        "mine: {}: line 1 is not JSON (Expecting value: line 1 column 1 (char 0)); give one",
    ),
    "no object": (b'"question"\n', 'mine: {}: line 1 is no object but "question"; give one object a line'),
    "not utf-8": ("题目".encode("gb18030"), "mine: {}: is not UTF-8; convert it"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\n", "mine: {}: is a Git LFS pointer, not the data; run"),
    "cut array": (b'[{"question": "x"}', "mine: {}: is no sound JSON array ("),
}


@pytest.mark.parametrize(("content", "said"), BAD.values(), ids=BAD)
def test_a_named_file_that_cannot_be_read_is_told_in_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        suites(CATALOG, None, [("mine", file)])
    assert str(caught.value).startswith(said.format(file))
    assert "\n" not in str(caught.value)


def test_a_named_file_that_is_not_there_or_has_a_taken_name(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"mine: .*no\.jsonl: no such file; give a JSON Lines file"):
        suites(CATALOG, None, [("mine", tmp_path / "no.jsonl")])
    with pytest.raises(CatalogError, match="the name 'gsm8k' is taken or none; give the file another"):
        suites(CATALOG, None, [("gsm8k", tmp_path / "no.jsonl")])


BROKEN: dict[str, tuple[dict[str, str | bytes], str]] = {
    "no set": (
        {"humaneval/test.jsonl": "{}"},
        "holds no folder of an evaluation set; it should hold some of belle_eval, ceval,",
    ),
    "no file": ({"gsm8k/train.jsonl": "{}"}, "gsm8k: no file in .* matches \\*\\*/test\\*.jsonl"),
    "broken zip": ({"ceval/ceval.zip": b"PK\x03\x04 cut"}, "ceval: .*ceval.zip: is no sound zip .*; fetch it again"),
    "damaged zip": (
        {"ceval/ceval.zip": zipped({"val/law_val.csv": "id,question\n" * 50}).replace(b"\x4b", b"\x4c", 1)},
        "ceval: .*ceval.zip: is no sound zip .*; fetch it again",
    ),
    "no question": ({"gsm8k/test.jsonl": '{"Q": 1}'}, "gsm8k: .*test.jsonl: has no column question; its columns are Q"),
    "short row": (
        {"ceval/val/law_val.csv": "id,question,A,B,C,D,answer\n0,谁\n"},
        "ceval: .*law_val.csv: line 2 has not as many cells as the header",
    ),
    "empty": ({"gsm8k/test.jsonl": ""}, "gsm8k: .*test.jsonl: is empty"),
}


@pytest.mark.parametrize(("files", "said"), BROKEN.values(), ids=BROKEN)
def test_a_folder_that_cannot_be_read_is_told_in_one_line(
    tmp_path: Path, files: dict[str, str | bytes], said: str
) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        suites(CATALOG, laid(tmp_path, files), [])
    assert "\n" not in str(caught.value)


def test_a_set_can_be_fetched_as_a_source_can(tmp_path: Path) -> None:
    said: list[str] = []
    fetch({"gsm8k": CATALOG.suites["gsm8k"]}, tmp_path, offline=True, say=said.append)
    assert said == [
        "gsm8k: offline: missing grade_school_math/data/train.jsonl, grade_school_math/data/test.jsonl; "
        "run again without --offline"
    ]


def test_what_a_command_asks_for(tmp_path: Path) -> None:
    folder = laid(tmp_path, {"gsm8k/test.jsonl": json.dumps(MATH), "mine.jsonl": json.dumps(MATH)})
    mine = f"mine={folder / 'mine.jsonl'}"

    def names(where: str | None, *named: str) -> list[str] | None:
        found = asked(CATALOG, where, list(named), tmp_path)
        return None if found is None else [one.name for one in found]

    assert names(None) is None
    assert names("none") == []
    assert names("none", mine) == names(None, mine) == ["mine"]
    assert names(str(folder), mine) == ["gsm8k", "mine"]
    with pytest.raises(CatalogError, match=r"--suite mine.jsonl: give the file a name, NAME=FILE"):
        names("none", "mine.jsonl")
    with pytest.raises(CatalogError, match="the name 'mine' is taken"):
        names("none", mine, mine)


@pytest.mark.skipif(not REAL.is_dir(), reason="the evaluation sets are not at hand")
def test_the_real_sets_have_the_rows_upstream_states() -> None:
    found = read(REAL)
    rows = {name: one.items.height for name, one in found.items()}
    assert rows == {"belle_eval": 1000, "ceval": 13948, "cmmlu": 11917, "mmcu": 1, "gsm8k": 1319}
    assert all(rows[name] == suite.rows for name, suite in CATALOG.suites.items() if name != "mmcu")
    splits = found["ceval"].items["name"].str.extract("^ceval/([a-z]+)/").value_counts().sort("name").rows()
    assert splits == [("dev", 260), ("test", 12342), ("val", 1346)]
    assert all((one.items["question"].str.len_chars() > 0).all() for one in found.values())
