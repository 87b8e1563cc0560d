"""What is tried where not everything can be, and how a failure is narrowed down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagmem.proof import search
from diagmem.proof.runs import Difference, Runs, Trial
from diagmem.proof.search import NEAR_CELLS, Search


class Pretended:
    """A kernel that fails where it is told to, or is stopped at all but multiples of a
    unit, and counts what is asked."""

    def __init__(
        self, size: int, cell: int, failing: set[int], seconds: float = 0.0, unit: int = 1
    ) -> None:
        self.unit = unit
        self.output = SimpleNamespace(size_bytes=size)
        self.cell_bytes = cell
        self.seconds = seconds
        self.failing = failing
        self.asked: list[int] = []

    def case_bytes(self, displacement_bytes: int) -> int:
        return 100

    def each(self, displacements: Sequence[int]) -> Iterator[Trial]:
        for d in displacements:
            self.asked.append(d)
            yield self.at(d)

    def at(self, displacement_bytes: int) -> Trial:
        if displacement_bytes % self.unit:
            return Trial(displacement_bytes, None, "was stopped by a fault")
        wrong = Difference(0, "y", 0, 1, 2, 1, self.output.size_bytes)
        return Trial(displacement_bytes, wrong if displacement_bytes in self.failing else None, "")


def search_of(pretended: Pretended, inputs: int = 1) -> Search:
    return Search(cast(Runs, cast(Any, pretended)), inputs)


@given(st.integers(1, 60), st.sampled_from([1, 2, 4]), st.data())
def test_all_are_tried_where_that_can_be_afforded(cells: int, cell: int, data: Any) -> None:
    size = cells * cell
    start = data.draw(st.integers(0, cells)) * cell
    failing = {d * cell for d in data.draw(st.sets(st.integers(0, cells - 1)))}
    pretended = Pretended(size, cell, failing)
    found = search_of(pretended)
    found.around(start)
    assert sorted(pretended.asked) == list(range(0, size, cell))
    assert found.tried.exhaustive
    above = [d for d in failing if d >= start]
    assert found.smallest_from(start) == (max(above) + cell if above else start)
    assert found.tried.held_below(start) == [
        d for d in range(0, start, cell) if d < size and d not in failing
    ]


@pytest.mark.parametrize("seconds", [0.0, 30.0])
@pytest.mark.parametrize("last_failing", [None, 70_000, 99_996, 123_456])
def test_too_many_to_be_tried(seconds: float, last_failing: int | None) -> None:
    """What is near the figure in question always is; a failing stretch above it is
    found if it is long enough, and its end to the cell if the budget is not tiny."""
    size, start = 400_000, 40_000
    failing = set() if last_failing is None else set(range(start + 4, last_failing + 4, 4))
    pretended = Pretended(size, 4, failing, seconds)
    found = search_of(pretended, inputs=3)
    found.around(start)
    near = {start + k * 4 for k in range(-NEAR_CELLS + 1, NEAR_CELLS)}
    assert near <= set(pretended.asked)
    assert not found.tried.exhaustive
    assert all(d % 4 == 0 and 0 <= d < size for d in pretended.asked)
    smallest = found.smallest_from(start)
    assert len(pretended.asked) == len(set(pretended.asked))
    assert len(pretended.asked) <= search.MAX_RUNS // 3
    if last_failing is None:
        assert smallest == start
    else:
        assert smallest > last_failing
        assert seconds or smallest == last_failing + 4


@pytest.mark.parametrize("unit", [4, 8, 16])
@pytest.mark.parametrize("seconds", [0.0, 30.0])
def test_where_a_kernel_is_stopped_at_odd_displacements(unit: int, seconds: float) -> None:
    """Those that a plan can use decide; few of the others are run."""
    size, start, last_failing = 40_000, 4_001, 4_064
    pretended = Pretended(size, 1, {last_failing}, seconds, unit)
    found = search_of(pretended)
    found.around(start)
    assert found.tried.unit == unit
    assert sum(d % unit != 0 for d in pretended.asked) < 16
    assert found.tried.failed_from(start) == [last_failing]
    assert found.smallest_from(-(-start // unit) * unit) == last_failing + unit
    assert found.tried.why_unit(start) == (
        f"only multiples of {unit} bytes can be used: at 4017 was stopped by a fault"
    )
    whole = search_of(Pretended(400, 1, set(), 0.0, unit))
    whole.around(7)
    assert whole.tried.exhaustive
    assert whole.tried.possible == whole.tried.run == 400 // unit


@given(st.integers(0, 19_999))
@settings(max_examples=5)
def test_what_a_plan_can_use_is_tried_first(start: int) -> None:
    """All multiples of 16 from the figure in question on, where not everything can be."""
    failing = 19_472
    pretended = Pretended(20_000, 1, {failing})
    found = search_of(pretended)
    found.around(start)
    assert set(range(-(-start // 16) * 16, 20_000, 16)) <= set(pretended.asked)
    assert not found.tried.exhaustive
    assert found.smallest_from(start) == (start if start > failing else failing + 1)


def test_stopped_everywhere_is_no_unit() -> None:
    pretended = Pretended(64, 1, set(), 0.0, 32)
    found = search_of(pretended)
    found.around(3)
    assert found.tried.unit == 1
    assert found.smallest_from(3) == 64
