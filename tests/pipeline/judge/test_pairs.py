"""The merge: the pairs it writes are near-duplicates, and the same bytes however it is run."""

import hashlib
import shutil
from pathlib import Path
from random import Random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nearby import Row, clusters, jaccard, lay, merged, pairs, records

from collectors.errors import ArtefactError
from pipeline import shards
from pipeline.engine import Engine
from pipeline.judge import buckets, verification
from pipeline.judge import pairs as pairs_module
from pipeline.judge.buckets import AHEAD, BESIDE, CROWD
from pipeline.judge.merge import merge
from pipeline.judge.pairs import SCHEMA
from pipeline.judge.read import read_pairs
from pipeline.judge.verification import THRESHOLD

POEM = (
    "The oak in the yard gives shade in summer and acorns in autumn, and the squirrels carry them off before the snow."
)
ALTERED = POEM.replace("squirrels", "children")
OTHER = "Explain in a few words why the sea looks blue on a clear day and grey on a day of clouds, wind and rain."
VERSE = "春天來了，院子裡的樹都開花了，孩子們在樹下唱歌，老人坐在門前曬太陽，小狗追蝴蝶跑來跑去。"
SIMPLE = "春天来了，院子里的树都开花了，孩子们在树下唱歌，老人坐在门前晒太阳，小狗追蝴蝶跑来跑去。"
CHANGED = SIMPLE.replace("小狗", "小猫")

SMALL: dict[str, list[list[Row]]] = {
    "first": [[(POEM, "Nice."), (OTHER, "It mirrors the sky."), ("", "...")], [(VERSE, "好诗。")]],
    "second": [[(ALTERED, "Nice."), (POEM.upper(), "A quite different answer, and a much longer one at that.")]],
    "third": [[(SIMPLE, "好詩！"), (CHANGED, "好诗。"), ("...", "?"), ("Oak", "Oak")]],
}


def ids(source: str, rows: list[Row]) -> list[str]:
    return records(source, rows)["id"].to_list()


def digests(place: Path) -> list[tuple[str, str]]:
    """The files of pairs with their sha256."""
    return [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in shards.paths(place / "pairs")]


def test_near_duplicates_are_listed_once_and_equal_words_not_at_all(tmp_path: Path) -> None:
    found = merged(tmp_path, SMALL)
    poem, verse, altered, changed, shout, simple = ids(
        "x",
        [
            (POEM, "Nice."),
            (VERSE, "好诗。"),
            (ALTERED, "Nice."),
            (CHANGED, "好诗。"),
            (POEM.upper(), "A quite different answer, and a much longer one at that."),
            (SIMPLE, "好詩！"),
        ],
    )
    assert {(a, b): similarity for a, b, similarity in pairs(tmp_path, "request")} == {
        (poem, altered): pytest.approx(jaccard(POEM, ALTERED)),
        (verse, changed): pytest.approx(jaccard(SIMPLE, CHANGED)),
    }
    assert {(a, b) for a, b, _ in pairs(tmp_path, "row")} == {(poem, altered), (verse, changed)}
    told = clusters(found, tmp_path, "request")
    assert {name: head for name, head in told.items() if head} == {
        poem: poem,
        altered: poem,
        shout: poem,
        verse: verse,
        simple: verse,
        changed: verse,
    }
    assert clusters(found, tmp_path, "row")[shout] is None
    assert found.books["request"].copies == 2  # the upper-case poem and the simplified verse
    assert found.books["row"].copies == 1
    assert (found.books["request"].clusters, found.books["request"].clustered) == (2, 6)


def test_a_shard_has_the_columns_of_the_schema(tmp_path: Path) -> None:
    merged(tmp_path, SMALL)
    (batch,) = shards.batches(tmp_path / "pairs" / "request-00000.arrow")
    assert batch.schema == SCHEMA
    assert batch.column("notion").to_pylist() == ["request", "request"]


def test_pairs_are_cut_into_shards_of_a_fixed_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(f"{POEM} {number}", "") for number in range(9)]
    merged(tmp_path / "whole", {"first": [rows]})
    monkeypatch.setattr(pairs_module, "SHARD", 10)
    monkeypatch.setattr(verification, "_SHINGLES", 100)
    merged(tmp_path / "cut", {"first": [rows]})
    assert [path.name for path in shards.paths(tmp_path / "cut" / "pairs", "row-*")] == [
        f"row-{number:05d}.arrow" for number in range(4)
    ]
    assert pairs(tmp_path / "cut", "row") == pairs(tmp_path / "whole", "row")
    assert len(pairs(tmp_path / "whole", "row")) == 36


def test_nothing_to_compare_gives_no_pairs(tmp_path: Path) -> None:
    empty: dict[str, list[list[Row]]] = {"first": [], "second": [[]], "third": [[("", "..."), ("?", "!")]]}
    found = merged(tmp_path, empty)
    assert pairs(tmp_path, "request") == pairs(tmp_path, "row") == []
    assert set(clusters(found, tmp_path, "row").values()) == {None}
    assert found.books["row"].copies == 0


WORDS = st.lists(st.sampled_from(["oak", "fir", "elm", "ash", "yew", "树", "木", "林"]), min_size=0, max_size=12).map(
    " ".join
)


