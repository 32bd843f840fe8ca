"""What holds for every method: what is trained, in which type, from which weights, and what comes back from disk."""

import json
from pathlib import Path

import pytest
import torch
from little import KINDS, base, batch
from peft import PeftModel
from safetensors import safe_open
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from collectors.errors import TrainingError
from train.methods import attach as methods
from train.methods import progress
from train.methods.attach import Adapted, attach
from train.methods.nodes import (
    AdaLora,
    Full,
    Lora,
    Method,
    ParallelAdapter,
    Prefix,
    Prompt,
    PTuning,
    SequentialAdapter,
)
from train.methods.save import load, save, unmergeable

RELOADS = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft's own

ADALORA = AdaLora(name="adalora", initial_r=4, r=2, warmup=1, settle=2, interval=1, dropout=0)
ADAPTERS: dict[str, Method] = {
    "lora": Lora(r=4, dropout=0),
    "lora-whole": Lora(r=4, dropout=0, targets="auto", train_whole=["lm_head"]),
    "rank-stabilised": Lora(r=4, dropout=0, targets="auto", rank_stabilised=True),
    "dora": Lora(r=4, dropout=0, dora=True),
    "adalora": ADALORA,
    "prefix": Prefix(name="prefix", tokens=3, hidden=8),
    "prefix-bare": Prefix(name="prefix", tokens=3, projection=False),
    "p-tuning": PTuning(name="p-tuning", tokens=3, hidden=8),
    "p-tuning-lstm": PTuning(name="p-tuning", tokens=3, hidden=8, encoder="lstm"),
    "prompt": Prompt(name="prompt", tokens=3),
    "sequential-mlp": SequentialAdapter(name="sequential-adapter", bottleneck=4),
    "sequential-output": SequentialAdapter(name="sequential-adapter", bottleneck=4, places="output"),
    "parallel": ParallelAdapter(name="parallel-adapter", bottleneck=4),
}
every_adapter = pytest.mark.parametrize("method", ADAPTERS.values(), ids=ADAPTERS.keys())
VIRTUAL = {"prefix", "prefix-bare", "p-tuning", "p-tuning-lstm", "prompt"}


def attached(model: PreTrainedModel, method: Method, seed: int = 0) -> PeftModel:
    adapted = attach(model, method, base="tiny", steps=8, seed=seed)
    assert isinstance(adapted, PeftModel)
    return adapted


def trained(model: Adapted) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}


