"""A trace as a table: one row per event, or per cell of a summary."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from diagmem.base.files import replacing
from diagmem.trace.events import EventReader, Events
from diagmem.trace.format import KINDS
from diagmem.trace.innermost import Innermost
from diagmem.trace.reader import TraceFile, WindowRecord
from diagmem.trace.sinks import Codes, Rows, Sink, SomeKnown, sink_for, to_pandas
from diagmem.trace.summary import read_summaries
from diagmem.trace.window import Buffer, Int64Array

if TYPE_CHECKING:
    import pandas as pd

BATCH_ROWS = 1 << 20
"""Rows gathered before they are written; also the most that are held."""


def to_frame(trace: TraceFile, record: WindowRecord) -> pd.DataFrame:
    """All events of a window, one row each, in program order.

    Columns: ``tick`` int64, ``thread`` uint32, ``kind`` (categorical: load,
    store, syscall load, syscall store), ``address`` and ``size`` int64 (bytes),
    ``buffer`` (categorical: the smallest one touched; missing if none is),
    ``offset`` Int64 (bytes from that buffer's start; negative where the access
    begins before it), ``function`` and ``file`` (categorical; missing where
    unknown), ``line`` int64 (0 where unknown).
    """
    rows = _EventRows(trace, [record])
    pieces = list(rows.of_window(record)) or [rows.of(record, _no_events())]
    return to_pandas(_joined(pieces))


def export(trace: TraceFile, path: Path, records: Sequence[WindowRecord]) -> int:
    """Write the rows of some windows to ``path``; returns how many there are.

    The ending says what is written: ``.parquet``, ``.csv`` or ``.csv.gz``; ``-`` is CSV
    to standard output.  The columns are those of `to_frame` behind ``window``; a summary
    gives a row per cell instead: ``window, buffer, offset, bytes, first_load, last_load,
    first_store, last_store`` (ticks; missing for what never happened).  Memory is bounded
    by a batch of rows and a block of events.

    Raises
    ------
    DiagmemError
        If the ending is another one, pyarrow is not there, or the file cannot
        be written.
    """
    make_sink = sink_for(path)
    with replacing(path) as file, contextlib.closing(make_sink(file)) as sink:
        return _write_all(sink, _rows(trace, records))


def _rows(trace: TraceFile, records: Sequence[WindowRecord]) -> Iterator[Rows]:
    if trace.mode == "summary":
        yield from _summary_rows(trace, records)
        return
    rows = _EventRows(trace, records)
    # A first piece without rows, so that even an empty table has its columns.
    for record in records[:1]:
        yield _with_window(record, rows.of(record, _no_events()))
    for record in records:
        for piece in rows.of_window(record):
            yield _with_window(record, piece)


def _write_all(sink: Sink, pieces: Iterable[Rows]) -> int:
    """Small pieces are joined, large ones written as they come."""
    waiting: list[Rows] = []
    total = rows = 0
    for piece in pieces:
        here = _length(piece)
        if waiting and rows + here > BATCH_ROWS:
            sink.write(_joined(waiting))
            waiting, rows = [], 0
        waiting.append(piece)
        rows += here
        total += here
    if waiting:
        sink.write(_joined(waiting))
    return total


def _length(rows: Rows) -> int:
    return len(next(iter(rows.values())))


def _joined(pieces: Sequence[Rows]) -> Rows:
    """Pieces with the same columns, one under the other."""
    joined: Rows = {}
    for name, first in pieces[0].items():
        columns = [piece[name] for piece in pieces]
        if isinstance(first, Codes):
            codes = np.concatenate([c.codes for c in columns if isinstance(c, Codes)])
            joined[name] = Codes(codes, first.names)
        elif isinstance(first, SomeKnown):
            some = [c for c in columns if isinstance(c, SomeKnown)]
            joined[name] = SomeKnown(
                np.concatenate([c.values for c in some]), np.concatenate([c.known for c in some])
            )
        else:
            joined[name] = np.concatenate([c for c in columns if isinstance(c, np.ndarray)])
    return joined


def _with_window(record: WindowRecord, rows: Rows) -> Rows:
    return {"window": np.full(_length(rows), record.window.index, np.uint32), **rows}


def _numbered(texts: Iterable[str]) -> tuple[npt.NDArray[np.int32], tuple[str, ...]]:
    """Each text as an index into the different ones; empty ones as -1."""
    texts = list(texts)
    names = tuple(dict.fromkeys(text for text in texts if text))
    number = {name: i for i, name in enumerate(names)}
    return np.array([number.get(text, -1) for text in texts], np.int32), names


class _EventRows:
    """Turns the events of some windows of a trace into rows."""

    def __init__(self, trace: TraceFile, records: Sequence[WindowRecord]) -> None:
        self._reader = EventReader(trace)
        sites = trace.sites
        self._kind = np.array([KINDS.index(s.kind) for s in sites], np.int32)
        self._function, self._functions = _numbered(s.function for s in sites)
        self._file, self._files = _numbered(s.file for s in sites)
        self._line = np.array([s.line for s in sites], np.int64)
        buffers = (b.name for r in records for b in r.window.buffers)
        self._buffers = tuple(dict.fromkeys(buffers))
        self._number = {name: i for i, name in enumerate(self._buffers)}
        self._innermost_of: tuple[Sequence[Buffer], Innermost] | None = None

    def of_window(self, record: WindowRecord) -> Iterator[Rows]:
        for events in self._reader.events(record):
            yield self.of(record, events)

    def of(self, record: WindowRecord, events: Events) -> Rows:
        buffer, offset = self._innermost(record.window.buffers, events)
        site = events.site
        return {
            "tick": events.tick,
            "thread": events.thread,
            "kind": Codes(self._kind[site], KINDS),
            "address": events.address,
            "size": events.size,
            "buffer": Codes(buffer, self._buffers),
            "offset": SomeKnown(offset, buffer >= 0),
            "function": Codes(self._function[site], self._functions),
            "file": Codes(self._file[site], self._files),
            "line": self._line[site],
        }

    def _innermost(
        self, buffers: Sequence[Buffer], events: Events
    ) -> tuple[npt.NDArray[np.int32], Int64Array]:
        """The smallest buffer that each event touches (-1: none), and how far
        from its start."""
        if self._innermost_of is None or self._innermost_of[0] is not buffers:
            self._innermost_of = (buffers, Innermost(buffers))
        which = self._innermost_of[1].touched(events.address, events.size)
        # One more for the index -1.
        number = np.array([*(self._number[b.name] for b in buffers), -1], np.int32)[which]
        start = np.array([*(b.address for b in buffers), 0], np.int64)[which]
        return number, np.where(which >= 0, events.address - start, 0)


def _no_events() -> Events:
    none = np.empty(0, np.int64)
    return Events(
        none, none, none, none.astype(bool), none.astype(np.uint32), none.astype(np.uint32)
    )


def _summary_rows(trace: TraceFile, records: Sequence[WindowRecord]) -> Iterator[Rows]:
    """A row per cell; of a window that was cut there is nothing to tell."""
    names = tuple(dict.fromkeys(b.name for r in records for b in r.window.buffers))
    yield _cells(0, 0, names, 1, [np.empty(0, np.int64)] * 4)
    number_of = {name: i for i, name in enumerate(names)}
    for record in records:
        for number, summary in read_summaries(trace, record.window.index):
            ticks = [
                summary.first_load,
                summary.last_load,
                summary.first_store,
                summary.last_store,
            ]
            name = number_of[record.window.buffers[number].name]
            yield _cells(record.window.index, name, names, summary.cell_bytes, ticks)


def _cells(
    window: int, buffer: int, names: tuple[str, ...], cell_bytes: int, stamps: list[Int64Array]
) -> Rows:
    n = len(stamps[0])
    rows: Rows = {
        "window": np.full(n, window, np.uint32),
        "buffer": Codes(np.full(n, buffer, np.int32), names),
        "offset": np.arange(n, dtype=np.int64) * cell_bytes,
        "bytes": np.full(n, cell_bytes, np.int64),
    }
    for name, stamp in zip(
        ("first_load", "last_load", "first_store", "last_store"), stamps, strict=True
    ):
        rows[name] = SomeKnown(stamp - 1, stamp > 0)
    return rows
