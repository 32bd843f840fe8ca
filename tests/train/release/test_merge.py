"""Merging: the merged model says what base and adapter say, whatever base, method and quantisation can be merged."""

import json
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bases
import pytest
import torch
import yaml
from finished import finished
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from collectors.errors import ArtefactError, TrainingError
from pipeline import folder
from train.base import model
from train.methods import save
from train.mixture import Mixture
from train.recipe import Recipe
from train.release import agreement, merge, weights

With = Callable[..., Recipe]

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft's own

LORA = {"name": "lora", "r": 4, "alpha": 8, "dropout": 0.1}
IDS = torch.tensor([[5, 17, 80, 201, 44, 9]])


@pytest.fixture
def said() -> list[str]:
    return []


def greedy(loaded: Any) -> list[int]:
    found: Tensor = loaded.generate(
        input_ids=IDS, attention_mask=torch.ones_like(IDS), max_new_tokens=12, do_sample=False, eos_token_id=None
    )
    return found[0].tolist()


def unmerged(base: Path, recipe: Recipe, run: Path) -> Any:
    return save.load(model.load(base, recipe), run / "adapter").eval()


def reloaded(place: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(place).eval()


def files(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


# ---- every base


@pytest.mark.parametrize("name", ["llama", "bloom", "qwen3", "mistral", "gemma3", "glm4", "internlm3"])
def test_every_base_merged_generates_what_base_and_adapter_do(
    name: str, out: Path, mixed: Mixture, tmp_path: Path, recipe_with: With, said: list[str]
) -> None:
    base = bases.write(tmp_path / name, name)
    recipe = recipe_with(method=LORA)
    run = finished(tmp_path, mixed, "run", base, recipe)
    merge.merge(run, tmp_path / "merged", say=said.append)
    ours, theirs = reloaded(tmp_path / "merged"), unmerged(base, recipe, run)
    with torch.no_grad():
        assert torch.allclose(ours(input_ids=IDS).logits, theirs(input_ids=IDS).logits, rtol=1e-3, atol=1e-3)
    assert greedy(ours) == greedy(theirs)
    assert greedy(ours) != greedy(model.load(base, recipe).eval())


# ---- every method and quantisation

DORA = LORA | {"dora": True, "rank_stabilised": True}
ADALORA = {"name": "adalora", "initial_r": 6, "r": 4, "warmup": 10, "settle": 10}
WHOLE = LORA | {"train_whole": ["embed_tokens", "lm_head"]}
FOUR = {"bits": 4, "kind": "nf4", "double": True}


@pytest.mark.parametrize(
    ("method", "quantisation"),
    [
        (DORA, None),
        (ADALORA, None),
        (WHOLE, None),
        (LORA, FOUR),
        (DORA, FOUR | {"kind": "fp4", "double": False}),
        (ADALORA, FOUR),
        (WHOLE, FOUR),
        (LORA, {"bits": 8}),
    ],
    ids=["dora", "adalora", "whole", "nf4", "fp4-dora", "nf4-adalora", "nf4-whole", "int8"],
)
def test_what_is_merged_is_what_was_trained(
    method: dict[str, Any],
    quantisation: dict[str, Any] | None,
    mixed: Mixture,
    tiny_base: Path,
    tmp_path: Path,
    recipe_with: With,
    said: list[str],
) -> None:
    recipe = recipe_with(method=method, quantisation=quantisation)
    run = finished(tmp_path, mixed, "run", tiny_base, recipe)
    merge.merge(run, tmp_path / "merged", say=said.append)
    # Eight bits round what comes in when they only evaluate, so beside them the plain values have to do.
    held = model.load(tiny_base, recipe)
    theirs = save.load(held, run / "adapter")
    theirs.train() if quantisation == {"bits": 8} else theirs.eval()
    for module in theirs.modules():
        if isinstance(module, torch.nn.Dropout):
            module.eval()
    with torch.no_grad():
        ours = reloaded(tmp_path / "merged")(input_ids=IDS).logits
        assert torch.allclose(ours, theirs(input_ids=IDS).logits, atol=2e-5)
    if quantisation != {"bits": 8}:
        assert greedy(reloaded(tmp_path / "merged")) == greedy(theirs)
    found = folder.manifest(tmp_path / "merged")
    assert found is not None
    assert found["merged"]["agreement"]["error"] < 1e-5 < found["merged"]["agreement"]["effect"]
    assert "quantization_config" not in json.loads((tmp_path / "merged" / "config.json").read_text(encoding="utf-8"))


def test_adalora_with_ranks_cut_merges(
    mixed: Mixture, tiny_base: Path, tmp_path: Path, recipe_with: With, said: list[str]
) -> None:
    run = finished(tmp_path, mixed, "run", tiny_base, recipe_with(method=ADALORA))
    place = run / "adapter" / "adapter_config.json"
    settings = json.loads(place.read_text(encoding="utf-8"))
    held = load_file(run / "adapter" / save.WEIGHTS)
    pattern = {}
    for key in [key for key in held if key.endswith("lora_E")]:
        kept = torch.tensor([True, False, True, True, False, True])
        pattern[key.removeprefix("base_model.model.")] = kept.tolist()
        for part, axis in (("lora_A", 0), ("lora_B", 1), ("lora_E", 0)):
            name = key.replace("lora_E", part)
            held[name] = held[name].index_select(axis, kept.nonzero().flatten()).contiguous()
    save_file(held, run / "adapter" / save.WEIGHTS)
    place.write_text(json.dumps(settings | {"rank_pattern": pattern}), encoding="utf-8")
    merge.merge(run, tmp_path / "merged", say=said.append)
    theirs = unmerged(tiny_base, recipe_with(), run)
    with torch.no_grad():
        assert torch.allclose(
            reloaded(tmp_path / "merged")(input_ids=IDS).logits, theirs(input_ids=IDS).logits, atol=2e-5
        )


# ---- embeddings


@pytest.mark.parametrize("whole", [[], ["embed_tokens"], ["lm_head"], ["embed_tokens", "lm_head"]])
def test_tied_embeddings_stay_tied_while_they_are_the_same(
    whole: list[str], mixed: Mixture, tmp_path: Path, recipe_with: With, said: list[str]
) -> None:
    base = bases.write(tmp_path / "gemma3", "gemma3")
    recipe = recipe_with(method=LORA | {"train_whole": whole})
    run = finished(tmp_path, mixed, "run", base, recipe)
    merge.merge(run, tmp_path / "merged", say=said.append)
    with torch.no_grad():
        ours, theirs = reloaded(tmp_path / "merged"), unmerged(base, recipe, run)
        assert torch.allclose(ours(input_ids=IDS).logits, theirs(input_ids=IDS).logits, rtol=1e-3, atol=1e-3)
    tied = ours.get_input_embeddings().weight is ours.get_output_embeddings().weight
    assert tied == torch.equal(ours.get_input_embeddings().weight, ours.get_output_embeddings().weight)
    if not whole:
        assert tied
        assert "lm_head.weight" not in load_file(tmp_path / "merged" / "model.safetensors")


def test_a_vocabulary_that_grew_is_merged_with_its_rows(
    mixed: Mixture, tiny_base: Path, tmp_path: Path, recipe_with: With, said: list[str]
) -> None:
    recipe = recipe_with(method=WHOLE)
    grown = model.load(tiny_base, recipe)
    grown.resize_token_embeddings(310, mean_resizing=False)
    shutil.copytree(tiny_base, tmp_path / "grown")
    grown.save_pretrained(tmp_path / "grown")
    run = finished(tmp_path, mixed, "run", tmp_path / "grown", recipe)
    merge.merge(run, tmp_path / "merged", base=str(tiny_base), say=said.append)
    assert json.loads((tmp_path / "merged" / "config.json").read_text(encoding="utf-8"))["vocab_size"] == 310
    with torch.no_grad():
        ours, theirs = reloaded(tmp_path / "merged"), unmerged(tmp_path / "grown", recipe, run)
        assert torch.allclose(ours(input_ids=IDS).logits, theirs(input_ids=IDS).logits, atol=2e-5)


# ---- types and shards


@pytest.mark.parametrize("held", ["bf16", "fp16"])
def test_a_base_in_16_bits_stays_in_them(
    held: str, mixed: Mixture, tiny_base: Path, tmp_path: Path, recipe_with: With, said: list[str]
) -> None:
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}[held]
    shutil.copytree(tiny_base, tmp_path / "narrow")
    AutoModelForCausalLM.from_pretrained(tiny_base, dtype=dtype).save_pretrained(tmp_path / "narrow")
    run = finished(tmp_path, mixed, "run", tmp_path / "narrow", recipe_with(method=LORA, precision="fp32"))
    merge.merge(run, tmp_path / "merged", say=said.append)
    assert {one.dtype for one in load_file(tmp_path / "merged" / "model.safetensors").values()} == {dtype}
    found = folder.manifest(tmp_path / "merged")
    assert found is not None
    assert 1e-5 < found["merged"]["agreement"]["error"] < found["merged"]["agreement"]["allowed"]

    merge.merge(run, tmp_path / "wide", precision="fp32", say=said.append)
    assert {one.dtype for one in load_file(tmp_path / "wide" / "model.safetensors").values()} == {torch.float32}
    assert reloaded(tmp_path / "wide").dtype == torch.float32
    found = folder.manifest(tmp_path / "wide")
    assert found is not None
    assert found["merged"]["agreement"]["error"] < 1e-5


def test_an_adapter_that_rounding_would_swallow_is_not_merged(
    mixed: Mixture, tiny_base: Path, tmp_path: Path, recipe_with: With, said: list[str]
) -> None:
    shutil.copytree(tiny_base, tmp_path / "narrow")
    AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.bfloat16).save_pretrained(tmp_path / "narrow")
    recipe = recipe_with(method=LORA, precision="fp32")
    run = finished(tmp_path, mixed, "run", tmp_path / "narrow", recipe, scale=0.00003)
    with pytest.raises(TrainingError, match=r"its logits are off by .* of their spread, allowed .* --precision fp32"):
        merge.merge(run, tmp_path / "merged", say=said.append)
    assert not list(tmp_path.glob("merged*"))
    merge.merge(run, tmp_path / "merged", precision="fp32", say=said.append)
    assert (tmp_path / "merged" / "manifest.json").is_file()


