"""Lives of values: from the store that made one, or the window's start, to its last load."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from diagmem.analysis.liveness import BEFORE, NEVER_LAST, WINDOW_END, Touch
from diagmem.trace.window import Accesses, Int64Array


@dataclass(frozen=True, slots=True)
class Lives:
    """The lives of the values in a buffer's cells, closed: ``[start, end]``.

    A value lives from the store that made it (or `BEFORE`) to its last load (or
    `WINDOW_END`); a value that is never loaded lives for its store's tick only.
    ``cell``, ``start``, ``end``: int64, one entry per life, in no order.
    """

    cell: Int64Array
    start: Int64Array
    end: Int64Array

    def __len__(self) -> int:
        return len(self.cell)


MAX_LOOKED_AT = 1 << 28
"""Cells that accesses to several touch, all taken together."""
CELLS_AT_ONCE = 1 << 20


class LivesFold:
    """Folds the accesses to one buffer into the lives of all its values.

    `result` gives None when there are more than ``limit`` of them, or when finding
    them means looking at too many cells (`MAX_LOOKED_AT`).  ``given``:
    what is in the buffer when the window opens was put there (an input), so that
    it is there for that moment even if nobody loads it.
    """

    def __init__(self, size_bytes: int, cell_bytes: int, *, limit: int, given: bool) -> None:
        self._what = (size_bytes, cell_bytes)
        self._room = limit
        self._looks = MAX_LOOKED_AT
        self._given = given
        self._parts: list[Lives] = []
        # The value now in each cell: when it was made, and its last load so far.
        cells = -(-size_bytes // cell_bytes)
        self._start = np.full(cells, BEFORE, np.int64)
        self._used = np.full(cells, NEVER_LAST, np.int64)

    def take(self, accesses: Accesses) -> None:
        """The next accesses; ticks go on rising from piece to piece."""
        if self._room < 0 or len(accesses) == 0:
            return
        touch = Touch.of(accesses, *self._what)
        total = np.cumsum(touch.end - touch.start)
        if int(total[-1]) > self._looks:
            self._room = -1
            return
        self._looks -= max(int(total[-1]) - len(accesses), 0)
        # In parts of bounded size: one access may touch every cell.
        part = np.searchsorted(total, np.arange(0, int(total[-1]), CELLS_AT_ONCE), "right")
        edges = np.unique(np.append(part, len(accesses))).tolist()
        for low, high in pairwise([0, *edges]):
            if low < high:
                self._take(*touch.taken(slice(low, high)).single())

    def _take(self, cell: Int64Array, tick: Int64Array, store: npt.NDArray[np.bool_]) -> None:
        order = np.argsort(cell, kind="stable")
        cell, tick, store = cell[order], tick[order], store[order]

        # A run is what happens to one value here: it begins with the store that
        # makes the value, or with the first load of one that was there already.
        begin = np.flatnonzero(store | (np.diff(cell, prepend=-1) != 0))
        end = np.append(begin[1:], len(cell))
        of, made_here = cell[begin], store[begin]
        first_of_cell = np.diff(of, prepend=-1) != 0
        last_of_cell = np.append(first_of_cell[1:], True)

        start = np.where(made_here, tick[begin], self._start[of])
        loaded = ~made_here | (end - begin > 1)
        used = np.where(loaded, tick[end - 1], NEVER_LAST)

        gone = of[first_of_cell & made_here]
        self._keep(self._closed(gone, self._start[gone], self._used[gone]))
        done = ~last_of_cell
        self._keep(self._closed(of[done], start[done], used[done]))
        self._start[of[last_of_cell]] = start[last_of_cell]
        self._used[of[last_of_cell]] = used[last_of_cell]

    def _keep(self, lives: Lives) -> None:
        self._room -= len(lives)
        if self._room >= 0:
            self._parts.append(lives)

    def result(self, *, needed_after: bool) -> Lives | None:
        """All lives; ``needed_after``: what is in the buffer when the window
        closes is needed (an output), written by the kernel or not."""
        if self._room < 0:
            return None
        cells = np.arange(len(self._start))
        if needed_after:
            still = Lives(cells, self._start, np.full(len(cells), WINDOW_END))
        else:
            still = self._closed(cells, self._start, self._used)
        if len(still) > self._room:
            return None
        parts = [*self._parts, still]
        return Lives(
            np.concatenate([p.cell for p in parts]),
            np.concatenate([p.start for p in parts]),
            np.concatenate([p.end for p in parts]),
        )

    def _closed(self, cell: Int64Array, start: Int64Array, used: Int64Array) -> Lives:
        """Lives of values that are gone; an output's from before that was never
        loaded had none."""
        end = np.maximum(start, used)
        real = (end != BEFORE) | self._given
        return Lives(cell[real], start[real], end[real])
