"""The invariants of META records, and what later checks know of each window."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from diagmem.trace.format import COPY_KINDS
from diagmem.trace.header import Header
from diagmem.trace.invariants import Findings, Violation
from diagmem.trace.records import Record, buffer_of
from diagmem.trace.spans import ADDRESS_END, Touching, in_order, spans_of
from diagmem.trace.window import Buffer, Int64Array

T = TypeVar("T")
ClassTables = tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64], npt.NDArray[np.bool_]]
"""For each class its span, its size in bytes (0: varies), and if it stores."""


@dataclass(slots=True)
class Summarised:
    """How much of one buffer's summary came."""

    cells: int = 0
    """Cells so far; its blocks come in order."""
    whole: bool = False
    latest: int = 0
    """Its largest tick + 1."""


@dataclass(slots=True)
class WindowState:
    """A window as described, and what its blocks said of it so far."""

    index: int
    buffers: tuple[Buffer, ...]
    spans: tuple[tuple[int, int], ...]
    end: Record | None = None
    events: int = 0
    stores: int = 0
    thread: int | None = None
    several_threads: bool = False
    summaries: dict[int, Summarised] = field(default_factory=dict)
    """What of each buffer's summary came, by the buffer's position."""

    def note_thread(self, thread: int) -> None:
        self.several_threads |= self.thread not in (None, thread)
        self.thread = thread


