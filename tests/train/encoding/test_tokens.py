"""The tokens folder: its books close, it is built once for one thing, and it holds every sequence whole."""

import json
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from rows import CHAT, EMOJI, PLAIN, ZH, row, write
from transformers import PreTrainedTokenizerBase

from collectors.errors import ArtefactError, TrainingError
from pipeline import folder
from templates.prompt import load
from train.encoding import pieces, tokens
from train.encoding.encode import IGNORED, SPLIT, TOO_LONG, Encoder, conversation
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


MANY = [row(f"Say the number {number} in words.", "It is " + "many " * (number % 7)) for number in range(40)]


def test_any_number_of_workers_and_any_pieces_write_the_same(
    tmp_path: Path, words: PreTrainedTokenizerBase, tiny_base: Path, small: Recipe
) -> None:
    write(tmp_path, "mixed", [*MANY, CHAT, ZH], [EMOJI, PLAIN])
    mixed = find(tmp_path, "mixed")
    found = []
    for workers, piece_rows in ((1, 8192), (1, 9), (2, 9), (3, 5)):
        built, fresh = tokens.build(
            tmp_path, mixed, words, tiny_base, load("alpaca"), small, workers=workers, piece_rows=piece_rows
        )
        assert fresh
        found.append({path.name: path.read_bytes() for path in sorted(built.folder.iterdir())})
        shutil.rmtree(built.folder)
        assert [path.name for path in (tmp_path / "tokens").iterdir()] == [".lock"]
    assert all(one == found[0] for one in found)


KILLED = """
import os, signal, sys
from pathlib import Path
from transformers import PreTrainedTokenizerFast
from templates.prompt import load
from train.encoding import pieces, tokens
from train.mixture import find
from train.recipe import Recipe

out, base, recipe = Path(sys.argv[1]), Path(sys.argv[2]), Recipe.model_validate_json(sys.argv[3])
encode = pieces.encode

def dying(encoder, work):
    encode(encoder, work)
    if work.stretch.first == 18:
        os.kill(os.getpid(), signal.SIGKILL)

pieces.encode = dying
words = PreTrainedTokenizerFast.from_pretrained(base)
tokens.build(out, find(out, "mixed"), words, base, load("alpaca"), recipe, workers=1, piece_rows=6)
"""
"""Builds tokens and is killed behind the fourth piece."""


