"""Which of a window's buffers is the smallest that an access touches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from diagmem.trace.window import Buffer, Int64Array


class Innermost:
    """Finds the smallest buffer, of those of one size the last, in ``buffers``.

    Addresses are cut where a buffer begins or ends, so that between two cuts one buffer
    is the smallest; of several stretches that an access touches the best is looked up
    in a table for each power of two of them.
    """

    def __init__(self, buffers: Sequence[Buffer]) -> None:
        order = sorted(range(len(buffers)), key=lambda i: -buffers[i].size_bytes)
        edges = {edge for b in buffers for edge in (b.address, b.end)}
        self._edges = np.array(sorted(edges), np.int64)
        # By rank, the smallest last; -1 where no buffer is, before the first edge too.
        best = np.full(len(edges) + 1, -1, np.int32)
        ends = np.array([(buffers[i].address, buffers[i].end) for i in order], np.int64)
        places = np.searchsorted(self._edges, ends.reshape(-1, 2)) + 1
        for rank, (low, high) in enumerate(places.tolist()):
            best[low:high] = rank
        self._of_rank = np.array([*order, -1], np.int64)
        self._levels = [best]
        while 2 << len(self._levels) - 1 <= len(best):
            last, half = self._levels[-1], 1 << len(self._levels) - 1
            self._levels.append(np.maximum(last[:-half], last[half:]))

    def touched(self, address: Int64Array, size: Int64Array) -> Int64Array:
        """The number of that buffer for each access, -1 for one that touches none."""
        low = np.searchsorted(self._edges, address, "right")
        high = np.searchsorted(self._edges, address + size, "left")
        level = np.frexp(high - low + 1)[1] - 1
        rank = np.empty(len(address), np.int32)
        for k in np.unique(level).tolist():
            here = np.flatnonzero(level == k)
            best = self._levels[k]
            rank[here] = np.maximum(best[low[here]], best[high[here] + 1 - (1 << k)])
        return self._of_rank[rank]
