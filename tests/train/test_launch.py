"""Several processes: together they train as one does, and what one of them meets is told in a line."""

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from accelerate.utils import FullyShardedDataParallelPlugin
from accelerate.utils.deepspeed import HfDeepSpeedConfig
from safetensors.torch import load_file
from transformers import TrainingArguments

from collectors.errors import ArtefactError, TrainingError
from train import launch, run
from train.mixture import Mixture
from train.recipe import Recipe

With = Callable[..., Recipe]
ROOT = Path(__file__).parents[2]


def metrics(place: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (place / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def test_two_processes_train_as_one_does(out: Path, mixed: Mixture, recipe_with: With, said: list[str]) -> None:
    method = recipe_with().method.model_dump() | {"dropout": 0.0}
    # Packed to 160 tokens, the last step of an epoch has fewer rows than there are processes times batch.
    settings = {"method": method, "cutoff": 160, "steps": 5, "evaluate_every": 5, "save_every": 5, "log_every": 1}
    alone, together = (recipe_with(**settings, batch=2, accumulation=number) for number in (2, 1))
    one = run.train(out, mixed, alone, name="one", say=said.append)
    two = run.train(out, mixed, together, name="two", processes=2, say=said.append)
    assert "training in 2 processes" in said
    for mine, theirs in zip(metrics(one.folder), metrics(two.folder), strict=True):
        assert theirs == pytest.approx(mine, rel=1e-5)
    assert [entry["step"] for entry in metrics(two.folder) if "loss" in entry] == [1, 2, 3, 4, 5]
    weights, others = (load_file(each.folder / "adapter" / "adapter_model.safetensors") for each in (one, two))
    assert weights.keys() == others.keys()
    for key, value in weights.items():
        torch.testing.assert_close(others[key], value, atol=1e-6, rtol=1e-5)
    assert (two.manifest["processes"], two.manifest["sharding"]) == (2, "none")
    assert not list(two.folder.parent.glob("two.*"))


def test_what_one_process_meets_stops_all_and_is_told(
    out: Path, mixed: Mixture, recipe_with: With, said: list[str]
) -> None:
    recipe = recipe_with(learning_rate=1e30, evaluate=False)
    with pytest.raises(TrainingError, match=r"step 2: the loss is no number any more; .*it came of: [0-9a-f]{32}"):
        run.train(out, mixed, recipe, name="wild-two", processes=2, say=said.append)


def test_a_process_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "train.launch", str(tmp_path / "job.json")]
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait() == 1


def test_an_error_is_carried_over_by_kind_and_words() -> None:
    told = f"a warning\n{launch.failed(ArtefactError('x.work: is full'))}\n"
    failure = launch._failure([(1, "Traceback ...\nRuntimeError: connection closed"), (2, told)], str)
    assert isinstance(failure, ArtefactError)
    assert str(failure) == "x.work: is full"
    killed = launch._failure([(0, ""), (-9, "")], lambda: "set batch to 1")
    assert isinstance(killed, TrainingError)
    assert str(killed) == "process 1 was killed, as the system does when memory runs out; set batch to 1"


def test_a_defect_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    failure = launch._failure([(1, "Traceback ...\nKeyError: 'x'\n")], str)
    assert isinstance(failure, RuntimeError)
    assert "KeyError: 'x'" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without GPU")
@pytest.mark.parametrize(
    ("processes", "sharding", "message"),
    [
        (2, "fsdp", r"--sharding fsdp: needs GPUs, and there is none here; leave it out"),
        pytest.param(
            2,
            "zero3",
            r"--sharding zero3: needs the package deepspeed, which is not installed: pip install deepspeed, or take",
            marks=pytest.mark.skipif(find_spec("deepspeed") is not None, reason="deepspeed is installed"),
        ),
    ],
)
def test_what_this_machine_cannot_do_is_refused(
    small: Recipe, processes: int, sharding: launch.Sharding, message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        launch.check(small, processes, sharding)


def test_without_sharding_any_number_will_do(small: Recipe) -> None:
    launch.check(small, 1, "none")


def test_fsdp_is_set_up_as_accelerate_reads_it(tmp_path: Path, recipe_with: With) -> None:
    for spare in (False, True):
        asked = launch.settings("fsdp", recipe_with(gradient_checkpointing=spare))
        arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, **asked)
        plugin = FullyShardedDataParallelPlugin(**arguments.fsdp_plugin_args)
        assert (plugin.fsdp_version, plugin.reshard_after_forward, plugin.activation_checkpointing) == (2, True, spare)
        assert plugin.state_dict_type.name == "FULL_STATE_DICT"


@pytest.mark.parametrize(("sharding", "stage"), [("zero2", 2), ("zero3", 3)])
def test_deepspeed_is_set_up_as_accelerate_reads_it(small: Recipe, sharding: launch.Sharding, stage: int) -> None:
    read = HfDeepSpeedConfig(launch.settings(sharding, small)["deepspeed"])
    assert (read.is_zero2(), read.is_zero3(), read.is_offload()) == (stage == 2, stage == 3, False)
    for key in ("train_micro_batch_size_per_gpu", "gradient_accumulation_steps", "gradient_clipping", "bf16.enabled"):
        assert read.get_value(key) == "auto"  # filled in by the Trainer, from the recipe


def test_activations_are_recomputed_where_the_recipe_asks(recipe_with: With) -> None:
    assert launch.settings("none", recipe_with()) == {}
    asked = launch.settings("none", recipe_with(gradient_checkpointing=True))
    assert asked == {"activation_checkpointing": True, "activation_checkpointing_kwargs": {"use_reentrant": False}}
