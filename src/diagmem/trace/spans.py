"""Which buffers share a span, and which spans an access touches.

The same rules as ``make_spans`` and ``dm_span_of`` of the Valgrind tool.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diagmem.trace.window import Buffer, Int64Array

SPAN_GAP = 64
"""Buffers no further apart than this many bytes share a span."""
ADDRESS_END = 1 << 47
"""No address that the tool records lies at or beyond this."""
WIDE_SPAN_BYTES = 1 << 30
"""From this size on, the differences of a span's column take 8 bytes."""
EVERYTHING = ((0, ADDRESS_END - 1),)
"""The one span of a trace that was recorded with everything."""


def in_order(buffers: Iterable[Buffer]) -> tuple[Buffer, ...]:
    """By address, of those that begin together the larger first, then by name."""
    return tuple(sorted(buffers, key=lambda b: (b.address, -b.end, b.name)))


def merged(buffers: Iterable[Buffer], gap: int) -> list[tuple[int, int]]:
    """The ranges ``[start, end)`` that buffers no further apart than ``gap`` make."""
    ranges: list[tuple[int, int]] = []
    for buffer in in_order(buffers):
        if ranges and buffer.address <= ranges[-1][1] + gap:
            ranges[-1] = (ranges[-1][0], max(ranges[-1][1], buffer.end))
        else:
            ranges.append((buffer.address, buffer.end))
    return ranges


def spans_of(buffers: Sequence[Buffer], *, everything: bool) -> tuple[tuple[int, int], ...]:
    """A window's spans, by address."""
    return EVERYTHING if everything else tuple(merged(buffers, SPAN_GAP))


@dataclass(frozen=True, slots=True)
class Touching:
    """Finds the spans of which accesses touch a buffer.

    ``start`` and ``end`` are the bytes that lie in some buffer, as disjoint
    sorted ranges; ``span`` is the number of the span that each lies in.
    """

    start: Int64Array
    end: Int64Array
    span: Int64Array

    @classmethod
    def of(cls, buffers: Sequence[Buffer], spans: Sequence[tuple[int, int]]) -> Touching:
        ranges = merged(buffers, 0)
        start = np.array([a for a, _ in ranges], np.int64)
        first = np.array([a for a, _ in spans], np.int64)
        return cls(
            start,
            np.array([b for _, b in ranges], np.int64),
            np.searchsorted(first, start, "right") - 1,
        )

    def any(self, address: Int64Array, size: Int64Array) -> npt.NDArray[np.bool_]:
        """Does each access touch a byte of some buffer?"""
        first, last = self._ranges(address, size)
        return first < last

    def spans(self, address: Int64Array, size: Int64Array) -> tuple[Int64Array, Int64Array]:
        """For each access the half-open range of span numbers it touches."""
        first, last = self._ranges(address, size)
        none = first >= last
        if len(self.span) == 0:
            return first, first
        low = self.span[np.minimum(first, len(self.span) - 1)]
        high = self.span[last - 1] + 1
        return np.where(none, 0, low), np.where(none, 0, high)

    def _ranges(self, address: Int64Array, size: Int64Array) -> tuple[Int64Array, Int64Array]:
        first = np.searchsorted(self.end, address, "right")
        last = np.searchsorted(self.start, address + size, "left")
        return first.astype(np.int64), last.astype(np.int64)
