"""Decoding blocks of events: columns to accesses of one buffer, or to all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from diagmem.trace import format as fmt
from diagmem.trace.format import BlockHeader, BlockType, TraceError
from diagmem.trace.model import Accesses, Buffer, Int64Array, UInt32Array
from diagmem.trace.reader import TraceFile, WindowRecord

MAX_STARTS = 1 << 27
"""A block with more segments times spans than this is corrupt."""
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


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of events of one window and one thread inside a block."""

    window: int
    thread: int
    first_tick: int
    start: int
    end: int
    column_start: npt.NDArray[np.int64]
    """For each span, where in its column this segment begins."""


class Block:
    """One decoded block of events.

    ``classes`` is the class of each event; ``deltas`` holds a column per span;
    ``alignment`` per span is the or of all offsets from the span's start and
    all sizes.
    """

    def __init__(self, trace: TraceFile, header: BlockHeader) -> None:
        raw = trace.payload(header)
        self.place = f"{trace.path}: block at byte {header.payload_at}"
        self._raw = raw
        self._at = 0
        head = self._take(fmt.EVENTS_HEAD, 1)[0]
        n_events, n_spans = int(head["events"]), int(head["spans"])
        segments = self._take(fmt.SEGMENT, int(head["segments"]))
        columns = self._take(fmt.COLUMN, n_spans)
        if int(head["class_bytes"]) not in fmt.CLASS_DTYPES:
            raise TraceError(f"{self.place}: classes of {head['class_bytes']} bytes")
        self.classes = self._take(fmt.CLASS_DTYPES[int(head["class_bytes"])], n_events)
        self.deltas = [self._delta_column(column) for column in columns]
        self.alignment = [int(column["alignment"]) for column in columns]
        self.sizes = self._take(np.dtype("<u8"), int(head["sizes"]))
        self._check(trace, n_events, segments)
        self.by_window: dict[int, list[Segment]] = {}
        for segment in self._segments(trace, segments, n_spans):
            self.by_window.setdefault(segment.window, []).append(segment)

    def _take(self, dtype: npt.DTypeLike, count: int) -> npt.NDArray[Any]:
        try:
            found = np.frombuffer(self._raw, dtype, count, self._at)
        except ValueError:
            raise TraceError(f"{self.place}: shorter than its own counts say") from None
        self._at += found.nbytes
        return found

    def _delta_column(self, column: np.void) -> npt.NDArray[np.signedinteger[Any]]:
        width = int(column["delta_bytes"])
        if width not in fmt.DELTA_DTYPES and int(column["events"]):
            raise TraceError(f"{self.place}: differences of {width} bytes")
        return self._take(fmt.DELTA_DTYPES.get(width, np.dtype("<i4")), int(column["events"]))

    def _check(self, trace: TraceFile, n_events: int, segments: npt.NDArray[np.void]) -> None:
        if n_events and int(self.classes.max()) >= len(trace.class_site):
            raise TraceError(f"{self.place}: a class that no record describes")
        if int(segments["events"].sum()) != n_events:
            raise TraceError(f"{self.place}: its segments do not add up to {n_events} events")
        if sum(len(column) for column in self.deltas) != n_events:
            raise TraceError(f"{self.place}: its columns do not add up to {n_events} events")

    def _segments(
        self, trace: TraceFile, table: npt.NDArray[np.void], n_spans: int
    ) -> list[Segment]:
        ends = np.cumsum(table["events"], dtype=np.int64)
        if len(table) == 1:
            starts = np.zeros((1, n_spans), np.int64)
        else:
            which = np.repeat(np.arange(len(table)), table["events"])
            span = trace.class_span[self.classes]
            if len(span) and int(span.max()) >= n_spans:
                raise TraceError(f"{self.place}: a class of a span it has no column for")
            if len(table) * n_spans > MAX_STARTS:
                raise TraceError(f"{self.place}: {len(table)} segments of {n_spans} spans")
            counts = np.bincount(which * n_spans + span, minlength=len(table) * n_spans)
            counts = counts.reshape(len(table), n_spans)
            starts = np.cumsum(counts, axis=0) - counts
        return [
            Segment(
                window=int(row["window"]),
                thread=int(row["thread"]),
                first_tick=int(row["first_tick"]),
                start=int(end) - int(row["events"]),
                end=int(end),
                column_start=starts[i],
            )
            for i, (row, end) in enumerate(zip(table, ends, strict=True))
        ]

    def offsets(
        self, segment: Segment, span: int, events: int
    ) -> npt.NDArray[np.signedinteger[Any]]:
        """Distances from the span's start of a segment's events there.

        As wide as the column: the tool gives a span 8 bytes where 4 would not
        hold its offsets.
        """
        first = int(segment.column_start[span])
        column = self.deltas[span] if span < len(self.deltas) else np.empty(0, np.int32)
        deltas = column[first : first + events]
        if len(deltas) != events:
            raise TraceError(f"{self.place}: its columns do not match its classes")
        return np.cumsum(deltas, dtype=deltas.dtype)

    def event_sizes(self, trace: TraceFile, start: int, end: int) -> Int64Array:
        """Bytes of each event of a slice; those of varying size from beside it."""
        size_of = np.array([site.size_bytes for site in trace.sites], np.int64)[trace.class_site]
        sizes: Int64Array = size_of[self.classes[start:end]]
        if len(self.sizes) or not size_of.all():
            varying = size_of[self.classes] == 0
            if int(np.count_nonzero(varying)) != len(self.sizes):
                raise TraceError(f"{self.place}: its sizes do not match its classes")
            before = int(np.count_nonzero(varying[:start]))
            here = np.flatnonzero(varying[start:end])
            sizes[here] = self.sizes[before : before + len(here)]
        return sizes


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
        # Span and kind in one small number: 2 * span, + 1 for a store.
        code = 2 * trace.class_span.astype(np.int64) + self.store
        small = len(code) == 0 or int(code.max()) < 256
        self.code: npt.NDArray[np.unsignedinteger[Any]] = code.astype(
            np.uint8 if small else np.uint32
        )

    def size_in(self, span: int) -> int:
        """The size of all accesses in that span, or 0 where they differ."""
        sizes = set(self.size[self.code >> 1 == span].tolist())
        return sizes.pop() if len(sizes) == 1 else 0


