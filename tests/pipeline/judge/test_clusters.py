"""Clusters: each a star around its representative, whatever order pairs and rows come in."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nearby import Row, lay, merged

from collectors.errors import ArtefactError
from pipeline.engine import Engine
from pipeline.judge.clusters import mixture_clusters, represented
from pipeline.judge.merge import merge
from pipeline.judge.read import read_pairs
from pipeline.judge.register import firsts, representative_draws
from pipeline.judge.signed import names

ROWS = 12
GRAPHS = st.sets(st.tuples(st.integers(0, ROWS - 1), st.integers(0, ROWS - 1)).filter(lambda pair: pair[0] < pair[1]))


def packed(pairs: set[tuple[int, int]]) -> np.ndarray:
    """Pairs of ranks as the merge holds them."""
    return np.array(sorted(one << 32 | other for one, other in pairs), np.uint64)


def heads(pairs: set[tuple[int, int]], rows: int = ROWS) -> list[int]:
    """The representatives of rows that all have words of their own."""
    return represented(np.arange(rows, dtype=np.uint32), [packed(pairs)]).tolist()


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        (set(), [0, 1, 2, 3]),
        ({(0, 1), (2, 3)}, [0, 0, 2, 2]),
        ({(0, 1), (0, 2), (0, 3)}, [0, 0, 0, 0]),
        ({(0, 1), (1, 2), (2, 3)}, [0, 0, 2, 2]),  # a chain falls into stars
        ({(0, 3), (1, 3), (2, 3)}, [0, 1, 2, 0]),  # 3 belongs to the first, and joins nobody
        ({(1, 2), (0, 2), (1, 3)}, [0, 1, 0, 1]),
    ],
)
def test_clusters_are_stars(pairs: set[tuple[int, int]], expected: list[int]) -> None:
    assert heads(pairs, 4) == expected


@settings(deadline=None)  # compiles at the first call
@given(GRAPHS)
def test_the_law(pairs: set[tuple[int, int]]) -> None:
    found = heads(pairs)
    for row, head in enumerate(found):
        assert head == row or (head, row) in pairs  # verified with its representative, which comes before it
        assert found[head] == head
    assert not any(found[one] == one and found[other] == other for one, other in pairs)


@settings(deadline=None)
@given(GRAPHS, st.integers(1, 5))
def test_pairs_may_come_in_pieces(pairs: set[tuple[int, int]], size: int) -> None:
    whole = packed(pairs)
    pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
    assert represented(np.arange(ROWS, dtype=np.uint32), pieces).tolist() == heads(pairs)


@given(st.lists(st.integers(0, 4)))
def test_the_first_of_each_key(keys: list[int]) -> None:
    expected = [row if key == 0 else keys.index(key) for row, key in enumerate(keys)]
    assert firsts(np.array(keys, np.uint64)).tolist() == expected


TEXT = (
    "Plant {} in a pot of good earth, water it every morning, turn it to the light and wait until it is as tall as {}."
)
CORPUS: dict[str, list[list[Row]]] = {
    source: [[(TEXT.format(tree, thing), source) for tree in trees for thing in ("you", "a door", "A DOOR")]]
    for source, trees in {"first": ["an oak", "a fir"], "second": ["an oak", "a yew", "an elm"]}.items()
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("clusters")
    merged(place, {**CORPUS, "third": [[("", "..."), ("", "!"), ("", "?")]]})
    return place


def accepted(place: Path) -> tuple[np.ndarray, np.ndarray]:
    """Request keys and ids of all rows of the corpus."""
    found = [names(path) for path in sorted(place.glob("*/*.signed"))]
    return np.concatenate([one.keys[0] for one in found]), np.concatenate([one.ids for one in found])


def preferred(ids: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """The rows in the order of preference: parts, then the keyed hash of the id."""
    return np.lexsort((representative_draws(ids), parts))


def clustered(corpus: Path, keys: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The row that represents each row."""
    result = np.empty(len(keys), np.int64)
    result[order] = order[mixture_clusters(keys[order], corpus / "pairs", "request")]
    return result


def test_a_mixture_of_all_rows_has_the_clusters_of_the_corpus(corpus: Path, tmp_path: Path) -> None:
    keys, ids = accepted(corpus)
    parts = np.repeat([0, 1, 2], [6, 9, 3])
    found = clustered(corpus, keys, preferred(ids, parts))
    whole = np.fromfile(corpus / "scratch" / "request-clusters.i8", np.int64)
    assert found.tolist() == np.where(whole < 0, np.arange(len(whole)), whole).tolist()
    assert len(set(found.tolist())) < len(found) - 5
    assert found[-3:].tolist() == [15, 16, 17]  # without words


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_a_mixture_clusters_what_it_accepts(corpus: Path, data: st.DataObject) -> None:
    """As if the corpus held the accepted rows alone, in the order of the mixture's parts."""
    keys, ids = accepted(corpus)
    chosen = np.array(data.draw(st.lists(st.integers(0, len(keys) - 1), unique=True)), np.int64)
    parts = np.array(data.draw(st.lists(st.integers(0, 2), min_size=len(chosen), max_size=len(chosen))), np.int64)
    order = preferred(ids[chosen], parts)
    found = clustered(corpus, keys[chosen], order)
    near = {frozenset(pair) for pair in near_keys(corpus)}
    stands = {row: row for row in range(len(chosen))}
    by_order = order.tolist()
    rank = {row: place for place, row in enumerate(by_order)}
    mine = [int(key) for key in keys[chosen]]
    firsts_of = {mine[row]: row for row in reversed(by_order) if mine[row]}
    for one in by_order:
        for other in by_order:
            first = all(firsts_of.get(mine[row]) == row for row in (one, other))
            free = stands[one] == one and stands[other] == other and rank[one] < rank[other]
            if first and free and frozenset((mine[one], mine[other])) in near:
                stands[other] = one
    expected = [stands[firsts_of.get(mine[row], row)] for row in range(len(chosen))]
    assert found.tolist() == expected


def near_keys(corpus: Path) -> list[tuple[int, int]]:
    """The keys of all pairs of the corpus."""
    return [pair for frame in read_pairs(corpus / "pairs", "request", ["a_key", "b_key"]) for pair in frame.iter_rows()]


def test_a_mixture_without_the_pairs_is_told(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="run make judge"):
        mixture_clusters(np.array([1], np.uint64), tmp_path / "none", "row")


def test_the_first_source_is_represented_first(tmp_path: Path) -> None:
    signed = lay(tmp_path, CORPUS)
    for name in ("one", "other", "pairs"):
        (tmp_path / name).mkdir()
    with Engine(1) as engine:
        there = merge(signed, tmp_path / "one", tmp_path / "pairs", engine).clusters("request")
        back = merge(signed[::-1], tmp_path / "other", tmp_path / "pairs", engine).clusters("request")
    oaks = [0, 1, 2], [6, 7, 8]
    assert all(there[row] in oaks[0] for row in oaks[1])
    assert all(back[9 + row] in range(9) for row in oaks[0])
