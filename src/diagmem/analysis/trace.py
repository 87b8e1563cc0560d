"""A trace as an object, from file to overlap.

trace = diagmem.open_trace("traces/depthwise_conv_2d_f32.dmt")
trace.overlaps()
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

from diagmem.analysis.answers import check_pairs
from diagmem.analysis.liveness import BufferLiveness
from diagmem.analysis.window_overlaps import WindowOverlaps, WindowReader
from diagmem.base.errors import DiagmemError
from diagmem.trace.events import EventReader, Events
from diagmem.trace.header import Header
from diagmem.trace.reader import TraceFile
from diagmem.trace.window import Accesses, Buffer, Site, Window

if TYPE_CHECKING:
    import pandas as pd


class Trace:
    """An opened trace file.  Windows are numbered from 0.

    Works as a context manager.  ``header`` is what the recorder wrote about
    the run, ``about`` the same with types; ``complete`` is False when the recording was
    cut, ``cut`` says why.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = TraceFile(path)
        self._reader = EventReader(self._file)
        self._windows = WindowReader(self._file, self._reader)

    @property
    def path(self) -> str:
        return str(self._file.path)

    @property
    def header(self) -> dict[str, Any]:
        """All that the recorder wrote about the run, as it is in the file."""
        return dict(self._file.header.record)

    @property
    def about(self) -> Header:
        """What of that has a name and a type here."""
        return self._file.header

    @property
    def mode(self) -> str:
        """``events`` or ``summary``."""
        return self._file.mode

    @property
    def version(self) -> int:
        return self._file.version

    @property
    def complete(self) -> bool:
        return self._file.complete

    @property
    def cut(self) -> str:
        return self._file.cut

    @property
    def bytes_on_disk(self) -> int:
        return self._file.size_bytes

    @property
    def windows(self) -> tuple[Window, ...]:
        return tuple(record.window for record in self._file.windows)

    @property
    def sites(self) -> tuple[Site, ...]:
        """The instructions that touched a buffer; ``site`` columns index them."""
        return tuple(self._file.sites)

    def missing(self, window: int) -> tuple[tuple[str, str], ...]:
        """Buffers that were asked for but not there in a window, and why."""
        return self._file.record(window).missing

    def events(self, window: int = 0) -> Iterator[Events]:
        """All events of a window in pieces of bounded size, in program order."""
        self._need_events("single events")
        return self._reader.events(self._file.record(window))

    def accesses(self, window: int, buffer: str) -> Iterator[Accesses]:
        """The accesses to one buffer in pieces of bounded size, in program order."""
        self._need_events("single accesses")
        named = self._buffer(window, buffer)
        return (piece for _, piece in self._reader.accesses(self._file.record(window), [named]))

    def liveness(self, window: int = 0) -> tuple[BufferLiveness, ...]:
        """The liveness of every buffer of a window, in the window's order."""
        return self._windows.liveness(self._file.record(window))

    def overlaps(
        self, window: int | None = None, *, isolated: bool = True
    ) -> tuple[WindowOverlaps, ...]:
        """D and O_s of every input and output, of one window or of all.

        ``isolated``: also look for safe displacements below D, which takes longer.
        """
        records = self._file.windows if window is None else [self._file.record(window)]
        check_pairs(self.path, records)
        # Windows are often all alike: what was found for one holds for the others.
        known: dict[Hashable, WindowOverlaps] = {}
        answers = []
        for record in records:
            mark = self._windows.fingerprint(record) if len(records) > 1 else None
            of = known.get(mark) if mark is not None else None
            if of is None:
                live = self._windows.liveness(record, sparse=True)
                of = self._windows.overlaps(record, live, isolated=isolated, windows=len(records))
                if mark is not None:
                    known[mark] = of
            else:
                window_ = record.window
                of = WindowOverlaps(window_.index, window_.function, window_.events, of.pairs)
                self._reader.advance(window_.events)
            answers.append(of)
        return tuple(answers)

    def overlaps_of(
        self, window: int, liveness: Sequence[BufferLiveness], *, isolated: bool = True
    ) -> WindowOverlaps:
        """The same for one window whose liveness is there already."""
        record = self._file.record(window)
        check_pairs(self.path, [record])
        return self._windows.overlaps(record, liveness, isolated=isolated)

    def to_pandas(self, window: int = 0) -> pd.DataFrame:
        """All events of a window as a table: tick, kind, address, size, buffer,
        offset, thread, function, file, line.  Needs memory for all of them."""
        from diagmem.trace.export import to_frame

        self._need_events("single events")
        return to_frame(self._file, self._file.record(window))

    def report_progress(self, advance: Callable[[int], None]) -> None:
        """Have ``advance`` called with the number of events just read."""
        self._reader.progress = advance

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "complete" if self.complete else f"cut: {self.cut}"
        events = sum(w.events for w in self.windows)
        return (
            f"Trace({self.path!r}: {len(self.windows)} windows, {events:,} events,"
            f" {self.mode} mode, {state})"
        )

    def _buffer(self, window: int, name: str) -> Buffer:
        buffers = self._file.record(window).window.buffers
        for buffer in buffers:
            if buffer.name == name:
                return buffer
        names = ", ".join(b.name for b in buffers) or "none"
        raise DiagmemError(f"{self.path}: window {window} has no buffer {name!r}; it has {names}")

    def _need_events(self, what: str) -> None:
        if self.mode == "summary":
            raise DiagmemError(
                f"{self.path}: a summary holds no {what}; trace again with --mode events"
            )


def open_trace(path: str | os.PathLike[str]) -> Trace:
    """Open a trace file that `diagmem trace` or `record` wrote.

    Raises
    ------
    DiagmemError
        If the file is not a trace, is from a newer version, or is corrupt.  A
        file that was cut short opens, and says so in `Trace.cut`.
    """
    return Trace(path)
