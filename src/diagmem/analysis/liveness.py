"""When each byte of a buffer is first and last loaded and stored.

A trace and a loop nest both end here, in a `BufferLiveness`: four ticks for
each cell.  A *cell* is a run of bytes that every access touches whole or not at
all (4 for a float tensor read and written float by float), so cells lose
nothing against bytes and cost a fraction.  A buffer with far more cells than there
are accesses is kept in *runs* of cells that are alike: untouched memory costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from diagmem.analysis import tick_ranges
from diagmem.analysis.tick_ranges import Ranges
from diagmem.trace.window import Accesses, Int64Array

NEVER_FIRST = tick_ranges.NEVER_FIRST
NEVER_LAST = tick_ranges.NEVER_LAST
Columns = tick_ranges.Columns

BEFORE = -1
"""The start of a value's life that was there when the window opened."""
WINDOW_END = np.iinfo(np.int64).max
"""The end of the life of a value that is still needed when the window closes."""


@dataclass(frozen=True, slots=True, repr=False)
class BufferLiveness:
    """Four int64 arrays with one entry per cell of ``cell_bytes`` bytes.

    ``first_*`` hold `NEVER_FIRST` and ``last_*`` hold `NEVER_LAST` where there
    was no such access.  The last cell may be shorter than the others, which
    makes a D found with it up to a cell too large; traces have no such cells.

    ``starts`` is None, or an entry is a run of cells that are alike and this is the
    first cell of each; the first is 0.
    """

    name: str
    role: str
    size_bytes: int
    cell_bytes: int
    first_load: Int64Array
    last_load: Int64Array
    first_store: Int64Array
    last_store: Int64Array
    starts: Int64Array | None = None

    @property
    def cells(self) -> int:
        if self.starts is not None:
            return -(-self.size_bytes // self.cell_bytes)
        return len(self.first_load)

    def cells_in(self, which: npt.NDArray[np.bool_]) -> int:
        """How many cells there are in these entries."""
        if self.starts is None:
            return int(np.count_nonzero(which))
        return int(np.diff(self.starts, append=self.cells)[which].sum())

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
        if self.starts is not None:
            return replace(self, cell_bytes=cell_bytes, starts=self.starts * each)
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
            f" {self.cells} cells: {self.cells_in(self.loaded)} loaded,"
            f" {self.cells_in(self.stored)} stored,"
            f" {self.cells_in(self.read_before_written)} read before written)"
        )


def never(cells: int) -> Columns:
    """What never happened to any cell; takes no memory and cannot be written."""
    return (
        np.broadcast_to(np.int64(NEVER_FIRST), cells),
        np.broadcast_to(np.int64(NEVER_LAST), cells),
    )


LONG_CELLS = 64
"""An access to more cells than this is kept as a range."""


@dataclass(frozen=True, slots=True)
class Touch:
    """Accesses as ranges of cells ``[start, end)``, clipped to the buffer, in program
    order."""

    start: Int64Array
    end: Int64Array
    tick: Int64Array
    store: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, accesses: Accesses, size_bytes: int, cell_bytes: int) -> Touch:
        shift = cell_bytes.bit_length() - 1
        start = np.maximum(accesses.offset, 0) >> shift
        end = np.minimum(accesses.offset + accesses.size, size_bytes) + (cell_bytes - 1) >> shift
        return cls(start, end, accesses.tick, accesses.store)

    def taken(self, which: npt.NDArray[np.bool_] | slice) -> Touch:
        return Touch(self.start[which], self.end[which], self.tick[which], self.store[which])

    def single(self) -> _Cells:
        """Cell, tick and kind of each cell touched."""
        count = self.end - self.start
        within = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
        return (
            np.repeat(self.start, count) + within,
            np.repeat(self.tick, count),
            np.repeat(self.store, count),
        )


_Cells = tuple[Int64Array, Int64Array, npt.NDArray[np.bool_]]


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
    32 bytes per cell; with ``sparse``, whose result has runs, 100 per access.
    """

    def __init__(
        self, name: str, role: str, size_bytes: int, cell_bytes: int, *, sparse: bool = False
    ) -> None:
        self._what = (name, role, size_bytes, cell_bytes)
        self._cells = -(-size_bytes // cell_bytes)
        self._sparse = sparse
        # Loads, then stores.
        self._columns: list[Columns | None] = [None, None]
        self._ranges = (Ranges(), Ranges())

    def take(self, accesses: Accesses) -> None:
        """The next accesses; ticks go on rising from piece to piece."""
        _, _, size_bytes, cell_bytes = self._what
        if not self._sparse and _one_cell_each(accesses, size_bytes, cell_bytes):
            shift = cell_bytes.bit_length() - 1
            self._note(accesses.offset >> shift, accesses.tick, accesses.store)
            return
        touch = Touch.of(accesses, size_bytes, cell_bytes)
        long = touch.end - touch.start > (0 if self._sparse else LONG_CELLS)
        for kind, whole in enumerate(self._ranges):
            of_kind = touch.taken(long & (touch.store == bool(kind)))
            whole.add(of_kind.start, of_kind.end, of_kind.tick)
        self._note(*touch.taken(~long).single())

    def _note(self, cell: Int64Array, tick: Int64Array, store: npt.NDArray[np.bool_]) -> None:
        stores = int(np.count_nonzero(store))
        for kind, n in ((0, len(store) - stores), (1, stores)):
            if n:
                which = slice(None) if n == len(store) else np.flatnonzero(store == bool(kind))
                columns = self._columns[kind] or _written(never(self._cells))
                self._columns[kind] = columns
                _note(*columns, cell[which], tick[which])

    def result(self) -> BufferLiveness:
        if self._sparse:
            edges = [edge for whole in self._ranges for edge in whole.runs()[:2]]
            starts = np.unique(np.concatenate([[0], *edges]))
            starts = starts[starts < max(self._cells, 1)]
            loads, stores = (whole.ticks_at(starts) for whole in self._ranges)
            return BufferLiveness(*self._what, *loads, *stores, starts)
        for kind, whole in enumerate(self._ranges):
            if len(whole.runs()[0]):
                self._columns[kind] = self._with_ranges(self._columns[kind], whole)
        loads, stores = (columns or never(self._cells) for columns in self._columns)
        return BufferLiveness(*self._what, *loads, *stores)

    def _with_ranges(self, columns: Columns | None, whole: Ranges) -> Columns:
        start, end, _, _ = whole.runs()
        edges = np.unique(np.concatenate([[0], start, end]))
        width = np.diff(edges, append=self._cells)
        first, last = (np.repeat(ticks, width) for ticks in whole.ticks_at(edges))
        if columns is None:
            return first, last
        return np.minimum(first, columns[0], out=first), np.maximum(last, columns[1], out=last)


def _written(columns: Columns) -> Columns:
    return columns[0].copy(), columns[1].copy()
