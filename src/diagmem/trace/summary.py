"""Decoding SUMMARY blocks: first and last load and store of each cell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diagmem.base.memory import require_memory
from diagmem.trace import format as fmt
from diagmem.trace.format import BlockType, TraceError
from diagmem.trace.reader import TraceFile
from diagmem.trace.window import Int64Array

BYTES_PER_CELL = 64
"""Its columns, and as much again while they are put together."""


@dataclass(frozen=True, slots=True)
class BufferSummary:
    """Four int64 columns, one entry per cell: tick + 1, or 0 for never."""

    cell_bytes: int
    first_load: Int64Array
    last_load: Int64Array
    first_store: Int64Array
    last_store: Int64Array

    @property
    def cells(self) -> int:
        return len(self.first_load)


@dataclass(frozen=True, slots=True)
class SummaryPart:
    """One SUMMARY block: some cells of one buffer of one window.

    ``columns`` has a row for each kind that was there (loads, then stores) and
    in it first and last ticks + 1 of ``count`` cells, int64.
    """

    window: int
    buffer: int
    cell_bytes: int
    kinds: int
    cells: int
    first_cell: int
    count: int
    tick_bytes: int
    columns: npt.NDArray[np.int64]


def decode_part(raw: bytes) -> SummaryPart:
    """A SUMMARY block's contents.

    Raises
    ------
    ValueError
        Found and expected, if its size does not fit its own counts.
    """
    if len(raw) < fmt.SUMMARY_HEAD.itemsize:
        raise ValueError(f"{len(raw)} bytes, expected at least {fmt.SUMMARY_HEAD.itemsize}")
    head = np.frombuffer(raw, fmt.SUMMARY_HEAD, 1)[0]
    fields = {name: int(head[name]) for name in fmt.SUMMARY_HEAD.names or ()}
    if fields["kinds"] > 3:
        raise ValueError(f"kinds {fields['kinds']}, expected 0 to 3")
    if fields["tick_bytes"] not in fmt.TICK_DTYPES:
        raise ValueError(f"ticks of {fields['tick_bytes']} bytes, expected 4 or 8")
    rows = fields["kinds"].bit_count()
    expected = fmt.SUMMARY_HEAD.itemsize + 2 * rows * fields["count"] * fields["tick_bytes"]
    if len(raw) != expected:
        raise ValueError(f"a block of {len(raw)} bytes, expected {expected} by its own counts")
    dtype = fmt.TICK_DTYPES[fields["tick_bytes"]]
    differences = np.frombuffer(raw, dtype, offset=fmt.SUMMARY_HEAD.itemsize)
    columns = np.cumsum(differences.reshape(rows, 2, fields["count"]), axis=2, dtype=dtype)
    return SummaryPart(**fields, columns=columns.astype(np.int64))


def read_summaries(trace: TraceFile, window: int) -> Iterator[tuple[int, BufferSummary]]:
    """The summaries of a window's buffers, each with the buffer's position, as they come
    in the file.  Where that was cut, some are missing.

    Raises
    ------
    DiagmemError
        If a block is damaged, or there is not enough memory.
    """
    buffers = trace.record(window).window.buffers
    parts: list[SummaryPart] = []
    for header in trace.blocks_of(BlockType.SUMMARY, window):
        place = trace.place(header)
        try:
            part = decode_part(trace.payload(header))
        except ValueError as error:
            raise TraceError(f"{place}: {error}") from None
        if part.window != window or part.buffer >= len(buffers):
            raise TraceError(f"{place}: buffer {part.buffer} of window {part.window}")
        if parts and parts[-1].buffer != part.buffer:
            parts = []
        _check_next(part, parts, buffers[part.buffer].size_bytes, place)
        if not parts:
            what = f"{trace.path}: window {window}: all {part.cells:,} cells of a buffer"
            require_memory(BYTES_PER_CELL * part.cells, what)
        parts.append(part)
        if part.kinds == 0 or part.first_cell + part.count == part.cells:
            yield part.buffer, _joined(parts)
            parts = []


def _check_next(part: SummaryPart, before: list[SummaryPart], size_bytes: int, place: str) -> None:
    if part.cell_bytes.bit_count() != 1 or part.cells * part.cell_bytes != size_bytes:
        raise TraceError(
            f"{place}: {part.cells} cells of {part.cell_bytes} bytes, expected the buffer's"
            f" {size_bytes}"
        )
    done = before[-1].first_cell + before[-1].count if before else 0
    if part.first_cell != done or done + part.count > part.cells:
        raise TraceError(f"{place}: cells from {part.first_cell} on, expected from {done}")
    if before and (part.cell_bytes, part.kinds) != (before[-1].cell_bytes, before[-1].kinds):
        raise TraceError(f"{place}: other cells or kinds than in the block before")


def _joined(parts: list[SummaryPart]) -> BufferSummary:
    """One buffer's columns; a kind that was not there takes no memory."""
    first = parts[0]
    columns: list[Int64Array] = []
    row = 0
    for kind in range(2):
        if first.kinds >> kind & 1:
            columns += [np.concatenate([part.columns[row, i] for part in parts]) for i in range(2)]
            row += 1
        else:
            columns += [np.broadcast_to(np.int64(0), first.cells)] * 2
    return BufferSummary(first.cell_bytes, *columns)
