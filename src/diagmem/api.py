"""The Python API: a trace as an object, from file to overlap.

trace = diagmem.open_trace("traces/depthwise_conv_2d_f32.dmt")
trace.overlaps()
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from diagmem import copy_notes
from diagmem.errors import DiagmemError
from diagmem.liveness import (
    NEVER_FIRST,
    BufferLiveness,
    LivenessFold,
    Lives,
    LivesFold,
)
from diagmem.overlap import Overlap, apart, find_overlap, in_place
from diagmem.trace.copies import is_copy
from diagmem.trace.events import EventReader, Events
from diagmem.trace.model import Accesses, Buffer, Role, Site, Window
from diagmem.trace.reader import TraceFile, WindowRecord
from diagmem.trace.summary import read_summary

if TYPE_CHECKING:
    import pandas as pd

MAX_CELL_BYTES = 64
LIVES_PER_CELL = 2
LIVES_AT_LEAST = 4_000_000
"""How many lives of values are kept to answer exactly for a kernel that stores
to its input; beyond, the answer is conservative."""

_THREADS = (
    "several threads touched the window's buffers: the order seen is one of many, so nothing"
    " may overlap"
)
_UNTOUCHED = (
    "the window touched neither of the two: these are not its buffers, so nothing can be said"
)


@dataclass(frozen=True, slots=True)
class WindowOverlaps:
    """The overlaps of one window: one per pair of an input and an output."""

    index: int
    function: str
    events: int
    pairs: tuple[Overlap, ...]

    def pair(self, input_: str, output: str) -> Overlap:
        for pair in self.pairs:
            if (pair.input, pair.output) == (input_, output):
                return pair
        raise DiagmemError(f"window {self.index} has no pair {input_!r}, {output!r}")


class Trace:
    """An opened trace file.  Windows are numbered from 0.

    Works as a context manager.  ``header`` is what the recorder wrote about
    the run; ``complete`` is False when the recording was cut, ``cut`` says why.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = TraceFile(path)
        self._reader = EventReader(self._file)

    @property
    def path(self) -> str:
        return str(self._file.path)

    @property
    def header(self) -> dict[str, Any]:
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
        found = self._buffer(window, buffer)
        return (piece for _, piece in self._reader.accesses(self._file.record(window), [found]))

    def liveness(self, window: int = 0) -> tuple[BufferLiveness, ...]:
        """The liveness of every buffer of a window, in the window's order."""
        record = self._file.record(window)
        if self.mode == "summary":
            return tuple(
                self._from_summary(record, number, buffer)
                for number, buffer in enumerate(record.window.buffers)
            )
        buffers = record.window.buffers
        folds = [
            LivenessFold(b.name, b.role, b.size_bytes, min(alignment, MAX_CELL_BYTES))
            for b, alignment in zip(buffers, self._reader.alignments(record, buffers), strict=True)
        ]
        for i, piece in self._reader.accesses(record, buffers, sites=False):
            folds[i].take(piece)
        return tuple(fold.result() for fold in folds)

    def overlaps(
        self, window: int | None = None, *, isolated: bool = True
    ) -> tuple[WindowOverlaps, ...]:
        """D and O_s of every input and output, of one window or of all.

        ``isolated``: also look for safe displacements below D, which takes longer.
        """
        indices = [w.index for w in self.windows] if window is None else [window]
        return tuple(
            self._window_overlaps(self._file.record(i), self.liveness(i), isolated) for i in indices
        )

    def overlaps_of(
        self, window: int, liveness: Sequence[BufferLiveness], *, isolated: bool = True
    ) -> WindowOverlaps:
        """The same for one window whose liveness is there already."""
        return self._window_overlaps(self._file.record(window), liveness, isolated)

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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
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

    def _from_summary(self, record: WindowRecord, number: int, buffer: Buffer) -> BufferLiveness:
        summary = read_summary(self._file, record.window.index, number)
        if summary is None:
            raise DiagmemError(
                f"{self.path}: the summary of window {record.window.index}, buffer"
                f" {buffer.name!r} is missing ({self.cut or 'the file is damaged'})"
            )

        def first(column: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            return np.where(column == 0, NEVER_FIRST, column - 1)

        return BufferLiveness(
            buffer.name,
            buffer.role,
            buffer.size_bytes,
            summary.cell_bytes,
            first(summary.first_load),
            summary.last_load - 1,
            first(summary.first_store),
            summary.last_store - 1,
        )

    def _window_overlaps(
        self, record: WindowRecord, liveness: Sequence[BufferLiveness], isolated: bool
    ) -> WindowOverlaps:
        window = record.window
        live = dict(zip((b.name for b in window.buffers), liveness, strict=True))
        inputs = [live[b.name] for b in window.buffers if b.role is Role.INPUT]
        outputs = [live[b.name] for b in window.buffers if b.role is Role.OUTPUT]
        notes = self._window_notes(record)
        pairs = []
        for input_ in inputs:
            for output in outputs:
                if not window.complete:
                    pairs.append(apart(input_, output, f"the window did not finish: {window.end}"))
                elif not (_touched(input_) or _touched(output)):
                    pairs.append(apart(input_, output, _UNTOUCHED))
                elif not output.stored.any():
                    nothing = apart(input_, output, wrote_nothing(output.name))
                    pairs.append(replace(nothing, notes=(*nothing.notes, *notes)))
                elif window.several_threads:
                    pairs.append(apart(input_, output, _THREADS))
                else:
                    a, b = self._lives(record, input_, output)
                    pair = find_overlap(
                        input_,
                        output,
                        input_lives=a,
                        output_lives=b,
                        notes=notes,
                        isolated=isolated,
                    )
                    pairs.append(
                        replace(pair, notes=(*pair.notes, *self._copies_that_decide(record, pair)))
                    )
        pairs += [_in_place(window, live[b.name]) for b in window.buffers if b.role is Role.INOUT]
        return WindowOverlaps(window.index, window.function, window.events, tuple(pairs))

    def _lives(
        self, record: WindowRecord, input_: BufferLiveness, output: BufferLiveness
    ) -> tuple[Lives | None, Lives | None]:
        """All lives of both, where the kernel stores to its input and events tell."""
        if self.mode == "summary" or not input_.stored.any():
            return None, None
        cell = min(input_.cell_bytes, output.cell_bytes)
        buffers = [self._buffer(record.window.index, b.name) for b in (input_, output)]
        limit = max(LIVES_AT_LEAST, LIVES_PER_CELL * (input_.cells + output.cells))
        folds = [
            LivesFold(b.size_bytes, cell, limit=limit, given=given)
            for b, given in zip(buffers, (True, False), strict=True)
        ]
        for i, piece in self._reader.accesses(record, buffers, sites=False):
            folds[i].take(piece)
        return folds[0].result(needed_after=False), folds[1].result(needed_after=True)

    def _copies_that_decide(self, record: WindowRecord, pair: Overlap) -> tuple[str, ...]:
        if not any(is_copy(site) for site in self._file.sites):
            return ()
        if self.mode == "summary":
            return copy_notes.in_summary(self._file.copies_in(record.window.index))
        ticks = copy_notes.deciding_ticks(pair.limit)
        sites = self._reader.sites_at(record, ticks)
        return copy_notes.decided_by(self._file.sites[sites[tick]] for tick in ticks)

    def _window_notes(self, record: WindowRecord) -> tuple[str, ...]:
        notes = list(copy_notes.raw(self._file.sites))
        if self.header.get("imported"):
            notes.append(
                f"imported from {self.header['imported']}, which names no functions: what a library"
                " copied counts in this machine's order, and system calls and threads do not show"
            )
        if "valgrind" in self.header and any(s.pc == 0 for s in self._file.sites):
            notes.append(
                "more code ran than the tool can number: some events do not say where in the"
                " program they come from, library copies among them"
            )
        return tuple(notes)


def _in_place(window: Window, buffer: BufferLiveness) -> Overlap:
    if not window.complete:
        return apart(buffer, buffer, f"the window did not finish: {window.end}")
    if not buffer.stored.any():
        return apart(buffer, buffer, wrote_nothing(buffer.name))
    return in_place(buffer)


def wrote_nothing(output: str) -> str:
    """What is said of a window that stored to no byte of an output."""
    return f"the kernel wrote nothing to {output}: that says nothing of an overlap"


def _touched(buffer: BufferLiveness) -> bool:
    return bool(buffer.loaded.any() or buffer.stored.any())


def open_trace(path: str | os.PathLike[str]) -> Trace:
    """Open a trace file that `diagmem trace` or `record` wrote.

    Raises
    ------
    DiagmemError
        If the file is not a trace, is from a newer version, or is corrupt.  A
        file that was cut short opens, and says so in `Trace.cut`.
    """
    return Trace(path)


def record(
    command: Sequence[str],
    output: str | os.PathLike[str],
    *,
    mode: Literal["events", "summary"] = "events",
    functions: Sequence[str] = (),
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    buffers: Mapping[str, str] | None = None,
) -> Trace:
    """Run a program under the tool and open the trace of it.

    ``inputs``, ``outputs`` and ``buffers`` map names to places, as in
    ``diagmem trace --input NAME=PLACE``; an existing ``output`` is replaced, except by a
    recording that was cut, which goes beside it.

    Raises
    ------
    DiagmemError
        If the program, the tool or a symbol is not there, or no window opened.
    """
    from diagmem.record.places import BufferPlace
    from diagmem.record.recorder import Request
    from diagmem.record.recorder import record as run

    places = [
        BufferPlace(name, role, place)
        for role, given in ((Role.INPUT, inputs), (Role.OUTPUT, outputs), (Role.OTHER, buffers))
        for name, place in (given or {}).items()
    ]
    request = Request(
        command=list(command),
        mode=mode,
        functions=functions,
        buffers=places,
        keep_when_interrupted=True,
    )
    return Trace(run(request, Path(output)).path)


def record_kernel(
    kernel: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    mode: Literal["events", "summary"] = "events",
    seed: int = 0,
    **parameters: object,
) -> Trace:
    """Trace a described kernel (a TOML file or a bundled name) and open the trace.

    ``parameters`` replace those of the description.  Raises as `record` does.
    """
    from diagmem.kernels.catalog import find
    from diagmem.kernels.description import load
    from diagmem.kernels.measure import trace_kernel

    overrides = {name: str(value) for name, value in parameters.items()}
    described = load(find(os.fspath(kernel)), overrides)
    return Trace(trace_kernel(described, Path(output), mode=mode, seed=seed).path)
