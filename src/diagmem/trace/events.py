"""Decoding blocks of events: columns to accesses of one buffer, or to all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diagmem.trace import format as fmt
from diagmem.trace.format import BlockHeader, BlockType, TraceError
from diagmem.trace.model import Accesses, Buffer, Int64Array, UInt32Array
from diagmem.trace.reader import TraceFile, WindowRecord


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
        self._check(trace, n_events, n_spans, segments)
        self.span = trace.class_span.astype(np.uint8 if n_spans < 256 else np.uint32)[self.classes]
        self.segments = self._segments(segments, n_spans)

    def _take(self, dtype: np.dtype[np.void], count: int) -> npt.NDArray[np.void]:
        try:
            found = np.frombuffer(self._raw, dtype, count, self._at)
        except ValueError:
            raise TraceError(f"{self.place}: shorter than its own counts say") from None
        self._at += found.nbytes
        return found

    def _delta_column(self, column: np.void) -> npt.NDArray[np.signedinteger]:
        width = int(column["delta_bytes"])
        if width not in fmt.DELTA_DTYPES and int(column["events"]):
            raise TraceError(f"{self.place}: differences of {width} bytes")
        return self._take(fmt.DELTA_DTYPES.get(width, np.dtype("<i4")), int(column["events"]))

    def _check(
        self, trace: TraceFile, n_events: int, n_spans: int, segments: npt.NDArray[np.void]
    ) -> None:
        if n_events and int(self.classes.max()) >= len(trace.class_site):
            raise TraceError(f"{self.place}: a class that no record describes")
        if int(segments["events"].sum()) != n_events:
            raise TraceError(f"{self.place}: its segments do not add up to {n_events} events")
        spans = trace.class_span[self.classes] if n_events else np.empty(0, np.uint32)
        counts = np.bincount(spans, minlength=n_spans)
        if len(counts) != n_spans or any(
            int(count) != len(column) for count, column in zip(counts, self.deltas, strict=True)
        ):
            raise TraceError(f"{self.place}: its columns do not match its classes")

    def _segments(self, table: npt.NDArray[np.void], n_spans: int) -> list[Segment]:
        ends = np.cumsum(table["events"], dtype=np.int64)
        if len(table) == 1:
            starts = np.zeros((1, n_spans), np.int64)
        else:
            which = np.repeat(np.arange(len(table)), table["events"])
            counts = np.bincount(which * n_spans + self.span, minlength=len(table) * n_spans)
            counts = counts.reshape(len(table), n_spans)
            starts = np.cumsum(counts, axis=0) - counts
        return [
            Segment(int(s["window"]), int(s["thread"]), int(s["first_tick"]),
                    int(end) - int(s["events"]), int(end), starts[i])
            for i, (s, end) in enumerate(zip(table, ends, strict=True))
        ]  # fmt: skip

    def event_sizes(self, trace: TraceFile, start: int, end: int) -> Int64Array:
        """Bytes of each event of a slice; those of varying size from beside it."""
        size_of = np.array([site.size_bytes for site in trace.sites], np.int64)[trace.class_site]
        sizes = size_of[self.classes[start:end]]
        if len(self.sizes):
            varying = size_of[self.classes] == 0
            before = int(np.count_nonzero(varying[:start]))
            here = np.flatnonzero(varying[start:end])
            sizes[here] = self.sizes[before : before + len(here)]
        return sizes


def store_sites(trace: TraceFile) -> npt.NDArray[np.bool_]:
    """For each class: does it store?"""
    stores = np.array([site.kind.endswith("store") for site in trace.sites], bool)
    return stores[trace.class_site]


class EventReader:
    """Reads a trace's events; keeps the last block, which neighbours often share."""

    def __init__(self, trace: TraceFile) -> None:
        self.trace = trace
        self._last: tuple[BlockHeader, Block] | None = None

    def _block(self, header: BlockHeader) -> Block:
        if self._last is None or self._last[0] is not header:
            self._last = (header, Block(self.trace, header))
        return self._last[1]

    def segments(self, window: int) -> Iterator[tuple[Block, Segment]]:
        """The pieces of a window, in order; ticks must join without a gap."""
        tick = 0
        for header in self.trace.blocks_of(BlockType.EVENTS, window):
            block = self._block(header)
            for segment in block.segments:
                if segment.window != window:
                    continue
                if segment.first_tick != tick:
                    raise TraceError(
                        f"{block.place}: window {window} goes on at tick"
                        f" {segment.first_tick}, expected {tick}"
                    )
                tick += segment.end - segment.start
                yield block, segment

    def events(self, record: WindowRecord) -> Iterator[Events]:
        """All events of a window, whatever buffer they touch."""
        stores = store_sites(self.trace)
        for block, segment in self.segments(record.window.index):
            start, end = segment.start, segment.end
            classes, span = block.classes[start:end], block.span[start:end]
            address = np.empty(end - start, np.int64)
            for number, (base, _) in enumerate(record.spans):
                here = np.flatnonzero(span == number)
                first = int(segment.column_start[number])
                deltas = block.deltas[number][first : first + len(here)]
                address[here] = base + np.cumsum(deltas, dtype=np.int64)
            yield Events(
                tick=np.arange(segment.first_tick, segment.first_tick + end - start),
                address=address,
                size=block.event_sizes(self.trace, start, end),
                store=stores[classes],
                site=self.trace.class_site[classes],
                thread=np.full(end - start, segment.thread, np.uint32),
            )

    def accesses(
        self, record: WindowRecord, buffers: Sequence[Buffer]
    ) -> Iterator[tuple[int, Accesses]]:
        """The accesses to some buffers of a window, in one pass over its blocks.

        Gives the buffer's position in ``buffers`` and a piece of its accesses;
        the pieces of each buffer come in program order.
        """
        stores = store_sites(self.trace)
        places = [_span_of(record, buffer) for buffer in buffers]
        for block, segment in self.segments(record.window.index):
            size = block.event_sizes(self.trace, segment.start, segment.end)
            span = block.span[segment.start : segment.end]
            classes = block.classes[segment.start : segment.end]
            for number in sorted({number for number, _ in places}):
                here = np.flatnonzero(span == number)
                first = int(segment.column_start[number])
                deltas = block.deltas[number][first : first + len(here)]
                from_span = np.cumsum(deltas, dtype=np.int64)
                one_span = len(here) == len(span)
                of_span = Accesses(
                    tick=here + segment.first_tick,
                    offset=from_span,
                    size=size if one_span else size[here],
                    store=stores[classes if one_span else classes[here]],
                    site=self.trace.class_site[classes if one_span else classes[here]],
                )
                for i, (buffer, place) in enumerate(zip(buffers, places, strict=True)):
                    if place[0] == number:
                        whole = record.spans[number] == (buffer.address, buffer.end)
                        yield i, of_span if whole else _within(of_span, buffer, place[1])

    def alignment(self, record: WindowRecord, buffer: Buffer) -> int:
        """A power of two that divides every offset from the buffer's start and
        every size of its accesses, the buffer's own size included."""
        number, base = _span_of(record, buffer)
        bits = buffer.size_bytes | (buffer.address - base)
        for header in self.trace.blocks_of(BlockType.EVENTS, record.window.index):
            bits |= _column_alignment(self.trace, header, number)
        return bits & -bits


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


def _column_alignment(trace: TraceFile, header: BlockHeader, number: int) -> int:
    """The alignment of one span's column, from the head of a block alone."""
    head = np.frombuffer(trace.peek(header, fmt.EVENTS_HEAD.itemsize), fmt.EVENTS_HEAD)[0]
    if number >= int(head["spans"]):
        return 0
    at = fmt.EVENTS_HEAD.itemsize + int(head["segments"]) * fmt.SEGMENT.itemsize
    at += number * fmt.COLUMN.itemsize
    raw = trace.peek(header, at + fmt.COLUMN.itemsize)
    return int(np.frombuffer(raw, fmt.COLUMN, 1, at)["alignment"][0])


def _span_of(record: WindowRecord, buffer: Buffer) -> tuple[int, int]:
    """The number and the start of the span that holds the buffer."""
    for number, (start, end) in enumerate(record.spans):
        if start <= buffer.address and buffer.end <= end:
            return number, start
    raise TraceError(f"window {record.window.index}: buffer {buffer.name!r} lies in no span")
