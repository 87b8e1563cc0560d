"""Decoding SUMMARY blocks: first and last load and store of each cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diagmem.trace import format as fmt
from diagmem.trace.format import BlockType, TraceError
from diagmem.trace.model import Int64Array
from diagmem.trace.reader import TraceFile


@dataclass(frozen=True, slots=True)
class BufferSummary:
    """Four int64 columns, one entry per cell: tick + 1, or 0 for never."""

    cell_bytes: int
    first_load: Int64Array
    last_load: Int64Array
    first_store: Int64Array
    last_store: Int64Array


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


def read_summary(trace: TraceFile, window: int, buffer: int) -> BufferSummary | None:
    """The summary of a window's buffer (by position), None if the file was cut
    before its end.

    Raises
    ------
    TraceError
        If a block of it is damaged.
    """
    size_bytes = trace.record(window).window.buffers[buffer].size_bytes
    found: list[Int64Array] = []
    cell_bytes, done = 1, 0
    for header in trace.blocks_of(BlockType.SUMMARY, window):
        place = trace.place(header)
        try:
            part = decode_part(trace.payload(header))
        except ValueError as error:
            raise TraceError(f"{place}: {error}") from None
        if (part.window, part.buffer) != (window, buffer):
            continue
        if part.cell_bytes.bit_count() != 1 or part.cells * part.cell_bytes != size_bytes:
            raise TraceError(
                f"{place}: {part.cells} cells of {part.cell_bytes} bytes, expected the buffer's"
                f" {size_bytes}"
            )
        if part.first_cell != done or done + part.count > part.cells:
            raise TraceError(f"{place}: cells from {part.first_cell} on, expected from {done}")
        if not found:
            found, cell_bytes = [np.zeros(part.cells, np.int64) for _ in range(4)], part.cell_bytes
        kinds = [kind for kind in range(2) if part.kinds >> kind & 1]
        for kind, (first, last) in zip(kinds, part.columns, strict=True):
            found[2 * kind][done : done + part.count] = first
            found[2 * kind + 1][done : done + part.count] = last
        done += part.count
        if part.kinds == 0 or done == part.cells:
            return BufferSummary(cell_bytes, *found)
    return None
