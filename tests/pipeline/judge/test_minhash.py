"""Shingles and signatures: as the oracle says, the same beside whatever else, and alike for texts that are alike."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nearby import jaccard, records, shingles, sign

from collectors.errors import ArtefactError
from pipeline.judge.minhash import BANDS, ROWS, signatures
from pipeline.judge.shingles import jaccards, sets
from pipeline.judge.signed import bands, halves, names
from pipeline.judge.tokens import tokens

TEXT = st.text(alphabet="ab AB,.种树\n", max_size=30)
"""Texts of few words, so that shingles meet."""


def split(*texts: str) -> tuple[np.ndarray, np.ndarray]:
    """The folded words of some texts."""
    found = tokens(pl.Series(texts, dtype=pl.String))
    return found.hashes, found.offsets


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("?!", 0),
        ("one", 1),
        ("one two", 1),
        ("one two three", 2),
        ("one two one two one", 2),
        ("种", 1),
        ("种树好", 2),
        ("用 Python 种树", 3),
    ],
)
def test_a_shingle_is_two_neighbouring_words(text: str, count: int) -> None:
    assert len(sets(*split(text)).hashes) == count


@settings(deadline=None)  # compiles at the first call
@given(st.lists(TEXT, min_size=2, max_size=6))
def test_sets_and_similarities_are_those_of_the_oracle(texts: list[str]) -> None:
    found = sets(*split(*texts))
    assert np.diff(found.offsets).tolist() == [len(shingles(text)) for text in texts]
    for begin, end in zip(found.offsets, found.offsets[1:], strict=False):
        assert (np.diff(found.hashes[begin:end].astype(np.int64)) > 0).all()
    pairs = [(one, other) for one in range(len(texts)) for other in range(len(texts))]
    first, second = np.array(pairs).T
    assert jaccards(found, first, second).tolist() == [jaccard(texts[one], texts[other]) for one, other in pairs]


@settings(deadline=None)  # compiles at the first call
@given(st.lists(TEXT, max_size=5), st.lists(TEXT, max_size=5))
def test_a_signature_does_not_depend_on_its_neighbours(some: list[str], others: list[str]) -> None:
    together = signatures(*split(*some, *others))
    assert together.tolist() == [*signatures(*split(*some)).tolist(), *signatures(*split(*others)).tolist()]


@settings(deadline=None)  # compiles at the first call
@given(TEXT)
def test_texts_of_the_same_shingles_have_the_same_signature(text: str) -> None:
    one, other = signatures(*split(text, text.upper().replace(",", " ; ")))
    assert one.tolist() == other.tolist()
    assert one.any() == bool(shingles(text))


@pytest.mark.parametrize("similarity", [0.5, 0.7, 0.8, 0.9])
def test_texts_share_a_band_as_often_as_theory_has_it(similarity: float) -> None:
    draws = np.random.default_rng(7).integers(0, 1 << 63, (4000, 120), dtype=np.uint64)
    shared = round(2 * similarity * 60 / (1 + similarity))
    draws[:, 60 : 60 + shared] = draws[:, :shared]
    offsets = np.arange(8001) * 60
    found = signatures(draws.ravel(), offsets)
    pairs = np.arange(4000) * 2
    true = jaccards(sets(draws.ravel(), offsets), pairs, pairs + 1)
    met = (found[::2] == found[1::2]).any(axis=1).mean()
    assert met == pytest.approx((1 - (1 - true**ROWS) ** BANDS).mean(), abs=0.02)


def test_a_signature_shard_holds_ids_keys_and_bands(tmp_path: Path) -> None:
    frame = records("x", [("Name a tree.", "An oak."), ("name a TREE", "A fir."), ("...", "!")])
    sign(frame, tmp_path / "00000.arrow")
    found = names(tmp_path / "00000.arrow")
    asked, row = found.keys
    assert [f"{high:016x}{low:016x}" for high, low in found.ids.tolist()] == frame["id"].to_list()
    assert found.ids.tolist() == halves(frame["id"]).tolist()
    assert asked[0] == asked[1] != 0
    assert row[0] != row[1]
    assert asked[2] == row[2] == 0
    assert bands(tmp_path / "00000.arrow", "request").tolist() == signatures(*split(*frame["instruction"])).tolist()
    assert bands(tmp_path / "00000.arrow", "row").shape == (3, BANDS)


def test_an_empty_shard_is_one_too(tmp_path: Path) -> None:
    sign(records("x", []), tmp_path / "00000.arrow")
    assert len(names(tmp_path / "00000.arrow").ids) == 0
    assert bands(tmp_path / "00000.arrow", "row").shape == (0, BANDS)


@pytest.mark.parametrize("content", [b"", b"ARROW1 and no more"])
def test_a_file_that_is_no_signature_shard_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "00000.arrow").write_bytes(content)
    with pytest.raises(ArtefactError, match=r"00000\.arrow: is no whole shard of signatures \(.*run make judge$"):
        names(tmp_path / "00000.arrow")
