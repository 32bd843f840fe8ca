"""Whole trainings, small: what they leave behind, that they go on after a cut, and what stops them."""

import json
import math
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from peft import PeftModel
from rows import PLAIN, ZH, write
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, BloomConfig, BloomForCausalLM

from collectors.errors import ArtefactError, TrainingError
from pipeline import folder, shards
from templates.prompt import load
from train import run
from train.base import model
from train.encoding.encode import IGNORED, Encoder, conversation
from train.methods import attach as methods
from train.methods.nodes import Lora
from train.methods.save import save
from train.mixture import Mixture, find
from train.planning import plan
from train.recipe import Recipe
from train.tiny import HONESTY

With = Callable[..., Recipe]


def metrics(place: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (place / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def straight(out: Path, mixed: Mixture, small: Recipe) -> tuple[run.Outcome, list[str]]:
    """A run from start to end, and what it said."""
    said: list[str] = []
    return run.train(out, mixed, small, name="straight", say=said.append), said


def test_a_run_lowers_the_held_out_loss_and_says_so(straight: tuple[run.Outcome, list[str]]) -> None:
    outcome, said = straight
    before, after = (outcome.manifest["held_out_loss"][name] for name in ("before", "after"))
    # Random weights guess among 300 tokens.
    assert before == pytest.approx(math.log(300), abs=0.3)
    assert after < before - 0.3
    assert f"held-out loss before {before:.4f} after {after:.4f}" in said
    assert any(HONESTY in line for line in said)


def test_it_leaves_an_adapter_folder(straight: tuple[run.Outcome, list[str]], mixed: Mixture) -> None:
    place = straight[0].folder
    assert sorted(path.name for path in place.iterdir()) == [
        "adapter",
        "base",
        "loss.png",
        "manifest.json",
        "metrics.jsonl",
        "timings.jsonl",
    ]
    assert sorted(path.name for path in (place / "adapter").iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "chat_template.jinja",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert (place / "adapter" / "chat_template.jinja").read_text(encoding="utf-8") == load("alpaca").text
    settings = json.loads((place / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))
    assert settings["base_model_name_or_path"] == "tiny-random-llama"
    assert settings["target_modules"] == sorted(settings["target_modules"])
    assert not list(place.parent.glob("straight.*"))


def test_its_card_says_what_it_is(straight: tuple[run.Outcome, list[str]], mixed: Mixture) -> None:
    _, front, text = (straight[0].folder / "adapter" / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    facts = yaml.safe_load(front)
    assert facts["library_name"] == "peft"
    assert (facts["license"], facts["license_name"], facts["language"]) == ("other", "mixed", ["en", "zh"])
    assert "base_model" not in facts  # the Hub takes its own ids only
    for said in (HONESTY, mixed.fingerprint, "`greetings`", "LoRA, r 4", "CC-BY-NC-4.0", "Apache-2.0", "held-out loss"):
        assert said in text


def test_its_journal_has_a_line_for_everything_logged(straight: tuple[run.Outcome, list[str]]) -> None:
    lines = metrics(straight[0].folder)
    assert [line["step"] for line in lines if "held_out_loss" in line] == [0, 3, 6]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4, 5, 6]


RELOADS = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft's own


@RELOADS
def test_the_adapter_loaded_again_has_the_loss_that_was_told(
    straight: tuple[run.Outcome, list[str]], mixed: Mixture
) -> None:
    place = straight[0].folder
    words = AutoTokenizer.from_pretrained(place / "adapter")
    adapted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(place / "base"), place / "adapter").eval()
    prompt = load("alpaca")
    rows = [conversation(one, prompt) for batch in mixed.rows("holdout") for one in batch]
    total, tokens = 0.0, 0
    for messages in rows:
        encoded = Encoder(words, prompt, cutoff=512).encode([messages])
        ids, labels = (torch.tensor(values.tolist())[None] for values in (encoded.ids, encoded.labels))
        trained = int((labels != IGNORED).sum())
        with torch.no_grad():
            total += adapted(input_ids=ids, labels=labels).loss.item() * trained
        tokens += trained
    assert total / tokens == pytest.approx(straight[0].manifest["held_out_loss"]["after"], abs=1e-5)


@RELOADS
def test_a_saved_adapter_generates_what_it_did_before(tmp_path: Path, tiny_base: Path, recipe_with: With) -> None:
    torch.manual_seed(0)
    recipe = recipe_with()
    words = model.tokenizer(tiny_base)
    words.chat_template = load("alpaca").text
    adapted = methods.attach(model.load(tiny_base, recipe), Lora(r=4, train_whole=["lm_head"]), base="tiny").eval()
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.5 if "lora_" in name else 0.1)
    save(adapted, tmp_path / "adapter", base=recipe.base)
    words.save_pretrained(tmp_path / "adapter")
    again = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_base), tmp_path / "adapter").eval()
    served = AutoTokenizer.from_pretrained(tmp_path / "adapter")
    asked = served.apply_chat_template(PLAIN["messages"][:1], add_generation_prompt=True, return_tensors="pt")
    texts = [one.generate(**asked, max_new_tokens=12, do_sample=False).tolist() for one in (adapted, again)]
    assert texts[0] == texts[1]
    assert len(set(texts[0][0][-12:])) > 2


