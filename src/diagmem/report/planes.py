"""The accesses to a buffer counted into a plane: ticks across, bytes up.

A cell of a plane holds which place of the program touched it, so that a page can say
so of a trace whose events it cannot carry.  Cells are powers of two of ticks and bytes,
and merging them two by two gives the next coarser plane: no level drops an access or
moves it to a cell that it did not touch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diagmem.trace.window import Accesses, BoolArray, Int64Array

UInt16Array = npt.NDArray[np.uint16]

NOWHERE = 0
"""In a cell that nothing touched; others hold the number of a place, plus 1."""
MAX_PLACES = np.iinfo(np.uint16).max - 1
TAKEN_AT_ONCE = 1 << 15
"""Accesses; what is computed of so many stays in a processor's cache."""
CELLS_AT_ONCE = 1 << 22
"""Cells of wide accesses, such as copies, that are written in one go."""


@dataclass(frozen=True, slots=True)
class PlaneLevel:
    """How ticks ``[0, ticks)`` and bytes ``[0, size_bytes)`` are cut into cells.

    A cell is 2^``tick_shift`` ticks wide and 2^``byte_shift`` bytes high.
    """

    ticks: int
    size_bytes: int
    tick_shift: int
    byte_shift: int

    @classmethod
    def of(cls, ticks: int, size_bytes: int, columns: int, rows: int) -> PlaneLevel:
        """The finest one of at most so many columns and rows."""
        return cls(ticks, size_bytes, _shift(ticks, columns), _shift(size_bytes, rows))

    @property
    def columns(self) -> int:
        return _parts(self.ticks, self.tick_shift)

    @property
    def rows(self) -> int:
        return _parts(self.size_bytes, self.byte_shift)

    @property
    def coarser(self) -> PlaneLevel:
        return PlaneLevel(self.ticks, self.size_bytes, self.tick_shift + 1, self.byte_shift + 1)


def _parts(length: int, shift: int) -> int:
    return max(1, -(-length >> shift))


def _shift(length: int, parts: int) -> int:
    shift = 0
    while _parts(length, shift) > parts:
        shift += 1
    return shift


@dataclass(frozen=True, slots=True)
class Planes:
    """Both kinds of accesses to one buffer, uint16 of shape (columns, rows)."""

    level: PlaneLevel
    loads: UInt16Array
    stores: UInt16Array

    @property
    def coarser(self) -> Planes:
        """Two by two cells made one; of their places the last by number stays."""
        return Planes(self.level.coarser, _merged(self.loads), _merged(self.stores))


def _merged(plane: UInt16Array) -> UInt16Array:
    columns, rows = plane.shape
    even = np.pad(plane, ((0, columns % 2), (0, rows % 2)))
    across: UInt16Array = np.maximum(even[0::2], even[1::2])
    return np.maximum(across[:, 0::2], across[:, 1::2])


class PlaneFold:
    """Folds the accesses to one buffer, in program order, into planes.

    ``place_of_site``: for each site of the trace, its place, below `MAX_PLACES`.
    """

    def __init__(self, level: PlaneLevel, place_of_site: Int64Array) -> None:
        self._level = level
        self._mark_of_site = (place_of_site + 1).astype(np.uint16)
        shape = (level.columns, level.rows)
        self._planes = np.zeros(shape, np.uint16), np.zeros(shape, np.uint16)

    def take(self, accesses: Accesses) -> None:
        """The next accesses; they touch the buffer, and are clipped to it."""
        for first in range(0, len(accesses), TAKEN_AT_ONCE):
            part = slice(first, first + TAKEN_AT_ONCE)
            self._take(
                accesses.tick[part],
                accesses.offset[part].astype(np.int64, copy=False),
                accesses.size[part],
                accesses.store[part],
                self._mark_of_site[accesses.site[part]],
            )

    def _take(
        self,
        tick: Int64Array,
        offset: Int64Array,
        size: Int64Array,
        store: BoolArray,
        mark: UInt16Array,
    ) -> None:
        level = self._level
        low = np.maximum(offset, 0) >> level.byte_shift
        end = np.minimum(offset + size, level.size_bytes)
        further = ((end - 1) >> level.byte_shift) - low
        cell = (tick >> level.tick_shift) * level.rows + low
        stores = int(np.count_nonzero(store))
        for plane, count, kind in zip(
            self._planes, (len(store) - stores, stores), (False, True), strict=True
        ):
            if count == len(store):
                _mark(plane, cell, further, mark)
            elif count:
                which = np.flatnonzero(store == kind)
                _mark(plane, cell[which], further[which], mark[which])

    def result(self) -> Planes:
        return Planes(self._level, *self._planes)


def _mark(plane: UInt16Array, cell: Int64Array, further: Int64Array, mark: UInt16Array) -> None:
    """Write each mark into its cell and the ``further`` ones above it."""
    cells = plane.reshape(-1)
    cells[cell] = mark
    wide = np.flatnonzero(further)
    while len(wide):
        # As many as fit into one go, and at least one.
        fit = np.searchsorted(np.cumsum(further[wide]), CELLS_AT_ONCE, side="right")
        now, wide = np.split(wide, [max(int(fit), 1)])
        count = further[now]
        above = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count) + 1
        cells[np.repeat(cell[now], count) + above] = np.repeat(mark[now], count)