def test_shards_hold_no_more_than_they_may(
    mixed: Mixture,
    tiny_base: Path,
    tmp_path: Path,
    recipe_with: With,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = finished(tmp_path, mixed, "run", tiny_base, recipe_with(method=LORA))
    merge.merge(run, tmp_path / "whole", say=said.append)
    monkeypatch.setattr(weights, "MOST", 40_000)
    monkeypatch.setattr(weights.Shards.__init__, "__defaults__", (40_000,))
    merge.merge(run, tmp_path / "cut", say=said.append)
    shards = sorted((tmp_path / "cut").glob("*.safetensors"))
    assert [path.name for path in shards] == [
        f"model-{one + 1:05}-of-{len(shards):05}.safetensors" for one in range(len(shards))
    ]
    assert len(shards) > 2
    assert all(path.stat().st_size < 42_000 for path in shards)
    parts = {name: one for path in shards for name, one in load_file(path).items()}
    whole = load_file(tmp_path / "whole" / "model.safetensors")
    assert parts.keys() == whole.keys()
    assert all(torch.equal(parts[name], whole[name]) for name in whole)
    assert greedy(reloaded(tmp_path / "cut")) == greedy(reloaded(tmp_path / "whole"))


def test_bases_in_shards_and_pickles_are_read(
    mixed: Mixture, tiny_base: Path, tmp_path: Path, recipe_with: With, said: list[str]
) -> None:
    run = finished(tmp_path, mixed, "run", tiny_base, recipe_with(method=LORA))
    merge.merge(run, tmp_path / "merged", say=said.append)
    expected = load_file(tmp_path / "merged" / "model.safetensors")

    shutil.copytree(tiny_base, tmp_path / "sharded")
    (tmp_path / "sharded" / "model.safetensors").unlink()
    model.load(tiny_base, recipe_with()).save_pretrained(tmp_path / "sharded", max_shard_size="60KB")
    merge.merge(run, tmp_path / "from-shards", base=str(tmp_path / "sharded"), say=said.append)
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 1

    shutil.copytree(tiny_base, tmp_path / "pickled")
    held = load_file(tiny_base / "model.safetensors")
    (tmp_path / "pickled" / "model.safetensors").unlink()
    torch.save(held, tmp_path / "pickled" / "pytorch_model.bin")
    merge.merge(run, tmp_path / "from-pickle", base=str(tmp_path / "pickled"), say=said.append)

    for name in ("from-shards", "from-pickle"):
        found = load_file(tmp_path / name / "model.safetensors")
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in expected)


