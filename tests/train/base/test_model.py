"""Bases and methods: what is made on the spot, what is loaded, what is refused in one line."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import bases
import pytest
import torch
from hub import Hub
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerBase, dynamic_module_utils

from collectors.errors import RemoteError, TrainingError
from train import run, tiny
from train.base import fetch, model
from train.methods import attach as methods
from train.methods.nodes import Lora
from train.mixture import Mixture
from train.recipe import Recipe

With = Callable[..., Recipe]


def test_the_tiny_base_is_the_same_every_time(tmp_path: Path, mixed: Mixture, small: Recipe, tiny_base: Path) -> None:
    tiny.make(tmp_path / "again", mixed, small)
    made = {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}
    assert made == {path.name: path.read_bytes() for path in tiny_base.iterdir()}


def test_its_tokenizer_writes_any_text(words: PreTrainedTokenizerBase) -> None:
    text = "Zürich 你好 🦊\n\t<|im_start|>"
    assert words.decode(words(text, add_special_tokens=False)["input_ids"]) == text
    assert len(words) == 300


def test_lora_trains_its_own_parameters_only(tiny_base: Path, recipe_with: With) -> None:
    base = model.load(tiny_base, recipe_with())
    adapted = methods.attach(base, Lora(r=4, alpha=8, targets=["q_proj", "v_proj"]), base="tiny")
    # 2 layers x 2 modules x (32 x 4 + 4 x 32)
    assert methods.trainable(adapted)[0] == 1024
    assert all(parameter.requires_grad == ("lora_" in name) for name, parameter in adapted.named_parameters())


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (Lora(targets=["q_prj"]), "recipe method.targets: q_prj matches no module of base tiny; did you mean q_proj"),
        (Lora(targets=["query_key_value"]), "recipe method.targets: query_key_value matches no module of base tiny; "),
        (
            Lora(train_whole=["lm_haed"]),
            "recipe method.train_whole: lm_haed matches no module of base tiny; did you mean",
        ),
    ],
)
def test_modules_that_are_not_there_are_told(tiny_base: Path, recipe_with: With, method: Lora, message: str) -> None:
    with pytest.raises(TrainingError) as caught:
        methods.attach(model.load(tiny_base, recipe_with()), method, base="tiny")
    assert str(caught.value).startswith(message)


def test_a_folder_without_a_model_is_told(tmp_path: Path, recipe_with: With, tiny_base: Path) -> None:
    with pytest.raises(TrainingError, match=r"no such folder"):
        fetch.located(recipe_with(base=str(tmp_path / "none")))
    with pytest.raises(TrainingError, match=r"holds no config.json"):
        fetch.located(recipe_with(base=str(tmp_path)))
    shutil.copy(tiny_base / "config.json", tmp_path)
    with pytest.raises(TrainingError, match=r"holds no weights"):
        fetch.located(recipe_with(base=str(tmp_path)))


def test_a_hub_id_that_cannot_be_fetched_is_told(recipe_with: With) -> None:
    with pytest.raises(RemoteError, match=r"base acme/llama: no such folder here, and the Hub cannot be reached"):
        fetch.located(recipe_with(base="acme/llama"))


def test_a_folder_without_a_tokenizer_is_told(tmp_path: Path, tiny_base: Path) -> None:
    shutil.copy(tiny_base / "config.json", tmp_path)
    with pytest.raises(TrainingError, match=r"holds no tokenizer; put its tokenizer files beside config.json"):
        model.tokenizer(tmp_path)


def test_a_cutoff_beyond_what_the_base_sees_is_told(tiny_base: Path, recipe_with: With) -> None:
    with pytest.raises(TrainingError, match=r"sees 2048 tokens at most; cutoff is 4096"):
        model.load(tiny_base, recipe_with(cutoff=4096))


def test_cut_weights_are_told(tmp_path: Path, tiny_base: Path, recipe_with: With) -> None:
    shutil.copytree(tiny_base, tmp_path / "cut")
    weights = tmp_path / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(TrainingError, match=r"cannot be loaded"):
        model.load(tmp_path / "cut", recipe_with())


def test_the_base_is_held_in_the_precision_asked_for(tiny_base: Path, recipe_with: With) -> None:
    assert model.load(tiny_base, recipe_with(precision="bf16")).dtype == torch.bfloat16


def test_a_base_held_in_float16_has_its_type_known(recipe_with: With) -> None:
    assert model.precision(recipe_with(precision="fp16")) == torch.float16


CPU = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine can do what is refused without a GPU")


@CPU
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"precision": "fp16"}, "recipe precision: fp16 is trained on a CUDA GPU only; set fp32 or bf16"),
        ({"attention": "flash_attention_2"}, "recipe attention: flash_attention_2 needs a CUDA GPU; set sdpa"),
        ({"attention": "flex_attention"}, "recipe attention: flex_attention has no gradients on a CPU; set sdpa"),
    ],
)
def test_what_this_machine_cannot_train_is_told(
    settings: dict[str, str], message: str, tiny_base: Path, recipe_with: With
) -> None:
    with pytest.raises(TrainingError) as caught:
        model.load(tiny_base, recipe_with(**settings))
    assert str(caught.value) == message


def test_what_cannot_be_trained_here_can_be_looked_at(tiny_base: Path, recipe_with: With) -> None:
    assert model.load(tiny_base, recipe_with(precision="fp16"), training=False).dtype == torch.float16


def test_an_attention_that_the_architecture_lacks_is_told(tmp_path: Path, recipe_with: With) -> None:
    base = bases.write(tmp_path, "bloom")
    with pytest.raises(TrainingError, match=r"recipe attention: bloom of base .* has no flex_attention; known: eager"):
        model.load(base, recipe_with(attention="flex_attention"), training=False)
    assert model.load(base, recipe_with(attention="eager")).config._attn_implementation == "eager"


# ---- weights and tokens that do not fit


def test_missing_weights_are_told_and_not_drawn(tmp_path: Path, tiny_base: Path, recipe_with: With) -> None:
    shutil.copytree(tiny_base, tmp_path / "lacking")
    held = load_file(tiny_base / "model.safetensors")
    del held["model.layers.1.mlp.up_proj.weight"]
    save_file(held, tmp_path / "lacking" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TrainingError) as caught:
        model.load(tmp_path / "lacking", recipe_with())
    assert str(caught.value).endswith(
        "its weights lack 1 of the model's tensors (model.layers.1.mlp.up_proj.weight); fetch it again"
    )


def test_weights_of_another_shape_are_told(tmp_path: Path, tiny_base: Path, recipe_with: With) -> None:
    shutil.copytree(tiny_base, tmp_path / "other")
    config = json.loads((tiny_base / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "other" / "config.json").write_text(json.dumps(config | {"intermediate_size": 64}), encoding="utf-8")
    with pytest.raises(TrainingError) as caught:
        model.load(tmp_path / "other", recipe_with())
    assert str(caught.value).endswith(
        "its weights are not those of its config.json: model.layers.0.mlp.down_proj.weight is 32 x 128, where that "
        "makes it 32 x 64; fetch it again"
    )


def test_more_tokens_than_embeddings_are_told(tmp_path: Path, tiny_base: Path, recipe_with: With) -> None:
    shutil.copytree(tiny_base, tmp_path / "grown")
    words = model.tokenizer(tiny_base)
    words.add_tokens(["<one>", "<two>"])
    words.save_pretrained(tmp_path / "grown")
    with pytest.raises(TrainingError) as caught:
        model.load(tmp_path / "grown", recipe_with())
    assert "its tokenizer has tokens up to number 301, its embeddings 300 rows; put the tokenizer there" in str(
        caught.value
    )


def test_more_embeddings_than_tokens_are_fine(tmp_path: Path, tiny_base: Path, recipe_with: With) -> None:
    shutil.copytree(tiny_base, tmp_path / "padded")
    grown = model.load(tiny_base, recipe_with())
    grown.resize_token_embeddings(320, mean_resizing=False)
    grown.save_pretrained(tmp_path / "padded")
    assert model.load(tmp_path / "padded", recipe_with()).config.vocab_size == 320


def test_a_tokenizer_without_end_token_is_told(tmp_path: Path, tiny_base: Path) -> None:
    shutil.copytree(tiny_base, tmp_path / "endless")
    place = tmp_path / "endless" / "tokenizer_config.json"
    settings = json.loads(place.read_text(encoding="utf-8"))
    del settings["eos_token"]
    place.write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(TrainingError, match=r"its tokenizer has no end token, .*; set eos_token in its tokenizer_conf"):
        model.tokenizer(tmp_path / "endless")


# ---- code that comes with a base

REVISION = "0123456789abcdef0123456789abcdef01234567"
CODE = """
from transformers import LlamaConfig, LlamaForCausalLM


