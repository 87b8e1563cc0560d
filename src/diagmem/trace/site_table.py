"""Sites, classes and blocks of a trace being composed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diagmem.base.errors import DiagmemError
from diagmem.trace import format as fmt
from diagmem.trace.frames import encode_events
from diagmem.trace.records import Record
from diagmem.trace.spans import WIDE_SPAN_BYTES
from diagmem.trace.window import BoolArray, Int64Array, Site
from diagmem.trace.writer import TraceWriter

MAX_SEGMENTS = 1 << 16
MAX_FIXED_SIZE = 64
"""Larger accesses keep their size beside the event, unless sites are given."""


@dataclass(frozen=True, slots=True)
class EventPiece:
    """Consecutive events of a window, each in one span, in columns of one length.

    ``address``, ``size`` (bytes), ``site`` and ``span`` (numbers) int64,
    ``store`` bool, ``thread`` uint32.
    """

    address: Int64Array
    size: Int64Array
    store: BoolArray
    thread: npt.NDArray[np.uint32]
    site: Int64Array
    span: Int64Array

    def __len__(self) -> int:
        return len(self.address)

    def taken(self, which: Int64Array | slice) -> EventPiece:
        return EventPiece(
            self.address[which],
            self.size[which],
            self.store[which],
            self.thread[which],
            self.site[which],
            self.span[which],
        )


class SiteTable:
    """Numbers sites and classes; describes each in the file at its first event."""

    def __init__(self, sites: Sequence[Site], writer: TraceWriter) -> None:
        self._sites = list(sites)
        self._writer = writer
        self._described: set[int] = set()
        # The site made for each plain access: by size (0: kept beside it) and kind.
        self._plain = np.full(2 * MAX_FIXED_SIZE + 2, -1, np.int64)
        self._classes = np.full((0, 0), -1, np.int64)
        self.n_classes = 0

    def plain(self, size: Int64Array, store: BoolArray) -> Int64Array:
        """The site of each access that has no instruction to name: one for each
        kind and size."""
        code = 2 * np.where(size > MAX_FIXED_SIZE, 0, size) + store
        for new in np.unique(code[self._plain[code] < 0]).tolist():
            self._plain[new] = len(self._sites)
            kind = "store" if new & 1 else "load"
            self._sites.append(Site(kind, new >> 1, 0, "", "", 0, "", 0))
        found: Int64Array = self._plain[code]
        return found

    def check(self, site: Int64Array, size: Int64Array, store: BoolArray) -> None:
        """Refuse events that are not what their sites say."""
        if len(site) == 0:
            return
        if int(site.min()) < 0 or int(site.max()) >= len(self._sites):
            raise DiagmemError(f"an event of site {site.max()}, expected 0 to {len(self._sites)}")
        fixed = self.sizes()[site]
        stores = np.array([s.kind.endswith("store") for s in self._sites])[site]
        wrong = np.flatnonzero((stores != store) | ((fixed != 0) & (fixed != size)))
        if len(wrong):
            i = wrong[0]
            said = self._sites[int(site[i])]
            raise DiagmemError(
                f"event {i} is a {'store' if store[i] else 'load'} of {size[i]} bytes, its site"
                f" {site[i]} a {said.kind} of {said.size_bytes}"
            )

    def sizes(self) -> Int64Array:
        return np.array([s.size_bytes for s in self._sites], np.int64)

    def classes(self, site: Int64Array, span: Int64Array, n_spans: int) -> Int64Array:
        """The class of each event, numbered in the order of their first events."""
        self._grow(len(self._sites), n_spans)
        found: Int64Array = self._classes[site, span]
        new = np.flatnonzero(found < 0)
        if len(new):
            key = site[new] * n_spans + span[new]
            first = np.sort(np.unique(key, return_index=True)[1])
            for i in new[first].tolist():
                self._describe(int(site[i]), int(span[i]))
            found = self._classes[site, span]
        return found

    def _grow(self, sites: int, spans: int) -> None:
        old = self._classes
        if old.shape[0] < sites or old.shape[1] < spans:
            shape = (max(old.shape[0], sites), max(old.shape[1], spans))
            self._classes = np.full(shape, -1, np.int64)
            self._classes[: old.shape[0], : old.shape[1]] = old

    def _describe(self, site: int, span: int) -> None:
        if site not in self._described:
            self._described.add(site)
            self._writer.add_meta(_site_record(site, self._sites[site]))
        self._classes[site, span] = self.n_classes
        self._writer.add_meta(
            {"type": "class", "class": self.n_classes, "site": site, "span": span}
        )
        self.n_classes += 1


def _site_record(number: int, site: Site) -> Record:
    """What is not known is left out, as the tool leaves it."""
    record = {
        "type": "site",
        "site": number,
        "kind": site.kind,
        "size": site.size_bytes,
        "pc": site.pc,
    }
    optional = {
        "function": site.function,
        "object": site.object,
        "offset": site.offset,
        "file": site.file,
        "line": site.line,
    }
    return record | {key: value for key, value in optional.items() if value}


class EventBlocks:
    """Gathers events into blocks of at most ``block_events``."""

    def __init__(self, writer: TraceWriter, sites: SiteTable, block_events: int) -> None:
        self._writer = writer
        self._sites = sites
        self._block_events = block_events
        self._delta_bytes: list[int] = []
        self._starts = np.empty(0, np.int64)
        self._pending: list[tuple[Int64Array, EventPiece]] = []
        self._events = 0
        self._segments: list[list[int]] = []

    def window_opened(self, spans: Sequence[tuple[int, int]]) -> None:
        """Columns for its spans; one column has one width throughout a block."""
        widths = [8 if end - start >= WIDE_SPAN_BYTES else 4 for start, end in spans]
        if self._delta_bytes[: len(widths)] != widths[: len(self._delta_bytes)]:
            self.flush()
        self._delta_bytes[: len(widths)] = widths
        self._starts = np.array([start for start, _ in spans], np.int64)

    def add(self, window: int, first_tick: int, piece: EventPiece) -> None:
        """The next events of a window."""
        at = 0
        ends = np.append(np.flatnonzero(np.diff(piece.thread)) + 1, len(piece)).tolist()
        for end in ends:
            while at < end:
                if self._events == self._block_events:
                    self.flush()
                to = min(end, at + self._block_events - self._events)
                self._append(window, first_tick + at, piece.taken(slice(at, to)))
                at = to

    def _append(self, window: int, tick: int, piece: EventPiece) -> None:
        """Events of one window and thread, for which the block has room."""
        thread = int(piece.thread[0])
        if not self._segments or self._segments[-1][:2] != [window, thread]:
            if len(self._segments) == MAX_SEGMENTS:
                self.flush()
            self._segments.append([window, thread, tick, 0])
        self._segments[-1][3] += len(piece)
        self._events += len(piece)
        self._pending.append((piece.address - self._starts[piece.span], piece))

    def flush(self) -> None:
        """Write what was gathered as one block."""
        if self._events:
            segments = np.zeros(len(self._segments), fmt.SEGMENT)
            table = np.array(self._segments, np.int64)
            for i, name in enumerate(("window", "thread", "first_tick", "events")):
                segments[name] = table[:, i]
            self._writer.add_events(self._frame(segments))
        self._pending.clear()
        self._segments.clear()
        self._events = 0

    def _frame(self, segments: npt.NDArray[np.void]) -> bytes:
        offset = np.concatenate([offset for offset, _ in self._pending])
        site, span, size = (
            np.concatenate([getattr(piece, name) for _, piece in self._pending])
            for name in ("site", "span", "size")
        )
        return encode_events(
            segments=segments,
            classes=self._sites.classes(site, span, len(self._delta_bytes)),
            span=span,
            offset=offset,
            size=size,
            varying=self._sites.sizes()[site] == 0,
            n_classes=self._sites.n_classes,
            delta_bytes=self._delta_bytes,
        ).pack()
