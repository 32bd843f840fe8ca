"""Task templates: which wording a record wears, and what a template file may hold."""

import re
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.errors import TemplateError
from collectors.record import keyed
from templates.template import Template, load, names

TASKS = ["aqua", "creak", "ecqa", "esnli", "gsm8k", "qasc", "qed", "sensemaking", "strategyqa"]
REAL = Path(__file__).parents[2] / "../shared/raw/cot"

RECORD = {
    "id": "0" * 32,
    "subset": "gsm8k_train.tsv",
    "lang": "EN",
    "language": None,
    "instruction": "How many?",
    "input": "",
    "rationale": "2 + 3 = 5",
    "output": "5",
}

COT = load("cot")


def records(*changes: dict[str, str | None]) -> pl.DataFrame:
    """Records that differ from `RECORD` as told."""
    return pl.DataFrame([RECORD | change for change in changes], dict.fromkeys(RECORD, pl.String))


def worn(template: Template, **changes: str | None) -> dict[str, object]:
    """The columns that wording adds to one record."""
    frame = template.word(records(changes), seed=7)
    return frame.select("prompt", "target", "template", "rationale_used").row(0, named=True)


def written(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


MINE = 'wordings:\n  en:\n    - prompt: "Q: {{ question }}"\n      target: "{{ rationale }} -> {{ answer }}"\n'


def test_plain_puts_the_input_below_the_instruction() -> None:
    assert worn(load("plain"), instruction="Translate.", input="猫 {{ 7*7 }}", rationale=None, output="cat") == {
        "prompt": "Translate.\n猫 {{ 7*7 }}",
        "target": "cat",
        "template": "plain",
        "rationale_used": False,
    }
    assert worn(load("plain"))["prompt"] == "How many?"


def test_a_wording_by_file_and_language(tmp_path: Path) -> None:
    words = MINE + '  zh:\n    - prompt: "问：{{ question }}"\n      target: "{{ rationale }}。答：{{ answer }}"\n'
    written(tmp_path / "my", "gsm8k.yaml", words)
    mine = load(str(tmp_path / "my"))
    assert worn(mine) == {
        "prompt": "Q: How many?",
        "target": "2 + 3 = 5 -> 5",
        "template": "my/gsm8k/en-01",
        "rationale_used": True,
    }
    chinese = {
        "prompt": "问：How many?",
        "target": "2 + 3 = 5。答：5",
        "template": "my/gsm8k/zh-01",
        "rationale_used": True,
    }
    assert worn(mine, lang="CN") == chinese
    assert worn(mine, lang="ML", language="zh-Hant") == chinese


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "cot/gsm8k/en"),
        ({"lang": "CN"}, "cot/gsm8k/zh"),
        ({"lang": "ML", "language": "zh"}, "cot/gsm8k/zh"),
        ({"lang": "ML", "language": "fr"}, "cot/gsm8k/en"),
        ({"lang": "ML"}, "cot/gsm8k/en"),
        ({"lang": "EN", "language": "zh"}, "cot/gsm8k/en"),
        ({"subset": "deep/er/qed_train.rows0-9.tsv"}, "cot/qed/en"),
        ({"subset": "unheard_train.tsv"}, "plain"),
        ({"subset": "CoT_Chinese_data.json", "lang": "CN"}, "plain"),
        ({"rationale": None}, "plain"),
    ],
)
def test_task_and_language_decide_the_set(changes: dict[str, str | None], expected: str) -> None:
    assert str(worn(load("cot"), **changes)["template"]).rsplit("-", 1)[0] == expected


def test_one_file_for_every_task() -> None:
    assert str(worn(load("cot/qed"), subset="anything.json")["template"]).startswith("cot/qed/en-")
    assert worn(load("cot/qed"), rationale=None)["template"] == "plain"


def test_an_unused_rationale_can_be_counted(tmp_path: Path) -> None:
    file = written(tmp_path, "bare.yaml", 'wordings: {en: [{prompt: "{{ question }}", target: "{{ answer }}"}]}')
    assert worn(load(str(file))) == {
        "prompt": "How many?",
        "target": "5",
        "template": "bare/en-01",
        "rationale_used": False,
    }
    assert worn(load(str(file)), rationale=None)["template"] == "bare/en-01"


def test_options_are_the_lines_behind_the_question(tmp_path: Path) -> None:
    text = "wordings: {en: [{prompt: '{% if options is defined %}{{ options }}{% else %}none{% endif %}', target: x}]}"
    choosing = load(str(written(tmp_path, "choosing.yaml", text)))
    assert worn(choosing, instruction="Which?\nOptions:\n- a\n- b")["prompt"] == "- a\n- b"
    assert worn(choosing, instruction="Which? Options: a")["prompt"] == "none"


@settings(deadline=None)
@given(st.lists(st.text("0123456789abcdef", min_size=1), min_size=1, unique=True), st.integers(0, 2**63), st.data())
def test_a_record_always_wears_the_same_wording(ids: list[str], seed: int, data: st.DataObject) -> None:
    frame = records(*({"id": name} for name in ids))
    whole = COT.word(frame, seed)
    some = frame.filter(
        pl.Series(data.draw(st.lists(st.booleans(), min_size=len(ids), max_size=len(ids))), dtype=pl.Boolean)
    )
    shuffled = some.sample(fraction=1.0, shuffle=True, seed=data.draw(st.integers(0, 99)))
    again = COT.word(shuffled, seed)
    assert whole.columns == [*RECORD, "prompt", "target", "template", "rationale_used"]
    assert whole.select(list(RECORD)).equals(frame)
    assert again.sort("id").equals(whole.filter(pl.col("id").is_in(again["id"].implode())).sort("id"))