class OddConfig(LlamaConfig):
    model_type = "odd"


class OddForCausalLM(LlamaForCausalLM):
    config_class = OddConfig
"""


@pytest.fixture
def odd(tmp_path: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a base that only its own code knows."""
    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    shutil.copytree(tiny_base, tmp_path / "odd")
    (tmp_path / "odd" / "modeling_odd.py").write_text(CODE, encoding="utf-8")
    config = json.loads((tiny_base / "config.json").read_text(encoding="utf-8"))
    code = {"AutoConfig": "modeling_odd.OddConfig", "AutoModelForCausalLM": "modeling_odd.OddForCausalLM"}
    (tmp_path / "odd" / "config.json").write_text(
        json.dumps(config | {"model_type": "odd", "auto_map": code}), encoding="utf-8"
    )
    return tmp_path / "odd"


def test_its_code_does_not_run_unless_the_recipe_says_so(odd: Path, recipe_with: With) -> None:
    for refused in (lambda: model.load(odd, recipe_with()), lambda: model.tokenizer(odd)):
        with pytest.raises(TrainingError) as caught:
            refused()
        assert str(caught.value) == (
            f"base {odd}: transformers does not know odd, which brings code of its own; to run that, read it and set "
            "trust_remote_code in the recipe to the revision (40 hex digits) of the repository it is from"
        )


