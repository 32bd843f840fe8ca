"""AdaLoRA: its schedule, its regulariser, where its ranks go, and what comes back of it."""

from pathlib import Path

import pytest
import torch
from little import base, batch
from peft import PeftModel

from collectors.errors import TrainingError
from train.methods import progress
from train.methods.attach import after_step, attach, check
from train.methods.nodes import AdaLora, Lora
from train.methods.save import load, save

METHOD = AdaLora(name="adalora", initial_r=4, r=2, warmup=2, settle=3, interval=1, dropout=0, orthogonal=0)
STEPS = 10


def attached(method: AdaLora = METHOD, seed: int = 0) -> PeftModel:
    adapted = attach(base(), method, base="tiny", steps=STEPS, seed=seed)
    assert isinstance(adapted, PeftModel)
    return adapted


def take(adapted: PeftModel, optimiser: torch.optim.Optimizer, steps: range) -> list[float]:
    """Train for those steps, as the loop does; the losses."""
    losses = []
    for step in steps:
        optimiser.zero_grad()
        loss = adapted.train()(**batch()).loss
        loss.backward()
        optimiser.step()
        after_step(adapted, step)
        losses.append(loss.item())
    return losses


def sgd(adapted: PeftModel) -> torch.optim.Optimizer:
    return torch.optim.SGD([value for value in adapted.parameters() if value.requires_grad], lr=0.5)


def ranks(adapted: PeftModel) -> list[int]:
    """How many singular values of each matrix are not zero."""
    return [int((value != 0).sum()) for path, value in adapted.named_parameters() if ".lora_E." in path]


@pytest.mark.parametrize(
    ("method", "steps", "message"),
    [
        (AdaLora(name="adalora"), 1200, r"warmup \(200\) and settle \(1000\) leave none of the training's 1200 steps"),
        (AdaLora(name="adalora"), 60, r"--set method.warmup=6 --set method.settle=30"),
        (AdaLora(name="adalora", warmup=0, settle=59), 60, r"settle \(59\) leave none"),
        (AdaLora(name="adalora", initial_r=8), 2000, r"from initial_r \(8\) down to r \(8\).*initial_r=12"),
        (
            AdaLora(name="adalora", beta2=0),
            2000,
            r"recipe method.beta2: adalora's moving averages need a share above 0",
        ),
    ],
)
def test_a_schedule_that_cannot_be_followed_is_refused(method: AdaLora, steps: int, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        check(method, steps=steps)
    with pytest.raises(TrainingError, match=message):
        attach(base(), method, base="tiny", steps=steps)


@pytest.mark.parametrize("steps", [3, 10, 61, 1201])
def test_what_a_refusal_says_to_set_can_be_followed(steps: int) -> None:
    with pytest.raises(TrainingError) as caught:
        check(AdaLora(name="adalora", warmup=steps), steps=steps)
    said = dict(part.strip("()").split("=") for part in str(caught.value).split() if part.startswith("method."))
    check(AdaLora(name="adalora", warmup=said["method.warmup"], settle=said["method.settle"]), steps=steps)


def test_ranks_go_where_they_are_needed_until_their_mean_is_r() -> None:
    adapted = attached()
    optimiser = sgd(adapted)
    take(adapted, optimiser, range(1, 3))
    assert ranks(adapted) == [4, 4, 4, 4]
    take(adapted, optimiser, range(3, 8))
    assert sum(ranks(adapted)) == 8
    settled = ranks(adapted)
    take(adapted, optimiser, range(8, STEPS + 1))
    assert ranks(adapted) == settled


def test_the_other_methods_do_nothing_after_a_step() -> None:
    adapted = attach(base(), Lora(r=2), base="tiny")
    before = {name: value.clone() for name, value in adapted.state_dict().items()}
    after_step(adapted, 1)
    assert all(torch.equal(value, before[name]) for name, value in adapted.state_dict().items())


def test_a_step_told_too_late_is_a_defect() -> None:
    with pytest.raises(RuntimeError, match="the gradients are gone; call it from on_optimizer_step"):
        after_step(attached(), 1)


def test_the_regulariser_is_in_the_training_loss_alone_and_once_a_step() -> None:
    rows = batch()
    plain, regularised = attached(), attached(METHOD.model_copy(update={"orthogonal": 0.5}))
    matrices = [value for path, value in plain.named_parameters() if ".lora_A." in path or ".lora_B." in path]
    squares = [m @ m.T if m.shape[0] == 4 else m.T @ m for m in matrices]
    expected = 0.5 * sum((square - torch.eye(4)).norm().item() for square in squares) / len(squares)

    assert regularised.eval()(**rows).loss.item() == pytest.approx(plain.eval()(**rows).loss.item())
    base_loss = plain.train()(**rows).loss.item()
    assert regularised.train()(**rows).loss.item() == pytest.approx(base_loss + expected)

    # Two micro-batches of one step, of four and of two trained tokens.
    tokens = (rows["labels"] != -100).sum()
    parts = [{key: value[one : one + 1] for key, value in rows.items()} for one in range(2)]
    added = [
        (regularised(**part, num_items_in_batch=tokens).loss - plain(**part, num_items_in_batch=tokens).loss).item()
        for part in parts
    ]
    assert added == pytest.approx([expected * 4 / 6, expected * 2 / 6], abs=1e-5)


@pytest.mark.parametrize("trainable", [False, True])
def test_cut_ranks_are_saved_as_they_are_and_come_back(tmp_path: Path, trainable: bool) -> None:
    adapted = attached()
    take(adapted, sgd(adapted), range(1, STEPS + 1))
    save(adapted, tmp_path / "one", base="tiny")
    again = load(base(), tmp_path / "one", trainable=trainable)
    rows = batch()
    assert torch.equal(again.eval()(**rows).logits, adapted.eval()(**rows).logits)
    assert again(**rows).loss.item() == adapted(**rows).loss.item()
    assert ranks(again) == ranks(adapted)
    save(again, tmp_path / "two", base="tiny")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    if trainable:
        assert take(again, sgd(again), range(1, 3))


@pytest.mark.parametrize("cut", [1, 4, 6, 8])
def test_a_training_that_was_cut_moves_its_ranks_as_if_it_had_not_been(tmp_path: Path, cut: int) -> None:
    straight, first, second = (attached(seed=seed) for seed in (0, 0, 1))
    expected = take(straight, sgd(straight), range(1, STEPS + 1))
    losses = take(first, sgd(first), range(1, cut + 1))
    progress.keep(first, tmp_path)
    progress.take_up(second, tmp_path)
    losses += take(second, sgd(second), range(cut + 1, STEPS + 1))
    assert losses == expected
    assert ranks(second) == ranks(straight)
