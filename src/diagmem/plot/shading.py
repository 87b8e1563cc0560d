"""From four ticks per cell to what a picture shades and the lines it draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diagmem.analysis.liveness import NEVER_LAST, BufferLiveness
from diagmem.analysis.overlap import needed_from
from diagmem.trace.window import Int64Array, Role


@dataclass(frozen=True, slots=True)
class CellLives:
    """One life per cell of a buffer: the ticks ``[start, end)``, int64.

    ``end <= start`` where the cell is never alive.  The last cell may be
    shorter than ``cell_bytes``.
    """

    start: Int64Array
    end: Int64Array
    cell_bytes: int
    size_bytes: int


def lives_of(live: BufferLiveness, ticks: int) -> CellLives:
    """From when to when each cell holds a value that is still needed.

    A cell of an output, or of a buffer that is both, lives from its first store (from
    the start where the kernel reads it before, or never writes it) to the window's end;
    every other from its first store, or the start where it is read before that, to its last load.
    Four ticks do not tell the pauses of a cell that is written again.
    """
    if live.role in (Role.OUTPUT, Role.INOUT):
        start = np.maximum(needed_from(live), 0)
        end = np.full(live.cells, ticks)
    else:
        start = np.where(live.read_before_written, 0, live.first_store)
        end = live.last_load + 1
    return CellLives(start, end, live.cell_bytes, live.size_bytes)


def is_rewritten(live: BufferLiveness) -> bool:
    """Is any cell written again, so that its life may have pauses unseen here?

    A cell is if it is stored to at two ticks, or stored to after it was read.
    """
    again = live.stored & (live.last_store > live.first_store)
    return bool(np.any(again | (live.stored & live.read_before_written)))


@dataclass(frozen=True, slots=True)
class Steps:
    """A rising step line: from ``tick[i]`` to ``tick[i + 1]`` it lies at ``edge[i]``.

    Both int64; ``edge`` in bytes from the buffer's start.  Empty: no line.
    """

    tick: Int64Array
    edge: Int64Array

    def thinned(self, start: int, end: int, ticks_per_column: float, bytes_per_row: float) -> Steps:
        """From ``start`` to ``end``, without the steps that stay within one pixel.

        What the line was at ``start`` begins it; its last step there stays.
        """
        first = max(int(np.searchsorted(self.tick, start, side="right")) - 1, 0)
        last = int(np.searchsorted(self.tick, end, side="right"))
        tick, edge = np.maximum(self.tick[first:last], start), self.edge[first:last]
        column = ((tick - start) / ticks_per_column).astype(np.int64)
        row = (edge / bytes_per_row).astype(np.int64)
        keep = np.ones(len(tick), np.bool_)
        keep[1:] = (np.diff(column) != 0) | (np.diff(row) != 0)
        keep[-1:] = True
        return Steps(tick[keep], edge[keep])


NO_STEPS = Steps(np.empty(0, np.int64), np.empty(0, np.int64))


def _steps(tick: Int64Array, edge: Int64Array) -> Steps:
    """Of several steps at one tick the last counts."""
    last = np.append(np.diff(tick) != 0, True)
    return Steps(tick[last], edge[last])


def still_needed(live: BufferLiveness, *, stores_count: bool = False) -> Steps:
    """The lower edge of the lowest byte that is still to be read at or after a tick.

    After the last read the line goes to the buffer's end: nothing is needed any
    more.  ``stores_count``: a store keeps a byte needed as a load does, as
    `find_overlap` has it where it cannot tell more.
    """
    needed_until = live.last_access if stores_count else live.last_load
    until = np.maximum.accumulate(needed_until)
    rising = np.flatnonzero(np.diff(until, prepend=np.int64(NEVER_LAST)) > 0)
    if len(rising) == 0:
        return NO_STEPS
    tick = np.concatenate([[0], until[rising] + 1])
    edge = np.append(rising * live.cell_bytes, live.size_bytes)
    return _steps(tick, edge)


def highest_written(live: BufferLiveness) -> Steps:
    """The upper edge of the highest byte that is written at or before a tick.

    A byte whose value from before the window is needed counts as written from
    the start, as it does in `find_overlap`.
    """
    from_tick = np.maximum(needed_from(live), 0)
    if len(from_tick) == 0:
        return NO_STEPS
    earliest_above = np.minimum.accumulate(from_tick[::-1])[::-1]
    highest = np.flatnonzero(np.append(np.diff(earliest_above) != 0, True))
    tick = np.concatenate([[0], earliest_above[highest]])
    edge = np.append(0, np.minimum((highest + 1) * live.cell_bytes, live.size_bytes))
    return _steps(tick, edge)


def frontier(live: BufferLiveness, *, stores_count: bool) -> Steps:
    """The frontier of an input or an output; no steps of other buffers.

    ``stores_count``: as of `still_needed`.
    """
    match Role(live.role):
        case Role.INPUT:
            return still_needed(live, stores_count=stores_count)
        case Role.OUTPUT:
            return highest_written(live)
        case _:
            return NO_STEPS
