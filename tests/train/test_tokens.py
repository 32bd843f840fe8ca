"""The tokens folder: its books close, it is built once for one thing, and it holds every sequence whole."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from rows import CHAT, EMOJI, PLAIN, ZH, row, write
from transformers import PreTrainedTokenizerBase

from collectors.errors import ArtefactError, TrainingError
from templates.prompt import load
from train import tokens
from train.encode import IGNORED, TOO_LONG, Encoder, conversation
from train.mixture import Mixture, find
from train.recipe import Recipe

With = Callable[..., Recipe]


def test_every_row_is_there_whole_and_once(
    out: Path, mixed: Mixture, words: PreTrainedTokenizerBase, tiny_base: Path, small: Recipe
) -> None:
    built, _ = tokens.build(out, mixed, words, tiny_base, load("alpaca"), small)
    prompt = load("alpaca")
    given = [one for rows in mixed.rows("train") for one in rows]
    expected = Encoder(words, prompt, cutoff=512).encode([conversation(one, prompt) for one in given])
    starts = np.concatenate([[0], np.cumsum(expected.lengths)])

    seen = []
    with pa.OSFile(str(built.folder / "train.arrow")) as file:
        origins = pa.ipc.open_file(file).read_all().column("rows").to_pylist()
    for packed, members in zip(built.rows("train"), origins, strict=True):
        assert packed["bounds"][-1] == len(packed["ids"]) <= 512
        for place, member in enumerate(members):
            within = slice(packed["bounds"][place], packed["bounds"][place + 1])
            row_of = slice(starts[member], starts[member + 1])
            assert packed["ids"][within].tolist() == expected.ids[row_of].tolist()
            assert packed["labels"][within].tolist() == expected.labels[row_of].tolist()
        seen += members
    assert sorted(seen) == list(range(len(given)))

    counts = built.manifest["parts"]["train"]
    assert (counts["rows"], counts["encoded"], counts["dropped"]) == (16, 16, {})
    assert counts["tokens"] == len(expected.ids)
    assert counts["trained_tokens"] == int((expected.labels != IGNORED).sum())
    assert counts["packed_rows"] == len(origins) < 16


def test_rows_that_cannot_be_used_are_in_the_ledger(
    tmp_path: Path, words: PreTrainedTokenizerBase, tiny_base: Path, recipe_with: With
) -> None:
    write(tmp_path, "mixed", [PLAIN, row("Count.", "one two " * 400), ZH], [EMOJI])
    built, _ = tokens.build(
        tmp_path, find(tmp_path, "mixed"), words, tiny_base, load("alpaca"), recipe_with(cutoff=300)
    )
    counts = built.manifest["parts"]["train"]
    assert (counts["rows"], counts["encoded"], counts["dropped"]) == (3, 2, {TOO_LONG: 1})


def test_the_same_tokens_are_built_once_and_an_unfinished_folder_again(
    tmp_path: Path, words: PreTrainedTokenizerBase, tiny_base: Path, small: Recipe, recipe_with: With
) -> None:
    write(tmp_path, "mixed", [PLAIN, ZH, CHAT], [EMOJI])
    mixed = find(tmp_path, "mixed")
    built, fresh = tokens.build(tmp_path, mixed, words, tiny_base, load("alpaca"), small)
    content = (built.folder / "train.arrow").read_bytes()
    assert fresh
    assert tokens.build(tmp_path, mixed, words, tiny_base, load("alpaca"), recipe_with(learning_rate=1)) == (
        built,
        False,
    )

    (built.folder / "manifest.json").unlink()
    (built.folder / "train.arrow").write_bytes(b"cut")
    again, fresh = tokens.build(tmp_path, mixed, words, tiny_base, load("alpaca"), small)
    assert fresh
    assert (again.folder, (again.folder / "train.arrow").read_bytes()) == (built.folder, content)

    others = [
        tokens.build(tmp_path, mixed, words, tiny_base, load("chatml"), small)[0],
        tokens.build(tmp_path, mixed, words, tiny_base, load("alpaca"), recipe_with(cutoff=600))[0],
        tokens.build(tmp_path, mixed, words, tiny_base, load("alpaca"), recipe_with(packing=False))[0],
        tokens.build(tmp_path, mixed, words, tiny_base, load("alpaca"), recipe_with(loss_on="last"))[0],
    ]
    assert len({built.folder, *(other.folder for other in others)}) == 5
    assert others[2].manifest["parts"]["train"]["packed_rows"] == 3


@pytest.mark.parametrize(
    ("train", "holdout", "message"),
    [
        ([row("Count.", "one " * 600)], [PLAIN], "no train row can be used (1 longer than the cutoff); cutoff is 512"),
        ([], [PLAIN], "no train row can be used (it has no rows)"),
        ([PLAIN], [], "holds no rows out, so there is no held-out loss; give it a `holdout`, or train with --set"),
        ([PLAIN], [row("Count.", "one " * 600)], "no holdout row can be used (1 longer than the cutoff)"),
    ],
)
def test_a_mixture_with_nothing_to_train_or_evaluate_is_refused(
    tmp_path: Path,
    words: PreTrainedTokenizerBase,
    tiny_base: Path,
    small: Recipe,
    train: list[dict[str, object]],
    holdout: list[dict[str, object]],
    message: str,
) -> None:
    write(tmp_path, "poor", train, holdout)
    with pytest.raises(TrainingError) as caught:
        tokens.build(tmp_path, find(tmp_path, "poor"), words, tiny_base, load("alpaca"), small)
    assert str(caught.value).startswith(f"mixture poor: {message}")


def test_a_mixture_that_is_not_built_is_told_with_what_is_near(tmp_path: Path) -> None:
    write(tmp_path, "alpaca-belle", [PLAIN], [ZH])
    with pytest.raises(ArtefactError) as caught:
        find(tmp_path, "alpaca-bele")
    assert str(caught.value) == (
        f"mixture alpaca-bele: not built in {tmp_path} (did you mean alpaca-belle?); "
        "run `make mix MIX=alpaca-bele` first"
    )
