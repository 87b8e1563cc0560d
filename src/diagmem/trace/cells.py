"""SUMMARY frames: first and last load and store of each cell, gathered.

The same as ``dm_summary.c`` of the Valgrind tool does: a cell is the largest
power of two of bytes, up to 64, that every access so far touched whole.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from diagmem.trace import format as fmt
from diagmem.trace.window import Buffer, Int64Array

MAX_CELL_BYTES = 64
FRAME_CELLS = 1 << 16
"""Cells in one frame; one buffer may need several."""


class BufferCells:
    """Gathers the accesses to one buffer of a window.

    Memory: 16 bytes per cell for its loads, and as many for its stores.
    """

    def __init__(self, buffer: Buffer) -> None:
        self._buffer = buffer
        self._shift = _shift_of(buffer.size_bytes)
        self._kinds: list[npt.NDArray[np.int64] | None] = [None, None]

    @property
    def cell_bytes(self) -> int:
        return 1 << self._shift

    def take(
        self, stamp: Int64Array, address: Int64Array, size: Int64Array, store: npt.NDArray[np.bool_]
    ) -> None:
        """The next accesses, touching the buffer or not; ``stamp`` is tick + 1."""
        start = np.maximum(address, self._buffer.address) - self._buffer.address
        end = np.minimum(address + size, self._buffer.end) - self._buffer.address
        inside = np.flatnonzero(start < end)
        if len(inside) == 0:
            return
        start, end, stamp, store = start[inside], end[inside], stamp[inside], store[inside]
        self._refine(_shift_of(int(np.bitwise_or.reduce(start | (end - start)))))
        for kind in range(2):
            which = np.flatnonzero(store == bool(kind))
            if len(which):
                self._touch(kind, start[which], end[which], stamp[which])

    def _refine(self, shift: int) -> None:
        if shift >= self._shift:
            return
        each = 1 << (self._shift - shift)
        self._kinds = [None if c is None else np.repeat(c, each, axis=0) for c in self._kinds]
        self._shift = shift

    def _touch(self, kind: int, start: Int64Array, end: Int64Array, stamp: Int64Array) -> None:
        cells = self._kinds[kind]
        if cells is None:
            cells = np.zeros((self._buffer.size_bytes >> self._shift, 2), np.int64)
            self._kinds[kind] = cells
        count = (end - start) >> self._shift
        total = np.cumsum(count)
        within = np.arange(int(total[-1])) - np.repeat(total - count, count)
        cell = np.repeat(start >> self._shift, count) + within
        stamp = np.repeat(stamp, count)
        cells[cell, 1] = stamp  # of a repeated index the last value stays
        new = np.flatnonzero(cells[cell, 0] == 0)
        cells[cell[new][::-1], 0] = stamp[new][::-1]

    def frames(self, window: int, number: int) -> Iterator[bytes]:
        """The SUMMARY frames of this buffer, the ``number``-th of its window."""
        present = [cells for cells in self._kinds if cells is not None]
        cells = self._buffer.size_bytes >> self._shift
        latest = max((int(c[:, 1].max()) for c in present), default=0)
        tick_bytes = 4 if latest < 1 << 32 else 8
        for start in range(0, cells if present else 1, FRAME_CELLS):
            count = min(cells - start, FRAME_CELLS) if present else 0
            head = np.zeros(1, fmt.SUMMARY_HEAD)
            head["window"] = window
            head["buffer"] = number
            head["cell_bytes"] = self.cell_bytes
            head["kinds"] = sum(1 << kind for kind in range(2) if self._kinds[kind] is not None)
            head["cells"] = cells
            head["first_cell"] = start
            head["count"] = count
            head["tick_bytes"] = tick_bytes
            dtype = fmt.TICK_DTYPES[tick_bytes]
            parts = [c[start : start + count].astype(dtype).tobytes() for c in present]
            yield head.tobytes() + b"".join(parts)


def _shift_of(bits: int) -> int:
    """The largest cell, as a power of two, with an edge wherever a bit is set."""
    bits |= MAX_CELL_BYTES
    return (bits & -bits).bit_length() - 1
