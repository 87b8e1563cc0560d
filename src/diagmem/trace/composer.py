"""Writing a trace from events that did not come from the Valgrind tool.

For importers of other tracers' logs, and for tests.  What is
written is what the tool would have sent, had it seen these events: the same
filter, spans, segments, classes, differences and cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal, Self

import numpy as np
import numpy.typing as npt

from diagmem import __version__
from diagmem.base.errors import DiagmemError
from diagmem.base.files import JsonObject
from diagmem.trace.cells import BufferCells
from diagmem.trace.format import MAX_EVENTS
from diagmem.trace.site_table import EventBlocks, EventPiece, SiteTable
from diagmem.trace.spans import ADDRESS_END, Touching, in_order, spans_of
from diagmem.trace.window import Buffer, Site
from diagmem.trace.writer import TraceWriter

Mode = Literal["events", "summary"]
BLOCK_EVENTS = 1 << 20


class Composer:
    """Writes a trace piece by piece, in memory bounded by a block and a piece.

    Windows are opened and closed one after the other; what `add` is given
    belongs to the open one.  Left by an error, the file is marked as cut.  ``file`` is
    written instead of opening ``path``.
    """

    def __init__(
        self,
        path: Path,
        *,
        file: BinaryIO | None = None,
        mode: Mode = "events",
        sites: Sequence[Site] = (),
        everything: bool = False,
        block_events: int = BLOCK_EVENTS,
        header: JsonObject | None = None,
    ) -> None:
        if everything and mode == "summary":
            raise DiagmemError(f"{path}: everything goes with events, not with a summary")
        if not 1 <= block_events <= MAX_EVENTS:
            raise DiagmemError(
                f"{path}: blocks of {block_events} events, expected 1 to {MAX_EVENTS:,}"
            )
        facts = {"diagmem": __version__, "mode": mode, "everything": everything}
        try:
            file = file or path.open("wb")
        except OSError as error:
            raise DiagmemError(f"{path}: cannot be written: {error.strerror}") from None
        self._writer = TraceWriter(file, {**facts, "command": [], **(header or {})})
        self._path = path
        self._mode = mode
        self._everything = everything
        self._sites = SiteTable(sites, self._writer)
        self._blocks = EventBlocks(self._writer, self._sites, block_events)
        self._index = -1
        self._open: _OpenWindow | None = None

    def open_window(
        self,
        function: str,
        buffers: Sequence[Buffer],
        *,
        thread: int = 1,
        missing: Sequence[tuple[str, str]] = (),
    ) -> None:
        if self._open is not None:
            raise DiagmemError(f"{self._path}: window {self._index} is still open")
        self._index += 1
        window = _OpenWindow(in_order(buffers), everything=self._everything)
        self._open = window
        self._writer.add_meta(
            {
                "type": "window",
                "index": self._index,
                "function": function,
                "thread": thread,
                "buffers": [
                    {"name": b.name, "role": b.role, "address": b.address, "size": b.size_bytes}
                    for b in window.buffers
                ],
                "spans": [list(span) for span in window.spans],
                "missing": [{"name": name, "reason": reason} for name, reason in missing],
            }
        )
        self._blocks.window_opened(window.spans)

    def add(
        self,
        address: npt.ArrayLike,
        size: npt.ArrayLike,
        store: npt.ArrayLike,
        thread: npt.ArrayLike = 1,
        site: npt.ArrayLike | None = None,
    ) -> None:
        """The open window's next events; ``thread`` and ``site`` may be one for all."""
        if self._open is None:
            raise DiagmemError(f"{self._path}: no window is open to take events")
        piece = self._open.touching_once(self._piece(address, size, store, thread, site))
        if self._mode == "summary":
            self._open.summarise(piece)
        else:
            self._blocks.add(self._index, self._open.events, piece)
        self._open.count(piece)

    def _piece(
        self,
        address: npt.ArrayLike,
        size: npt.ArrayLike,
        store: npt.ArrayLike,
        thread: npt.ArrayLike,
        site: npt.ArrayLike | None,
    ) -> EventPiece:
        address = np.asarray(address, np.int64)
        n = len(address)
        try:
            size, store, thread = (
                np.broadcast_to(np.asarray(column, dtype), n)
                for column, dtype in ((size, np.int64), (store, np.bool_), (thread, np.uint32))
            )
            given = None if site is None else np.broadcast_to(np.asarray(site, np.int64), n)
        except ValueError:
            raise DiagmemError(f"{self._path}: columns of events differ in length") from None
        bad = np.flatnonzero((size < 1) | (address < 0) | (address + size > ADDRESS_END))
        if len(bad):
            i = bad[0]
            raise DiagmemError(
                f"{self._path}: event {i} of window {self._index} has {size[i]} bytes at"
                f" {address[i]:#x}, expected at least 1 below {ADDRESS_END:#x}"
            )
        if given is None:
            given = self._sites.plain(size, store)
        else:
            self._sites.check(given, size, store)
        return EventPiece(address, size, store, thread, given, np.zeros(n, np.int64))

    def close_window(self, end: str = "returned") -> None:
        if self._open is None:
            raise DiagmemError(f"{self._path}: no window is open to close")
        window, self._open = self._open, None
        if self._mode == "summary":
            for number, cells in enumerate(window.cells):
                for frame in cells.frames(self._index, number):
                    self._writer.add_summary(frame)
            self._writer.events += window.events
        self._writer.add_meta(
            {
                "type": "window end",
                "index": self._index,
                "end": end,
                "events": window.events,
                "loads": window.events - window.stores,
                "stores": window.stores,
                "several_threads": int(len(window.threads) > 1),
            }
        )

    def close(self, *, cut: str = "") -> None:
        """Write what is left and the end mark; ``cut`` says why it is not complete."""
        self._blocks.flush()
        self._writer.close(complete=not cut, reason=cut)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close(cut=str(error) or type(error).__name__ if error else "")


class _OpenWindow:
    """What is known of the open window, and in summary mode its cells."""

    def __init__(self, buffers: tuple[Buffer, ...], *, everything: bool) -> None:
        self.buffers = buffers
        self.everything = everything
        self.spans = spans_of(buffers, everything=everything)
        self.touching = Touching.of(buffers, self.spans)
        self.cells = [BufferCells(buffer) for buffer in buffers]
        self.events = 0
        self.stores = 0
        self.threads: set[int] = set()

    def touching_once(self, piece: EventPiece) -> EventPiece:
        """Only events that touch a buffer, once for each span where they do."""
        if self.everything:
            return piece
        low, high = self.touching.spans(piece.address, piece.size)
        count = high - low
        event = np.repeat(np.arange(len(count)), count)
        nth = np.arange(len(event)) - np.repeat(np.cumsum(count) - count, count)
        return replace(piece.taken(event), span=low[event] + nth)

    def count(self, piece: EventPiece) -> None:
        self.events += len(piece.address)
        self.stores += int(np.count_nonzero(piece.store))
        self.threads.update(np.unique(piece.thread).tolist())

    def summarise(self, piece: EventPiece) -> None:
        stamp = np.arange(self.events + 1, self.events + 1 + len(piece.address))
        for cells in self.cells:
            cells.take(stamp, piece.address, piece.size, piece.store)
