"""The recorder's end of the tool's stream: frames in, trace file out.

The tool never waits for an answer, so reading and compressing here run beside
it on another core; see ``valgrind-tool/core/dm_stream.c`` for the frames.
"""

from __future__ import annotations

import json
import os
import select
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import BinaryIO, Protocol

from diagmem.base.errors import DiagmemError
from diagmem.base.progress import Progress
from diagmem.record.ring import TOKENS_AT_ONCE, Ring
from diagmem.trace.records import Record
from diagmem.trace.writer import TraceWriter

PROTOCOL = 1
FRAME_HEAD = struct.Struct("<IIQ")
MAX_FRAME_BYTES = 1 << 40


class FrameType(IntEnum):
    META = 1
    EVENTS = 2
    SUMMARY = 3
    VALUES = 4


class Process(Protocol):
    """What is asked of the running program: has it ended?"""

    def poll(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A function whose calls were windows, or what an IFUNC picked."""

    symbol: str
    """Its name, empty if it has none; for a picked function the IFUNC's."""
    function: str
    """What its windows are called."""
    place: str
    """``OBJECT+0xOFFSET``, or an address."""


@dataclass(slots=True)
class Received:
    """What the stream told besides events."""

    hello: Record = field(default_factory=dict)
    windows: int = 0
    missing: dict[str, str] = field(default_factory=dict)
    """Buffers no window had so far, and the last reason given."""
    present: set[str] = field(default_factory=set)
    objects: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    picked: list[Entry] = field(default_factory=list)
    empty: list[int] = field(default_factory=list)
    """Windows without a single event."""
    unfinished: dict[int, str] = field(default_factory=dict)
    """Windows that did not end as they should, and how they did."""
    error: str = ""
    cut: str = ""
    """Why frames were left out."""
    ended: bool = False
    """The tool said goodbye: nothing is lost."""
    place: str = ""
    """Where in the program that was, if it is known."""


class StreamReader:
    """Reads frames from a FIFO, or from a ring that it speaks of, until the writing
    process has ended."""

    def __init__(self, fd: int, process: Process, ring: Ring | None = None) -> None:
        self._fd = fd
        self._process = process
        self._ring = ring
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)

    def _fill(self, view: memoryview) -> int:
        """Read until the view is full or the writer is gone; bytes read.

        Our own end of the FIFO is kept open for writing, so that a program
        that executes another does not look like the end; the end is the
        process's end with nothing left to read.
        """
        got = 0
        while got < len(view):
            if self._ring is not None and (taken := self._ring.take(view[got:])):
                got += taken
                continue
            if not self._poll.poll(50):
                if self._process.poll() is not None and not self._poll.poll(0):
                    return got
                continue
            if self._ring is not None:
                self._ring.announce(os.read(self._fd, TOKENS_AT_ONCE))
            else:
                got += os.readv(self._fd, [view[got:]])
        return got

    def frame(self) -> tuple[FrameType, bytearray] | None:
        """The next frame, or None at the end; a torn last frame is an end."""
        head = bytearray(FRAME_HEAD.size)
        if self._fill(memoryview(head)) < len(head):
            return None
        kind, zero, size = FRAME_HEAD.unpack(head)
        if zero or size > MAX_FRAME_BYTES or kind not in set(FrameType):
            raise DiagmemError(
                f"the tool's stream is garbled: frame type {kind}, {size} bytes;"
                " is something else writing to it?"
            )
        payload = bytearray(size)
        if self._fill(memoryview(payload)) < size:
            return None
        return FrameType(kind), payload


def receive(
    reader: StreamReader,
    writer: TraceWriter,
    progress: Progress | None,
    values: BinaryIO | None = None,
    complete: Callable[[Record, Received], None] = lambda record, received: None,
) -> Received:
    """Take all frames from the tool into the trace, values into a file of their own.

    ``complete`` may add to each record of the stream, and to what was received, what
    only the program's file tells.
    """
    received = Received()
    before = 0
    # After the tool's goodbye nothing comes; waiting for the process's end to
    # show would take longer.
    while not received.ended and (frame := reader.frame()) is not None:
        kind, payload = frame
        if received.cut:
            continue  # read on, so that the program is not held up
        if kind is FrameType.EVENTS:
            writer.add_events(payload)
        elif kind is FrameType.SUMMARY:
            writer.add_summary(payload)
        elif kind is FrameType.VALUES:
            if values is not None:
                values.write(struct.pack("<Q", len(payload)))
                values.write(payload)
        else:
            record = json.loads(payload.decode("utf-8", "replace"))
            complete(record, received)
            _note(received, record)
            _note_function(received, record)
            if record["type"] in ("window", "window end", "site", "class", "copy"):
                writer.add_meta(_without_paths(record))
            if record["type"] == "window end":
                writer.events += record["events"] if _is_summary(received) else 0
        if progress is not None:
            progress.advance(writer.events - before)
            before = writer.events
    return received


def _is_summary(received: Received) -> bool:
    return received.hello.get("mode") == "summary"


def _note(received: Received, record: Record) -> None:
    match record["type"]:
        case "hello":
            if record["protocol"] != PROTOCOL:
                raise DiagmemError(
                    f"the tool speaks protocol {record['protocol']}, this diagmem {PROTOCOL};"
                    " rebuild the tool: make install"
                )
            if received.windows:
                # It counts windows and sites from 0 again: another recording.
                received.cut = (
                    f"the process executed {record['program']} after its first windows;"
                    " trace that by itself"
                )
            received.hello = record
        case "window":
            received.windows += 1
            received.present.update(b["name"] for b in record["buffers"])
            for missing in record["missing"]:
                received.missing[missing["name"]] = missing["reason"]
        case "window end":
            if record["end"] not in ("returned", "requested"):
                received.unfinished[record["index"]] = record["end"]
            if record["events"] == 0:
                received.empty.append(record["index"])
        case "objects":
            received.objects = record["paths"]
        case "error" | "fault":
            received.error = record["message"]
        case "end":
            received.ended = True
            received.place = record.get("place", "")


def _note_function(received: Received, record: Record) -> None:
    if record["type"] not in ("entry", "picked"):
        return
    file = os.path.basename(record["object"])
    place = f"{file}+0x{record['offset']:x}" if file else f"0x{record['offset']:x}"
    entry = Entry(record["symbol"], record["function"] or place, place)
    (received.entries if record["type"] == "entry" else received.picked).append(entry)


def _without_paths(record: Record) -> Record:
    """Where the files lie on this machine is nobody else's business."""
    record.pop("directory", None)
    for key in ("object", "file"):
        if key in record:
            record[key] = os.path.basename(record[key])
    return record
