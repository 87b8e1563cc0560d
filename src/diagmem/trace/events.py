"""Decoding blocks of events: columns to accesses of one buffer, or to all."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from diagmem.trace import format as fmt
from diagmem.trace.block import EventBlock, Segment
from diagmem.trace.format import BlockHeader, BlockType, TraceError
from diagmem.trace.reader import TraceFile, WindowRecord
from diagmem.trace.touched import held_in_spans, spans_of_buffers
from diagmem.trace.window import Accesses, Buffer, Int64Array, UInt32Array

MAX_REACH = 1 << 46
"""No access begins further than this before the span that it reaches into (a
system call's may begin anywhere)."""


@dataclass(frozen=True, slots=True)
class Events:
    """Consecutive events of one window, in program order, all of one length.

    ``tick`` int64, ``address`` int64, ``size`` int64 (bytes), ``store`` bool,
    ``site`` uint32 (index into the trace's sites), ``thread`` uint32.
    """

    tick: Int64Array
    address: Int64Array
    size: Int64Array
    store: npt.NDArray[np.bool_]
    site: UInt32Array
    thread: UInt32Array

    def __len__(self) -> int:
        return len(self.tick)


def store_sites(trace: TraceFile) -> npt.NDArray[np.bool_]:
    """For each class: does it store?"""
    stores = np.array([site.kind.endswith("store") for site in trace.sites], np.bool_)
    found: npt.NDArray[np.bool_] = stores[trace.class_site]
    return found


def _keep_freed_memory() -> None:
    """Make the C library keep what the pieces' temporaries give back.

    glibc returns the top of the heap to the system beyond a threshold of twice
    the largest mapped block freed so far (mallopt(3), M_MMAP_THRESHOLD), and
    numpy then waits for fresh zeroed pages at every piece: half the time of
    decoding.  Freeing one large block once raises that threshold to its limit.
    """
    np.empty(31 << 20, np.uint8)


class _Lookup:
    """What a class number means, as tables to index with a column of classes."""

    def __init__(self, trace: TraceFile) -> None:
        self.site = trace.class_site
        self.store = store_sites(trace)
        sizes = np.array([site.size_bytes for site in trace.sites], np.int64)
        self.size = sizes[trace.class_site]
        spans, of = np.unique(trace.class_span, return_inverse=True)
        self._size = _common(spans, of, self.size)
        self._kind = _common(spans, of, self.store.astype(np.int64))

    def size_in(self, span: int) -> int:
        """The size of all accesses in that span, or 0 where they differ."""
        return max(self._size[span], 0)

    def kind_in(self, span: int) -> bool | None:
        """Do all accesses in that span store, or none?  None where they differ."""
        return None if self._kind[span] < 0 else self._kind[span] > 0


def _common(spans: UInt32Array, of: Int64Array, value: Int64Array) -> dict[int, int]:
    """The value that all classes of each span have, -1 where they differ."""
    low = np.full(len(spans), np.iinfo(np.int64).max)
    high = np.full(len(spans), -1, np.int64)
    np.minimum.at(low, of, value)
    np.maximum.at(high, of, value)
    return dict(zip(spans.tolist(), np.where(low == high, low, -1).tolist(), strict=True))


class EventReader:
    """Reads a trace's events, block by block."""

    def __init__(self, trace: TraceFile) -> None:
        self.trace = trace
        self.progress: Callable[[int], None] | None = None
        self._lookup = _Lookup(trace)
        _keep_freed_memory()
        self._last: tuple[BlockHeader, EventBlock] | None = None
        self._last_columns: tuple[BlockHeader, npt.NDArray[np.uint64]] | None = None

    def _decode(self, header: BlockHeader) -> EventBlock:
        # Neighbouring windows often share a block.
        if self._last is None or self._last[0] is not header:
            self._last = (header, EventBlock(self.trace, header))
        return self._last[1]

    def segments(
        self, window: int, *, silent: bool = False
    ) -> Iterator[tuple[EventBlock, Segment]]:
        """The pieces of a window, in order; ticks must join without a gap.  ``silent``:
        not counted as progress."""
        tick = 0
        expected = self.trace.record(window).window.events
        for header in self.trace.blocks_of(BlockType.EVENTS, window):
            block = self._decode(header)
            for segment in block.segments_of(window):
                if segment.first_tick != tick:
                    raise TraceError(
                        f"{block.place}: window {window} goes on at tick"
                        f" {segment.first_tick}, expected {tick}"
                    )
                tick += segment.end - segment.start
                yield block, segment
                if not silent:
                    self.advance(segment.end - segment.start)
        # Liveness from some of a window's events would be unsafe.
        if tick != expected:
            raise TraceError(
                f"{self.trace.path}: window {window} has {tick} events, its record says {expected}"
            )

    def digest(self, window: int, into: blake2b) -> None:
        """Hash the events of a window, wherever its buffers lie."""
        for block, segment in self.segments(window, silent=True):
            block.digest(segment, self._lookup.size, into)

    def advance(self, events: int) -> None:
        """Count so many events as read."""
        if self.progress is not None:
            self.progress(events)

    def events(self, record: WindowRecord) -> Iterator[Events]:
        """All events of a window, whatever buffer they touch."""
        starts = np.array([start for start, _ in record.spans], np.int64)
        look = self._lookup
        pieces = self.segments(record.window.index)
        for _, of_block in groupby(pieces, key=lambda piece: id(piece[0])):
            parts = list(of_block)
            block = parts[0][0]
            table = np.array([(s.start, s.end, s.first_tick, s.thread) for _, s in parts], np.int64)
            start, end, tick, thread = table.T
            n = end - start
            within = np.arange(int(n.sum())) - np.repeat(np.cumsum(n) - n, n)
            here = np.repeat(start, n) + within
            span = block.span[here]
            if len(span) and int(span.max()) >= len(starts):
                raise TraceError(f"{block.place}: an event in a span that its window lacks")
            classes = block.classes[here]
            yield Events(
                tick=np.repeat(tick, n) + within,
                address=starts[span] + block.offsets()[here],
                size=block.event_sizes(look.size, here),
                store=look.store[classes],
                site=look.site[classes],
                thread=np.repeat(thread, n).astype(np.uint32),
            )

    def accesses(
        self, record: WindowRecord, buffers: Sequence[Buffer], *, sites: bool = True
    ) -> Iterator[tuple[int, Accesses]]:
        """The accesses to some buffers of a window, in one pass over its blocks.

        Gives the buffer's position in ``buffers`` and a piece of its accesses;
        the pieces of each buffer come in program order.  Without ``sites``
        that column is left 0.
        """
        held = held_in_spans(self.trace.path, record, buffers)
        for block, segment in self.segments(record.window.index):
            for span in block.spans_in(segment):
                if span in held:
                    of_span = self._of_span(record, block, segment, span, sites)
                    yield from held[span].split(of_span, block.place)

    def _of_span(
        self, record: WindowRecord, block: EventBlock, segment: Segment, span: int, sites: bool
    ) -> Accesses:
        """A segment's accesses in one span, offsets from the span's start.

        A column that holds one value throughout is broadcast, not stored.
        """
        look = self._lookup
        here, offset = block.events_in(segment, span)
        n = len(here)
        classes = block.classes[here]
        kind, one_size = look.kind_in(span), look.size_in(span)
        size = (
            np.broadcast_to(np.int64(one_size), n)
            if one_size
            else block.event_sizes(look.size, here)
        )
        _check_inside(block, record.spans[span], offset, size)
        return Accesses(
            tick=here + (segment.first_tick - segment.start),
            offset=offset,
            size=size,
            store=look.store.take(classes) if kind is None else np.broadcast_to(np.bool_(kind), n),
            site=look.site[classes] if sites else np.broadcast_to(np.uint32(0), n),
        )

    def sites_at(self, record: WindowRecord, ticks: Collection[int]) -> dict[int, int]:
        """For each of these ticks of a window the site of its event."""
        found = {}
        wanted = sorted(set(ticks))
        for block, segment in self.segments(record.window.index):
            first, n = segment.first_tick, segment.end - segment.start
            for tick in wanted[bisect_left(wanted, first) : bisect_left(wanted, first + n)]:
                of_event = block.classes[segment.start + tick - first]
                found[tick] = int(self._lookup.site[of_event])
        return found

    def alignments(self, record: WindowRecord, buffers: Sequence[Buffer]) -> list[int]:
        """For each buffer a power of two that divides every offset from its start
        and every size of its accesses, its own size included."""
        places = spans_of_buffers(self.trace.path, record, buffers)
        bits = np.array(
            [
                buffer.size_bytes | (buffer.address - record.spans[span][0])
                for buffer, span in zip(buffers, places, strict=True)
            ],
            np.uint64,
        )
        number = np.array(places, np.int64)
        for header in self.trace.blocks_of(BlockType.EVENTS, record.window.index):
            columns = self._column_alignments(header)
            there = np.flatnonzero(number < len(columns))
            bits[there] |= columns[number[there]]
        return [b & -b for b in bits.tolist()]

    def _column_alignments(self, header: BlockHeader) -> npt.NDArray[np.uint64]:
        # Neighbouring windows often share a block.
        if self._last_columns is None or self._last_columns[0] is not header:
            self._last_columns = (header, _column_alignments(self.trace, header))
        return self._last_columns[1]


def _check_inside(
    block: EventBlock,
    span: tuple[int, int],
    offset: npt.NDArray[np.signedinteger[Any]],
    size: Int64Array,
) -> None:
    """Offsets a little outside are accesses that reach over the edge; what does
    not touch the span is damage."""
    low, high = int(offset.min(initial=0)), int(offset.max(initial=-1))
    if low <= -MAX_REACH or high >= span[1] - span[0]:
        raise TraceError(f"{block.place}: an access far outside its span of addresses")
    if low < 0 and bool(np.any(offset + size <= 0)):
        raise TraceError(f"{block.place}: an access that ends before its span of addresses")


def _column_alignments(trace: TraceFile, header: BlockHeader) -> npt.NDArray[np.uint64]:
    """The alignment of each span's column, from the head of a block alone."""
    try:
        head = np.frombuffer(trace.peek(header, fmt.EVENTS_HEAD.itemsize), fmt.EVENTS_HEAD)[0]
        at = fmt.EVENTS_HEAD.itemsize + int(head["segments"]) * fmt.SEGMENT.itemsize
        count = int(head["spans"])
        raw = trace.peek(header, at + count * fmt.COLUMN.itemsize)
        return np.frombuffer(raw, fmt.COLUMN, count, at)["alignment"]
    except (ValueError, IndexError):
        raise TraceError(f"{trace.place(header)}: shorter than its own counts say") from None
