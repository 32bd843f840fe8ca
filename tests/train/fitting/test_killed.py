"""A training that is killed anywhere, also while it writes a checkpoint, ends as the one that was not."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from train.recipe import Recipe

ROOT = Path(__file__).parents[3]
PLACES = [
    "0.12",
    "_save_rng_state",  # with half of a checkpoint written
    "0.4",
    "seal",
    "rotate_checkpoints",
    "0.7",
]
"""Shares of all that the training does, and functions that are being called."""


def test_killed_wherever_it_is_a_run_ends_as_the_straight_one(
    tmp_path: Path, out: Path, recipe_with: Callable[..., Recipe]
) -> None:
    shutil.copytree(out / "mixes", tmp_path / "mixes")
    method = {"r": 2, "dropout": 0.5}
    recipe = recipe_with(packing=False, method=method, optimiser="adamw-8bit", epochs=2, accumulation=2)
    words = [sys.executable, str(Path(__file__).with_name("killed.py")), str(tmp_path), recipe.model_dump_json()]
    surroundings = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([*words, *PLACES], cwd=ROOT, env=surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [0, *[-signal.SIGKILL for _ in PLACES], 0]
    straight, killed = (tmp_path / "runs" / name for name in ("straight", "killed"))
    for name in ("metrics.jsonl", "loss.png", "adapter/adapter_model.safetensors"):
        assert (killed / name).read_bytes() == (straight / name).read_bytes(), name
