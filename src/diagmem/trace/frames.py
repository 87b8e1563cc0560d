"""EVENTS frames: between their bytes and the arrays that they hold.

What ``dm_events.c`` of the Valgrind tool sends and an EVENTS block stores.
`diagmem.trace.events` has its own, faster way to read them; this one checks
every count and is what composes and validates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from diagmem.trace import format as fmt

Records = npt.NDArray[np.void]
"""A structured array; which dtype is said where it is used."""


class FrameError(ValueError):
    """A frame contradicts itself; what was found and what was expected."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(f"{found}, expected {expected}")
        self.found = found
        self.expected = expected


@dataclass(frozen=True, slots=True)
class EventsFrame:
    """The parts of one EVENTS frame.

    ``segments`` is of dtype `format.SEGMENT`, ``columns`` of `format.COLUMN`;
    ``classes`` holds an unsigned number per event, ``deltas`` a column of signed
    differences in bytes per span, ``sizes`` the bytes (uint64) of each event
    whose class says 0.
    """

    segments: Records
    columns: Records
    classes: npt.NDArray[np.unsignedinteger[Any]]
    deltas: tuple[npt.NDArray[np.signedinteger[Any]], ...]
    sizes: npt.NDArray[np.uint64]

    def pack(self) -> bytes:
        head = np.zeros(1, fmt.EVENTS_HEAD)
        head["events"] = len(self.classes)
        head["segments"] = len(self.segments)
        head["spans"] = len(self.columns)
        head["sizes"] = len(self.sizes)
        head["class_bytes"] = self.classes.itemsize
        parts = [head, self.segments, self.columns, self.classes, *self.deltas, self.sizes]
        return b"".join(part.tobytes() for part in parts)

    @classmethod
    def unpack(cls, raw: bytes) -> Self:
        """Take a frame apart.

        Raises
        ------
        FrameError
            If it is shorter or longer than its counts say, or has a width that
            no version knows.
        """
        take = _Taker(raw)
        head = take.records(fmt.EVENTS_HEAD, 1)[0]
        for what, most in (("events", fmt.MAX_EVENTS), ("segments", fmt.MAX_SEGMENTS)):
            if head[what] > most:
                raise FrameError(f"{head[what]} {what}", f"at most {most}")
        segments = take.records(fmt.SEGMENT, int(head["segments"]))
        columns = take.records(fmt.COLUMN, int(head["spans"]))
        classes = take.records(_width(fmt.CLASS_DTYPES, int(head["class_bytes"])), head["events"])
        deltas = tuple(
            take.records(_delta_dtype(column), int(column["events"])) for column in columns
        )
        sizes = take.records(np.dtype("<u8"), int(head["sizes"]))
        if take.at != len(raw):
            raise FrameError(f"a frame of {len(raw)} bytes", f"{take.at} by its own counts")
        return cls(segments, columns, classes, deltas, sizes)

    def span_of_event(self, class_span: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
        """The span number of each event.

        Raises
        ------
        FrameError
            If a class is unknown, or the counts of events by segment, by column
            and by class differ.
        """
        n = len(self.classes)
        if n and int(self.classes.max()) >= len(class_span):
            known = f"one of the {len(class_span)} that are described"
            raise FrameError(f"class {self.classes.max()}", known)
        total = int(self.segments["events"].sum(dtype=np.uint64))
        if total != n:
            raise FrameError(f"{total} events in segments", f"{n}, as in the frame's head")
        span: npt.NDArray[np.uint32] = class_span[self.classes]
        if n and int(span.max()) >= len(self.columns):
            raise FrameError(f"an event in span {span.max()}", f"{len(self.columns)} columns")
        counts = np.bincount(span, minlength=len(self.columns))
        wrong = np.flatnonzero(counts != self.columns["events"])
        if len(wrong):
            found = f"{self.columns['events'][wrong[0]]} events in column {wrong[0]}"
            raise FrameError(found, f"{counts[wrong[0]]}, as by their classes")
        return span

    def event_sizes(self, class_size: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Bytes of each event; ``class_size`` has 0 where they vary."""
        size: npt.NDArray[np.int64] = class_size[self.classes]
        varying = np.flatnonzero(size == 0)
        if len(varying) != len(self.sizes):
            found = f"{len(self.sizes)} sizes beside the events"
            raise FrameError(found, f"{len(varying)}, one per event of varying size")
        size[varying] = self.sizes.astype(np.int64)
        return size

    def offsets(self, span: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
        """Each event's distance from the start of its span, in bytes."""
        segment = np.repeat(np.arange(len(self.segments)), self.segments["events"])
        # Column after column, as they are stored.
        order = np.argsort(span, kind="stable")
        running = np.cumsum(np.concatenate([*self.deltas, np.empty(0, np.int64)]), dtype=np.int64)
        # Deltas start anew in each segment and column: take off what ran up before.
        new = np.diff(segment[order], prepend=-1) != 0
        new |= np.diff(span[order].astype(np.int64), prepend=-1) != 0
        begin = np.flatnonzero(new)
        before = np.append(np.int64(0), running)[begin]
        offset = np.empty(len(span), np.int64)
        offset[order] = running - np.repeat(before, np.diff(np.append(begin, len(order))))
        return offset


class _Taker:
    """Arrays off the front of a buffer, one after the other."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self.at = 0

    def records(self, dtype: np.dtype[Any], count: int) -> npt.NDArray[Any]:
        size = int(count) * dtype.itemsize
        if self.at + size > len(self._raw):
            found = f"a frame of {len(self._raw)} bytes"
            raise FrameError(found, f"at least {self.at + size} by its own counts")
        found_records = np.frombuffer(self._raw, dtype, int(count), self.at)
        self.at += size
        return found_records


def _width(dtypes: dict[int, np.dtype[Any]], size: int) -> np.dtype[Any]:
    if size not in dtypes:
        raise FrameError(f"numbers of {size} bytes", " or ".join(map(str, dtypes)))
    return dtypes[size]


def _delta_dtype(column: np.void) -> np.dtype[Any]:
    if not column["events"]:
        # The tool leaves the width of a column it has not used at 0.
        return np.dtype("<i4")
    return _width(fmt.DELTA_DTYPES, int(column["delta_bytes"]))


def encode_events(
    *,
    segments: Records,
    classes: npt.NDArray[np.int64],
    span: npt.NDArray[np.int64],
    offset: npt.NDArray[np.int64],
    size: npt.NDArray[np.int64],
    varying: npt.NDArray[np.bool_],
    n_classes: int,
    delta_bytes: list[int],
) -> EventsFrame:
    """A frame from one entry per event.

    ``offset`` counts from the start of the event's span; ``varying`` marks the
    events whose size is kept beside them; ``n_classes`` is how many classes the
    trace has so far; ``delta_bytes`` is the width of each span's column.
    """
    segment = np.repeat(np.arange(len(segments)), segments["events"])
    columns = np.zeros(len(delta_bytes), fmt.COLUMN)
    deltas = []
    for number, width in enumerate(delta_bytes):
        here = np.flatnonzero(span == number)
        distance = offset[here]
        delta = np.diff(distance, prepend=np.int64(0))
        new = np.flatnonzero(np.diff(segment[here], prepend=-1) != 0)
        delta[new] = distance[new]
        bits = np.bitwise_or.reduce(distance | size[here]) if len(here) else np.int64(0)
        columns[number] = (len(here), width, np.int64(bits).astype(np.uint64))
        deltas.append(delta.astype(fmt.DELTA_DTYPES[width]))
    class_bytes = 1 if n_classes <= 1 << 8 else 2 if n_classes <= 1 << 16 else 4
    return EventsFrame(
        segments=segments,
        columns=columns,
        classes=classes.astype(fmt.CLASS_DTYPES[class_bytes]),
        deltas=tuple(deltas),
        sizes=size[varying].astype(np.uint64),
    )
