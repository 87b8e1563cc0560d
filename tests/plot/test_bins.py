"""Pixel truth: every access and every life in its own cells, and nowhere else."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagmem.plot import bins
from diagmem.plot.bins import Extent, Grid, GridFold, count_lives
from diagmem.plot.shading import CellLives
from diagmem.trace.window import Accesses, Int64Array

NO_LIVES = CellLives(np.empty(0, np.int64), np.empty(0, np.int64), 1, 0)


def accesses(rows: list[tuple[int, int, int, bool]]) -> Accesses:
    """Of (tick, offset, size, store)."""
    return Accesses(
        np.array([r[0] for r in rows], np.int64),
        np.array([r[1] for r in rows], np.int64),
        np.array([r[2] for r in rows], np.int64),
        np.array([r[3] for r in rows], bool),
        np.zeros(len(rows), np.uint32),
    )


def grid_of(
    rows: list[tuple[int, int, int, bool]], ticks: Extent, bytes_: Extent, size: int, shift: int = 0
) -> Grid:
    fold = GridFold(ticks, bytes_, size, shift)
    fold.take(accesses(rows))
    return fold.result(NO_LIVES)


def lit(counts: Int64Array) -> list[tuple[int, int]]:
    """Rows and columns of the cells that are not empty."""
    return [(int(row), int(column)) for row, column in np.argwhere(counts)]


@pytest.mark.parametrize(("tick", "column"), [(0, 0), (999_999, 799)])
@pytest.mark.parametrize(("byte", "row"), [(0, 0), (1_048_575, 299)])
@pytest.mark.parametrize("store", [False, True])
def test_corners(tick: int, column: int, byte: int, row: int, store: bool) -> None:
    ticks, bytes_ = Extent.of(0, 1_000_000, 800), Extent.of(0, 1 << 20, 300)
    grid = grid_of([(tick, byte, 1, store)], ticks, bytes_, 1 << 20)
    assert lit(grid.stores if store else grid.loads) == [(row, column)]
    assert lit(grid.loads if store else grid.stores) == []


def test_one_store_in_a_million_loads() -> None:
    n = 1_000_000
    ticks, bytes_ = Extent.of(0, n, 700), Extent.of(0, 4096, 200)
    store = np.zeros(n, bool)
    store[654_321] = True
    offset = np.where(store, 4000, 0)
    fold = GridFold(ticks, bytes_, 4096)
    for at in range(0, n, 100_000):
        part = slice(at, at + 100_000)
        fold.take(
            Accesses(
                np.arange(n)[part],
                offset[part],
                np.ones(100_000, np.int64),
                store[part],
                np.zeros(100_000, np.uint32),
            )
        )
    grid = fold.result(NO_LIVES)
    assert lit(grid.stores) == [(4000 * 200 // 4096, 654_321 * 700 // n)]
    assert grid.loads.sum() == n - 1
    assert grid.loads[1:].sum() == 0


def test_true_extent_of_a_large_access() -> None:
    bytes_ = Extent.of(0, 1000, 10)
    grid = grid_of([(3, 250, 500, True)], Extent.of(0, 5, 100), bytes_, 1000)
    assert lit(grid.stores) == [(row, 3) for row in range(2, 8)]


def test_clipped_at_the_buffer_and_shifted() -> None:
    bytes_ = Extent.of(0, 30, 100)
    rows = [(0, -3, 5, False), (1, 8, 8, False)]
    grid = grid_of(rows, Extent.of(0, 2, 100), bytes_, 10, shift=20)
    assert lit(grid.loads) == [(20, 0), (21, 0), (28, 1), (29, 1)]


def test_narrow_offsets_do_not_overflow() -> None:
    found = accesses([(0, (1 << 31) - 8, 4, False)])
    narrow = Accesses(
        found.tick, found.offset.astype(np.int32), found.size, found.store, found.site
    )
    fold = GridFold(Extent.of(0, 1, 1), Extent.of(0, 1 << 32, 1000), 1 << 31, shift=1 << 31)
    fold.take(narrow)
    assert lit(fold.result(NO_LIVES).loads) == [(999, 0)]


def test_nothing() -> None:
    grid = grid_of([], Extent.of(0, 0, 100), Extent.of(0, 16, 100), 16)
    assert grid.loads.shape == grid.live.shape == (16, 1)
    assert not grid.loads.any()


@given(start=st.integers(0, 50), length=st.integers(1, 200), at_most=st.integers(1, 60))
def test_bins_partition(start: int, length: int, at_most: int) -> None:
    extent = Extent.of(start, start + length, at_most)
    found = extent.bin_of(np.arange(start, start + length))
    counts = np.bincount(found, minlength=extent.bins)
    assert len(counts) == extent.bins
    assert counts.min() >= 1
    assert counts.max() - counts.min() <= 1
    assert (np.diff(found) >= 0).all()


@st.composite
def scenes(
    draw: st.DrawFn,
) -> tuple[list[tuple[int, int, int, bool]], Extent, Extent, int, int]:
    size, shift = draw(st.integers(1, 40)), draw(st.integers(0, 20))
    ticks = draw(st.integers(1, 40))
    each = st.tuples(st.integers(-4, size - 1), st.integers(1, 12), st.booleans())
    found = draw(st.lists(each, min_size=0, max_size=ticks))
    rows = [
        (tick, offset, max(width, 1 - offset), store)
        for tick, (offset, width, store) in enumerate(found)
    ]
    low = draw(st.integers(0, size + shift - 1))
    first = draw(st.integers(0, ticks - 1))
    bytes_ = Extent.of(low, draw(st.integers(low + 1, size + shift)), draw(st.integers(1, 70)))
    ticks_ = Extent.of(first, draw(st.integers(first + 1, ticks)), draw(st.integers(1, 50)))
    return rows, ticks_, bytes_, size, shift


@given(scenes())
def test_against_single_bytes(
    scene: tuple[list[tuple[int, int, int, bool]], Extent, Extent, int, int],
) -> None:
    rows, ticks, bytes_, size, shift = scene
    expected = np.zeros((2, bytes_.bins, ticks.bins), np.int64)
    for tick, offset, width, store in rows:
        cells = {
            ((b + shift - bytes_.start) * bytes_.bins // bytes_.length)
            for b in range(max(offset, 0), min(offset + width, size))
            if bytes_.start <= b + shift < bytes_.end
        }
        if ticks.start <= tick < ticks.end:
            column = (tick - ticks.start) * ticks.bins // ticks.length
            for cell in cells:
                expected[int(store), cell, column] += 1
    fold = GridFold(ticks, bytes_, size, shift)
    half = len(rows) // 2
    fold.take(accesses(rows[:half]))
    fold.take(accesses(rows[half:]))
    grid = fold.result(NO_LIVES)
    np.testing.assert_array_equal(grid.loads, expected[0])
    np.testing.assert_array_equal(grid.stores, expected[1])


@given(st.lists(st.tuples(st.integers(0, 63), st.booleans()), max_size=200))
def test_no_access_is_dropped(found: list[tuple[int, bool]]) -> None:
    rows = [(tick, byte, 1, store) for tick, (byte, store) in enumerate(found)]
    grid = grid_of(rows, Extent.of(0, len(rows), 17), Extent.of(0, 64, 13), 64)
    assert grid.loads.sum() + grid.stores.sum() == len(rows)
    assert grid.stores.sum() == sum(store for _, store in found)


@given(
    lives=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 31)), min_size=1, max_size=20),
    cells=st.tuples(st.sampled_from([1, 2, 4]), st.integers(0, 3), st.integers(0, 9)),
    view=st.tuples(st.integers(0, 20), st.integers(1, 30), st.integers(0, 20), st.integers(1, 60)),
    at_most=st.tuples(st.integers(1, 40), st.integers(1, 90)),
)
def test_lives_against_single_bytes(
    lives: list[tuple[int, int]],
    cells: tuple[int, int, int],
    view: tuple[int, int, int, int],
    at_most: tuple[int, int],
) -> None:
    cell, short, shift = cells
    size = len(lives) * cell - min(short, cell - 1)
    ticks = Extent.of(view[0], view[0] + view[1], at_most[0])
    bytes_ = Extent.of(view[2], view[2] + view[3], at_most[1])
    expected = np.zeros((bytes_.bins, ticks.bins), np.int64)
    for number, (start, end) in enumerate(lives):
        rows = {
            (b - bytes_.start) * bytes_.bins // bytes_.length
            for b in range(number * cell + shift, min((number + 1) * cell, size) + shift)
            if bytes_.start <= b < bytes_.end
        }
        columns = {
            (t - ticks.start) * ticks.bins // ticks.length
            for t in range(start, end)
            if ticks.start <= t < ticks.end
        }
        for row in rows:
            for column in columns:
                expected[row, column] += 1
    found = CellLives(
        np.array([s for s, _ in lives], np.int64),
        np.array([e for _, e in lives], np.int64),
        cell,
        size,
    )
    np.testing.assert_array_equal(count_lives(found, ticks, bytes_, shift), expected)


def test_lives_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    start: npt.NDArray[np.int64] = random.integers(0, 100, 1000)
    lives = CellLives(start, start + random.integers(0, 50, 1000), 4, 3999)
    ticks, bytes_ = Extent.of(0, 150, 40), Extent.of(0, 4100, 60)
    whole = count_lives(lives, ticks, bytes_, 100)
    monkeypatch.setattr(bins, "LIVES_AT_ONCE", 37)
    np.testing.assert_array_equal(count_lives(lives, ticks, bytes_, 100), whole)
