"""Completeness of a trace: rebuild what the buffers held from its stores.

A run recorded with values (``Request.values``) gives a trace like any other and
beside it what every access moved and what the buffers held when their window
opened and closed.  A mirror of each buffer starts from the opening contents and
takes the recorded stores; every recorded load must find there what the program
loaded, and at the end the mirror must equal the closing contents.  A store that
was missed, invented, misplaced or put out of order shows; a load that was missed
does not.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from diagmem.base.errors import DiagmemError
from diagmem.trace.events import EventReader
from diagmem.trace.reader import TraceFile, WindowRecord
from diagmem.trace.window import Window

FRAME = struct.Struct("<Q")
HEAD = struct.Struct("<IIII")
OPENING, EVENTS, CLOSING = range(3)
LISTED = 10


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A byte that is not what the recorded stores left there.

    ``tick`` is None for one that was found when the window closed, and ``where``
    then empty; ``offset`` counts from the buffer's start.
    """

    window: int
    tick: int | None
    buffer: str
    offset: int
    found: int
    expected: int
    where: str

    def __str__(self) -> str:
        when = "when it closed" if self.tick is None else f"tick {self.tick:,}, {self.where}"
        return (
            f"window {self.window}, {when}: {self.buffer}[{self.offset}] is {self.found:#04x},"
            f" by the recorded stores {self.expected:#04x}"
        )


@dataclass(frozen=True, slots=True)
class Mirrored:
    """What was compared, and the first mismatches of each window.

    ``closed`` counts the buffers whose contents were compared at their window's
    close.
    """

    windows: int
    loads: int
    stores: int
    closed: int
    mismatches: tuple[Mismatch, ...]


def check(trace: Path, values: Path) -> Mirrored:
    """Hold a trace against the values that its accesses moved.

    Raises
    ------
    DiagmemError
        If a file cannot be read, or the two are not of one run.
    """
    with closing(TraceFile(trace)) as file, values.open("rb") as stream:
        reader = EventReader(file)
        frames = _Frames(stream, values)
        checks = [_MirrorCheck(record, frames) for record in file.windows]
        for window in checks:
            window.run(file, reader)
    return Mirrored(
        len(checks),
        sum(c.loads for c in checks),
        sum(c.stores for c in checks),
        sum(c.closed for c in checks),
        tuple(m for c in checks for m in c.mismatches),
    )


class _Frames:
    """The values file, in the order in which the tool wrote it."""

    def __init__(self, stream: BinaryIO, path: Path) -> None:
        self._path = path
        self._frames = self._read(stream)
        self._next = next(self._frames, None)

    def _read(self, stream: BinaryIO) -> Iterator[tuple[int, int, int, bytes]]:
        while head := stream.read(FRAME.size):
            payload = stream.read(FRAME.unpack(head)[0])
            window, part, buffer, _ = HEAD.unpack_from(payload)
            yield window, part, buffer, payload[HEAD.size :]

    def of(self, window: int, part: int) -> Iterator[tuple[int, bytes]]:
        """The next frames, as far as they are of that part of that window."""
        while self._next is not None and self._next[:2] == (window, part):
            _, _, buffer, data = self._next
            self._next = next(self._frames, None)
            yield buffer, data

    def short(self, window: Window) -> DiagmemError:
        return DiagmemError(
            f"{self._path}: the values of window {window.index} are not those of its"
            f" {window.events} events"
        )


class _MirrorCheck:
    """One window: its mirror is one run of bytes for each span."""

    def __init__(self, record: WindowRecord, frames: _Frames) -> None:
        self._record = record
        self._window = record.window
        self._frames = frames
        self._starts = [start for start, _ in record.spans]
        self._bytes = [bytearray(end - start) for start, end in record.spans]
        # What lies between buffers is nobody's: neither known nor compared.
        self._known = [bytearray(end - start) for start, end in record.spans]
        self.loads = self.stores = self.closed = 0
        self.mismatches: list[Mismatch] = []

    def run(self, file: TraceFile, reader: EventReader) -> None:
        for number, data in self._frames.of(self._window.index, OPENING):
            span, start = self._place(self._window.buffers[number].address)
            self._bytes[span][start : start + len(data)] = data
            self._known[span][start : start + len(data)] = b"\1" * len(data)
        whole = [all(known) for known in self._known]
        values = b""
        at = 0
        for piece in reader.events(self._record):
            columns = (piece.address, piece.size, piece.store, piece.site, piece.tick)
            for address, size, store, site, tick in zip(
                *(column.tolist() for column in columns), strict=True
            ):
                while len(values) - at < size:
                    more = next(self._frames.of(self._window.index, EVENTS), None)
                    if more is None:
                        raise self._frames.short(self._window)
                    values, at = values[at:] + more[1], 0
                value = values[at : at + size]
                at += size
                span, start = self._place(address)
                mirror = self._bytes[span]
                if store:
                    self.stores += 1
                    if start >= 0 and start + size <= len(mirror):
                        mirror[start : start + size] = value
                    else:
                        self._store_in_part(span, start, value)
                else:
                    self.loads += 1
                    if start < 0 or not whole[span] or mirror[start : start + size] != value:
                        self._compare(file, span, start, value, (tick, site))
        if at < len(values) or next(self._frames.of(self._window.index, EVENTS), None):
            raise self._frames.short(self._window)
        for number, data in self._frames.of(self._window.index, CLOSING):
            self.closed += 1
            span, start = self._place(self._window.buffers[number].address)
            self._compare(file, span, start, data, None)

    def _place(self, address: int) -> tuple[int, int]:
        """The span that an access touches, and where in it (negative: before)."""
        span = max(bisect_right(self._starts, address) - 1, 0)
        # One that begins between two spans reaches into the second.
        if address >= self._record.spans[span][1]:
            span += 1
        return span, address - self._starts[span]

    def _store_in_part(self, span: int, start: int, value: bytes) -> None:
        mirror = self._bytes[span]
        for i, byte in enumerate(value):
            if 0 <= start + i < len(mirror):
                mirror[start + i] = byte

    def _compare(
        self,
        file: TraceFile,
        span: int,
        start: int,
        value: bytes,
        event: tuple[int, int] | None,
    ) -> None:
        mirror, known = self._bytes[span], self._known[span]
        for i, byte in enumerate(value):
            at = start + i
            if not 0 <= at < len(mirror) or not known[at] or mirror[at] == byte:
                continue
            if len(self.mismatches) < LISTED:
                address = self._starts[span] + at
                buffer = next(b for b in self._window.buffers if b.address <= address < b.end)
                self.mismatches.append(
                    Mismatch(
                        self._window.index,
                        event[0] if event else None,
                        buffer.name,
                        address - buffer.address,
                        byte,
                        mirror[at],
                        file.sites[event[1]].where if event else "",
                    )
                )
            # Once is enough: what was missed is mended.
            mirror[at] = byte
