"""The FLAN import: byte for byte from the literals of a file that is never run."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.errors import ArtefactError, TemplateError
from templates.flan import STEMS, as_jinja, import_flan, read_python
from templates.template import load
from templates.text import VARIABLES, Text

ORACLE = Path(__file__).parents[2] / "../shared/raw/cot/flan_patterns.json"
SLOT = {"question": "{question}", "rationale": "{chain_of_thought}", "answer": "{answer}"}
VALUES = {
    "id": "r",
    "question": "多少？\nOptions:\n(A) {answer}",
    "context": "",
    "rationale": "1 + 1 = 2\n<b> {{ 7*7 }}",
    "answer": "(A) {question}",
    "options": None,
}


def replaced(pattern: str) -> str:
    """The pattern with `VALUES` in its slots, in the plainest way; values hold no slot of a later step unprotected."""
    for name, slot in SLOT.items():
        pattern = pattern.replace(slot, f"\0{name}\0")
    for name in SLOT:
        pattern = pattern.replace(f"\0{name}\0", str(VALUES[name]))
    return pattern


def rendered(source: str) -> str:
    frame = pl.DataFrame([VALUES], dict.fromkeys(("id", *VARIABLES), pl.String))
    return str(Text(source, "here").render(frame).item())


HEAD = '''\
"""Patterns in the shape of FLAN's file."""
import copy
import dataclasses
from nowhere import at_all
raise SystemExit("this file must not run")
PATTERNS = {
    "other": [(f"{1 + 1}", open("/etc/passwd").read())],
'''
PAIRS = """\
    "{key}": [
        ("Ask {task}: {{question}}"
         " {{braces}} {{{{ 7*7 }}}}{{", "{{chain_of_thought}}\\nSo {{answer}}."),
    ],
"""
SHOTS = """\
    "{key}": [
        FewShotPattern(inputs="{{question}}", targets="{{answer}}", inputs_prefix="Q: "),
        FewShotPattern(inputs="[{{question}}]", targets="{{answer}}", x_y_delimiter="\\n", in_template_mix=False),
    ],
"""
BETWEEN = """
    "cot_stream_general_input_inversion": [
        # a comment
        ("{chain_of_thought} {answer} What was asked?", "{question}"),
    ],
}

"""
CLASS = '''
PATTERNS_NO_OPTIONS = copy.deepcopy(PATTERNS)
for name, templates in PATTERNS_NO_OPTIONS.items():
  PATTERNS_NO_OPTIONS[name] = [at_all(x) for x in templates]


@dataclasses.dataclass
class FewShotPattern:
  """The defaults count."""
  inputs: str
  targets: str
  inputs_prefix: str = ""
  targets_prefix: str = ""
  x_y_delimiter: str = "\\n\\n"
  example_separator: str = "\\n\\n\\n"
  final_suffix: str = ""
  input_pattern: str = "{{inputs}}{final_suffix}"
  in_template_mix: bool = True

  @property
  def combined_inputs(self):
    return self.inputs_prefix + self.inputs


FEWSHOT_PATTERNS = {
'''


def flan_file() -> str:
    """A templates.py in FLAN's shape: literals, aliases, and much around them that must not run."""
    keys = [(f"{stem}_{task}", task) for task, stem in STEMS.items()]
    inverted = [(f"{stem}_input_inversion_{task}", task) for task, stem in STEMS.items()]
    aliases = "".join(
        f'PATTERNS["{key}"] = PATTERNS[\n    "cot_stream_general_input_inversion"]\n' for key, _ in inverted
    )
    shots = "".join(SHOTS.format(key=key) for key, _ in keys + inverted[1:])
    last = f'}}\nFEWSHOT_PATTERNS["{inverted[0][0]}"] = FEWSHOT_PATTERNS["{inverted[1][0]}"]\n'
    return (
        HEAD
        + "".join(PAIRS.format(key=key, task=task) for key, task in keys)
        + BETWEEN
        + aliases
        + CLASS
        + shots
        + last
    )


def written(folder: Path, text: str, name: str = "templates.py") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_a_file_in_flans_shape(tmp_path: Path) -> None:
    assert import_flan(written(tmp_path, flan_file()), tmp_path / "flan") == 9
    template = load(str(tmp_path / "flan"))
    assert sorted(template.wordings) == [(task, "en") for task in sorted(STEMS)]
    wording = template.all_wordings[0]
    assert wording.id == "flan/aqua/en-01"
    assert rendered(wording.prompt.source) == f"Ask aqua: {VALUES['question']} {{braces}} {{{{ 7*7 }}}}{{"
    assert rendered(wording.target.source) == f"{VALUES['rationale']}\nSo {VALUES['answer']}."
    sheet = yaml.safe_load((tmp_path / "flan/gsm8k.yaml").read_text(encoding="utf-8"))
    assert sheet["input_inversion"] == {
        "en": [{"prompt": "{{ rationale }} {{ answer }} What was asked?", "target": "{{ question }}"}]
    }
    assert sheet["few_shot"]["en"] == [
        {
            "inputs": "{{ question }}",
            "targets": "{{ answer }}",
            "inputs_prefix": "Q: ",
            "targets_prefix": "",
            "x_y_delimiter": "\n\n",
            "example_separator": "\n\n\n",
            "final_suffix": "",
            "in_template_mix": True,
        },
        {
            "inputs": "[{{ question }}]",
            "targets": "{{ answer }}",
            "inputs_prefix": "",
            "targets_prefix": "",
            "x_y_delimiter": "\n",
            "example_separator": "\n\n\n",
            "final_suffix": "",
            "in_template_mix": False,
        },
    ]
    assert sheet["few_shot_input_inversion"] == sheet["few_shot"]


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8")) | st.text("{}%#-'\\\r\n abq"), st.text("{}%#\r\n"))
def test_every_other_character_means_itself(before: str, after: str) -> None:
    pattern = f"{before}{{question}}{after}{{answer}}{before}"
    assert rendered(as_jinja(pattern)) == replaced(pattern)


@pytest.mark.skipif(not ORACLE.is_file(), reason="FLAN's patterns are not here")
def test_flans_own_patterns_byte_for_byte(tmp_path: Path) -> None:
    listed = json.loads(ORACLE.read_text(encoding="utf-8"))
    assert import_flan(ORACLE, tmp_path / "flan") == 100
    template = load(str(tmp_path / "flan"))
    for task, pairs in listed["zero_shot"].items():
        wordings = template.wordings[task, "en"]
        assert [(rendered(each.prompt.source), rendered(each.target.source)) for each in wordings] == [
            (replaced(ask), replaced(target)) for ask, target in pairs
        ]
        sheet = yaml.safe_load((tmp_path / f"flan/{task}.yaml").read_text(encoding="utf-8"))
        assert [(rendered(each["prompt"]), rendered(each["target"])) for each in sheet["input_inversion"]["en"]] == [
            (replaced(ask), replaced(target)) for ask, target in listed["input_inversion"]
        ]
        for key in ("few_shot", "few_shot_input_inversion"):
            jinja = [
                shot | {name: as_jinja(shot[name]) for name in ("inputs", "targets")} for shot in listed[key][task]
            ]
            assert sheet[key] == {"en": jinja}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('("Ask aqua: {question}"', '(f"Ask {question}"', "PATTERNS['stream_aqua']: line 9: not a literal"),
        ('("Ask aqua: {question}"', '(print("ran") + ""', "PATTERNS['stream_aqua']: line 9: not a literal"),
        ('("Ask aqua: {question}"', '(__import__("os").system("touch ran") + ""', "not a literal"),
        ('"stream_aqua": [', '"stream_aqua": load_all() + [', "PATTERNS['stream_aqua'] is not a list"),
        ('"cot_creak"', '"cot_creek"', "no PATTERNS['cot_creak']; wanted is flan/v2/templates.py"),
        ('FewShotPattern(inputs="{question}"', 'OtherPattern(inputs="{question}"', "not a FewShotPattern"),
        ('FewShotPattern(inputs="{question}"', 'FewShotPattern("{question}"', "not a FewShotPattern"),
        ('FewShotPattern(inputs="{question}"', 'FewShotPattern(input="{question}"', "input"),
        ('FewShotPattern(inputs="{question}"', 'FewShotPattern(input_pattern="x", inputs="x"', "not a FewShotPattern"),
        ("import copy", "import copy copy", "not Python"),
    ],
)
def test_hostile_or_wrong_content_is_one_line(old: str, new: str, said: str, tmp_path: Path) -> None:
    text = flan_file()
    assert old in text
    source = written(tmp_path, text.replace(old, new))
    with pytest.raises(TemplateError) as caught:
        import_flan(source, tmp_path / "out")
    assert said in str(caught.value)
    assert str(source) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.py", b""),
        ("other.py", b"x = 1\n"),
        ("deep.py", b"x = " + b"(" * 5000),
        ("nul.py", b"a\0b"),
        ("gb.py", "x = '问'".encode("gb18030")),
        ("list.json", b"[]"),
        ("cut.json", b'{"zero_shot": {'),
        ("deep.json", b"[" * 200_000),
        ("less.json", b'{"zero_shot": {}, "few_shot": {}, "input_inversion": [], "few_shot_input_inversion": {}}'),
    ],
)
def test_what_is_no_flan_file_is_one_line(name: str, content: bytes, tmp_path: Path) -> None:
    source = tmp_path / name
    source.write_bytes(content)
    with pytest.raises(TemplateError, match=r"^[^\n]*$") as caught:
        import_flan(source, tmp_path / "out")
    assert str(source) in str(caught.value)


def test_a_folder_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    source = written(tmp_path, flan_file())
    with pytest.raises(ArtefactError, match="cannot be written: Not a directory"):
        import_flan(source, source / "out")


def test_the_patterns_keep_flans_slots(tmp_path: Path) -> None:
    patterns = read_python(written(tmp_path, flan_file()))
    assert patterns.zero_shot["qed"] == [
        ("Ask qed: {question} {braces} {{ 7*7 }}{", "{chain_of_thought}\nSo {answer}.")
    ]


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-m", "templates", *map(str, arguments)], capture_output=True, text=True, cwd=root, check=False
    )


def test_the_command(tmp_path: Path) -> None:
    done = command("import-flan", written(tmp_path, flan_file()), "--out", tmp_path / "flan")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("9 zero-shot wordings written to ")
    missing = command("import-flan", tmp_path / "gone.py", "--out", tmp_path / "flan")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert missing.stderr == (
        f"suri: error: {tmp_path / 'gone.py'}: No such file or directory; "
        "wanted is FLAN's templates.py or its patterns as JSON\n"
    )
    misspelt = command("import-flan", tmp_path / "gone.py", "--uot", tmp_path)
    assert misspelt.returncode == 2
    assert "--out" in misspelt.stderr
