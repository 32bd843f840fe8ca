"""The plan: parameters as published, bytes as torch and bitsandbytes take them, steps as they will be dealt."""

import contextlib
import shutil
import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import AutoModelForCausalLM, BloomConfig, LlamaConfig, PreTrainedTokenizerBase
from transformers.trainer import Trainer
from transformers.training_args import TrainingArguments

from collectors.errors import CatalogError, RemoteError, TrainingError
from templates import prompt as prompts
from train import recipe
from train.base import model, quantise
from train.encoding import tokens
from train.fitting import loop
from train.methods import attach as methods
from train.mixture import Mixture
from train.planning import course, memory, plan, skeleton
from train.planning.reckoning import Device, devices, here, reckon
from train.planning.rehearsal import Rehearsal
from train.recipe import Recipe

With = Callable[..., Recipe]

CPU = Device(gpu=False, compute=torch.float32)
GIB = 1 << 30
SHAPES = {
    "bloom-7b1": BloomConfig(n_layer=30, hidden_size=4096, n_head=32, vocab_size=250880),
    # LLaMA-7B with the vocabulary of Chinese-Alpaca
    "chinese-llama-7b": LlamaConfig(
        num_hidden_layers=32, hidden_size=4096, intermediate_size=11008, num_attention_heads=32, vocab_size=49954
    ),
    "llama-100m": LlamaConfig(
        num_hidden_layers=8, hidden_size=1024, intermediate_size=2816, num_attention_heads=8, vocab_size=8000
    ),
}


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of published shapes: a config.json each, and no weights."""
    place = tmp_path_factory.mktemp("shapes")
    for name, config in SHAPES.items():
        config.save_pretrained(place / name)
    return place


@pytest.mark.parametrize(
    ("name", "settings", "trained"),
    [
        # Table 4 of arXiv 2310.07328, whose M is 2**20
        ("adalora", [], 5_898_600),
        ("bloom", [], 15_728_640),
        ("prompt", [], 81_920),
        ("p-tuning", [], 1_151_232),
        ("prefix", [], 32_309_376),
        ("sequential-adapter-output", [], 7_864_320),
        ("sequential-adapter", ["method.places=output"], 7_864_320),
        ("sequential-adapter", [], 15_728_640),
        ("parallel-adapter", [], 15_728_640),
        ("sequential-adapter-output", ["method.bottleneck=256"], 60 << 20),
        ("sequential-adapter", ["method.bottleneck=256"], 120 << 20),
        ("parallel-adapter", ["method.bottleneck=256"], 120 << 20),
    ],
)
def test_the_recipes_train_what_table_4_counts(shapes: Path, name: str, settings: list[str], trained: int) -> None:
    chosen = recipe.load(name, base=str(shapes / "bloom-7b1"), settings=settings)
    made = skeleton.Skeleton(skeleton.base(chosen), chosen, torch.bfloat16)
    assert sum(count for _, count in made.counts().values()) == trained
    assert sum(every for every, _ in made.counts().values()) == methods.trainable(made.adapted)[1]


def test_chinese_alpaca_trains_what_its_notebook_prints(shapes: Path) -> None:
    chosen = recipe.load("chinese-alpaca", base=str(shapes / "chinese-llama-7b"))
    counts = skeleton.Skeleton(skeleton.base(chosen), chosen, torch.float16).counts()
    assert counts == {
        "embeddings": (204_611_584, 204_611_584),
        "layers": (6_476_267_520, 0),
        "output head": (204_611_584, 204_611_584),
        "norms and the rest": (4_096, 0),
        "lora": (19_988_480, 19_988_480),
    }
    # "trainable params: 429211648 || all params: 6905483264"
    assert [sum(count) for count in zip(*counts.values(), strict=True)] == [6_905_483_264, 429_211_648]


METHODS: dict[str, dict[str, Any]] = {
    "lora": {"name": "lora", "train_whole": ["embed_tokens", "lm_head"]},
    "dora": {"name": "lora", "dora": True},
    "adalora": {"name": "adalora", "warmup": 0, "settle": 1},
    "prefix": {"name": "prefix", "tokens": 3, "hidden": 8},
    "p-tuning": {"name": "p-tuning", "tokens": 3, "hidden": 8},
    "prompt": {"name": "prompt", "tokens": 3},
    "sequential": {"name": "sequential-adapter", "bottleneck": 4, "dropout": 0.1},
    "parallel": {"name": "parallel-adapter", "bottleneck": 4},
    "full": {"name": "full"},
}


@pytest.mark.parametrize("method", METHODS)
def test_the_weights_take_the_bytes_that_torch_gives_them(recipe_with: With, tiny_base: Path, method: str) -> None:
    chosen = recipe_with(base=str(tiny_base), method=METHODS[method], precision="bf16", packing=False)
    real = methods.attach(model.load(tiny_base, chosen), chosen.method, base="tiny", steps=9)
    taken = sum(parameter.nbytes for parameter in real.parameters())
    trained = sum(parameter.nbytes for parameter in real.parameters() if parameter.requires_grad)
    needs = reckon(skeleton.base(chosen), chosen, Device(gpu=False, compute=torch.bfloat16), steps=9).memory
    assert (needs.weights + needs.trained, needs.trained, needs.gradients) == (taken, trained, trained)


@pytest.mark.parametrize("how", [{"bits": 4, "double": True}, {"bits": 4, "double": False}, {"bits": 8}])
def test_a_quantised_base_takes_the_bytes_that_bitsandbytes_gives_it(
    recipe_with: With, tiny_base: Path, how: dict[str, Any]
) -> None:
    chosen = recipe_with(base=str(tiny_base), method={"name": "lora"}, quantisation=how, packing=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        real = model.load(tiny_base, chosen)
    codes = scales = plain = 0
    for parameter in real.parameters():
        state = getattr(parameter, "quant_state", None)
        if state is not None:
            codes += parameter.nbytes
            scales += state.absmax.nbytes + (state.state2.absmax.nbytes if state.nested else 0)
        elif parameter.dtype == torch.int8:
            codes += parameter.nbytes
            scales += parameter.SCB.nbytes
        else:
            plain += parameter.nbytes
    needs = reckon(skeleton.base(chosen), chosen, CPU).memory
    assert (needs.codes, needs.scales, needs.weights) == (codes, scales, plain)


@pytest.mark.parametrize("name", loop.OPTIMISERS)
def test_an_optimiser_keeps_the_bytes_that_are_reckoned(tmp_path: Path, name: str) -> None:
    parts = torch.nn.ModuleList([torch.nn.Embedding(100, 60), torch.nn.Linear(70, 90), torch.nn.Linear(8, 8)])
    trainer = Trainer(parts, TrainingArguments(str(tmp_path), optim=loop.OPTIMISERS[name], report_to="none"))
    optimiser = trainer.create_optimizer()
    for parameter in parts.parameters():
        parameter.grad = torch.ones_like(parameter)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Paged optimizers are not supported on CPU")
        optimiser.step()
    kept = {
        id(value): value.nbytes
        for state in optimiser.state.values()
        for value in state.values()
        if isinstance(value, torch.Tensor)
    }
    embeddings = frozenset({id(parts[0].weight)})
    assert memory.state(parts.parameters(), name, embeddings=embeddings) == sum(kept.values())


class Live(TorchDispatchMode):
    """Counts the bytes of tensors that are alive, but for those that were there before."""

    def __init__(self, before: list[torch.Tensor]) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.known = {one.untyped_storage()._cdata for one in before}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage()._cdata not in self.known:
                self._add(tensor.untyped_storage())
        return made

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        self.known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._free, key, size)

    def _free(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size


@contextlib.contextmanager
def keeping(adapted: torch.nn.Module) -> Iterator[dict[int, int]]:
    """The bytes of what autograd keeps, by storage, but for parameters."""
    weights = {parameter.untyped_storage()._cdata for parameter in adapted.parameters()}
    found: dict[int, int] = {}
    alive = []

    def save(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage()._cdata not in weights:
            found[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
            alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        yield found


@pytest.mark.parametrize(("method", "precision"), [*((name, "bf16") for name in METHODS), ("lora", "fp32")])
def test_activations_are_what_autograd_keeps(recipe_with: With, tiny_base: Path, method: str, precision: str) -> None:
    chosen = recipe_with(base=str(tiny_base), method=METHODS[method], precision=precision, packing=False)
    bare = model.load(tiny_base, chosen)
    held = bare.dtype
    real = methods.attach(bare, chosen.method, base="tiny", steps=9).train()
    made = skeleton.Skeleton(skeleton.base(chosen), chosen, held, steps=9)
    told = Rehearsal(made.adapted).kept(2, 64, held, gpu=False)
    ids = torch.ones(2, 64, dtype=torch.long)
    # With positions that begin anew, as packed rows have them: so there is a mask.
    masked = torch.cat([torch.ones(2, 60, dtype=torch.long), torch.zeros(2, 4, dtype=torch.long)], 1)
    cast = torch.autocast("cpu", held) if held != torch.float32 else contextlib.nullcontext()
    with cast, keeping(real) as kept:
        real(input_ids=ids, attention_mask=masked, use_cache=False)
    assert told.plain == pytest.approx(sum(kept.values()), rel=0.02)


SMALL = {
    "llama": LlamaConfig(
        num_hidden_layers=4, hidden_size=128, intermediate_size=352, num_attention_heads=4, vocab_size=2000
    ),
    "few words": LlamaConfig(
        num_hidden_layers=4, hidden_size=128, intermediate_size=352, num_attention_heads=4, vocab_size=300
    ),
    "bloom": BloomConfig(n_layer=4, hidden_size=128, n_head=4, vocab_size=2000),
}


@pytest.mark.parametrize(("shape", "precision"), [*((name, "bf16") for name in SMALL), ("llama", "fp32")])
@pytest.mark.parametrize("again", [False, True])
def test_a_step_takes_at_the_most_what_is_reckoned(recipe_with: With, shape: str, precision: str, again: bool) -> None:
    chosen = recipe_with(
        method={"name": "lora"}, precision=precision, cutoff=256, packing=False, gradient_checkpointing=again
    )
    bare = AutoModelForCausalLM.from_config(SMALL[shape], dtype=quantise.precision(chosen))
    real = methods.attach(bare, chosen.method, base=shape).train()
    if again:
        bare.activation_checkpointing_enable({"use_reentrant": False})
        bare.enable_input_require_grads()
    for parameter in real.parameters():
        parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
    before = [one for parameter in real.parameters() for one in (parameter, parameter.grad) if one is not None]
    ids = torch.ones(chosen.batch, chosen.cutoff, dtype=torch.long)
    cast = torch.autocast("cpu", bare.dtype) if precision == "bf16" else contextlib.nullcontext()
    with Live(before) as live:
        with cast:
            loss = real(input_ids=ids, labels=ids, attention_mask=ids, use_cache=False).loss
        loss.backward()
    of = skeleton.Base(config=SMALL[shape], folder=None, allowed={})
    needs = reckon(of, chosen, Device(gpu=False, compute=bare.dtype)).memory
    reckoned = needs.activations + max(needs.logits, needs.working)
    assert 0.95 <= reckoned / live.peak <= 1.7


def test_dropout_keeps_a_byte_a_number_on_a_gpu(recipe_with: With, tiny_base: Path) -> None:
    chosen = recipe_with(base=str(tiny_base), packing=False)
    kept = [
        reckon(skeleton.base(chosen), chosen, Device(gpu=gpu, compute=torch.float32)).memory.activations
        for gpu in (False, True)
    ]
    assert kept[1] < kept[0]


def test_without_a_gpu_both_devices_are_planned_for(recipe_with: With) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert [device.name for device in devices(recipe_with())] == ["GPU, bfloat16", "CPU, float32"]
    assert [device.name for device in devices(recipe_with(precision="fp16"))] == ["GPU, float16"]
    assert [device.name for device in devices(recipe_with(precision="fp32"))] == ["GPU, float32", "CPU, float32"]


NEEDS = memory.Memory(
    weights=400,
    codes=0,
    scales=0,
    trained=80,
    gradients=80,
    states=160,
    activations=30,
    logits=20,
    working=7,
    context=0,
)


def test_logits_and_a_layer_that_runs_back_are_not_there_together() -> None:
    assert NEEDS.total == 400 + 80 + 80 + 160 + 30 + 20


@pytest.mark.parametrize(
    ("sharding", "changed"),
    [
        ("none", {"gradients": 160}),
        ("fsdp", {"weights": 100, "trained": 20, "gradients": 20, "states": 40, "gathered": 80}),
        ("zero2", {"gradients": 20, "states": 60}),
        ("zero3", {"weights": 100, "trained": 20, "gradients": 20, "states": 60, "gathered": 80}),
    ],
)
def test_four_devices_share_what_the_sharding_divides(sharding: Any, changed: dict[str, int]) -> None:
    shared = memory.shared(NEEDS, 4, sharding, largest=40)
    assert {key: value for key, value in vars(shared).items() if value != getattr(NEEDS, key)} == changed
    assert memory.shared(NEEDS, 1, sharding, largest=40) == NEEDS


def test_steps_are_those_of_the_tokens_that_are_there(
    tmp_path: Path, out: Path, mixed: Mixture, recipe_with: With, tiny_base: Path, words: PreTrainedTokenizerBase
) -> None:
    chosen = recipe_with(base=str(tiny_base), cutoff=256, steps=None, epochs=3, batch=1, warmup=0.1)
    shutil.copytree(out / "mixes", tmp_path / "mixes")
    prompt = prompts.load("alpaca")
    words.chat_template = prompt.text
    built, _ = tokens.build(tmp_path, mixed, words, tiny_base, prompt, chosen)
    found = plan.plan(chosen, mixed, out=tmp_path, processes=2).course
    rows = built.manifest["parts"]["train"]["packed_rows"]
    assert found is not None
    assert (found.fed, found.an_epoch, found.steps) == (rows, -(-rows // 2), 3 * -(-rows // 2))
    assert (found.tokens, found.warmup) == (built.manifest["parts"]["train"]["tokens"], -(-found.steps // 10))
    assert found.source.startswith("counted in ")
    given = plan.plan(chosen, mixed, out=None, processes=2, tokens=built.manifest["parts"]).course
    assert given is not None
    assert (given.steps, given.tokens) == (found.steps, found.tokens)


def test_steps_are_estimated_from_the_first_rows(mixed: Mixture, recipe_with: With, tiny_base: Path) -> None:
    chosen = recipe_with(base=str(tiny_base), steps=None, epochs=1)
    found = course.course(chosen, mixed, tiny_base, out=None, processes=1, tokens=None)
    # All sixteen rows are looked at, so all of their tokens are found.
    assert found.rows == 16
    assert found.source.startswith("estimated from 16 rows")
    guessed = course.course(chosen, mixed, None, out=None, processes=1, tokens=None)
    assert guessed.source.startswith("guessed from the bytes of 16 rows")
    longest = course.course(
        recipe_with(base=str(tiny_base), cutoff=16), mixed, tiny_base, out=None, processes=1, tokens=None
    )
    assert longest.tokens < found.tokens


def test_the_plan_is_told(mixed: Mixture, recipe_with: With, tiny_base: Path) -> None:
    chosen = recipe_with(base=str(tiny_base), quantisation={"bits": 4}, steps=6)
    told = plan.lines(plan.plan(chosen, mixed, out=None, processes=2, sharding="zero2"))
    assert (
        told[0] == f"lora on {tiny_base} (llama), 2 x 512 tokens a device at a time, 1 times a step, 2 devices (zero2)"
    )
    text = "\n".join(told)
    for words in (
        "embeddings",
        "base in 4 bits",
        "optimiser (adamw)",
        "with checkpointing",
        "steps: 6 of 4 packed rows",
    ):
        assert words in text
    assert "name a mixture with --mix" in "\n".join(plan.lines(plan.plan(chosen, None, out=None)))


@pytest.mark.parametrize(
    ("share", "settings", "words"),
    [
        (1.0, {"batch": 8}, "--set batch=4 --set accumulation=2 would take about"),
        (1.0, {"batch": 1}, "--set gradient_checkpointing=true would take about"),
        (1.0, {"batch": 1, "gradient_checkpointing": True}, "--set quantisation.bits=4 would take about"),
        (0.01, {"batch": 1, "quantisation": {}}, "even --set gradient_checkpointing=true --set cutoff=256 would take"),
    ],
)
def test_advice_takes_the_least_harm_that_fits(
    shapes: Path, recipe_with: With, share: float, settings: dict[str, Any], words: str
) -> None:
    base = shapes / "llama-100m"
    chosen = recipe_with(base=str(base), method={"name": "lora"}, precision="fp32", **settings)
    whole = reckon(skeleton.base(chosen), chosen, here(chosen)).memory.total
    told = plan.advice(chosen, base, seen=round(whole * share))
    assert told.startswith(f"out of memory with batch {chosen.batch} and cutoff 512 on ")
    assert words in told
    assert ("take a smaller base" in told) == (share < 1)
    assert "\n" not in told


def test_advice_without_a_size_lists_the_ways(shapes: Path, recipe_with: With) -> None:
    base = shapes / "llama-100m"
    told = plan.advice(recipe_with(base=str(base), batch=2), base, seen=None)
    assert told.count("would take about") == 5  # batch, checkpointing, optimiser, quantisation, cutoff


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"base": "/nowhere"}, TrainingError, "base /nowhere: no such folder"),
        (
            {"base": "acme/llama"},
            RemoteError,
            "base acme/llama: no such folder here, and the Hub cannot be reached to fetch it",
        ),
        ({"method": {"targets": ["q_prj"]}}, TrainingError, "recipe method.targets: q_prj matches no module of base"),
        ({"method": {"name": "prompt"}}, TrainingError, "method prompt: cannot be packed"),
        ({"method": {"name": "adalora"}}, TrainingError, "recipe method"),
        (
            {"method": {"name": "prefix"}, "packing": False, "gradient_checkpointing": True},
            TrainingError,
            "recipe method: prefix tuning cannot be trained with gradient checkpointing",
        ),
        ({"method": {"name": "full"}, "quantisation": {}}, TrainingError, "recipe method: full training needs base"),
    ],
)
def test_what_cannot_be_is_one_line(
    mixed: Mixture, recipe_with: With, tiny_base: Path, settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        plan.plan(recipe_with(**{"base": str(tiny_base), **settings}), mixed, out=None)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_folder_without_configuration_and_an_unknown_architecture_are_one_line(
    tmp_path: Path, recipe_with: With
) -> None:
    with pytest.raises(TrainingError, match=r"holds no config.json; name the folder of a transformers checkpoint"):
        plan.plan(recipe_with(base=str(tmp_path)), None, out=None)
    (tmp_path / "config.json").write_text('{"model_type": "perceiver-of-mine"}', encoding="utf-8")
    with pytest.raises(TrainingError, match=r"its config.json cannot be read"):
        plan.plan(recipe_with(base=str(tmp_path)), None, out=None)
    (tmp_path / "config.json").write_text(
        '{"model_type": "chatglm", "auto_map": {"AutoConfig": "configuration_chatglm.ChatGLMConfig"}}', encoding="utf-8"
    )
    with pytest.raises(TrainingError, match=r"set trust_remote_code"):
        plan.plan(recipe_with(base=str(tmp_path)), None, out=None)


def test_bloom_is_told_not_to_be_packed(shapes: Path) -> None:
    with pytest.raises(TrainingError, match=r"cannot be packed.*set packing: false"):
        plan.plan(recipe.load("lora", base=str(shapes / "bloom-7b1")), None, out=None)
    with pytest.raises(CatalogError, match=r"names no base"):
        recipe.load("lora")
