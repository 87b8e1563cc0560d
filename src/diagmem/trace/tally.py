"""Counting what the blocks of a cut trace hold of each window.

A window's end record comes before the blocks with its last events, so in a cut
trace it may promise events that are not there; and the last window has none.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import zstandard

from diagmem.trace import format as fmt
from diagmem.trace.format import TraceError


class WindowEnd(NamedTuple):
    """How a window ended, and the counts of its events."""

    end: str
    events: int
    loads: int
    stores: int
    several_threads: bool


@dataclass(slots=True)
class Tally:
    """The events of one window that are there."""

    events: int = 0
    stores: int = 0
    threads: set[int] = field(default_factory=set)

    def as_end(self) -> WindowEnd:
        several = len(self.threads) > 1
        return WindowEnd("cut", self.events, self.events - self.stores, self.stores, several)


class Tallies:
    """The tally of each window; ``class_stores`` says of each class if it stores."""

    def __init__(self, class_stores: npt.NDArray[np.bool_]) -> None:
        self._class_stores = class_stores
        self._windows: defaultdict[int, Tally] = defaultdict(Tally)

    def of(self, window: int) -> Tally:
        return self._windows.get(window, Tally())

    def add_block(self, stored: bytes, raw_bytes: int, place: str) -> None:
        """Count one EVENTS block, given compressed; only its front is decoded."""
        try:
            segments, classes = _front(stored, raw_bytes)
            stores = np.append(0, np.cumsum(self._class_stores[classes], dtype=np.int64))
            end = np.cumsum(segments["events"], dtype=np.int64)
            stored_by = stores[end] - stores[end - segments["events"]]
        except (ValueError, IndexError, KeyError, zstandard.ZstdError):
            raise TraceError(f"{place}: its counts do not fit its contents") from None
        columns = (segments[name].tolist() for name in ("window", "thread", "events"))
        for window, thread, events, n_stores in zip(*columns, stored_by.tolist(), strict=True):
            if events:
                tally = self._windows[window]
                tally.events += events
                tally.stores += n_stores
                tally.threads.add(thread)


def _front(
    stored: bytes, raw_bytes: int
) -> tuple[npt.NDArray[np.void], npt.NDArray[np.unsignedinteger]]:
    """The segments and the classes of an EVENTS block."""
    head_bytes = fmt.EVENTS_HEAD.itemsize
    with zstandard.ZstdDecompressor().stream_reader(stored) as stream:
        head = np.frombuffer(stream.read(head_bytes), fmt.EVENTS_HEAD)[0]
        n_segments, n_events = int(head["segments"]), int(head["events"])
        if n_segments > fmt.MAX_SEGMENTS or n_events > fmt.MAX_EVENTS:
            raise ValueError
        width = fmt.CLASS_DTYPES[int(head["class_bytes"])]
        classes_at = n_segments * fmt.SEGMENT.itemsize + int(head["spans"]) * fmt.COLUMN.itemsize
        front_bytes = classes_at + n_events * width.itemsize
        if head_bytes + front_bytes > raw_bytes:
            raise ValueError
        front = stream.read(front_bytes)
    return (
        np.frombuffer(front, fmt.SEGMENT, n_segments),
        np.frombuffer(front, width, n_events, classes_at),
    )
