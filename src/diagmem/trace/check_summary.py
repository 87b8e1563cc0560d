"""The invariants of SUMMARY blocks."""

from __future__ import annotations

from functools import partial

import numpy as np

from diagmem.trace import format as fmt
from diagmem.trace.cells import MAX_CELL_BYTES
from diagmem.trace.check_records import RecordChecker, Summarised
from diagmem.trace.format import BlockHeader
from diagmem.trace.invariants import Findings, Violation
from diagmem.trace.summary import SummaryPart, decode_part
from diagmem.trace.window import Int64Array


def check_summary(
    state: RecordChecker, block: BlockHeader, raw: bytes, at: int, findings: Findings
) -> None:
    """Check one block, and note its largest tick for the window's end."""
    try:
        part = decode_part(raw)
    except ValueError as error:
        found, _, expected = str(error).partition(", expected ")
        findings.add(Violation("summary-shape", found, expected, byte=at))
        _excuse(state, raw)
        return
    index, number = part.window, part.buffer
    if (block.window_start, block.window_end) != (index, index + 1):
        found = f"windows [{block.window_start}, {block.window_end})"
        findings.add(Violation("block-windows", found, f"[{index}, {index + 1})", at, None, index))
    window = state.windows.get(index)
    if window is None:
        found, expected = f"window {index}", "one described before"
        findings.add(Violation("block-windows", found, expected, at, None, index))
        return
    came = window.summaries.setdefault(number, Summarised())
    if number >= len(window.buffers) or window.end is not None or came.whole:
        found = f"a summary of buffer {number}"
        expected = f"one of each of {len(window.buffers)} buffers before the window's end"
        findings.add(Violation("summary-once", found, expected, at, None, index))
        return
    wrong = _wrong_shape(part, window.buffers[number].size_bytes, came.cells)
    if wrong is not None:
        # What else comes of this buffer is no second summary of it.
        came.whole = True
        findings.add(Violation("summary-shape", *wrong, at, None, index))
        return
    came.cells += part.count
    came.whole = came.cells == part.cells or part.kinds == 0
    for first, last in part.columns:
        wrong_ticks = (first > last) | (first < 0) | ((first == 0) != (last == 0))
        finding = partial(_ticks, at, index, first - 1, last - 1)
        findings.add_each("summary-ticks", wrong_ticks, finding)
        came.latest = max(came.latest, int(last.max(initial=0)))


def _excuse(state: RecordChecker, raw: bytes) -> None:
    """A damaged block is one finding, and not a missing summary besides."""
    if len(raw) >= fmt.SUMMARY_HEAD.itemsize:
        head = np.frombuffer(raw, fmt.SUMMARY_HEAD, 1)[0]
        window = state.windows.get(int(head["window"]))
        if window is not None:
            window.summaries[int(head["buffer"])] = Summarised(whole=True)


def _wrong_shape(part: SummaryPart, size_bytes: int, done: int) -> tuple[str, str] | None:
    """What is wrong with the counts of a summary, and what was expected."""
    if part.cell_bytes not in {1 << shift for shift in range(MAX_CELL_BYTES.bit_length())}:
        return f"cells of {part.cell_bytes} bytes", f"a power of two up to {MAX_CELL_BYTES}"
    if part.cells * part.cell_bytes != size_bytes:
        return f"{part.cells} cells of {part.cell_bytes} bytes", f"the buffer's {size_bytes} bytes"
    if part.first_cell != done or (part.kinds and not 0 < part.count <= part.cells - done):
        found = f"cells [{part.first_cell}, {part.first_cell + part.count})"
        return found, f"some of [{done}, {part.cells})"
    return None


def _ticks(at: int, window: int, first: Int64Array, last: Int64Array, cell: int) -> Violation:
    found = f"cell {cell} from tick {first[cell]} to {last[cell]}"
    expected = "first <= last, and both or none -1"
    return Violation("summary-ticks", found, expected, at, None, window)