def test_with_its_revision_named_it_runs(odd: Path, recipe_with: With) -> None:
    recipe = recipe_with(trust_remote_code=REVISION)
    assert type(model.load(odd, recipe)).__name__ == "OddForCausalLM"
    assert model.tokenizer(odd, recipe).eos_token == "</s>"


def test_its_tokenizer_is_read_by_that_permission_everywhere(
    odd: Path, out: Path, mixed: Mixture, recipe_with: With, said: list[str]
) -> None:
    method = {"name": "prompt", "tokens": 3, "text": "Say hi."}
    recipe = recipe_with(base=str(odd), trust_remote_code=REVISION, method=method, packing=False, steps=1)
    assert run.train(out, mixed, recipe, name="odd", say=said.append).trained


def test_code_of_another_revision_than_the_one_fetched_does_not_run(odd: Path, recipe_with: With) -> None:
    fetched = odd.rename(odd.with_name("f" * 40))
    with pytest.raises(TrainingError, match=r"is of revision f{40}, trust_remote_code permits the code of 0123456789"):
        model.load(fetched, recipe_with(trust_remote_code=REVISION))


def test_a_known_architecture_does_without_the_code_it_brings(odd: Path, tiny_base: Path, recipe_with: With) -> None:
    config = json.loads((odd / "config.json").read_text(encoding="utf-8"))
    (odd / "config.json").write_text(json.dumps(config | {"model_type": "llama"}), encoding="utf-8")
    assert type(model.load(odd, recipe_with())).__name__ == "LlamaForCausalLM"


def test_a_tokenizer_that_needs_its_code_says_so(tmp_path: Path, tiny_base: Path) -> None:
    shutil.copytree(tiny_base, tmp_path / "odd")
    (tmp_path / "odd" / "tokenizer.json").unlink()
    settings = {
        "tokenizer_class": "OddTokenizer",
        "auto_map": {"AutoTokenizer": ["tokenization_odd.OddTokenizer", None]},
    }
    (tmp_path / "odd" / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(TrainingError, match=r"its tokenizer cannot be read: it brings code of its own; to run that"):
        model.tokenizer(tmp_path / "odd")


@pytest.fixture
def shelf(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The Hub, as a process sees it that was started with HF_ENDPOINT and HF_HOME."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return hub


def test_a_base_on_the_hub_is_fetched_with_its_code_at_the_revision_that_is_trusted(
    shelf: Hub, odd: Path, recipe_with: With
) -> None:
    files = {path.name: path.read_bytes() for path in odd.iterdir()}
    revision = shelf.add("acme/odd", files, kind="model").head
    place = fetch.located(recipe_with(base="acme/odd", trust_remote_code=revision))
    assert (place.name, (place / "modeling_odd.py").is_file()) == (revision, True)
    assert type(model.load(place, recipe_with(trust_remote_code=revision))).__name__ == "OddForCausalLM"


def named(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


def test_of_a_base_on_the_hub_nothing_is_fetched_twice(shelf: Hub, recipe_with: With) -> None:
    files = dict.fromkeys(("config.json", "tokenizer.json", "model.safetensors"), b"{}")
    others = ("pytorch_model.bin", "consolidated.safetensors", "original/model.safetensors", "run.py", "README.md")
    shelf.add("acme/llama", {**files, **dict.fromkeys(others, b"{}")}, kind="model")
    assert named(fetch.configured(recipe_with(base="acme/llama"))) == ["config.json"]
    assert named(fetch.located(recipe_with(base="acme/llama"))) == sorted(files)


def test_of_a_base_in_pickles_alone_those_are_fetched(shelf: Hub, recipe_with: With) -> None:
    files = dict.fromkeys(("config.json", "pytorch_model-00001-of-00001.bin"), b"{}")
    shelf.add("acme/bloom", files, kind="model")
    assert named(fetch.located(recipe_with(base="acme/bloom"))) == sorted(files)


def test_a_base_on_the_hub_without_weights_or_behind_terms_is_told(shelf: Hub, recipe_with: With) -> None:
    shelf.add("acme/empty", {"config.json": b"{}"}, kind="model")
    with pytest.raises(TrainingError, match=r"base acme/empty: holds no weights .*, neither on the Hub nor"):
        fetch.located(recipe_with(base="acme/empty"))
    shelf.fail("GET", "/revision/", status=403, headers={"X-Error-Code": "GatedRepo"}, times=2)
    for asked in (fetch.located, fetch.configured):
        with pytest.raises(RemoteError, match=r"gives it to those alone who accepted its terms; .* set HF_TOKEN"):
            asked(recipe_with(base="acme/gated"))