def test_a_finished_run_is_up_to_date(
    straight: tuple[run.Outcome, list[str]], out: Path, mixed: Mixture, small: Recipe, said: list[str]
) -> None:
    written = (straight[0].folder / "adapter" / "adapter_model.safetensors").stat().st_mtime_ns
    again = run.train(out, mixed, small, name="straight", say=said.append)
    assert (again.trained, again.manifest, said) == (False, straight[0].manifest, [f"{again.folder}: up to date"])
    assert (again.folder / "adapter" / "adapter_model.safetensors").stat().st_mtime_ns == written


@pytest.mark.parametrize("left", ["started.json", "checkpoints/checkpoint-6/trained.safetensors"])
def test_what_a_run_cut_behind_its_end_left_is_cleared_away(
    straight: tuple[run.Outcome, list[str]], out: Path, mixed: Mixture, small: Recipe, said: list[str], left: str
) -> None:
    piece = out / "runs" / "straight.work" / left
    piece.parent.mkdir(parents=True)
    piece.write_text(straight[0].manifest["fingerprint"], encoding="utf-8")
    run.train(out, mixed, small, name="straight", say=said.append)
    assert not (out / "runs" / "straight.work").exists()


def test_what_another_recipe_began_under_a_finished_run_s_name_is_kept(
    straight: tuple[run.Outcome, list[str]], out: Path, mixed: Mixture, small: Recipe, said: list[str]
) -> None:
    work = out / "runs" / "straight.work"
    work.mkdir()
    (work / "started.json").write_text("another", encoding="utf-8")
    run.train(out, mixed, small, name="straight", say=said.append)
    assert (work / "started.json").is_file()
    shutil.rmtree(work)


def cut_at(step: int) -> Callable[[str], None]:
    """Something to say to that ends the run when it tells of a step, as an interrupt would."""

    def say(line: str) -> None:
        if line.startswith(f"step {step}/"):
            raise KeyboardInterrupt

    return say