def shake(model: Adapted) -> None:
    """Move every trained parameter off its first value, as training would."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        for value in model.parameters():
            if value.requires_grad:
                value.add_(torch.randn_like(value) * 0.05)


def logits(model: Adapted) -> Tensor:
    rows = batch()
    with torch.no_grad():
        found: Tensor = model.eval()(input_ids=rows["input_ids"], attention_mask=rows["attention_mask"]).logits
    return found


def close(found: Tensor, expected: Tensor, name: str) -> None:
    """Equal to the bit, but for tokens that an encoder makes: for a batch it makes them in another order of sums."""
    if name in {"prefix", "p-tuning", "p-tuning-lstm"}:
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-3)
    else:
        assert torch.equal(found, expected)


@every_adapter
def test_only_the_methods_own_parameters_are_trained_in_float32_and_all_of_them_learn(method: Method) -> None:
    adapted = attached(base(dtype=torch.bfloat16), method)
    names = trained(adapted).keys()
    own = ("lora_", "bottleneck_", "prompt_encoder", "modules_to_save")
    assert names
    assert all(any(part in name for part in own) and ".ranknum." not in name for name in names)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        adapted.train()(**batch()).loss.backward()
    for name, value in adapted.named_parameters():
        assert value.requires_grad == (name in names)
        assert (value.grad is not None) == value.requires_grad
        assert value.dtype == (torch.float32 if value.requires_grad or ".ranknum." in name else torch.bfloat16)


@every_adapter
def test_first_weights_depend_on_the_seed_alone(method: Method) -> None:
    torch.manual_seed(1)
    one = trained(attached(base(), method, seed=5))
    torch.manual_seed(2)
    state = torch.get_rng_state()
    same, other = trained(attached(base(), method, seed=5)), trained(attached(base(), method, seed=6))
    assert torch.equal(torch.get_rng_state(), state)
    assert one.keys() == same.keys() == other.keys()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


@RELOADS
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", ADAPTERS)
def test_a_saved_adapter_is_the_same_when_loaded_again(tmp_path: Path, name: str, dtype: torch.dtype) -> None:
    adapted = attached(base(dtype=dtype), ADAPTERS[name])
    first = logits(adapted)
    shake(adapted)
    expected = logits(adapted)
    save(adapted, tmp_path / "one", base="acme/tiny")
    again = load(base(dtype=dtype), tmp_path / "one")
    plain = PeftModel.from_pretrained(base(dtype=dtype), tmp_path / "one")
    save(again, tmp_path / "two", base="acme/tiny")
    assert not torch.equal(first, expected)
    close(logits(again), expected, name)
    assert not trained(again)
    # peft by itself rounds modules that are trained whole to the base's type.
    torch.testing.assert_close(logits(plain), expected, atol=0.02 if dtype == torch.bfloat16 else 1e-5, rtol=1e-3)
    written = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert written == {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()}
    assert written.keys() == {"adapter_config.json", "adapter_model.safetensors"}
    assert json.loads(written["adapter_config.json"])["base_model_name_or_path"] == "acme/tiny"
    assert again(**batch()).loss.isfinite()


@every_adapter
def test_without_its_adapter_a_model_is_the_base(method: Method) -> None:
    expected = logits(base())
    adapted = attached(base(), method)
    shake(adapted)
    assert not torch.equal(logits(adapted)[:, -8:], expected)
    with adapted.disable_adapter():
        assert torch.equal(logits(adapted), expected)
    assert not torch.equal(logits(adapted)[:, -8:], expected)


@pytest.mark.parametrize("name", [name for name in ADAPTERS if not name.startswith("prefix")])
def test_gradient_checkpointing_changes_no_gradient(name: str) -> None:
    gradients = []
    for checkpointing in (False, True):
        adapted = attached(base(), ADAPTERS[name])
        shake(adapted)
        if checkpointing:
            adapted.activation_checkpointing_enable({"use_reentrant": False})
        adapted.train()(**batch()).loss.backward()
        gradients.append({key: value.grad for key, value in adapted.named_parameters() if value.requires_grad})
    assert gradients[0].keys() == gradients[1].keys()
    for key, value in gradients[0].items():
        torch.testing.assert_close(value, gradients[1][key], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "llama"])
@pytest.mark.parametrize("name", ["lora-whole", "adalora", "prefix", "p-tuning", "sequential-mlp", "parallel"])
def test_every_architecture_takes_it(tmp_path: Path, kind: str, name: str) -> None:
    adapted = attached(base(kind), ADAPTERS[name])
    adapted.train()(**batch()).loss.backward()
    assert all(value.grad is not None for value in adapted.parameters() if value.requires_grad)
    shake(adapted)
    save(adapted, tmp_path / "adapter", base=kind)
    close(logits(load(base(kind), tmp_path / "adapter")), logits(adapted), name)


@pytest.mark.parametrize("whole", ["embed_tokens", "lm_head"])
def test_a_tied_matrix_stays_one_when_it_is_trained_whole(tmp_path: Path, whole: str) -> None:
    adapted = attached(base(tie_word_embeddings=True), Lora(r=4, targets="auto", train_whole=[whole]))
    shake(adapted)
    save(adapted, tmp_path / "adapter", base="tied")
    again = load(base(tie_word_embeddings=True), tmp_path / "adapter")
    assert torch.equal(logits(again), logits(adapted))
    for model in (adapted, again):
        assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    with safe_open(tmp_path / "adapter" / "adapter_model.safetensors", framework="pt") as file:
        parts = [key for key in file.keys() if "lora_" not in key]  # noqa: SIM118  # no mapping, for all its keys()
        assert parts == ["base_model.model.lm_head.weight", "base_model.model.model.embed_tokens.weight"]


def test_full_is_saved_as_a_checkpoint_of_the_base(tmp_path: Path) -> None:
    adapted = attach(base(), Full(name="full"), base="tiny")
    adapted.generation_config.temperature = 0.6  # without do_sample, as some published bases have it
    shake(adapted)
    expected = logits(adapted)
    for name in ("one", "two"):
        save(adapted, tmp_path / name, base="tiny")
    again = type(base()).from_pretrained(tmp_path / "one")
    assert torch.equal(logits(again), expected)
    assert again.config.use_cache
    assert json.loads((tmp_path / "one" / "generation_config.json").read_text(encoding="utf-8"))["temperature"] == 0.6
    assert not adapted.config.use_cache
    written = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert written == {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()}


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_checkpoint_takes_the_training_up_where_it_was(tmp_path: Path, name: str) -> None:
    adapted, fresh = (attached(base(), ADAPTERS[name], seed=seed) for seed in (1, 2))
    shake(adapted)
    progress.keep(adapted, tmp_path)
    progress.take_up(fresh, tmp_path)
    found, expected = trained(fresh), trained(adapted)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_a_checkpoint_that_is_damaged_or_of_another_method_is_told(tmp_path: Path) -> None:
    adapted = attached(base(), Lora(r=4))
    with pytest.raises(TrainingError, match=r"trained.safetensors is missing, cut short or damaged"):
        progress.take_up(adapted, tmp_path)
    progress.keep(attached(base(), Lora(r=2)), tmp_path)
    with pytest.raises(TrainingError, match="is of another method or base"):
        progress.take_up(adapted, tmp_path)
    path = tmp_path / "trained.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(TrainingError, match="cut short or damaged"):
        progress.take_up(adapted, tmp_path)


def test_a_prompt_begins_as_the_words_of_its_text(words: PreTrainedTokenizerBase) -> None:
    ids = words("Say hi.", add_special_tokens=False)["input_ids"]
    model = base(vocab_size=len(words))
    method = Prompt(name="prompt", tokens=len(ids) + 2, text="Say hi.")
    adapted = attach(model, method, base="tiny", words=words)
    expected = model.get_input_embeddings().weight[torch.tensor([*ids, *ids[:2]])]
    assert torch.equal(adapted.prompt_encoder["default"].embedding.weight, expected)
    with pytest.raises(TrainingError, match=r"method.text: '' is no token to base tiny"):
        attach(base(vocab_size=len(words)), Prompt(name="prompt", text=""), base="tiny", words=words)


def test_prefix_tuning_refuses_gradient_checkpointing_whenever_it_is_switched_on() -> None:
    prefix = Prefix(name="prefix", tokens=3)
    early = base()
    early.activation_checkpointing_enable({"use_reentrant": False})
    with pytest.raises(TrainingError, match=r"prefix tuning cannot be trained with gradient checkpointing.*=false"):
        attach(early, prefix, base="tiny")
    late = attached(base(), prefix)
    late.activation_checkpointing_enable({"use_reentrant": False})
    assert logits(late).isfinite().all()
    with pytest.raises(TrainingError, match="cannot be trained with gradient checkpointing"):
        late.train()(**batch())
    with pytest.raises(TrainingError, match="cannot be trained with gradient checkpointing"):
        methods.check(prefix, checkpointing=True)


@pytest.mark.parametrize("name", ADAPTERS)
def test_what_cannot_be_merged_says_why(name: str) -> None:
    reason = unmergeable(attached(base(), ADAPTERS[name]).peft_config["default"])
    if name in VIRTUAL:
        assert reason is not None
        assert reason.startswith("trained tokens stand before the input")
    elif name.startswith(("sequential", "parallel")):
        assert reason is not None
        assert "a non-linear function stands between" in reason
    else:
        assert reason is None
