"""One block of events, taken apart into its segments and their columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from diagmem.trace import format as fmt
from diagmem.trace.format import BlockHeader, TraceError
from diagmem.trace.reader import TraceFile
from diagmem.trace.records import MAX_NUMBER
from diagmem.trace.window import Int64Array


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of events of one window and one thread inside a block."""

    window: int
    thread: int
    first_tick: int
    start: int
    end: int


class EventBlock:
    """One decoded block of events.

    ``classes`` is the class and ``span`` the number of the span of each event.
    """

    def __init__(self, trace: TraceFile, header: BlockHeader) -> None:
        raw = trace.payload(header)
        self.place = f"{trace.path}: block at byte {header.payload_at}"
        self._raw = raw
        self._at = 0
        head = self._take(fmt.EVENTS_HEAD, 1)[0]
        n_events, n_segments = int(head["events"]), int(head["segments"])
        if n_events > fmt.MAX_EVENTS or n_segments > fmt.MAX_SEGMENTS:
            raise TraceError(f"{self.place}: {n_events} events in {n_segments} segments")
        segments = self._take(fmt.SEGMENT, n_segments)
        columns = self._take(fmt.COLUMN, int(head["spans"]))
        if int(head["class_bytes"]) not in fmt.CLASS_DTYPES:
            raise TraceError(f"{self.place}: classes of {head['class_bytes']} bytes")
        self.classes = self._take(fmt.CLASS_DTYPES[int(head["class_bytes"])], n_events)
        self._columns = self._delta_columns(columns)
        self.sizes = self._take(np.dtype("<u8"), int(head["sizes"]))
        self._check(trace, n_events, segments, columns)
        self._sort_by_span(trace, columns)
        self._size_numbers: Int64Array | None = None
        self._table = [segments[name].tolist() for name in ("window", "thread", "first_tick")]
        self._ends = [0, *np.cumsum(segments["events"], dtype=np.int64).tolist()]
        self._by_window: dict[int, list[int]] = {}
        for number, window in enumerate(self._table[0]):
            self._by_window.setdefault(window, []).append(number)

    def _take(self, dtype: npt.DTypeLike, count: int) -> npt.NDArray[Any]:
        try:
            column = np.frombuffer(self._raw, dtype, count, self._at)
        except ValueError:
            raise TraceError(f"{self.place}: shorter than its own counts say") from None
        self._at += column.nbytes
        return column

    def _delta_columns(
        self, columns: npt.NDArray[np.void]
    ) -> dict[int, npt.NDArray[np.signedinteger[Any]]]:
        """Those that hold anything, by the number of their span."""
        held = np.flatnonzero(columns["events"])
        deltas = {}
        for span in held.tolist():
            width = int(columns["delta_bytes"][span])
            if width not in fmt.DELTA_DTYPES:
                raise TraceError(f"{self.place}: differences of {width} bytes")
            deltas[span] = self._take(fmt.DELTA_DTYPES[width], int(columns["events"][span]))
        return deltas

    def _check(
        self,
        trace: TraceFile,
        n_events: int,
        segments: npt.NDArray[np.void],
        columns: npt.NDArray[np.void],
    ) -> None:
        if n_events and int(self.classes.max()) >= len(trace.class_site):
            raise TraceError(f"{self.place}: a class that no record describes")
        for what, counts in (("segments", segments["events"]), ("columns", columns["events"])):
            if int(counts.sum(dtype=np.uint64)) != n_events:
                raise TraceError(f"{self.place}: its {what} do not add up to {n_events} events")

    def _sort_by_span(self, trace: TraceFile, columns: npt.NDArray[np.void]) -> None:
        """Find the events of each span by one sort, not by a search for each span."""
        n_spans = len(columns)
        # Numbers of one or two bytes are sorted by counting.
        span_of = np.minimum(trace.class_span, n_spans).astype(np.min_scalar_type(n_spans))
        self.span = span_of.take(self.classes)
        counts = np.bincount(self.span, minlength=n_spans)
        if not np.array_equal(counts, columns["events"]):
            raise TraceError(f"{self.place}: its columns do not match its classes")
        self._order = np.argsort(self.span, kind="stable")
        self._starts: list[int] = [0, *np.cumsum(counts).tolist()]

    def segments_of(self, window: int) -> Iterator[Segment]:
        for i in self._by_window.get(window, ()):
            thread, tick = self._table[1][i], self._table[2][i]
            yield Segment(window, thread, tick, self._ends[i], self._ends[i + 1])

    def spans_in(self, segment: Segment) -> list[int]:
        """The spans that a segment's events lie in."""
        if len(self._columns) == 1:
            return list(self._columns)
        spans: list[int] = np.unique(self.span[segment.start : segment.end]).tolist()
        return spans

    def events_in(
        self, segment: Segment, span: int
    ) -> tuple[Int64Array, npt.NDArray[np.signedinteger[Any]]]:
        """Where in the block a segment's events in a span are, and how far each is
        from the span's start.

        Distances are as wide as the column: the tool gives a span 8 bytes where 4
        would not hold its offsets.
        """
        first, end = self._column_range(segment, span)
        deltas = self._columns[span][first:end]
        start = self._starts[span]
        return self._order[start + first : start + end], np.cumsum(deltas, dtype=deltas.dtype)

    def offsets(self) -> Int64Array:
        """How far each event of the block is from its span's start."""
        segment = np.repeat(np.arange(len(self._ends) - 1), np.diff(self._ends))[self._order]
        span = self.span[self._order].astype(np.int64)
        running = np.cumsum(np.concatenate([*self._columns.values(), np.empty(0, np.int64)]))
        # Differences begin anew in each segment and each column.
        begin = np.flatnonzero((np.diff(segment, prepend=-1) | np.diff(span, prepend=-1)) != 0)
        before = np.append(np.int64(0), running)[begin]
        offset = np.empty(len(self._order), np.int64)
        offset[self._order] = running - np.repeat(before, np.diff(begin, append=len(running)))
        return offset

    def _column_range(self, segment: Segment, span: int) -> tuple[int, int]:
        """Which events of a span's column are the segment's."""
        here = self._order[self._starts[span] : self._starts[span + 1]]
        first, end = np.searchsorted(here, (segment.start, segment.end)).tolist()
        return first, end

    def digest(self, segment: Segment, class_size: Int64Array, into: blake2b) -> None:
        """Hash all that a segment says of its events; where its spans lie it does not."""
        start, end = segment.start, segment.end
        into.update(np.array([end - start]).data)
        into.update(self.classes[start:end].data)
        for span in self.spans_in(segment):
            first, last = self._column_range(segment, span)
            into.update(self._columns[span][first:last].data)
        if len(self.sizes):
            before = np.append(self._number_of_size(class_size), len(self.sizes))
            into.update(self.sizes[before[start] : before[end]].data)

    def event_sizes(self, class_size: Int64Array, events: Int64Array) -> Int64Array:
        """Bytes of some events; those of varying size, 0 in ``class_size``, from beside
        the classes."""
        size: Int64Array = class_size.take(self.classes[events])
        varying = np.flatnonzero(size == 0)
        if len(varying):
            beside = self.sizes[self._number_of_size(class_size)[events[varying]]]
            if not 1 <= int(beside.min()) <= int(beside.max()) < MAX_NUMBER:
                raise TraceError(f"{self.place}: an event of no byte, or of too many")
            size[varying] = beside
        return size

    def _number_of_size(self, class_size: Int64Array) -> Int64Array:
        """For each event how many of varying size come before it."""
        if self._size_numbers is None:
            varies = class_size.take(self.classes) == 0
            if int(np.count_nonzero(varies)) != len(self.sizes):
                raise TraceError(f"{self.place}: its sizes do not match its classes")
            self._size_numbers = np.cumsum(varies) - varies
        return self._size_numbers