class RecordChecker:
    """Takes the records in file order; later checks ask it what they rest on."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._at = 0
        self.header = Header()
        self.windows: dict[int, WindowState] = {}
        self.last_with_events = -1
        self.records = 0
        self.event_blocks_events = 0
        self._site_kinds: dict[int, tuple[int, bool]] = {}
        self._copy_sites: set[int] = set()
        self._copies: set[tuple[int, int]] = set()
        self._classes: list[tuple[int, int]] = []
        self._known: set[tuple[int, int]] = set()
        self._open: WindowState | None = None
        self._tables: ClassTables | None = None
        self._places: tuple[WindowState, Int64Array, Touching] | None = None
        self._same: dict[Any, Any] = {}

    @property
    def events(self) -> int:
        """As the end mark counts them: those in blocks, or in summary mode all."""
        if self.header.mode == "summary":
            return sum(w.end["events"] for w in self.windows.values() if w.end is not None)
        return self.event_blocks_events

    def class_tables(self) -> ClassTables:
        """What is known of each class so far."""
        if self._tables is None or len(self._tables[0]) != len(self._classes):
            kinds = [self._site_kinds.get(site, (0, False)) for site, _ in self._classes]
            self._tables = (
                np.array([span for _, span in self._classes], np.uint32),
                np.array([size for size, _ in kinds], np.int64),
                np.array([store for _, store in kinds], bool),
            )
        return self._tables

    def places(self, window: WindowState) -> tuple[Int64Array, Touching]:
        """Where the window's spans start, and which of them accesses touch."""
        if self._places is None or self._places[0] is not window:
            starts = np.array([start for start, _ in window.spans], np.int64)
            self._places = (window, starts, Touching.of(window.buffers, window.spans))
        return self._places[1:]

    def _once(self, value: T) -> T:
        """Windows are mostly alike; what they share is kept once."""
        same: T = self._same.setdefault(value, value)
        return same

    def check_mode(self, needed: str, at: int) -> None:
        if self.header.mode in ("events", "summary") and self.header.mode != needed:
            found = f"a block of {needed} in mode {self.header.mode}"
            self._findings.add(Violation("mode", found, f"mode {needed}", byte=at))

    def take(self, record: Record, at: int) -> None:
        """The next record, of the block at that byte of the file."""
        self._at = at
        if self.records == 0 and record["type"] != "header":
            self._broken("block-order", f"a {record['type']!r} record", "the header first")
        match record["type"]:
            case "header":
                self._take_header(record)
            case "window":
                self._take_window(record)
            case "window end":
                self._take_window_end(record)
            case "site":
                if record["site"] in self._site_kinds:
                    self._broken("sites", f"site {record['site']} again", "a new number")
                store = record["kind"].endswith("store")
                self._site_kinds[record["site"]] = (record["size"], store)
                if record["kind"] in COPY_KINDS:
                    self._copy_sites.add(record["site"])
            case "class":
                self._take_class(record)
            case "copy":
                self._take_copy(record)
        self.records += 1

    def _broken(self, invariant: str, found: str, expected: str, window: int | None = None) -> None:
        self._findings.add(Violation(invariant, found, expected, self._at, self.records, window))

    def _take_header(self, record: Record) -> None:
        if self.records:
            self._broken("block-order", "a second header", "one header")
        self.header = Header.of(record)
        mode = self.header.mode
        if mode not in ("events", "summary"):
            self._broken("mode", f"mode {mode!r}", "events or summary")

    def _take_class(self, record: Record) -> None:
        number, pair = record["class"], (record["site"], record["span"])
        if number != len(self._classes):
            self._broken("classes", f"class {number}", f"class {len(self._classes)}")
        if pair[0] not in self._site_kinds:
            self._broken("classes", f"the unknown site {pair[0]}", "one described before")
        if pair in self._known:
            self._broken("classes", f"site {pair[0]} and span {pair[1]} again", "a new pair")
        self._known.add(pair)
        self._classes.append(pair)

    def _take_copy(self, record: Record) -> None:
        window, site = record["window"], record["site"]
        if self.header.mode != "summary":
            self._broken("copies", f"a copy in mode {self.header.mode}", "one in a summary", window)
        if self._open is None or self._open.index != window:
            self._broken("copies", f"a copy of window {window}", "one of the open window", window)
        if site not in self._copy_sites:
            self._broken("copies", f"the site {site}", "one of a library's copy", window)
        if (window, site) in self._copies:
            self._broken("copies", f"site {site} again", "each once", window)
        self._copies.add((window, site))

    def _take_window(self, record: Record) -> None:
        index, expected = record["index"], len(self.windows)
        if index != expected:
            self._broken("windows", f"window {index}", f"window {expected}", index)
        if self._open is not None:
            found = f"window {index} begins, window {self._open.index} is open"
            self._broken("window-order", found, "its end record first", index)
        buffers = tuple(buffer_of(b) for b in record["buffers"])
        spans = tuple((low, high) for low, high in record["spans"])
        self._check_buffers(index, buffers)
        self._check_spans(index, buffers, spans)
        state = WindowState(index, self._once(buffers), self._once(spans))
        self.windows[index] = self._open = state

    def _check_buffers(self, index: int, buffers: tuple[Buffer, ...]) -> None:
        for buffer in buffers:
            if buffer.size_bytes < 1 or buffer.end > ADDRESS_END:
                found = f"{buffer.name!r} of {buffer.size_bytes} bytes at {buffer.address:#x}"
                expected = f"at least 1 byte, all below {ADDRESS_END:#x}"
                self._broken("buffers", found, expected, index)
        names = [b.name for b in buffers]
        if len(set(names)) < len(names):
            twice = Counter(names).most_common(1)[0][0]
            self._broken("buffers", f"two buffers named {twice!r}", "different names", index)
        if buffers != in_order(buffers):
            self._broken("buffers", ", ".join(names), "the order of their addresses", index)
        if not self.header.overlapped:
            self._check_nesting(index, buffers)

    def _check_nesting(self, index: int, buffers: tuple[Buffer, ...]) -> None:
        """In order, a buffer lies inside the open one before it or behind it."""
        around: list[Buffer] = []
        for buffer in in_order(buffers):
            while around and around[-1].end <= buffer.address:
                around.pop()
            if around and around[-1].end < buffer.end:
                found = f"{around[-1].name!r} and {buffer.name!r} share some bytes"
                self._broken("buffer-nesting", found, "apart or one in the other", index)
            around.append(buffer)

    def _check_spans(
        self, index: int, buffers: tuple[Buffer, ...], spans: tuple[tuple[int, int], ...]
    ) -> None:
        expected = spans_of(buffers, everything=self.header.everything)
        if spans == expected:
            return
        both = zip(spans, expected, strict=False)
        for number, (found, instead) in enumerate(both):
            if found != instead:
                text = f"span {number} is [{found[0]:#x}, {found[1]:#x})"
                self._broken("spans", text, f"[{instead[0]:#x}, {instead[1]:#x})", index)
                return
        self._broken("spans", f"{len(spans)} spans", f"{len(expected)}", index)

    def _take_window_end(self, record: Record) -> None:
        index = record["index"]
        window = self.windows.get(index)
        if window is None or window.end is not None:
            found = f"an end of window {index}"
            expected = "one end of a window that began"
            self._broken("window-end", found, expected, index)
            return
        window.end = record
        if self._open is window:
            self._open = None
        if record["loads"] + record["stores"] != record["events"]:
            found = f"{record['loads']} loads and {record['stores']} stores"
            self._broken("counts", found, f"{record['events']} events together", index)
        if self.header.mode == "summary":
            self._check_summaries(window)

    def _check_summaries(self, window: WindowState) -> None:
        assert window.end is not None
        for number, buffer in enumerate(window.buffers):
            came = window.summaries.get(number, Summarised())
            if not came.whole:
                found = f"{came.cells} cells" if came.cells else "no summary"
                expected = "a whole one before the window's end"
                self._broken("summary-once", f"{found} of {buffer.name!r}", expected, window.index)
            elif came.latest > window.end["events"]:
                found = f"tick {came.latest - 1} in {buffer.name!r}"
                expected = f"below {window.end['events']}"
                self._broken("summary-ticks", found, expected, window.index)

    def finish(self, *, cut: bool) -> None:
        """What can only be said at the end of the file."""
        last = max(self.windows, default=-1)
        for window in self.windows.values():
            if window.end is None:
                if not cut or window.index != last:
                    self._findings.add(
                        Violation("window-end", "no end record", "one", window=window.index)
                    )
            elif self.header.mode == "events":
                self._check_counts(window, window.end, cut)

    def _check_counts(self, window: WindowState, end: Record, cut: bool) -> None:
        """What was cut off may be missing, but nothing may be there in excess."""
        if cut and window.events < end["events"]:
            return
        there = {
            "events": window.events,
            "loads": window.events - window.stores,
            "stores": window.stores,
            "several_threads": int(window.several_threads),
        }
        for what, count in there.items():
            if int(end.get(what, count)) != count:
                self._findings.add(
                    Violation("counts", f"{what} {int(end[what])}", f"{count}", window=window.index)
                )