class EventReader:
    """Reads a trace's events, block by block."""

    def __init__(self, trace: TraceFile) -> None:
        self.trace = trace
        self.progress: Callable[[int], None] | None = None
        self._lookup = _Lookup(trace)
        _keep_freed_memory()
        self._last: tuple[BlockHeader, Block] | None = None

    def _decode(self, header: BlockHeader) -> Block:
        # Neighbouring windows often share a block.
        if self._last is None or self._last[0] is not header:
            self._last = (header, Block(self.trace, header))
        return self._last[1]

    def segments(self, window: int) -> Iterator[tuple[Block, Segment]]:
        """The pieces of a window, in order; ticks must join without a gap."""
        tick = 0
        for header in self.trace.blocks_of(BlockType.EVENTS, window):
            block = self._decode(header)
            for segment in block.by_window.get(window, []):
                if segment.first_tick != tick:
                    raise TraceError(
                        f"{block.place}: window {window} goes on at tick"
                        f" {segment.first_tick}, expected {tick}"
                    )
                tick += segment.end - segment.start
                yield block, segment
                if self.progress is not None:
                    self.progress(segment.end - segment.start)
        # Liveness from some of a window's events would be unsafe.
        expected = self.trace.record(window).window.events
        if tick != expected:
            raise TraceError(
                f"{self.trace.path}: window {window} has {tick} events, its record says {expected}"
            )

    def events(self, record: WindowRecord) -> Iterator[Events]:
        """All events of a window, whatever buffer they touch."""
        for block, segment in self.segments(record.window.index):
            start, end = segment.start, segment.end
            classes = block.classes[start:end]
            span = self.trace.class_span[classes]
            if len(span) and int(span.max()) >= len(record.spans):
                raise TraceError(f"{block.place}: an event in a span that its window lacks")
            address = np.empty(end - start, np.int64)
            for number, (base, _) in enumerate(record.spans):
                here = np.flatnonzero(span == number)
                offset = block.offsets(segment, number, len(here))
                address[here] = np.add(offset, base, dtype=np.int64)
            yield Events(
                tick=np.arange(segment.first_tick, segment.first_tick + end - start),
                address=address,
                size=block.event_sizes(self.trace, start, end),
                store=self._lookup.store[classes],
                site=self._lookup.site[classes],
                thread=np.full(end - start, segment.thread, np.uint32),
            )

    def accesses(
        self, record: WindowRecord, buffers: Sequence[Buffer], *, sites: bool = True
    ) -> Iterator[tuple[int, Accesses]]:
        """The accesses to some buffers of a window, in one pass over its blocks.

        Gives the buffer's position in ``buffers`` and a piece of its accesses;
        the pieces of each buffer come in program order.  Without ``sites``
        that column is left 0.
        """
        places = [_span_of(record, buffer) for buffer in buffers]
        for block, segment in self.segments(record.window.index):
            for number in sorted({number for number, _ in places}):
                of_span = self._of_span(record, block, segment, number, sites)
                for i, (buffer, place) in enumerate(zip(buffers, places, strict=True)):
                    if place[0] == number:
                        whole = record.spans[number] == (buffer.address, buffer.end)
                        yield i, of_span if whole else _within(of_span, buffer, place[1])

    def _of_span(
        self, record: WindowRecord, block: Block, segment: Segment, span: int, sites: bool
    ) -> Accesses:
        """A segment's accesses in one span, offsets from the span's start.

        A column that holds one value throughout is broadcast, not stored.
        """
        look = self._lookup
        classes = block.classes[segment.start : segment.end]
        code = look.code.take(classes)
        stores = code == 2 * span + 1
        here = np.flatnonzero(stores | (code == 2 * span))
        n, n_stores = len(here), int(np.count_nonzero(stores))
        one_kind, one_size = n_stores in (0, n), look.size_in(span)
        offset = block.offsets(segment, span, n)
        size = (
            np.broadcast_to(np.int64(one_size), n)
            if one_size
            else block.event_sizes(self.trace, segment.start, segment.end)[here]
        )
        _check_inside(block, record.spans[span], offset, size)
        return Accesses(
            tick=here + segment.first_tick,
            offset=offset,
            size=size,
            store=np.broadcast_to(np.bool_(n_stores > 0), n) if one_kind else stores[here],
            site=look.site[classes[here]] if sites else np.broadcast_to(np.uint32(0), n),
        )

    def sites_at(self, record: WindowRecord, ticks: Collection[int]) -> dict[int, int]:
        """For each of these ticks of a window the site of its event."""
        found = {}
        for block, segment in self.segments(record.window.index):
            first, n = segment.first_tick, segment.end - segment.start
            for tick in ticks:
                if first <= tick < first + n:
                    of_event = block.classes[segment.start + tick - first]
                    found[tick] = int(self._lookup.site[of_event])
        return found

    def alignments(self, record: WindowRecord, buffers: Sequence[Buffer]) -> list[int]:
        """For each buffer a power of two that divides every offset from its start
        and every size of its accesses, its own size included."""
        places = [_span_of(record, buffer) for buffer in buffers]
        bits = [
            buffer.size_bytes | (buffer.address - base)
            for buffer, (_, base) in zip(buffers, places, strict=True)
        ]
        for header in self.trace.blocks_of(BlockType.EVENTS, record.window.index):
            columns = _column_alignments(self.trace, header)
            for i, (number, _) in enumerate(places):
                bits[i] |= columns[number] if number < len(columns) else 0
        return [b & -b for b in bits]


