"""When each byte of a buffer is first and last loaded and stored.

A trace and a loop nest both end here, in a `BufferLiveness`: four ticks for
each cell.  A *cell* is a run of bytes that every access touches whole or not at
all (4 for a float tensor read and written float by float), so cells lose
nothing against bytes and cost a fraction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diagmem.trace.model import Accesses, Int64Array

NEVER_FIRST = np.iinfo(np.int64).max
"""First tick of what never happened: later than everything."""
NEVER_LAST = -1
"""Last tick of what never happened: before everything."""

BEFORE = -1
"""The start of a value's life that was there when the window opened."""
WINDOW_END = np.iinfo(np.int64).max
"""The end of the life of a value that is still needed when the window closes."""


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


@dataclass(frozen=True, slots=True, repr=False)
class BufferLiveness:
    """Four int64 arrays with one entry per cell of ``cell_bytes`` bytes.

    ``first_*`` hold `NEVER_FIRST` and ``last_*`` hold `NEVER_LAST` where there
    was no such access.  The last cell may be shorter than the others, which
    makes a D found with it up to a cell too large; traces have no such cells.
    """

    name: str
    role: str
    size_bytes: int
    cell_bytes: int
    first_load: Int64Array
    last_load: Int64Array
    first_store: Int64Array
    last_store: Int64Array

    @property
    def cells(self) -> int:
        return len(self.first_load)

    @property
    def loaded(self) -> npt.NDArray[np.bool_]:
        return np.not_equal(self.last_load, NEVER_LAST)

    @property
    def stored(self) -> npt.NDArray[np.bool_]:
        return np.not_equal(self.last_store, NEVER_LAST)

    @property
    def read_before_written(self) -> npt.NDArray[np.bool_]:
        """Cells whose value from before the window is loaded."""
        return np.less(self.first_load, self.first_store)

    @property
    def last_access(self) -> Int64Array:
        return np.maximum(self.last_load, self.last_store)

    def refined(self, cell_bytes: int) -> BufferLiveness:
        """The same with smaller cells; ``cell_bytes`` divides the present size."""
        each = self.cell_bytes // cell_bytes
        if each == 1:
            return self
        cells = -(-self.size_bytes // cell_bytes)
        first_load, last_load, first_store, last_store = (
            np.repeat(column, each)[:cells]
            for column in (self.first_load, self.last_load, self.first_store, self.last_store)
        )
        return BufferLiveness(
            self.name,
            self.role,
            self.size_bytes,
            cell_bytes,
            first_load,
            last_load,
            first_store,
            last_store,
        )

    def __repr__(self) -> str:
        return (
            f"BufferLiveness({self.name!r}, {self.role}, {self.size_bytes} bytes in"
            f" {self.cells} cells: {int(self.loaded.sum())} loaded,"
            f" {int(self.stored.sum())} stored,"
            f" {int(self.read_before_written.sum())} read before written)"
        )


Columns = tuple[Int64Array, Int64Array]
"""First and last tick, one entry per cell."""


def never(cells: int) -> Columns:
    """What never happened to any cell; takes no memory and cannot be written."""
    return (
        np.broadcast_to(np.int64(NEVER_FIRST), cells),
        np.broadcast_to(np.int64(NEVER_LAST), cells),
    )


def _cells_of(
    accesses: Accesses, size_bytes: int, cell_bytes: int
) -> tuple[Int64Array, Int64Array, npt.NDArray[np.bool_]]:
    """Cell, tick and kind of each cell touched, in program order.

    Accesses that begin before or end after the buffer are clipped to it.
    """
    shift = cell_bytes.bit_length() - 1
    if _one_cell_each(accesses, size_bytes, cell_bytes):
        return accesses.offset >> shift, accesses.tick, accesses.store
    start = np.maximum(accesses.offset, 0)
    end = np.minimum(accesses.offset + accesses.size, size_bytes)
    first = start >> shift
    count = ((end + (cell_bytes - 1)) >> shift) - first
    total = np.cumsum(count)
    within = np.arange(int(total[-1])) - np.repeat(total - count, count)
    return (
        np.repeat(first, count) + within,
        np.repeat(accesses.tick, count),
        np.repeat(accesses.store, count),
    )


def _one_cell_each(accesses: Accesses, size_bytes: int, cell_bytes: int) -> bool:
    """Does every access touch one cell only, none reaching over the edges?"""
    if len(accesses) == 0:
        return True
    return (
        int(accesses.size.max()) <= cell_bytes
        and int(accesses.offset.min()) >= 0
        and int(accesses.offset.max()) + cell_bytes <= size_bytes
    )


def _note(first: Int64Array, last: Int64Array, cell: Int64Array, tick: Int64Array) -> None:
    """Later accesses, in order, into the arrays of one kind."""
    # Of a repeated index the last value stays, which is the latest tick.
    last[cell] = tick
    new = np.flatnonzero(first.take(cell) == NEVER_FIRST)
    if len(new):
        # Backwards, so that the earliest tick is the one that stays.
        first[cell[new][::-1]] = tick[new][::-1]


class LivenessFold:
    """Folds the accesses to one buffer, in program order, into its liveness.

    ``cell_bytes`` is a power of two that divides every offset and size (an
    access that is clipped at the buffer's edge counts as clipped).  Memory:
    32 bytes per cell.
    """

    def __init__(self, name: str, role: str, size_bytes: int, cell_bytes: int) -> None:
        self._what = (name, role, size_bytes, cell_bytes)
        self._cells = -(-size_bytes // cell_bytes)
        self._loads: Columns | None = None
        self._stores: Columns | None = None

    def take(self, accesses: Accesses) -> None:
        """The next accesses; ticks go on rising from piece to piece."""
        _, _, size_bytes, cell_bytes = self._what
        cell, tick, store = _cells_of(accesses, size_bytes, cell_bytes)
        stores = int(np.count_nonzero(store))
        if stores == len(store):
            self._note_stores(cell, tick)
        elif stores == 0:
            self._note_loads(cell, tick)
        else:
            which = np.flatnonzero(store)
            self._note_stores(cell[which], tick[which])
            which = np.flatnonzero(~store)
            self._note_loads(cell[which], tick[which])

    def _note_loads(self, cell: Int64Array, tick: Int64Array) -> None:
        if self._loads is None and len(cell):
            self._loads = _written(never(self._cells))
        if self._loads is not None:
            _note(*self._loads, cell, tick)

    def _note_stores(self, cell: Int64Array, tick: Int64Array) -> None:
        if self._stores is None and len(cell):
            self._stores = _written(never(self._cells))
        if self._stores is not None:
            _note(*self._stores, cell, tick)

    def result(self) -> BufferLiveness:
        loads = self._loads or never(self._cells)
        stores = self._stores or never(self._cells)
        return BufferLiveness(*self._what, *loads, *stores)


def _written(columns: Columns) -> Columns:
    return columns[0].copy(), columns[1].copy()


class LivesFold:
    """Folds the accesses to one buffer into the lives of all its values.

    `result` gives None when there are more than ``limit`` of them.  ``given``:
    what is in the buffer when the window opens was put there (an input), so that
    it is there for that moment even if nobody loads it.
    """

    def __init__(self, size_bytes: int, cell_bytes: int, *, limit: int, given: bool) -> None:
        self._what = (size_bytes, cell_bytes)
        self._room = limit
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
        cell, tick, store = _cells_of(accesses, *self._what)
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
