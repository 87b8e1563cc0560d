"""Accesses and lives counted into the cells of a picture, without drawing.

A picture is a grid of rows (runs of bytes) and columns (runs of ticks).  Every
position falls into exactly one row or column, so that an access is neither
dropped nor moved, however small it is beside a pixel.  All counting streams:
memory is a grid's, not the trace's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diagmem.plot.shading import CellLives
from diagmem.trace.window import Accesses, Int64Array

LIVES_AT_ONCE = 1 << 20
"""Lives laid down in one go; bounds the temporaries of a large buffer."""


@dataclass(frozen=True, slots=True)
class Extent:
    """The positions ``[start, end)``, bytes or ticks, in ``bins`` equal parts.

    There are at most as many bins as positions, so no bin is empty and a grid
    of few positions is not blurred: each has its own.
    """

    start: int
    end: int
    bins: int

    @classmethod
    def of(cls, start: int, end: int, at_most: int) -> Extent:
        """At least one position, and as many bins as there are, up to ``at_most``."""
        end = max(end, start + 1)
        return cls(start, end, max(1, min(end - start, at_most)))

    @property
    def length(self) -> int:
        return self.end - self.start

    def bin_of(self, position: Int64Array) -> Int64Array:
        """The bin of each position; positions outside give bins outside."""
        return (position - self.start) * self.bins // self.length


@dataclass(frozen=True, slots=True)
class Grid:
    """What happens in each cell of a picture; row 0 is the lowest byte.

    All int64 of shape (rows, columns): ``loads`` and ``stores`` count the
    accesses that touch any byte of the cell, ``live`` the lives (one per cell of
    the liveness) that reach into it.
    """

    ticks: Extent
    bytes: Extent
    loads: Int64Array
    stores: Int64Array
    live: Int64Array


class GridFold:
    """Folds the accesses to one buffer, in program order, into a grid.

    ``shift`` is where the buffer's first byte lies among the grid's bytes, in
    bytes; what lies outside the grid is left out.
    """

    def __init__(self, ticks: Extent, bytes_: Extent, size_bytes: int, shift: int = 0) -> None:
        self._ticks = ticks
        self._bytes = bytes_
        self._size_bytes = size_bytes
        self._shift = shift
        # Differences from each row to the one below it, a row per column of the
        # picture, so that a piece of the trace touches one run of memory.
        shape = (ticks.bins, bytes_.bins + 1)
        self._loads = np.zeros(shape, np.int64)
        self._stores = np.zeros(shape, np.int64)

    def take(self, accesses: Accesses) -> None:
        """The next accesses; ticks rise within a piece."""
        if len(accesses) == 0 or not self._meets(accesses):
            return
        # Pieces may hold narrow offsets; bins are products that need the width.
        offset = accesses.offset.astype(np.int64, copy=False)
        start = np.maximum(offset, 0) + self._shift
        end = np.minimum(offset + accesses.size, self._size_bytes) + self._shift
        tick, store = accesses.tick, accesses.store
        if not self._holds(tick, start, end):
            inside = (tick >= self._ticks.start) & (tick < self._ticks.end)
            inside &= (start < self._bytes.end) & (end > self._bytes.start)
            tick, store, start, end = tick[inside], store[inside], start[inside], end[inside]
            start = np.maximum(start, self._bytes.start)
            end = np.minimum(end, self._bytes.end)
        column = self._ticks.bin_of(tick)
        low, high = self._bytes.bin_of(start), self._bytes.bin_of(end - 1)
        stores = int(np.count_nonzero(store))
        if stores < len(store):
            which = slice(None) if stores == 0 else np.flatnonzero(~store)
            _lay_down(self._loads, column[which], low[which], high[which])
        if stores:
            which = slice(None) if stores == len(store) else np.flatnonzero(store)
            _lay_down(self._stores, column[which], low[which], high[which])

    def _meets(self, accesses: Accesses) -> bool:
        first, last = int(accesses.tick[0]), int(accesses.tick[-1])
        return first < self._ticks.end and last >= self._ticks.start

    def _holds(self, tick: Int64Array, start: Int64Array, end: Int64Array) -> bool:
        """Do all accesses lie inside the grid?"""
        ticks, bytes_ = self._ticks, self._bytes
        return (
            ticks.start <= int(tick[0])
            and int(tick[-1]) < ticks.end
            and bytes_.start <= int(start.min())
            and int(end.max()) <= bytes_.end
        )

    def result(self, lives: CellLives) -> Grid:
        """The grid so far, with the lives of the buffer's cells beside it."""
        return Grid(
            self._ticks,
            self._bytes,
            _summed(self._loads),
            _summed(self._stores),
            count_lives(lives, self._ticks, self._bytes, self._shift),
        )


def _lay_down(
    differences: Int64Array, column: Int64Array, low: Int64Array, high: Int64Array
) -> None:
    """Add one to the rows ``low`` to ``high``, both included, of each column."""
    if len(column) == 0:
        return
    first, last = int(column[0]), int(column[-1])
    rows = differences.shape[1]
    here = differences[first : last + 1]
    row_start = (column - first) * rows
    size = here.size
    here += np.bincount(row_start + low, minlength=size).reshape(here.shape)
    here -= np.bincount(row_start + high + 1, minlength=size).reshape(here.shape)


def _summed(differences: Int64Array) -> Int64Array:
    return np.ascontiguousarray(np.cumsum(differences, axis=1)[:, :-1].T)


def count_lives(lives: CellLives, ticks: Extent, bytes_: Extent, shift: int = 0) -> Int64Array:
    """For each cell of a grid, how many lives reach into it; (rows, columns).

    A life covers the bytes of its cell and the ticks ``[start, end)``; each is a
    rectangle, laid down at its four corners.  O(cells), in slices.
    """
    corners = np.zeros((bytes_.bins + 1, ticks.bins + 1), np.int64)
    for first in range(0, len(lives.start), LIVES_AT_ONCE):
        _lay_down_lives(
            corners, _slice(lives, first), ticks, bytes_, first * lives.cell_bytes + shift
        )
    return np.cumsum(np.cumsum(corners, axis=0), axis=1)[:-1, :-1]


def _slice(lives: CellLives, first: int) -> CellLives:
    part = slice(first, first + LIVES_AT_ONCE)
    size_bytes = lives.size_bytes - first * lives.cell_bytes
    return CellLives(lives.start[part], lives.end[part], lives.cell_bytes, size_bytes)


def _lay_down_lives(
    corners: Int64Array, lives: CellLives, ticks: Extent, bytes_: Extent, shift: int
) -> None:
    start = np.maximum(lives.start, ticks.start)
    end = np.minimum(lives.end, ticks.end)
    low = np.arange(len(start)) * lives.cell_bytes + shift
    high = np.minimum(low + lives.cell_bytes, lives.size_bytes + shift)
    low, high = np.maximum(low, bytes_.start), np.minimum(high, bytes_.end)
    there = np.flatnonzero((start < end) & (low < high))
    left, right = ticks.bin_of(start[there]), ticks.bin_of(end[there] - 1) + 1
    bottom, top = bytes_.bin_of(low[there]), bytes_.bin_of(high[there] - 1) + 1
    columns = corners.shape[1]
    for row, column, sign in (
        (bottom, left, 1),
        (bottom, right, -1),
        (top, left, -1),
        (top, right, 1),
    ):
        counted = np.bincount(row * columns + column, minlength=corners.size)
        corners += sign * counted.reshape(corners.shape)
