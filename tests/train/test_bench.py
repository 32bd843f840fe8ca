"""The bench of training walks its way at toy size, on whatever is here."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench" / "train.py"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    """The script as a module, under a name that is not the package's."""
    spec = importlib.util.spec_from_file_location("bench_train", BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_train"] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


def test_a_toy_is_measured(bench: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shape = bench.TOY["toy"]
    bench.write_base(tmp_path / "toy", shape)
    bench.write_rows(tmp_path / "toy.arrow", shape, 4)
    job: dict[str, Any] = {
        "size": "toy",
        "method": "LoRA",
        "trainer": "suri",
        "shape": vars(shape),
        "base": str(tmp_path / "toy"),
        "rows": str(tmp_path / "toy.arrow"),
        "work": str(tmp_path / "work"),
        "steps": 1,
        "batch": 1,
        "checkpointing": False,
        "attention": "auto",
        "cuda": False,
    }
    found = bench.measured(job)
    assert found["rate"] > 0
    assert found["peak"] > 0
    absent = [(job | {"trainer": "unsloth"}, bench.measured(job | {"trainer": "unsloth"}))]
    bench.table([(job, {"rate": 1000.0, "peak": 2**30}), *absent], bench.work(shape) * 5000, bench.TOY)
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "| toy | LoRA | suri | 1,000 | 1.00 | 20.0% |",
        "| toy | LoRA | unsloth | not installed | | |",
    ]


def test_the_work_of_a_token_is_four_operations_a_frozen_weight_and_six_a_trained_one(bench: ModuleType) -> None:
    layer = 4096 * (4 * 4096 + 3 * 11008)
    adapters = 16 * (4 * (4096 + 4096) + 3 * (4096 + 11008))
    head = 4096 * 32000
    attention = 6 * 32 * 4096 * 2048
    assert bench.work(bench.SHAPES["7B"]) == 4 * (32 * layer + head) + 6 * 32 * adapters + attention