METHODS = [
    {"name": "adalora", "initial_r": 4, "r": 2, "warmup": 1, "settle": 1, "interval": 1},
    {"name": "p-tuning", "tokens": 3, "encoder": "lstm"},
    {"name": "parallel-adapter", "bottleneck": 4, "dropout": 0.2},
    {"name": "full"},
]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method["name"])
def test_a_cut_run_of_any_method_goes_on(
    out: Path, mixed: Mixture, recipe_with: With, said: list[str], method: dict[str, Any]
) -> None:
    recipe = recipe_with(method=method, packing=method["name"] != "p-tuning", evaluate=False)
    whole = run.train(out, mixed, recipe, name=f"{method['name']}-whole", say=said.append)
    with pytest.raises(KeyboardInterrupt):
        run.train(out, mixed, recipe, name=method["name"], say=cut_at(5))
    said.clear()
    outcome = run.train(out, mixed, recipe, name=method["name"], say=said.append)
    assert any(line.endswith("checkpoint-4") for line in said)
    assert metrics(outcome.folder) == metrics(whole.folder)
    kind = "model" if method["name"] == "full" else "adapter"
    assert outcome.manifest["kind"] == kind
    (weights,) = (path.relative_to(whole.folder) for path in whole.folder.glob(f"{kind}/*.safetensors"))
    assert (outcome.folder / weights).read_bytes() == (whole.folder / weights).read_bytes()


@pytest.mark.parametrize("step", [1, 5, 6])
def test_a_cut_run_goes_on_as_if_it_had_not_been_cut(
    straight: tuple[run.Outcome, list[str]], out: Path, mixed: Mixture, small: Recipe, said: list[str], step: int
) -> None:
    name = f"cut-at-{step}"
    with pytest.raises(KeyboardInterrupt):
        run.train(out, mixed, small, name=name, say=cut_at(step))
    assert not (out / "runs" / name).exists()
    outcome = run.train(out, mixed, small, name=name, say=said.append)
    assert any(line.startswith("resuming from") for line in said) == (step > 2)
    assert metrics(outcome.folder) == metrics(straight[0].folder)
    weights, expected = (
        load_file(place / "adapter" / "adapter_model.safetensors") for place in (outcome.folder, straight[0].folder)
    )
    assert weights.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(weights[key], value, atol=1e-6, rtol=1e-5)


