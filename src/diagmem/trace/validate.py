"""Checking a trace file against the invariants of the format, in one pass.

Reads the file block by block and shares the decoding of events with
`diagmem.trace.composer`, not with `diagmem.trace.events`, so that the one can
vouch for the other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

from diagmem.base.text import printable
from diagmem.trace import format as fmt
from diagmem.trace.blocks import BlockError, BlockFile
from diagmem.trace.check_events import check_events
from diagmem.trace.check_records import RecordChecker
from diagmem.trace.check_summary import check_summary
from diagmem.trace.format import BlockHeader, BlockType
from diagmem.trace.invariants import Findings, Violation
from diagmem.trace.records import Record, RecordError, parse


@dataclass(frozen=True, slots=True)
class Report:
    """What `validate` found.

    ``findings`` lists the first few breaches of each invariant, ``broken``
    counts all of them by name.  ``cut`` is why the trace is not complete, or
    empty; a cut trace may well be valid.
    """

    path: str
    version: int
    mode: str
    cut: str
    blocks: int
    windows: int
    events: int
    findings: tuple[Violation, ...]
    broken: dict[str, int]

    @property
    def valid(self) -> bool:
        return not self.broken


def validate(path: str | os.PathLike[str]) -> Report:
    """Check all invariants, in memory bounded by one block.

    After a block that is damaged, or a record that cannot be read, only the
    frame of the file (headers, checksums, payloads) is checked further, because
    what follows may rest on what was lost.

    Raises
    ------
    TraceError
        If the file cannot be read, is no trace, or is of a newer version.
    """
    file = BlockFile(path)
    try:
        return _Validation(file).run()
    finally:
        file.close()


class _Validation:
    def __init__(self, file: BlockFile) -> None:
        self._file = file
        self._findings = Findings()
        self._state = RecordChecker(self._findings)
        self._sound = True
        """Nothing is lost so far that later checks rest on."""
        self._blocks = 0
        self._end: Record | None = None

    def run(self) -> Report:
        if self._file.reserved:
            found = f"a reserved field of {self._file.reserved}"
            self._findings.add(Violation("file-header", found, "0", byte=0))
        for block in self._scan():
            self._blocks += 1
            at = block.payload_at - fmt.BLOCK.itemsize
            self._check_header(block, at)
            try:
                raw = self._file.payload(block)
            except BlockError as error:
                self._add(error)
                self._sound = False
                continue
            if self._sound:
                self._check_contents(block, raw, at)
        cut = self._why_cut()
        if self._sound:
            self._state.finish(cut=bool(cut))
        return Report(
            path=str(self._file.path),
            version=self._file.version,
            mode=self._state.header.mode,
            cut=cut,
            blocks=self._blocks,
            windows=len(self._state.windows),
            events=self._state.events,
            findings=tuple(self._findings.listed),
            broken=dict(self._findings.counts),
        )

    def _scan(self) -> Iterator[BlockHeader]:
        try:
            yield from self._file.scan()
        except BlockError as error:
            self._add(error)
            self._sound = False

    def _add(self, error: BlockError) -> None:
        self._findings.add(Violation(error.invariant, error.found, error.expected, byte=error.at))

    def _why_cut(self) -> str:
        if self._end is None:
            return self._file.cut
        return "" if self._end["complete"] else printable(self._end["reason"]) or "it was cut"

    def _check_header(self, block: BlockHeader, at: int) -> None:
        tells = block.type in (BlockType.EVENTS, BlockType.SUMMARY)
        windows = (block.window_start, block.window_end)
        if tells and windows[0] >= windows[1]:
            expected = "at least one window"
        elif not tells and windows != (0, 0):
            expected = "windows [0, 0)"
        else:
            return
        found = f"{block.type.name} of windows [{windows[0]}, {windows[1]})"
        self._findings.add(Violation("block-header", found, expected, byte=at))

    def _check_contents(self, block: BlockHeader, raw: bytes, at: int) -> None:
        state = self._state
        if self._blocks == 1 and block.type is not BlockType.META:
            self._findings.add(Violation("block-order", block.type.name, "META first", byte=at))
        if block.type is BlockType.META:
            self._sound = self._take_records(raw, at)
        elif block.type is BlockType.END:
            self._check_end(raw, at)
        elif block.type is BlockType.EVENTS:
            state.check_mode("events", at)
            self._sound = check_events(state, block, raw, at, self._findings)
        else:
            state.check_mode("summary", at)
            check_summary(state, block, raw, at, self._findings)

    def _take_records(self, raw: bytes, at: int) -> bool:
        try:
            for record in parse(raw):
                if self._state.records == fmt.max_records(self._file.size_bytes):
                    found, most = f"{self._state.records + 1} records", f"{self._state.records}"
                    raise RecordError(found, f"at most {most} in a file of that size")
                self._state.take(record, at)
        except RecordError as error:
            self._findings.add(
                Violation("record", error.found, error.expected, at, self._state.records)
            )
            return False
        return True

    def _check_end(self, raw: bytes, at: int) -> None:
        broken = Violation("end-mark", "", "", byte=at)
        try:
            records = list(parse(raw))
        except RecordError as error:
            self._findings.add(replace(broken, found=error.found, expected=error.expected))
            return
        types = [record["type"] for record in records]
        if types != ["end"]:
            found = f"records of type {', '.join(types)}"
            self._findings.add(replace(broken, found=found, expected="one of type end"))
            return
        self._end = records[0]
        for unit, count in (("blocks", self._blocks), ("events", self._state.events)):
            if self._sound and self._end[unit] != count:
                found = f"{self._end[unit]} {unit}"
                self._findings.add(replace(broken, found=found, expected=f"{count}"))
