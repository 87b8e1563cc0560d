"""What holds in every trace file, by name, and how a breach is reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

INVARIANTS: dict[str, str] = {
    "file-header": "The file begins with the magic, a known version and a reserved 0.",
    "block-header": "A block has a known type and no more plain bytes than its type may have;"
    " EVENTS and SUMMARY blocks tell of at least one window, META and END blocks of none.",
    "block-checksum": "A block's CRC-32 is that of its header and its stored payload.",
    "block-payload": "A payload is one zstd frame that states the block's plain size and holds"
    " as many bytes.",
    "block-order": "The first block is META; its first record is the header, which comes once.",
    "end-mark": "A complete file ends with an END block of one record, whose counts of blocks"
    " and events are those of the file; nothing follows it.",
    "record": "A record is one line of JSON with the fields of its type; there are no more of"
    " them than a file of that size may have.",
    "mode": "The mode is events or summary; EVENTS blocks come only in the one, SUMMARY blocks"
    " only in the other.",
    "sites": "A site is described once.",
    "classes": "Classes are numbered from 0 in file order; each joins a site described before"
    " it to a span, and no two are the same.",
    "copies": "Only a summary tells which copies a window made: each once, while the window is"
    " open, by a site of a library's copy described before.",
    "windows": "Windows are numbered from 0 in file order.",
    "window-order": "Windows are apart in time: each ends before the next begins, and its"
    " events come before the next one's.",
    "window-end": "A window has one end record, after its own record; in a trace that was cut"
    " the last window may lack it.",
    "buffers": "A window's buffers have different names and at least one byte, lie below 2^47"
    " and are sorted by address, the larger first.",
    "buffer-nesting": "Two buffers of a window are apart or one holds the other, unless the"
    " header says that the run was overlapped.",
    "spans": "A window's spans are what its buffers make where they are no more than 64 bytes"
    " apart; with everything recorded, one span holds all addresses.",
    "block-shape": "An EVENTS block has at most 2^20 events and 2^16 segments, is as long as its"
    " counts say, and its events by segment, by column and by class are as many.",
    "block-windows": "A block's header names the range of the windows that it tells of, each of"
    " them described before.",
    "ticks": "A window's segments join: the first begins at tick 0, each further one where the"
    " one before ended.",
    "event-size": "An event has at least one byte.",
    "event-buffer": "An event touches a buffer in its span, unless everything was recorded.",
    "alignment": "A column's alignment is the bitwise or of the distances of all its events"
    " from the start of their span and of all their sizes.",
    "counts": "Events, loads and stores of a window's end record are those of its blocks, and"
    " several_threads says whether more than one thread made them.",
    "summary-shape": "A SUMMARY block has cells of a power of two of bytes, at most 64, that"
    " cover its buffer exactly, and two columns for each kind that it names.",
    "summary-once": "A window that ended in summary mode has one SUMMARY block for each of its"
    " buffers, before its end record.",
    "summary-ticks": "A cell's first tick is not after its last, it has both or neither, and"
    " all lie below the window's number of events.",
}
"""Name and what it says, in the order of ``docs/trace-format.md``."""

LISTED = 10
"""Breaches of one invariant that are reported one by one; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One breach of an invariant.

    ``byte`` is where in the file the block begins, ``record`` counts the META
    records from 0; what does not apply is None.
    """

    invariant: str
    found: str
    expected: str
    byte: int | None = None
    record: int | None = None
    window: int | None = None
    tick: int | None = None

    @property
    def place(self) -> str:
        places = (
            ("byte", self.byte),
            ("record", self.record),
            ("window", self.window),
            ("tick", self.tick),
        )
        return ", ".join(f"{what} {n}" for what, n in places if n is not None) or "the file"


class Findings:
    """Gathers breaches, few of each kind."""

    def __init__(self) -> None:
        self.listed: list[Violation] = []
        self.counts: Counter[str] = Counter()

    def add(self, finding: Violation) -> None:
        assert finding.invariant in INVARIANTS
        self.counts[finding.invariant] += 1
        if self.counts[finding.invariant] <= LISTED:
            self.listed.append(finding)

    def add_each(
        self, invariant: str, wrong: npt.NDArray[np.bool_], finding: Callable[[int], Violation]
    ) -> None:
        """A breach for each True; ``finding`` makes the one of an index."""
        which = np.flatnonzero(wrong)
        for i in which[:LISTED].tolist():
            self.add(finding(i))
        if len(which) > LISTED:
            self.counts[invariant] += len(which) - LISTED