def test_a_checkpoint_cut_short_is_passed_over(
    straight: tuple[run.Outcome, list[str]], out: Path, mixed: Mixture, small: Recipe, said: list[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run.train(out, mixed, small, name="half", say=cut_at(5))
    (out / "runs" / "half.work" / "checkpoints" / "checkpoint-4" / "trainer_state.json").write_text('{"step": ')
    outcome = run.train(out, mixed, small, name="half", say=said.append)
    assert any(line.endswith("checkpoint-2") for line in said)
    assert metrics(outcome.folder) == metrics(straight[0].folder)


def test_another_recipe_under_the_same_name_replaces_the_run_only_when_it_is_done(
    out: Path, mixed: Mixture, recipe_with: With, said: list[str]
) -> None:
    first = run.train(out, mixed, recipe_with(steps=2), name="twice", say=said.append)
    with pytest.raises(KeyboardInterrupt):
        run.train(out, mixed, recipe_with(steps=4, seed=1), name="twice", say=cut_at(3))
    assert folder.manifest(first.folder) == first.manifest
    said.clear()
    second = run.train(out, mixed, recipe_with(steps=3, seed=2), name="twice", say=said.append)
    assert not any(line.startswith("resuming") for line in said)
    assert folder.manifest(first.folder) == second.manifest != first.manifest


def test_the_loss_is_a_mean_over_the_tokens_of_a_step(
    out: Path, mixed: Mixture, recipe_with: With, said: list[str]
) -> None:
    method = recipe_with().method.model_dump() | {"dropout": 0.0}
    recipes = [recipe_with(method=method, batch=batch, accumulation=2 // batch) for batch in (2, 1)]
    at_once, in_turn = (
        metrics(run.train(out, mixed, recipe, name=f"batch-{recipe.batch}", say=said.append).folder)
        for recipe in recipes
    )
    for one, other in zip(at_once, in_turn, strict=True):
        assert one == pytest.approx(other, rel=2e-4)


def test_without_evaluation_nothing_need_be_held_out(tmp_path: Path, recipe_with: With, said: list[str]) -> None:
    write(tmp_path, "all", [PLAIN, ZH], [])
    outcome = run.train(
        tmp_path, find(tmp_path, "all"), recipe_with(evaluate=False, steps=2), name="r", say=said.append
    )
    assert outcome.manifest["held_out_loss"] is None


@pytest.fixture(scope="module")
def bloom(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    """The folder of a tiny Bloom, whose positions are in its attention and cannot start again."""
    place = tmp_path_factory.mktemp("bloom") / "bloom"
    torch.manual_seed(0)
    BloomForCausalLM(BloomConfig(vocab_size=300, hidden_size=32, n_layer=2, n_head=2)).save_pretrained(place)
    for path in tiny_base.glob("tokenizer*"):
        shutil.copy(path, place)
    return place


def test_bloom_is_trained_without_packing(
    out: Path, mixed: Mixture, bloom: Path, recipe_with: With, said: list[str]
) -> None:
    settings: dict[str, Any] = {"base": str(bloom), "method": {"r": 4, "train_whole": ["word_embeddings"]}}
    with pytest.raises(TrainingError, match=r"cannot be packed.*\(--set packing=false\)"):
        run.train(out, mixed, recipe_with(**settings), name="bloom", say=said.append)
    outcome = run.train(out, mixed, recipe_with(**settings, packing=False), name="bloom", say=said.append)
    assert outcome.manifest["held_out_loss"]["after"] < outcome.manifest["held_out_loss"]["before"]
    settings = json.loads((outcome.folder / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))
    assert settings["base_model_name_or_path"] == str(bloom)
    assert not (outcome.folder / "base").exists()
    assert not any(HONESTY in line for line in said)


def test_gradient_checkpointing_changes_nothing(
    straight: tuple[run.Outcome, list[str]], out: Path, mixed: Mixture, recipe_with: With, said: list[str]
) -> None:
    outcome = run.train(out, mixed, recipe_with(gradient_checkpointing=True), name="spare", say=said.append)
    for one, other in zip(metrics(outcome.folder), metrics(straight[0].folder), strict=True):
        assert one == pytest.approx(other, rel=1e-4)


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_records(
    out: Path, mixed: Mixture, recipe_with: With, said: list[str]
) -> None:
    recipe = recipe_with(learning_rate=1e30, packing=False, evaluate=False)
    with pytest.raises(TrainingError) as stopped:
        run.train(out, mixed, recipe, name="wild", say=said.append)
    told, _, named = str(stopped.value).partition(" the records it came of: ")
    assert told == "step 2: the loss is no number any more; lower learning_rate (1e+30), lengthen warmup, or look at"
    shard = mixed.folder / "train-00000.arrow"
    known = {one for batch in shards.batches(shard, ["id"]) for one in batch.column("id").to_pylist()}
    assert len(set(named.split(", ")) & known) == 2


def test_the_base_made_on_the_spot_has_no_chat_template_of_its_own(
    out: Path, mixed: Mixture, recipe_with: With, said: list[str]
) -> None:
    for asked in (
        lambda: run.train(out, mixed, recipe_with(prompt="own"), name="own", say=said.append),
        lambda: plan.plan(recipe_with(prompt="own"), mixed, out=out),
    ):
        with pytest.raises(TrainingError, match=r"base tiny-random-llama comes with no chat template; name a format"):
            asked()


def test_nothing_is_logged_but_on_the_console_where_none_is_asked(
    out: Path, mixed: Mixture, recipe_with: With, said: list[str]
) -> None:
    outcome = run.train(out, mixed, recipe_with(steps=1, logging="none"), name="quiet", say=said.append)
    assert sorted(path.name for path in outcome.folder.iterdir()) == ["adapter", "base", "manifest.json"]
    assert any(line.startswith("step 1/1  loss") for line in said)
    assert outcome.manifest["held_out_loss"]["after"] < outcome.manifest["held_out_loss"]["before"]


def test_tensorboard_keeps_the_run_s_own_files_as_well(
    out: Path, mixed: Mixture, recipe_with: With, said: list[str]
) -> None:
    shown = run.train(out, mixed, recipe_with(steps=1, logging="tensorboard"), name="shown", say=said.append)
    (events,) = (shown.folder / "tensorboard").iterdir()
    assert b"held_out_loss" in events.read_bytes()
    assert [line["step"] for line in metrics(shown.folder)] == [0, 1, 1]


@pytest.mark.skipif(torch.accelerator.is_available(), reason="for machines without GPU")
def test_paging_needs_a_gpu_and_its_lack_is_told(out: Path, mixed: Mixture, recipe_with: With, said: list[str]) -> None:
    recipe = recipe_with(steps=1, optimiser="paged-adamw-8bit", evaluate=False, schedule="constant")
    outcome = run.train(out, mixed, recipe, name="paged", say=said.append)
    line = "optimiser paged-adamw-8bit: pages memory of a GPU, and there is none here; adamw-8bit takes its place"
    assert line in said
    assert metrics(outcome.folder)[0]["learning_rate"] == 0.005


def test_too_little_memory_is_told_with_what_would_need_less(out: Path, mixed: Mixture, small: Recipe) -> None:
    def full(line: str) -> None:
        if line.startswith("step 1/"):
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(TrainingError, match=r"out of memory with batch 2 and cutoff 512.*batch"):
        run.train(out, mixed, small, name="large", say=full)


def test_the_timings_are_those_of_the_steps(straight: tuple[run.Outcome, list[str]]) -> None:
    lines = [json.loads(line) for line in (straight[0].folder / "timings.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [line["step"] for line in metrics(straight[0].folder)]
    assert all(line["peak_memory"] > 1e6 and line["seconds"] >= 0 for line in lines)
    assert [line["step"] for line in lines if line.get("tokens_per_second", 0) > 0] == [1, 2, 3, 4, 5, 6]


def test_two_runs_of_one_name_do_not_mix(out: Path, mixed: Mixture, small: Recipe, said: list[str]) -> None:
    with folder.lock(out / "runs" / "busy.work"), pytest.raises(ArtefactError, match="another run"):
        run.train(out, mixed, small, name="busy", say=said.append)


@pytest.mark.parametrize("name", ["", "a/b", "..", "x.work"])
def test_a_run_name_is_a_folder_name(out: Path, mixed: Mixture, small: Recipe, name: str) -> None:
    with pytest.raises(TrainingError, match="is no plain folder name"):
        run.train(out, mixed, small, name=name)


def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_room(
    straight: tuple[run.Outcome, list[str]], out: Path, mixed: Mixture, small: Recipe, said: list[str]
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Enough for the adapter of a checkpoint (100 kB), not for the optimiser's state beside it (twice that).
    with pytest.raises(KeyboardInterrupt):
        run.train(out, mixed, small, name="full", say=cut_at(1))
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (160_000, hard))
        with pytest.raises(ArtefactError, match=r"full.work: cannot be written: .*nothing finished before was"):
            run.train(out, mixed, small, name="full", say=said.append)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    outcome = run.train(out, mixed, small, name="full", say=said.append)
    assert metrics(outcome.folder) == metrics(straight[0].folder)


def test_a_whole_model_in_16_bits_is_trained_in_32(out: Path, mixed: Mixture, recipe_with: With) -> None:
    recipe = recipe_with(method={"name": "full"}, precision="bf16", steps=4, evaluate=False)
    with pytest.raises(KeyboardInterrupt):
        run.train(out, mixed, recipe, name="whole", say=cut_at(4))
    kept = load_file(out / "runs" / "whole.work" / "checkpoints" / "checkpoint-2" / "trained.safetensors")
    assert {value.dtype for value in kept.values()} == {torch.float32}
    outcome = run.train(out, mixed, recipe, name="whole", say=lambda line: None)
    saved = load_file(outcome.folder / "model" / "model.safetensors")
    assert {value.dtype for value in saved.values()} == {torch.bfloat16}
