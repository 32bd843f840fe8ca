"""Recipes: what comes with the program, what the command line puts over it, what is refused."""

from pathlib import Path

import pytest

from collectors.errors import CatalogError
from train import recipe


def test_the_demo_makes_its_own_base() -> None:
    demo = recipe.load("demo")
    assert (demo.base, demo.method.train_whole) == ("tiny-random-llama", ["embed_tokens", "lm_head"])


def test_lora_takes_the_papers_settings_and_a_base_from_the_command_line() -> None:
    lora = recipe.load("lora", base="bigscience/bloomz-7b1-mt", settings=["method.r=32", "learning_rate=1e-4"])
    assert lora.base == "bigscience/bloomz-7b1-mt"
    assert (lora.method.r, lora.method.alpha, lora.method.dropout, lora.learning_rate) == (32, 16, 0.05, 1e-4)


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
