"""The command line: its help, its flags, and mistakes told in one line with exit code 2."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rows import EMOJI, PLAIN, ZH, row, write

from collectors.commands import run
from train.__main__ import app

ROOT = Path(__file__).parents[2]


Suri = Callable[..., tuple[int, str, str]]


@pytest.fixture
def suri(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Suri:
    monkeypatch.setenv("COLUMNS", "200")

    def called(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as done:
            run(app, "python -m train", list(words))
        said = capsys.readouterr()
        assert isinstance(done.value.code, int)
        return done.value.code, said.out, said.err

    return called


def test_help_is_whole_and_brings_nothing_heavy(suri: Suri) -> None:
    code, text, _ = suri("run", "--help")
    assert code == 0
    for flag in ("--mix", "--recipe", "--base", "--out", "--name", "--set", "--gpus", "--sharding"):
        assert flag in text
    probe = "import sys, train.__main__; print(sorted({'torch', 'transformers', 'peft'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--mix", "nothing"], "suri: error: mixture nothing: not built in"),
        (["--recipe", "demmo"], "suri: error: recipe demmo: unknown; did you mean demo?"),
        (["--set", "method.q=1"], "suri: error: recipe demo: method.q: unknown key;"),
        (["--recipe", "lora"], "suri: error: recipe lora: names no base;"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(suri: Suri, tmp_path: Path, words: list[str], message: str) -> None:
    code, said, error = suri("run", "--out", str(tmp_path), *words)
    assert (code, said) == (2, "")
    assert error.startswith(message)
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_help_names_every_command(suri: Suri) -> None:
    code, text, _ = suri("--help")
    assert code == 0
    for command in ("run", "plan", "merge", "push"):
        assert f" {command} " in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["merge", "demmo", "--to", "x"], "suri: error: run demmo: there is none in "),
        (["push", "demmo", "--to", "x"], "did you mean demo?"),
        (["push", "begun", "--to", "x"], "suri: error: run begun: is not finished; give the command that began it"),
        (["push", "a/b", "--to", "x"], "suri: error: run name 'a/b': is no plain folder name"),
        (["plan", "demmo"], "suri: error: recipe demmo: unknown; did you mean demo?"),
        (["run", "--gpus", "0"], "--gpus"),
        (["run", "--sharding", "zero4"], "zero4"),
    ],
)
def test_other_commands_know_their_names_as_well(suri: Suri, tmp_path: Path, words: list[str], message: str) -> None:
    (tmp_path / "runs" / "demo").mkdir(parents=True)
    (tmp_path / "runs" / "demo" / "manifest.json").write_text("{}")
    (tmp_path / "runs" / "begun.work").mkdir()
    code, _, error = suri(*words, "--out", str(tmp_path))
    assert code == 2
    assert message in error
    assert error.count("\n") == 1


def test_a_plan_is_told_before_anything_is_loaded(suri: Suri, tmp_path: Path) -> None:
    code, told, _ = suri("plan", "demo", "--out", str(tmp_path))
    assert code == 0
    assert "parameters" in told
    assert "memory" in told
    assert not list(tmp_path.iterdir())


def test_an_unknown_flag_is_an_error(suri: Suri) -> None:
    code, _, error = suri("run", "--bass", "x")
    assert code == 2
    assert "No such option: --bass" in error


def test_killed_and_run_again_the_demo_ends_well(tmp_path: Path) -> None:
    numbers = [row(f"Say the number {number} as a word.", f"It is number {number}, in a word.") for number in range(40)]
    write(tmp_path, "demo", [PLAIN, ZH, *numbers], [EMOJI])
    command = [sys.executable, "-m", "train", "run", "--mix", "demo", "--out", str(tmp_path)]
    command += ["--set", "steps=12", "--set", "log_every=2", "--set", "save_every=2"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ) as cut:
        assert cut.stdout is not None
        assert any(line.startswith("step 6/12") for line in cut.stdout)
        cut.send_signal(signal.SIGKILL)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "resuming from" in done.stdout
    assert "held-out loss before" in done.stdout
    assert (tmp_path / "runs" / "demo-demo" / "manifest.json").is_file()