# ---- the folder


def test_the_folder_holds_a_model_its_tokenizer_and_what_was_done(
    mixed: Mixture, tiny_base: Path, tmp_path: Path, recipe_with: With, said: list[str]
) -> None:
    run = finished(tmp_path, mixed, "run", tiny_base, recipe_with(method=LORA))
    merge.merge(run, tmp_path / "merged", say=said.append)
    assert files(tmp_path / "merged") == [
        "README.md",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "manifest.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    manifest = folder.manifest(tmp_path / "merged")
    assert manifest is not None
    assert manifest["merged"]["run"] == "run"
    assert manifest["base"] == "tiny"  # where it lies is nobody else's business
    assert {one["path"] for one in manifest["files"]} == {*files(tmp_path / "merged")} - {"manifest.json"}
    _, front, text = (tmp_path / "merged" / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert yaml.safe_load(front)["library_name"] == "transformers"
    for words in (mixed.fingerprint, "merged into its base", "the most likely next token is the same at", "Licences"):
        assert words in text
    assert "PeftModel" not in text
    words = AutoTokenizer.from_pretrained(tmp_path / "merged")
    assert words.chat_template == (run / "adapter" / "chat_template.jinja").read_text(encoding="utf-8")
    assert said[-1] == f"{tmp_path / 'merged'}: written"

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "merged").iterdir()}
    merge.merge(run, tmp_path / "merged", say=said.append)
    assert said[-1] == f"{tmp_path / 'merged'}: up to date"
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "merged").iterdir()} == before


