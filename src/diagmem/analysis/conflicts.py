"""Where the values of an input and an output are in each other's way.

In cells of one size: input cell r and output cell w share memory at the displacement
w - r, and are in conflict when the output is needed from a tick on at which the input
still is.  `diagmem.analysis.overlap` makes D of the largest such w - r.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diagmem.analysis.liveness import BEFORE, BufferLiveness
from diagmem.analysis.lives import Lives
from diagmem.analysis.tick_ranges import covering_maximum
from diagmem.trace.window import Int64Array

PIECE_CELLS = 1 << 16
_NO_CONFLICT = np.iinfo(np.int64).min // 4
"""Less than every difference of two cells, and far from overflowing."""


@dataclass(frozen=True, slots=True)
class Largest:
    """The largest w - r, in cells, over all conflicting pairs, and such a pair."""

    difference: int
    input_cell: int
    output_cell: int


@dataclass(frozen=True, slots=True)
class Side:
    """A tick for each cell of a buffer, or for each run of cells (`BufferLiveness`)."""

    tick: Int64Array
    cells: int
    starts: Int64Array | None = None
    ends: Int64Array | None = None

    @classmethod
    def of(cls, tick: Int64Array, buffer: BufferLiveness) -> Side:
        if buffer.starts is None:
            return cls(tick, len(tick))
        ends = np.append(buffer.starts[1:], buffer.cells)
        return cls(tick, buffer.cells, buffer.starts, ends)

    def __len__(self) -> int:
        return len(self.tick)

    def flipped(self) -> Side:
        """With the last cell first."""
        if self.starts is None or self.ends is None:
            return Side(self.tick[::-1], self.cells)
        starts, ends = self.cells - self.ends[::-1], self.cells - self.starts[::-1]
        return Side(self.tick[::-1], self.cells, starts, ends)

    def lowest(self, entry: Int64Array) -> Int64Array:
        """The first cell of each of these entries."""
        return entry if self.starts is None else self.starts[entry]

    def highest(self, entry: Int64Array) -> Int64Array:
        """The last cell of each of these entries."""
        return entry if self.ends is None else self.ends[entry] - 1

    def at(self, cells: Int64Array) -> Int64Array:
        """The ticks of some cells."""
        if self.starts is None:
            return self.tick[cells]
        return self.tick[np.searchsorted(self.starts, cells, "right") - 1]

    def edges(self, low: int, high: int) -> Int64Array:
        """Of the cells from ``low`` to ``high`` those at which the tick may change."""
        starts = np.arange(low, high) if self.starts is None else self.starts
        return starts[(low <= starts) & (starts < high)]


def largest_ordinary(needed_until: Side, from_tick: Side) -> Largest | None:
    """Conflicts are pairs with from_tick[w] <= needed_until[r]; the largest w - r.

    The largest such w for a tick is read off the suffix minimum of
    ``from_tick``, and only those r matter that are needed longer than every
    lower one, so all is linear but for one search in sorted needles.  Piece by
    piece, so that temporaries stay in the cache.
    """
    if len(from_tick) == 0:
        return None
    earliest_above = np.minimum.accumulate(from_tick.tick[::-1])[::-1]
    best: Largest | None = None
    # What was there before is in every input cell, whether anybody reads it or not.
    longest = np.int64(BEFORE - 1)
    for start in range(0, len(needed_until), PIECE_CELLS):
        piece = needed_until.tick[start : start + PIECE_CELLS]
        until = np.maximum.accumulate(np.concatenate([[longest], piece]))
        rising = np.flatnonzero(until[1:] > until[:-1])
        if len(rising) == 0:
            continue
        longest = until[-1]
        needles = until[rising + 1]
        low, high = np.searchsorted(earliest_above, needles[[0, -1]], side="right")
        highest = low + np.searchsorted(earliest_above[low:high], needles, side="right") - 1
        r, w = needed_until.lowest(rising + start), from_tick.highest(highest)
        difference = np.where(highest >= 0, w - r, _NO_CONFLICT)
        at = int(np.argmax(difference))
        if highest[at] >= 0 and (best is None or difference[at] > best.difference):
            best = Largest(int(difference[at]), int(r[at]), int(w[at]))
    return best


def _covering_maximum(times: Int64Array, lives: Lives, value: Int64Array) -> Int64Array:
    """For each time the largest value of a life that covers it."""
    start = np.searchsorted(times, lives.start, "left")
    end = np.searchsorted(times, lives.end, "right")
    covers = end > start
    return covering_maximum(
        len(times), start[covers], end[covers], value[covers], nothing=_NO_CONFLICT
    )


def largest_general(inputs: Lives, outputs: Lives) -> Largest | None:
    """The largest w - r over all pairs of cells with lives that overlap in time.

    Two lives overlap if both cover the start of one of them, so it is enough to
    look at those ticks: there, the highest living output cell against the
    lowest living input cell.
    """
    times = np.unique(np.concatenate([inputs.start, outputs.start]))
    if len(times) == 0:
        return None
    highest = _covering_maximum(times, outputs, outputs.cell)
    lowest = -_covering_maximum(times, inputs, -inputs.cell)
    difference = highest - lowest
    best = int(np.argmax(difference))
    if highest[best] == _NO_CONFLICT or lowest[best] == -_NO_CONFLICT:
        return None
    return Largest(int(difference[best]), int(lowest[best]), int(highest[best]))


def flipped(lives: Lives, cells: int) -> Lives:
    return Lives(cells - 1 - lives.cell, lives.start, lives.end)


def shift_is_safe(shift: int, needed_until: Side, from_tick: Side) -> bool:
    """Is the displacement of so many cells free of conflicts?"""
    low = max(0, -shift)
    high = min(needed_until.cells, from_tick.cells - shift)
    if low >= high:
        return True
    if needed_until.starts is None and from_tick.starts is None:
        until = needed_until.tick[low:high]
        start = from_tick.tick[low + shift : high + shift]
        return not bool(np.any(start <= until))
    edges = needed_until.edges(low, high), from_tick.edges(low + shift, high + shift) - shift
    shared = np.unique(np.concatenate([[low], *edges]))
    return not bool(np.any(from_tick.at(shared + shift) <= needed_until.at(shared)))


def safe_general(shift: int, inputs: Lives, outputs: Lives) -> bool:
    """Is the displacement free of conflicts between lives? (sort and sweep)"""
    both = Lives(
        np.concatenate([inputs.cell + shift, outputs.cell]),
        np.concatenate([inputs.start, outputs.start]),
        np.concatenate([inputs.end, outputs.end]),
    )
    order = np.lexsort((both.end, both.start, both.cell))
    cell, start, end = both.cell[order], both.start[order], both.end[order]
    # Lives of one byte are apart from each other, so a conflict shows between
    # neighbours in the order of their starts.
    return not bool(np.any((cell[1:] == cell[:-1]) & (start[1:] <= end[:-1])))
