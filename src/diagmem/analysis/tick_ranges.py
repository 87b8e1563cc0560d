"""Accesses to many cells at a time, kept as ranges: first and last tick of each run.

Cells are numbered from 0; a range is half-open.
"""

from __future__ import annotations

import numpy as np

from diagmem.trace.window import Int64Array

NEVER_FIRST = np.iinfo(np.int64).max
"""First tick of what never happened: later than everything."""
NEVER_LAST = -1
"""Last tick of what never happened: before everything."""

Columns = tuple[Int64Array, Int64Array]
"""First and last tick, one entry per cell."""

WAITING_RANGES = 1 << 20
"""So many ranges are gathered before they are merged."""

_Runs = tuple[Int64Array, Int64Array, Int64Array, Int64Array]
_NO_RUNS: _Runs = (np.empty(0, np.int64),) * 4


def covering_maximum(
    n: int, start: Int64Array, end: Int64Array, value: Int64Array, nothing: int
) -> Int64Array:
    """For each of n places the largest value of a range ``[start, end)`` that covers
    it, ``nothing`` (less than all) where none does.

    Every range is laid down as two blocks of the largest power of two that fits (a
    sparse table), and the blocks are split level by level: n log n.
    """
    best = np.full(n, nothing, np.int64)
    if len(start) == 0:
        return best
    level = np.frexp(end - start)[1] - 1
    for k in range(int(level.max()), -1, -1):
        here = level == k
        np.maximum.at(best, start[here], value[here])
        np.maximum.at(best, end[here] - (1 << k), value[here])
        if k:
            half = 1 << (k - 1)
            split = best.copy()
            np.maximum(split[half:], best[:-half], out=split[half:])
            best = split
    return best


class Ranges:
    """First and last tick of cells that were touched many at a time.

    A copy of a whole buffer is one range, not a million cells.  Ranges wait to be
    merged, so memory follows their number; the cells are looked at when all are known.
    """

    def __init__(self) -> None:
        self._merged = _NO_RUNS
        self._waiting: list[_Runs] = []
        self._room = WAITING_RANGES

    def add(self, start: Int64Array, end: Int64Array, tick: Int64Array) -> None:
        if len(start):
            self._waiting.append((start, end, tick, tick))
            self._room -= len(start)
            if self._room < 0:
                self.runs()

    def runs(self) -> _Runs:
        """Start, end, first and last tick of disjoint runs of cells, rising."""
        if self._waiting:
            columns = zip(self._merged, *self._waiting, strict=True)
            start, end, first, last = (np.concatenate(column) for column in columns)
            edges = np.unique(np.concatenate([start, end]))
            places = np.searchsorted(edges, start), np.searchsorted(edges, end)
            latest = covering_maximum(len(edges), *places, last, NEVER_LAST)
            earliest = -covering_maximum(len(edges), *places, -first, -NEVER_FIRST)
            touched = np.flatnonzero(latest != NEVER_LAST)
            self._merged = edges[touched], edges[touched + 1], earliest[touched], latest[touched]
            self._waiting = []
            self._room = max(WAITING_RANGES, len(touched))
        return self._merged

    def ticks_at(self, cells: Int64Array) -> Columns:
        """First and last tick of some cells."""
        start, end, first, last = self.runs()
        first_of, last_of = np.full(len(cells), NEVER_FIRST), np.full(len(cells), NEVER_LAST)
        run = np.searchsorted(start, cells, "right") - 1
        inside = np.flatnonzero((run >= 0) & (cells < np.append(end, -1)[run]))
        first_of[inside], last_of[inside] = first[run[inside]], last[run[inside]]
        return first_of, last_of
