"""What measuring makes of liveness: the sampled frontiers and the most bytes needed,
against brute force over all ticks."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from diagmem.analysis.liveness import BufferLiveness, LivenessFold
from diagmem.networks.measured import FRONTIER_SAMPLES
from diagmem.networks.operator_calls import highest_written, lowest_needed, most_needed
from diagmem.trace.window import Accesses

Step = tuple[int, int, bool]
"""Buffer, cell, store."""
CELLS = (3, 5, 4, 2)
"""Of two inputs and two outputs."""


def steps(longest: int = 30) -> st.SearchStrategy[list[Step]]:
    buffers = st.integers(0, 3).flatmap(
        lambda b: st.tuples(st.just(b), st.integers(0, CELLS[b] - 1), st.just(b >= 2))
    )
    return st.lists(buffers, max_size=longest)


def liveness(done: list[Step], buffer: int, cell_bytes: int) -> BufferLiveness:
    fold = LivenessFold(f"t{buffer}", "", CELLS[buffer] * cell_bytes, cell_bytes)
    mine = [(tick, cell, store) for tick, (b, cell, store) in enumerate(done) if b == buffer]
    count = len(mine)
    fold.take(
        Accesses(
            tick=np.array([tick for tick, _, _ in mine], np.int64),
            offset=np.array([cell * cell_bytes for _, cell, _ in mine], np.int64),
            size=np.full(count, cell_bytes, np.int64),
            store=np.array([store for *_, store in mine], np.bool_),
            site=np.zeros(count, np.uint32),
        )
    )
    return fold.result()


def sampled(events: int) -> list[Fraction]:
    return [Fraction(events * k, FRONTIER_SAMPLES - 1) for k in range(FRONTIER_SAMPLES)]


@given(steps(), st.sampled_from((1, 4, 8)), st.integers(0, 50))
def test_highest_written(done: list[Step], cell_bytes: int, more: int) -> None:
    events = len(done) + more
    found = highest_written(liveness(done, 2, cell_bytes), events)
    for time, end in zip(sampled(events), found, strict=True):
        before = [cell for tick, (b, cell, _) in enumerate(done) if b == 2 and tick < time]
        assert end == (max(before) + 1 if before else 0) * cell_bytes


@given(steps(), st.sampled_from((1, 4, 8)), st.integers(0, 50))
def test_lowest_needed(done: list[Step], cell_bytes: int, more: int) -> None:
    events = len(done) + more
    found = lowest_needed(liveness(done, 1, cell_bytes), events)
    for time, start in zip(sampled(events), found, strict=True):
        later = [cell for tick, (b, cell, _) in enumerate(done) if b == 1 and tick >= time]
        assert start == min(later, default=CELLS[1]) * cell_bytes


@given(steps(), st.tuples(*[st.sampled_from((1, 4))] * 4))
def test_most_needed(done: list[Step], cell_bytes: tuple[int, ...]) -> None:
    """At a store its byte is needed already; at a load the loaded byte is no more, since
    the kernel has it then."""
    live = [liveness(done, buffer, cell_bytes[buffer]) for buffer in range(4)]
    most = 0
    for tick in range(-1, len(done)):
        loaded = {(b, cell) for b, cell, _ in done[tick + 1 :] if b < 2}
        stored = {(b, cell) for b, cell, _ in done[: tick + 1] if b >= 2}
        most = max(most, sum(cell_bytes[b] for b, _ in loaded | stored))
    assert most_needed(live[:2], live[2:]) == most


def test_a_copy_needs_one_buffer_at_a_time() -> None:
    """Of 4 cells loaded one by one, each before it is stored."""
    done = [step for cell in range(2) for step in ((1, cell, False), (3, cell, True))]
    source, target = liveness(done, 1, 4), liveness(done, 3, 4)
    assert most_needed([source], [target]) == 8
    backwards = [step for cell in (0, 1) for step in ((3, cell, True), (1, cell, False))]
    source, target = liveness(backwards, 1, 4), liveness(backwards, 3, 4)
    assert most_needed([source], [target]) == 12
