"""Decoding SUMMARY blocks: first and last load and store of each cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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


def read_summary(trace: TraceFile, window: int, buffer: int) -> BufferSummary | None:
    """The summary of a window's buffer (by position), None if the file was cut
    before it."""
    size_bytes = trace.record(window).window.buffers[buffer].size_bytes
    for header in trace.blocks_of(BlockType.SUMMARY, window):
        raw = trace.payload(header)
        place = f"{trace.path}: block at byte {header.payload_at}"
        try:
            head = np.frombuffer(raw, fmt.SUMMARY_HEAD, 1)[0]
            columns = np.frombuffer(raw, "<i8", offset=fmt.SUMMARY_HEAD.itemsize)
        except ValueError:
            raise TraceError(f"{place}: shorter than a summary's head") from None
        if (int(head["window"]), int(head["buffer"])) != (window, buffer):
            continue
        cells, kinds, cell_bytes = (int(head[f]) for f in ("cells", "kinds", "cell_bytes"))
        if cell_bytes.bit_count() != 1 or cells * cell_bytes != size_bytes:
            raise TraceError(
                f"{place}: {cells} cells of {cell_bytes} bytes, expected the buffer's {size_bytes}"
            )
        present = [2 * k + i for k in range(2) if kinds >> k & 1 for i in range(2)]
        if len(columns) != len(present) * cells:
            raise TraceError(
                f"{place}: {len(columns)} ticks, expected {len(present)} columns of {cells}"
            )
        found = [np.zeros(cells, np.int64) for _ in range(4)]
        for column, which in zip(columns.reshape(len(present), cells), present, strict=True):
            found[which] = np.cumsum(column)
        return BufferSummary(cell_bytes, *found)
    return None
