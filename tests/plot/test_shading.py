"""Lives and frontiers from four ticks, against brute force over bytes and ticks."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from diagmem.analysis.liveness import NEVER_FIRST, BufferLiveness, LivenessFold
from diagmem.analysis.overlap import find_overlap, needed_from
from diagmem.plot.shading import Steps, highest_written, is_rewritten, lives_of, still_needed
from diagmem.trace.window import Accesses, Role

Events = list[tuple[int, bool]]
"""A cell and whether it is stored to, tick by tick; cell -1: another buffer's event."""
CELLS = 8


def live_of(events: Events, role: Role, cell: int = 1, size: int | None = None) -> BufferLiveness:
    size = CELLS * cell if size is None else size
    fold = LivenessFold("b", role, size, cell)
    here = [(tick, c, store) for tick, (c, store) in enumerate(events) if c >= 0]
    fold.take(
        Accesses(
            np.array([t for t, _, _ in here], np.int64),
            np.array([c * cell for _, c, _ in here], np.int64),
            np.array([min(cell, size - c * cell) for _, c, _ in here], np.int64),
            np.array([s for _, _, s in here], bool),
            np.zeros(len(here), np.uint32),
        )
    )
    return fold.result()


def at(steps: Steps, tick: int) -> int | None:
    """Where the line lies at a tick; None before it begins."""
    number = int(np.searchsorted(steps.tick, tick, side="right")) - 1
    return None if number < 0 else int(steps.edge[number])


events_ = st.lists(st.tuples(st.integers(-1, CELLS - 1), st.booleans()), min_size=1, max_size=40)


@given(events_, st.sampled_from([1, 4]), st.integers(0, 3), st.booleans())
def test_still_needed(events: Events, cell: int, short: int, stores_count: bool) -> None:
    size = CELLS * cell - min(short, cell - 1)
    steps = still_needed(live_of(events, Role.INPUT, cell, size), stores_count=stores_count)
    counting = [(c, stores_count or not store) for c, store in events]
    if not any(c >= 0 and counts for c, counts in counting):
        assert len(steps.tick) == 0
        return
    for tick in range(len(events) + 2):
        later = [c * cell for c, counts in counting[tick:] if c >= 0 and counts]
        assert at(steps, tick) == min(later, default=size)


@given(events_, st.sampled_from([1, 4]), st.integers(0, 3))
def test_highest_written(events: Events, cell: int, short: int) -> None:
    size = CELLS * cell - min(short, cell - 1)
    live = live_of(events, Role.OUTPUT, cell, size)
    steps = highest_written(live)
    from_tick = needed_from(live)
    for tick in range(len(events)):
        written = [min((c + 1) * cell, size) for c in range(CELLS) if from_tick[c] <= tick]
        assert at(steps, tick) == max(written, default=0)


@given(events_, events_)
def test_frontiers_touch_at_the_minimum_displacement(inputs: Events, outputs: Events) -> None:
    """Of an ordinary kernel: the gap between both lines is never negative, and
    nought at the limiting access (unless it is an input byte that nobody reads)."""
    source = live_of([(c, False) for c, _ in inputs], Role.INPUT)
    target = live_of([(c, True) for c, _ in outputs], Role.OUTPUT)
    found = find_overlap(source, target)
    low, high = still_needed(source), highest_written(target)
    if len(low.tick) == 0:
        return
    last = int(source.last_load.max())
    gaps = [
        found.min_displacement_bytes + (at(low, tick) or 0) - (at(high, tick) or 0)
        for tick in range(last + 1)
    ]
    assert min(gaps) >= 0
    if found.limit is not None and found.limit.input_tick >= 0:
        assert gaps[max(found.limit.output_tick, 0)] == gaps[found.limit.input_tick] == 0


@given(events_, st.integers(1, 10), st.integers(1, 6), st.data())
def test_thinning_keeps_within_a_pixel(
    events: Events, per_column: int, per_row: int, data: st.DataObject
) -> None:
    steps = highest_written(live_of(events, Role.OUTPUT))
    start = data.draw(st.integers(0, len(events) - 1))
    end = data.draw(st.integers(start + 1, len(events) + 5))
    thin = steps.thinned(start, end, per_column, per_row)
    assert set(thin.edge) <= set(steps.edge)
    assert (thin.tick >= start).all()
    assert (thin.tick <= end).all()
    for tick in range(start, end):
        found, true = at(thin, tick), at(steps, tick)
        assert found is not None
        assert true is not None
        near = at(steps, max(tick - per_column, 0))
        assert (near or 0) - per_row <= found <= true


def test_lives_by_role() -> None:
    events = [(0, False), (1, True), (0, False), (1, False), (2, True), (3, False), (3, True)]
    ordinary = lives_of(live_of(events, Role.INPUT), 9)
    assert (ordinary.start[0], ordinary.end[0]) == (0, 3)
    assert (ordinary.start[1], ordinary.end[1]) == (1, 4)
    assert ordinary.end[2] <= ordinary.start[2]
    assert (ordinary.start[3], ordinary.end[3]) == (0, 6)
    assert ordinary.end[4] <= ordinary.start[4] == NEVER_FIRST
    output = lives_of(live_of(events, Role.OUTPUT), 9)
    assert output.start[:5].tolist() == [0, 1, 4, 0, 0]
    assert (output.end == 9).all()


def test_rewritten() -> None:
    assert not is_rewritten(live_of([(0, False), (1, True)], Role.OUTPUT))
    assert is_rewritten(live_of([(1, True), (1, True)], Role.OUTPUT))
    assert is_rewritten(live_of([(1, False), (1, True)], Role.INPUT))