def test_the_draw_is_the_keyed_hash() -> None:
    frame = load("cot").word(records(*({"id": f"{number:032x}"} for number in range(500))), seed=3)
    drawn = frame.select(
        pl.format("cot/gsm8k/en-{}", (keyed(3, "template", "id") % 11 + 1).cast(pl.String).str.zfill(2))
    )
    assert drawn.to_series().to_list() == frame["template"].to_list()
    assert frame["template"].n_unique() == 11
    assert frame["template"].to_list() != load("cot").word(frame.select(list(RECORD)), seed=4)["template"].to_list()


def test_no_rows_are_no_error() -> None:
    frame = load("cot").word(records(), seed=1)
    assert frame.shape == (0, len(RECORD) + 4)
    assert frame.schema["prompt"] == pl.String


def test_every_task_has_ten_wordings_a_language() -> None:
    assert names() == ["plain", "cot", *(f"cot/{task}" for task in TASKS)]
    template = load("cot")
    assert sorted(template.wordings) == [(task, language) for task in TASKS for language in ("en", "zh")]
    for (task, language), wordings in template.wordings.items():
        assert len(wordings) >= 10
        assert len({(wording.prompt.source, wording.target.source) for wording in wordings}) == len(wordings)
        for wording in wordings:
            assert wording.id.startswith(f"cot/{task}/{language}-")
            assert wording.prompt.names == {"question"}, wording.id
            assert wording.target.names == {"rationale", "answer"}, wording.id
            han = re.search(r"[\u4e00-\u9fff]", wording.prompt.source)
            assert bool(han) == (language == "zh"), wording.id


def test_the_fingerprint_follows_the_words(tmp_path: Path) -> None:
    first = load(str(written(tmp_path / "a", "gsm8k.yaml", MINE)))
    other = load(str(written(tmp_path / "b/a", "gsm8k.yaml", MINE + "few_shot: {}\n")))
    changed = load(str(written(tmp_path / "c/a", "gsm8k.yaml", MINE.replace("->", "=>"))))
    assert first.fingerprint == other.fingerprint != changed.fingerprint
    assert load("cot").fingerprint != load("plain").fingerprint


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cott", "template 'cott': neither a template nor a file; did you mean cot"),
        ("cot/gsm8", "template 'cot/gsm8': neither a template nor a file; did you mean cot/gsm8k"),
        ("x" * 5000, "; known: cot, "),
        ("", "the folder holds no .yaml file"),
    ],
)
def test_an_unknown_name_has_near_misses(name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TemplateError, match=r"^[^\n]*$") as caught:
        load(name)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("wordings:\n  en: [{promt: a, target: b}]", "wordings.en.0.promt: unknown key; did you mean prompt?"),
        ("wordings:\n  fr: [{prompt: a, target: b}]", "wordings.fr"),
        ("wordings:\n  en: []", "wordings.en"),
        ("words: {}", "words: unknown key; did you mean wordings?"),
        (MINE + MINE, "'wordings' stands twice"),
        (MINE + "few_shot: {en: [{inputs: a}]}", "few_shot.en.0.targets"),
        (
            MINE + "input_inversion: {en: [{prompt: '{{ anser }}', target: b}]}",
            "input_inversion.en.0.prompt: unknown variable 'anser'",
        ),
        (MINE.replace("{{ question }}", "{{ question"), "wordings.en.0.prompt: line 1: "),
        ("- a", "valid dictionary"),
        ("a: [", "bad.yaml: line"),
        ("", "valid dictionary"),
    ],
)
def test_a_wrong_file_names_the_place(text: str, said: str, tmp_path: Path) -> None:
    file = written(tmp_path, "bad.yaml", text)
    with pytest.raises(TemplateError, match=r"^[^\n]*$") as caught:
        load(str(file))
    assert str(file) in str(caught.value)
    assert said in str(caught.value)


def test_a_file_of_another_encoding(tmp_path: Path) -> None:
    file = tmp_path / "gb.yaml"
    file.write_bytes(MINE.replace("Q:", "问：").encode("gb18030"))
    with pytest.raises(TemplateError, match="UTF-8"):
        load(str(file))


@pytest.mark.skipif(not REAL.is_dir(), reason="the real rows are not here")
def test_real_rows_wear_their_task(tmp_path: Path) -> None:
    """Every real row: the prompt holds the question as it is, the target holds rationale and answer."""
    frames = []
    for file in sorted(REAL.glob("*_train*.tsv")):
        rows = [line.replace("\\n", "\n").split("\t") for line in file.read_text(encoding="utf-8").split("\n") if line]
        frames.append(
            pl.DataFrame(rows, ["instruction", "output", "rationale"], orient="row").select(
                pl.all(),
                id=pl.format("{}-{}", pl.lit(file.stem), pl.int_range(pl.len())),
                subset=pl.lit(file.name),
                lang=pl.lit("EN"),
                language=pl.lit(None),
                input=pl.lit(""),
            )
        )
    frame = load("cot").word(pl.concat(frames), seed=0)
    held = frame.select(
        pl.col("prompt").str.contains(pl.col("instruction"), literal=True),
        pl.col("target").str.contains(pl.col("rationale"), literal=True)
        & pl.col("target").str.contains(pl.col("output"), literal=True),
        "rationale_used",
        task=pl.col("template").str.split("/").list.get(1) == pl.col("subset").str.extract("^([a-z0-9]+)_"),
    )
    assert held.select(pl.all().all()).row(0) == (True, True, True, True)
    assert frame["template"].n_unique() == 44
