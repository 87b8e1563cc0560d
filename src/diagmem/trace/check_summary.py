"""The invariants of SUMMARY blocks."""

from __future__ import annotations

from functools import partial

import numpy as np

from diagmem.trace import format as fmt
from diagmem.trace.cells import MAX_CELL_BYTES
from diagmem.trace.check_records import RecordChecker
from diagmem.trace.format import BlockHeader
from diagmem.trace.invariants import Finding, Findings
from diagmem.trace.model import Int64Array


def check_summary(
    state: RecordChecker, block: BlockHeader, raw: bytes, at: int, findings: Findings
) -> None:
    """Check one block, and note its largest tick for the window's end."""
    if len(raw) < fmt.SUMMARY_HEAD.itemsize:
        found, expected = f"{len(raw)} bytes", f"at least {fmt.SUMMARY_HEAD.itemsize}"
        findings.add(Finding("summary-shape", found, expected, byte=at))
        return
    head = np.frombuffer(raw, fmt.SUMMARY_HEAD, 1)[0]
    index, number = int(head["window"]), int(head["buffer"])
    if (block.window_start, block.window_end) != (index, index + 1):
        found = f"windows [{block.window_start}, {block.window_end})"
        findings.add(Finding("block-windows", found, f"[{index}, {index + 1})", at, None, index))
    window = state.windows.get(index)
    if window is None:
        found, expected = f"window {index}", "one described before"
        findings.add(Finding("block-windows", found, expected, at, None, index))
        return
    if number >= len(window.buffers) or number in window.summaries or window.end is not None:
        found = f"a summary of buffer {number}"
        expected = f"one of each of {len(window.buffers)} buffers before the window's end"
        findings.add(Finding("summary-once", found, expected, at, None, index))
        return
    window.summaries[number] = 0
    wrong = _wrong_shape(head, len(raw), window.buffers[number].size_bytes)
    if wrong is not None:
        findings.add(Finding("summary-shape", *wrong, at, None, index))
        return
    ticks = np.frombuffer(raw, "<i8", offset=fmt.SUMMARY_HEAD.itemsize)
    pairs = np.cumsum(ticks.reshape(-1, 2, int(head["cells"])), axis=2)
    for first, last in pairs:
        wrong = (first > last) | (first < 0) | ((first == 0) != (last == 0))
        finding = partial(_ticks, at, index, first - 1, last - 1)
        findings.add_each("summary-ticks", wrong, finding)
        window.summaries[number] = max(window.summaries[number], int(last.max(initial=0)))


def _wrong_shape(head: np.void, raw_bytes: int, size_bytes: int) -> tuple[str, str] | None:
    """What is wrong with the counts of a summary, and what was expected."""
    cell, cells, kinds = int(head["cell_bytes"]), int(head["cells"]), int(head["kinds"])
    if cell not in {1 << shift for shift in range(MAX_CELL_BYTES.bit_length())}:
        return f"cells of {cell} bytes", f"a power of two up to {MAX_CELL_BYTES}"
    if cells * cell != size_bytes:
        return f"{cells} cells of {cell} bytes", f"the buffer's {size_bytes} bytes"
    if kinds >= 4:
        return f"kinds {kinds}", "0 to 3"
    expected = fmt.SUMMARY_HEAD.itemsize + kinds.bit_count() * 2 * 8 * cells
    if raw_bytes != expected:
        return f"a block of {raw_bytes} bytes", f"{expected} by its own counts"
    return None


def _ticks(at: int, window: int, first: Int64Array, last: Int64Array, cell: int) -> Finding:
    found = f"cell {cell} from tick {first[cell]} to {last[cell]}"
    expected = "first <= last, and both or none -1"
    return Finding("summary-ticks", found, expected, at, None, window)