def test_a_build_that_was_killed_goes_on_from_its_pieces(
    tmp_path: Path,
    words: PreTrainedTokenizerBase,
    tiny_base: Path,
    small: Recipe,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(tmp_path, "mixed", MANY, [EMOJI])
    arguments = [str(tmp_path), str(tiny_base), small.model_dump_json()]
    root = Path(__file__).parents[3]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], cwd=root, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (work,) = (tmp_path / "tokens").glob("*.work")
    there = sorted(work.glob("*.arrow"))
    assert [path.name for path in there] == [f"train-{first:012d}-6.arrow" for first in (0, 6, 12, 18)]
    # One is cut short, and one is of another tokens folder.
    there[1].write_bytes(there[1].read_bytes()[:-50])
    other = pa.ipc.open_file(pa.py_buffer(there[2].read_bytes()))
    ledger = json.loads(other.schema.metadata[pieces.LEDGER]) | {"mark": "another"}
    schema = other.schema.with_metadata({pieces.LEDGER: json.dumps(ledger)})
    with pa.OSFile(str(there[2]), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(other.read_all().replace_schema_metadata(schema.metadata))

    encode, encoded = pieces.encode, []

    def counted(encoder: Encoder, work: pieces.Work) -> None:
        encoded.append(work.stretch.first)
        encode(encoder, work)

    monkeypatch.setattr(pieces, "encode", counted)
    folders = []
    for _ in ("resumed", "straight"):
        built, fresh = tokens.build(
            *(tmp_path, find(tmp_path, "mixed"), words, tiny_base, load("alpaca"), small), workers=1, piece_rows=6
        )
        assert fresh
        folders.append({path.name: path.read_bytes() for path in built.folder.iterdir()})
        shutil.rmtree(built.folder)
    assert encoded == [6, 12, 24, 30, 36, 0, *range(0, 40, 6), 0]
    assert folders[0] == folders[1]
    assert not work.exists()


def test_a_full_disk_is_told_and_the_build_goes_on_when_there_is_room(
    tmp_path: Path, words: PreTrainedTokenizerBase, tiny_base: Path, small: Recipe
) -> None:
    write(tmp_path, "mixed", MANY, [EMOJI])
    mixed = find(tmp_path, "mixed")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # First too little for a piece of 8 rows, then enough for each of them and too little for the packed rows of all.
    for room in (4_000, 12_000):
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
            with pytest.raises(
                ArtefactError, match=r"mixed-\w+(\.work)?: cannot be written: .*finished before was touched"
            ):
                tokens.build(tmp_path, mixed, words, tiny_base, load("alpaca"), small, workers=1, piece_rows=8)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert folder.manifest(next(path for path in (tmp_path / "tokens").glob("*.work")).with_suffix("")) is None
    assert len(list((tmp_path / "tokens").glob("*.work/*.arrow"))) == 6
    built, fresh = tokens.build(tmp_path, mixed, words, tiny_base, load("alpaca"), small, workers=1, piece_rows=8)
    assert fresh
    assert built.manifest["parts"]["train"]["encoded"] == 40


def test_a_tokens_folder_that_was_cut_short_is_built_again(
    tmp_path: Path, words: PreTrainedTokenizerBase, tiny_base: Path, small: Recipe
) -> None:
    write(tmp_path, "mixed", [PLAIN, ZH, CHAT], [EMOJI])
    mixed = find(tmp_path, "mixed")
    built, _ = tokens.build(tmp_path, mixed, words, tiny_base, load("alpaca"), small)
    path = built.folder / "train.arrow"
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    with pytest.raises(ArtefactError, match=r"train\.arrow: cannot be read \(.*\); delete .* and train again"):
        built.rows("train")
    again, fresh = tokens.build(tmp_path, mixed, words, tiny_base, load("alpaca"), small)
    assert fresh
    assert (again.folder / "train.arrow").read_bytes() == content


def test_a_mixture_that_was_cut_short_is_told(
    tmp_path: Path, words: PreTrainedTokenizerBase, tiny_base: Path, small: Recipe
) -> None:
    place = write(tmp_path, "mixed", [PLAIN, ZH], [EMOJI])
    shard = place / "train-00000.arrow"
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(ArtefactError, match=r"train-00000\.arrow: .* again"):
        tokens.build(tmp_path, find(tmp_path, "mixed"), words, tiny_base, load("alpaca"), small)


def test_a_split_row_is_one_row_of_several_sequences(
    tmp_path: Path, words: PreTrainedTokenizerBase, tiny_base: Path, recipe_with: With
) -> None:
    before = tuple(f"{word} {number}" for number in range(4) for word in ("ask", "say " * 12))
    write(tmp_path, "mixed", [PLAIN, row("ask", "say", before=before), row("ask", "say " * 400)], [PLAIN])
    recipe = recipe_with(cutoff=260, beyond_cutoff="split")
    built, _ = tokens.build(tmp_path, find(tmp_path, "mixed"), words, tiny_base, load("alpaca"), recipe)
    counts = built.manifest["parts"]["train"]
    assert (counts["rows"], counts["encoded"], counts["dropped"]) == (3, 2, {TOO_LONG: 1})
    assert counts["sequences"] > 3
    assert counts["noted"] == {SPLIT: 1}
    with pa.OSFile(str(built.folder / "train.arrow")) as file:
        origins = pa.ipc.open_file(file).read_all().column("rows").to_pylist()
    assert {one for members in origins for one in members} == {0, 1}


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