def test_two_merges_are_the_same_bytes(
    mixed: Mixture, tiny_base: Path, tmp_path: Path, recipe_with: With, said: list[str]
) -> None:
    run = finished(tmp_path, mixed, "run", tiny_base, recipe_with(method=WHOLE, quantisation=FOUR))
    for name in ("one", "two"):
        merge.merge(run, tmp_path / name, say=said.append)
    assert {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()
    }


# ---- what is refused


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"name": "full"}, r"method full trained the base itself, so there is nothing to merge; .*model is the model"),
        ({"name": "prompt", "tokens": 2}, r"method prompt: trained tokens stand before the input .* serve them as"),
        ({"name": "prefix", "tokens": 2, "hidden": 8}, r"method prefix: trained tokens stand before the input"),
        ({"name": "p-tuning", "tokens": 2, "hidden": 8}, r"method p-tuning: trained tokens stand before the input"),
        ({"name": "sequential-adapter", "bottleneck": 2}, r"method sequential-adapter: .* cannot be merged"),
        ({"name": "parallel-adapter", "bottleneck": 2}, r"method parallel-adapter: .* cannot be merged"),
    ],
    ids=lambda one: one["name"] if isinstance(one, dict) else "",
)
def test_what_cannot_be_merged_is_told(
    method: dict[str, Any], message: str, mixed: Mixture, tiny_base: Path, tmp_path: Path, recipe_with: With
) -> None:
    run = finished(tmp_path, mixed, "run", tiny_base, recipe_with(method=method, packing=False))
    with pytest.raises(TrainingError, match=message):
        merge.merge(run, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_an_adapter_of_another_base_is_told(mixed: Mixture, tiny_base: Path, tmp_path: Path, recipe_with: With) -> None:
    run = finished(tmp_path, mixed, "run", tiny_base, recipe_with(method=LORA))
    with pytest.raises(TrainingError, match=r"is of another base"):
        merge.merge(run, tmp_path / "merged", base=str(bases.write(tmp_path / "llama", "llama")))
    manifest = folder.manifest(run)
    assert manifest is not None
    folder.write_manifest(run, manifest | {"base_identity": "0" * 64})
    with pytest.raises(TrainingError, match=r"as run run was trained on it; name that one with --base"):
        merge.merge(run, tmp_path / "merged")


def test_a_folder_that_holds_something_else_is_left_alone(
    mixed: Mixture, tiny_base: Path, tmp_path: Path, recipe_with: With
) -> None:
    run = finished(tmp_path, mixed, "run", tiny_base, recipe_with(method=LORA))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(ArtefactError, match=r"holds something else than a merged model; name a new folder with --to"):
        merge.merge(run, tmp_path / "mine")
    assert files(tmp_path / "mine") == ["letter.txt"]


def test_no_run_is_told_with_those_there_are(
    mixed: Mixture, tiny_base: Path, tmp_path: Path, recipe_with: With
) -> None:
    run = finished(tmp_path, mixed, "run", tiny_base, recipe_with(method=LORA))
    with pytest.raises(ArtefactError, match=r"is no finished run \(a folder of DATA/runs\); there are run"):
        merge.merge(run.with_name("rum"), tmp_path / "merged")


def test_a_base_cut_short_is_told_and_nothing_stays(
    mixed: Mixture, tiny_base: Path, tmp_path: Path, recipe_with: With
) -> None:
    run = finished(tmp_path, mixed, "run", tiny_base, recipe_with(method=LORA))
    shutil.copytree(tiny_base, tmp_path / "cut")
    held = tmp_path / "cut" / "model.safetensors"
    held.write_bytes(held.read_bytes()[:-1000])
    with pytest.raises(TrainingError, match=r"model.safetensors: cannot be read: .*; fetch it again"):
        merge.merge(run, tmp_path / "merged", base=str(tmp_path / "cut"))
    assert not list(tmp_path.glob("merged*"))


@pytest.mark.parametrize(
    ("name", "left", "message"),
    [
        ("adapter/adapter_config.json", 60, r"adapter_config.json is cut short or no adapter's; save or fetch it"),
        ("adapter/adapter_config.json", 0, r"holds no adapter_config.json"),
        ("adapter/adapter_model.safetensors", 900, r"adapter_model.safetensors is cut short or damaged"),
        ("adapter/tokenizer.json", 0, r"its tokenizer cannot be read"),
        ("adapter/README.md", 0, r"README.md: is no card of an adapter; run the training again to have it written"),
        ("base/config.json", 40, r"its config.json is missing or cut short; fetch it again"),
    ],
)
def test_a_piece_cut_short_or_gone_is_told_and_nothing_stays(
    mixed: Mixture, tiny_base: Path, tmp_path: Path, recipe_with: With, name: str, left: int, message: str
) -> None:
    run = finished(tmp_path, mixed, "run", tiny_base, recipe_with(method=LORA))
    shutil.copytree(tiny_base, run / "base")
    piece = run / name
    held = piece.read_bytes()
    piece.unlink()
    if left:
        piece.write_bytes(held[:left])
    with pytest.raises((TrainingError, ArtefactError), match=message) as caught:
        merge.merge(run, tmp_path / "merged", base=str(run / "base"))
    assert "\n" not in str(caught.value).strip()
    assert not list(tmp_path.glob("merged*"))


def test_a_full_disk_leaves_the_folder_as_it_was(
    mixed: Mixture, tiny_base: Path, tmp_path: Path, recipe_with: With
) -> None:
    run = finished(tmp_path, mixed, "run", tiny_base, recipe_with(method=LORA))
    merge.merge(run, tmp_path / "merged")
    before = {path.name: path.read_bytes() for path in (tmp_path / "merged").iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(ArtefactError, match=r"cannot be written: "):
            merge.merge(run, tmp_path / "merged", precision="bf16")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name: path.read_bytes() for path in (tmp_path / "merged").iterdir()} == before


def test_a_tensor_of_the_adapter_without_one_in_the_base_is_told(
    mixed: Mixture, tiny_base: Path, tmp_path: Path, recipe_with: With
) -> None:
    run = finished(tmp_path, mixed, "run", tiny_base, recipe_with(method=LORA))
    shutil.copytree(tiny_base, tmp_path / "other")
    held = load_file(tiny_base / "model.safetensors")
    held["model.layers.0.self_attn.qkv_proj.weight"] = held.pop("model.layers.0.self_attn.q_proj.weight")
    save_file(held, tmp_path / "other" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TrainingError, match=r"stores model.layers.0.self_attn.q_proj.weight in another form than it"):
        merge.merge(run, tmp_path / "merged", base=str(tmp_path / "other"))


def test_a_comparison_allows_what_its_type_rounds_and_no_more() -> None:
    told = {"same": 9, "places": 10, "allowed": 0.05}
    assert agreement.Agreement(error=0.02, effect=0.3, **told).holds
    assert agreement.Agreement(error=0.00005, effect=0.0, **told).holds  # nothing was trained, nothing is lost
    assert not agreement.Agreement(error=0.02, effect=0.03, **told).holds
    assert not agreement.Agreement(error=0.06, effect=3.0, **told).holds


def test_a_checkpoint_of_the_bare_model_keeps_its_short_names(
    mixed: Mixture, tmp_path: Path, recipe_with: With, said: list[str]
) -> None:
    """As of Bloom, whose tensors are stored without the name of the model within."""
    base = bases.write(tmp_path / "bloom", "bloom")
    held = load_file(base / "model.safetensors")
    short = {name.removeprefix("transformer."): one for name, one in held.items()}
    save_file(short, base / "model.safetensors", metadata={"format": "pt"})
    recipe = recipe_with(method=LORA)
    run = finished(tmp_path, mixed, "run", base, recipe)
    merge.merge(run, tmp_path / "merged", say=said.append)
    assert load_file(tmp_path / "merged" / "model.safetensors").keys() == short.keys()
    assert greedy(reloaded(tmp_path / "merged")) == greedy(unmerged(base, recipe, run))
