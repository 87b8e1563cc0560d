"""Is a summary what the events of another run add up to?

Both modes watch the same accesses; a summary folds them in the tool, events are
folded here.  Two runs of one kernel on one input must therefore agree byte by
byte, wherever their buffers lay.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from diagmem.analysis.liveness import BufferLiveness
from diagmem.analysis.trace import Trace

COLUMNS = ("first_load", "last_load", "first_store", "last_store")


@dataclass(frozen=True, slots=True)
class Miscount:
    """What two traces do not agree about; ``byte`` counts from the buffer's start
    and is None where it is not about one."""

    window: int
    buffer: str
    byte: int | None
    what: str
    found: object
    expected: object

    def __str__(self) -> str:
        place = f"window {self.window}"
        if self.buffer:
            place += f", {self.buffer}"
        if self.byte is not None:
            place += f"[{self.byte}]"
        return f"{place}: {self.what} is {self.found}, by the events {self.expected}"


def miscounts(summary: Trace, events: Trace) -> Iterator[Miscount]:
    """The first disagreement of each window or buffer, none where both agree."""
    if len(summary.windows) != len(events.windows):
        yield Miscount(
            min(len(summary.windows), len(events.windows)),
            "",
            None,
            "the number of windows",
            len(summary.windows),
            len(events.windows),
        )
    for a, b in zip(summary.windows, events.windows, strict=False):
        for what in ("function", "events", "loads", "stores", "end"):
            if getattr(a, what) != getattr(b, what):
                yield Miscount(a.index, "", None, what, getattr(a, what), getattr(b, what))
        there = {live.name: live for live in events.liveness(b.index)}
        for live in summary.liveness(a.index):
            if live.name in there:
                yield from _compare(a.index, live, there[live.name])
            else:
                yield Miscount(a.index, live.name, None, "the buffer", "there", "not there")


def _compare(window: int, a: BufferLiveness, b: BufferLiveness) -> Iterator[Miscount]:
    if a.size_bytes != b.size_bytes:
        yield Miscount(window, a.name, None, "its size", a.size_bytes, b.size_bytes)
        return
    cell = min(a.cell_bytes, b.cell_bytes)
    fine_a, fine_b = a.refined(cell), b.refined(cell)
    for column in COLUMNS:
        found, expected = getattr(fine_a, column), getattr(fine_b, column)
        wrong = np.flatnonzero(found != expected)
        if len(wrong):
            i = int(wrong[0])
            what = f"the tick of its {column.replace('_', ' ')}"
            yield Miscount(
                window, a.name, i * cell, what, *(_tick(c[i]) for c in (found, expected))
            )
            return


def _tick(tick: np.int64) -> str:
    return "never" if tick in (-1, np.iinfo(np.int64).max) else f"{tick:,}"
