"""Recipes: what comes with the program, what the command line puts over it, what is refused."""

from pathlib import Path
from typing import get_args

import pytest

from collectors.errors import CatalogError
from templates import prompt
from train import recipe
from train.methods.nodes import VIRTUAL, Full, Lora, Method, Prefix

PAGE = Path(__file__).parents[2] / "docs" / "train.md"
SHIPPED = [
    "demo",
    "lora",
    "qlora",
    "adalora",
    "prefix",
    "p-tuning",
    "prompt",
    "sequential-adapter",
    "sequential-adapter-output",
    "parallel-adapter",
    "dora",
    "full",
    "llama",
    "bloom",
    "chatglm",
    "chatglm2",
    "moss",
    "baichuan",
    "internlm",
    "chinese-alpaca",
    "qwen3",
    "llama3",
    "glm4",
    "internlm3",
    "mistral",
    "gemma3",
]
CODE_OF_THEIR_OWN = ["baichuan", "chatglm", "chatglm2", "internlm", "moss"]
"""Recipes whose base does not run without code that comes with it."""


def test_the_demo_makes_its_own_base() -> None:
    demo = recipe.load("demo")
    assert (demo.base, demo.method.train_whole) == ("tiny-random-llama", ["embed_tokens", "lm_head"])


def test_lora_takes_the_papers_settings_and_a_base_from_the_command_line() -> None:
    lora = recipe.load("lora", base="bigscience/bloomz-7b1-mt", settings=["method.r=32", "learning_rate=1e-4"])
    assert lora.base == "bigscience/bloomz-7b1-mt"
    assert (lora.method.r, lora.method.alpha, lora.method.dropout, lora.learning_rate) == (32, 16, 0.05, 1e-4)


def test_another_method_is_named_with_its_defaults() -> None:
    assert recipe.load("lora", base="any", settings=["method=full"]).method == Full(name="full")
    prefix = recipe.load("lora", base="any", settings=["method=prefix", "method.tokens=5"]).method
    assert prefix == Prefix(name="prefix", tokens=5)
    assert recipe.load("demo", settings=["method={alpha: 8}"]).method == Lora(alpha=8)
    held = recipe.load("llama", settings=["quantisation=null", "quantisation.bits=4"]).quantisation
    assert held == recipe.Quantisation(bits=4)


def test_a_recipe_may_be_a_path(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("about: mine\nbase: tiny-random-llama\ncutoff: 64\n", encoding="utf-8")
    assert recipe.load(str(mine)).cutoff == 64


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("demmo", [], "recipe demmo: unknown; did you mean demo? (or give the path of a .yaml file)"),
        ("lora", [], "recipe lora: names no base; give a folder or a Hub id with --base (or BASE= to make)"),
        ("demo", ["lerning_rate=1"], "recipe demo: lerning_rate: unknown key; did you mean learning_rate?"),
        ("demo", ["method.rr=1"], "recipe demo: method.rr: unknown key; did you mean r?"),
        ("demo", ["method.name=qlora"], "recipe demo: method: there is no method qlora; did you mean lora or adalora?"),
        ("demo", ["method=4"], "recipe demo: method: Input should be a valid dictionary"),
        ("demo", ["method.targets=q_prj"], "recipe demo: method.targets: is all-linear, auto or names of modules in"),
        ("demo", ["prompt=alpacca"], "recipe demo: prompt: there is no format alpacca; did you mean alpaca or"),
        ("demo", ["cutoff"], "--set cutoff: write key=value, for instance learning_rate=1e-4"),
        ("demo", ["seed.x=1", "seed.x.y=2"], "--set seed.x.y=2: x holds a value, not further keys"),
        ("demo", ["cutoff=4"], "recipe demo: cutoff: Input should be greater than or equal to 16 (found 4)"),
        ("demo", ["save_every=7"], "recipe demo: save_every must be a multiple of log_every"),
        ("demo", ["beyond_cutoff=cut"], "recipe demo: beyond_cutoff: Input should be 'drop', 'truncate' or 'split'"),
    ],
)
def test_a_mistake_is_one_line(name: str, settings: list[str], message: str) -> None:
    with pytest.raises(CatalogError) as caught:
        recipe.load(name, settings=settings)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_these_recipes_come_with_the_program() -> None:
    assert recipe.known() == sorted(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_recipe_loads_and_its_prompt_is_there(name: str) -> None:
    found = recipe.load(name, base="some/base")
    assert prompt.load(found.prompt).text
    assert found.about.endswith(".")
    assert f"| `{name}` |" in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SHIPPED)
def test_packing_is_off_where_it_cannot_be(name: str) -> None:
    found = recipe.load(name, base="some/base")
    if isinstance(found.method, VIRTUAL) or name == "bloom" or name in CODE_OF_THEIR_OWN:
        assert not found.packing


@pytest.mark.parametrize("name", CODE_OF_THEIR_OWN)
def test_code_of_a_base_is_for_the_user_to_permit(name: str) -> None:
    found = recipe.load(name)
    assert found.trust_remote_code is None
    assert "--set trust_remote_code=" in found.about
    assert "unverified" in found.about


def test_table_4_is_a_setting_away() -> None:
    bloom = recipe.load("bloom")
    assert (bloom.base, bloom.method) == (
        "bigscience/bloom-7b1",
        Lora(r=32, alpha=16, dropout=0.05, targets=["query_key_value"]),
    )
    readme = recipe.load("bloom", base="bigscience/bloomz-7b1-mt", settings=["method.r=8"])
    assert readme.method == Lora(r=8, alpha=16, dropout=0.05, targets=["query_key_value"])
    large = recipe.load("sequential-adapter", base="any", settings=["method.bottleneck=256", "method.places=output"])
    assert (large.method.name, large.method.bottleneck, large.method.places) == ("sequential-adapter", 256, "output")


def test_the_page_names_every_key() -> None:
    page = PAGE.read_text(encoding="utf-8")
    nodes = [recipe.Recipe, recipe.Quantisation, recipe.Tiny, *get_args(Method)]
    keys = {key for node in nodes for key in node.model_fields}
    assert [key for key in sorted(keys) if f"`{key}`" not in page and f"`{key}:" not in page] == []


def test_the_page_names_every_value() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for key in ("optimiser", "schedule", "precision", "attention", "logging", "beyond_cutoff", "loss_on"):
        for value in get_args(recipe.Recipe.model_fields[key].annotation):
            assert f"`{value}`" in page, f"{key}: {value}"
