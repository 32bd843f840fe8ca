"""What hangs together by near-duplicates: as a search along the pairs finds it, whatever order records lie in."""

from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_policies import pair

from pipeline.keys import Keys
from pipeline.near import linked

Row = tuple[int, int]
"""A record: its id and its key, 0 for none."""


def keys(rows: list[Row], ages: list[int]) -> Keys:
    """The keys of the records of one part; an id's halves are both its number."""
    return Keys(
        ids=np.array([[ident, ident] for ident, _ in rows], np.uint64).reshape(-1, 2),
        age=np.array(ages, np.uint32),
        admitted=np.ones(len(rows), np.bool_),
        evaluation=np.zeros(len(rows), np.bool_),
        parts=(slice(0, len(rows)),),
        pieces=(),
        near=np.array([key for _, key in rows], np.uint64),
    )


def searched(rows: list[Row], pairs: set[Row]) -> list[list[int]]:
    """The records that each hangs together with, found by walking from it."""

    def near(one: Row, other: Row) -> bool:
        alike = one[1] and (one[1] == other[1] or {(one[1], other[1]), (other[1], one[1])} & pairs)
        return one[0] == other[0] or bool(alike)

    found = []
    for start in range(len(rows)):
        reached, ahead = {start}, [start]
        while ahead:
            here = ahead.pop()
            steps = {at for at, row in enumerate(rows) if near(rows[here], row)} - reached
            reached |= steps
            ahead += steps
        found.append(sorted(reached))
    return found


ROWS = st.lists(st.tuples(st.integers(1, 12), st.integers(0, 9)), min_size=1, max_size=14)
PAIRS = st.sets(st.tuples(st.integers(1, 9), st.integers(1, 9)).filter(lambda both: both[0] < both[1]), max_size=6)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS, PAIRS, st.data())
def test_records_lead_to_the_oldest_that_any_steps_lead_to(
    tmp_path: Path, rows: list[Row], pairs: set[Row], data: st.DataObject
) -> None:
    pair(tmp_path, ["first"], sorted(pairs))
    ages = data.draw(st.permutations(range(len(rows))))
    known, every = keys(rows, ages), np.arange(len(rows), dtype=np.uint32)
    found = linked(known, every, tmp_path / "verdicts" / "_pairs", "row", unique=False)
    expected = [min(together, key=lambda at: ages[at]) for together in searched(rows, pairs)]
    assert found.tolist() == expected
    # Where ids are known to differ they are not compared, and without pairs nothing else is.
    alone = [(at + 100, key) for at, (_, key) in enumerate(rows)]
    found = linked(keys(alone, ages), every, tmp_path / "verdicts" / "_pairs", "row", unique=True)
    assert found.tolist() == [min(together, key=lambda at: ages[at]) for together in searched(alone, pairs)]
    assert linked(keys(alone, ages), every, None, "row", unique=True).tolist() == every.tolist()


def test_a_chain_hangs_together_and_what_is_not_accepted_joins_nothing(tmp_path: Path) -> None:
    pair(tmp_path, ["first"], [(1, 2), (2, 3), (3, 4)])
    known = keys([(at, at) for at in range(1, 6)], [4, 3, 2, 1, 0])
    place = tmp_path / "verdicts" / "_pairs"

    def found(*accepted: int) -> list[int]:
        return linked(known, np.array(accepted, np.uint32), place, "row", unique=True).tolist()

    assert found(0, 1, 2, 3, 4) == [3, 3, 3, 3, 4]
    assert found(0, 1, 3, 4) == [1, 1, 3, 4]
    assert found() == []