@st.composite
def corpora(draw: st.DrawFn) -> list[list[Row]]:
    """The rows of two sources, some of them near-duplicates of others."""
    base = draw(st.lists(WORDS, min_size=1, max_size=4))
    rows = st.tuples(st.sampled_from(base), WORDS.map(lambda text: text[:3])).map(
        lambda row: (f"{row[0]} {row[1]}", "x")
    )
    return draw(st.lists(st.lists(rows, max_size=8, unique=True), min_size=2, max_size=2))


@settings(deadline=None, max_examples=25)
@given(corpora(), st.randoms(use_true_random=False), st.integers(1, 4), st.sampled_from([1, 7, 1 << 20]))
def test_the_outcome_does_not_depend_on_order_shards_or_pieces(
    tmp_path_factory: pytest.TempPathFactory, corpus: list[list[Row]], random: Random, size: int, held: int
) -> None:
    place = tmp_path_factory.mktemp("merge")
    plain = merged(place / "plain", {str(number): [rows] for number, rows in enumerate(corpus)})
    other: dict[str, list[list[Row]]] = {}
    for number, rows in enumerate(corpus):
        mixed = list(rows)
        random.shuffle(mixed)
        other[str(number)] = [mixed[start : start + size] for start in range(0, len(mixed), size)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(buckets, "HELD", held)
        patch.setattr(buckets, "_STRIDE", 1)
        changed = merged(place / "other", other)
    assert digests(place / "plain") == digests(place / "other")
    assert plain.books == changed.books
    for notion in ("request", "row"):
        assert clusters(plain, place / "plain", notion) == clusters(changed, place / "other", notion)
        texts = {name: row[0] + " " + row[1] * (notion == "row") for name, row in named(corpus).items()}
        for a, b, similarity in pairs(place / "plain", notion):
            assert similarity == pytest.approx(jaccard(texts[a], texts[b]))
            assert similarity >= THRESHOLD - 1e-6
    shutil.rmtree(place)


def named(corpus: list[list[Row]]) -> dict[str, Row]:
    """Rows by their ids."""
    rows = [row for source in corpus for row in source]
    return dict(zip(ids("x", rows), rows, strict=True))


def test_the_outcome_does_not_depend_on_the_workers(tmp_path: Path) -> None:
    rows = [(f"{POEM} {'oak ' * (number % 5)}{number % 40}", OTHER[: number % 30]) for number in range(400)]
    sources = {"first": [rows[:150], rows[150:200]], "second": [rows[200:]]}
    one, two = merged(tmp_path / "one", sources), merged(tmp_path / "two", sources, workers=2)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert one.books == two.books
    assert one.clusters("row").tolist() == two.clusters("row").tolist()


def test_a_crowd_is_compared_in_part_and_still_one_cluster(tmp_path: Path) -> None:
    size = 300
    template = " ".join(f"word{number}" for number in range(60))
    rows = [(f"{template} {number}", "yes") for number in range(size)]
    found = merged(tmp_path, {"first": [rows]})
    books = found.books["request"]
    assert size > CROWD
    assert books.crowds > 0
    assert books.unmet > 0
    assert size - 1 <= books.pairs < size * (AHEAD + BESIDE) * 14
    assert (books.clusters, books.clustered) == (1, size)
    assert {a for a, _, _ in pairs(tmp_path, "request")} > set(clusters(found, tmp_path, "request").values())


def test_planted_edits_are_found(tmp_path: Path) -> None:
    """Two hundred texts, each with a copy in which every twentieth word is another: similarities of 0.84."""
    texts = [" ".join(f"t{number}w{place}" for place in range(60)) for number in range(200)]
    edits = [" ".join(w if at % 20 else "new" for at, w in enumerate(text.split())) for text in texts]
    merged(tmp_path, {"first": [[(text, "") for text in texts]], "second": [[(text, "") for text in edits]]})
    true = sum(jaccard(text, edit) >= THRESHOLD for text, edit in zip(texts, edits, strict=True))
    assert true == 200
    assert len(pairs(tmp_path, "request")) >= 0.95 * true


def test_records_that_do_not_fit_their_signatures_are_told(tmp_path: Path) -> None:
    first = lay(tmp_path / "a", {"first": [[(POEM, ""), (ALTERED, "")]]})
    other = lay(tmp_path / "b", {"first": [[(POEM, "")]]})
    shutil.copy(other[0].records[0], first[0].records[0])
    (tmp_path / "scratch").mkdir()
    with Engine(1) as engine, pytest.raises(ArtefactError, match="holds 1 records, its signatures 2; run make judge"):
        merge(first, tmp_path / "scratch", tmp_path, engine)


def test_pairs_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="no such folder, so no near-duplicates are known; run make judge"):
        list(read_pairs(tmp_path / "none", "row", ["a"]))
    (tmp_path / "row-00000.arrow").write_bytes(b"ARROW1")
    with pytest.raises(ArtefactError, match=r"row-00000\.arrow: is no whole shard of near-duplicates"):
        list(read_pairs(tmp_path, "row", ["a"]))
    (tmp_path / "row-00000.arrow").unlink()
    pl.DataFrame({"a": ["x"]}).write_ipc(tmp_path / "row-00000.arrow")
    with pytest.raises(ArtefactError, match=r"row-00000\.arrow: is no whole shard of near-duplicates"):
        list(read_pairs(tmp_path, "row", ["a", "a_key"]))
