"""The invariants of EVENTS blocks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from diagmem.trace.check_records import RecordChecker, WindowState
from diagmem.trace.format import BlockHeader
from diagmem.trace.frames import EventsFrame, FrameError, Records
from diagmem.trace.invariants import Findings, Violation
from diagmem.trace.window import BoolArray, Int64Array


def check_events(
    state: RecordChecker, block: BlockHeader, raw: bytes, at: int, findings: Findings
) -> bool:
    """Check one block; False if it cannot be taken apart."""
    class_span, class_size, class_stores = state.class_tables()
    try:
        frame = EventsFrame.unpack(raw)
        span = frame.span_of_event(class_span)
        events = _Events(
            span.astype(np.int64),
            frame.offsets(span),
            frame.event_sizes(class_size),
            class_stores[frame.classes],
        )
    except FrameError as error:
        findings.add(Violation("block-shape", error.found, error.expected, byte=at))
        return False
    state.event_blocks_events += len(span)
    check = _Check(state, findings, at)
    check.alignment(frame.columns, events)
    if not check.windows(block, frame.segments):
        return False
    start = 0
    for segment in frame.segments:
        end = start + int(segment["events"])
        check.segment(segment, events.part(start, end))
        start = end
    return True


@dataclass(frozen=True, slots=True)
class _Events:
    """One entry per event: span number, distance from its start, bytes, kind."""

    span: Int64Array
    offset: Int64Array
    size: Int64Array
    store: BoolArray

    def __len__(self) -> int:
        return len(self.span)

    def part(self, start: int, end: int) -> _Events:
        return _Events(
            self.span[start:end],
            self.offset[start:end],
            self.size[start:end],
            self.store[start:end],
        )


@dataclass(frozen=True, slots=True)
class _Check:
    """Checks the parts of the block at byte ``at``."""

    state: RecordChecker
    findings: Findings
    at: int

    def alignment(self, columns: Records, events: _Events) -> None:
        # A distance may be negative; the file holds its two's complement.
        bits = (events.offset | events.size).view(np.uint64)
        expected = np.zeros(len(columns), np.uint64)
        np.bitwise_or.at(expected, events.span, bits)
        for number in np.flatnonzero(columns["alignment"] != expected).tolist():
            found = f"{int(columns['alignment'][number]):#x} of column {number}"
            said = f"{int(expected[number]):#x}"
            self.findings.add(Violation("alignment", found, said, byte=self.at))

    def windows(self, block: BlockHeader, segments: Records) -> bool:
        """Are the header's windows those of the segments?  False if some are unknown."""
        if len(segments) == 0:
            self.findings.add(Violation("block-windows", "no segment", "some", byte=self.at))
            return False
        windows = segments["window"]
        low, high = int(windows.min()), int(windows.max()) + 1
        if (low, high) != (block.window_start, block.window_end):
            found = f"windows [{block.window_start}, {block.window_end})"
            self.findings.add(Violation("block-windows", found, f"[{low}, {high})", byte=self.at))
        unknown = sorted(w for w in set(windows.tolist()) if w not in self.state.windows)
        for window in unknown:
            found, expected = f"window {window}", "one described before"
            self.findings.add(
                Violation("block-windows", found, expected, byte=self.at, window=window)
            )
        return not unknown

    def segment(self, segment: np.void, events: _Events) -> None:
        window = self.state.windows[int(segment["window"])]
        here = partial(Violation, byte=self.at, window=window.index)
        tick = int(segment["first_tick"])
        if tick != window.events:
            expected = f"tick {window.events}"
            self.findings.add(here("ticks", f"a segment from tick {tick}", expected, tick=tick))
        last = self.state.last_with_events
        if window.index < last:
            found = f"events of window {window.index} after those of {last}"
            self.findings.add(here("window-order", found, "before them"))
        self.state.last_with_events = max(last, window.index)
        self._check_touches(window, events)
        if len(events):
            window.note_thread(int(segment["thread"]))
        window.events += len(events)
        window.stores += int(np.count_nonzero(events.store))

    def _check_touches(self, window: WindowState, events: _Events) -> None:
        """Sizes, and whether each event touches a buffer in its own span."""

        def broken(invariant: str, wrong: npt.NDArray[np.bool_], expected: str) -> None:
            def finding(i: int) -> Violation:
                size, offset, span = (c[i] for c in (events.size, events.offset, events.span))
                found = f"{size} bytes at {offset} of span {span}"
                tick = window.events + i
                return Violation(invariant, found, expected, self.at, None, window.index, tick)

            self.findings.add_each(invariant, wrong, finding)

        broken("event-size", events.size < 1, "at least 1 byte")
        outside = events.span >= len(window.spans)
        broken("event-buffer", outside, f"one of {len(window.spans)} spans")
        if self.state.header.everything or len(window.spans) == 0:
            return
        starts, touching = self.state.places(window)
        address = starts[np.where(outside, 0, events.span)] + events.offset
        low, high = touching.spans(address, np.maximum(events.size, 1))
        touches = (low <= events.span) & (events.span < high)
        broken("event-buffer", ~outside & ~touches, "an access to a buffer there")