def _check_inside(
    block: Block,
    span: tuple[int, int],
    offset: npt.NDArray[np.signedinteger[Any]],
    size: Int64Array,
) -> None:
    """Offsets a little outside are accesses that reach over the edge; what does
    not touch the span is damage."""
    if len(offset) == 0:
        return
    low, high = int(offset.min()), int(offset.max())
    if low <= -MAX_REACH or high >= span[1] - span[0]:
        raise TraceError(f"{block.place}: an access far outside its span of addresses")
    if low < 0 and bool(np.any(offset + size <= 0)):
        raise TraceError(f"{block.place}: an access that ends before its span of addresses")


def _within(accesses: Accesses, buffer: Buffer, span_start: int) -> Accesses:
    """Those accesses of a span that touch the buffer, from its own start."""
    offset = accesses.offset - (buffer.address - span_start)
    inside = np.flatnonzero((offset < buffer.size_bytes) & (offset + accesses.size > 0))
    return Accesses(
        accesses.tick[inside],
        offset[inside],
        accesses.size[inside],
        accesses.store[inside],
        accesses.site[inside],
    )


def _column_alignments(trace: TraceFile, header: BlockHeader) -> list[int]:
    """The alignment of each span's column, from the head of a block alone."""
    try:
        head = np.frombuffer(trace.peek(header, fmt.EVENTS_HEAD.itemsize), fmt.EVENTS_HEAD)[0]
        at = fmt.EVENTS_HEAD.itemsize + int(head["segments"]) * fmt.SEGMENT.itemsize
        count = int(head["spans"])
        raw = trace.peek(header, at + count * fmt.COLUMN.itemsize)
        return [int(a) for a in np.frombuffer(raw, fmt.COLUMN, count, at)["alignment"]]
    except (ValueError, IndexError):
        raise TraceError(f"{trace.place(header)}: shorter than its own counts say") from None


def _span_of(record: WindowRecord, buffer: Buffer) -> tuple[int, int]:
    """The number and the start of the span that holds the buffer."""
    for number, (start, end) in enumerate(record.spans):
        if start <= buffer.address and buffer.end <= end:
            return number, start
    raise TraceError(f"window {record.window.index}: buffer {buffer.name!r} lies in no span")
