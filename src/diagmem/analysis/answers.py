"""Which pairs of a window have no answer, and why."""

from __future__ import annotations

from collections.abc import Sequence

from diagmem.analysis.liveness import BufferLiveness
from diagmem.base.errors import DiagmemError
from diagmem.trace.reader import WindowRecord
from diagmem.trace.window import Role, Window

MAX_PAIRS = 1 << 16
"""Of inputs and outputs of one window."""
ISOLATED_TOGETHER = 1 << 33
"""Comparisons for isolated displacements of all pairs of all windows, some ten seconds."""
MAX_ALL_PAIRS = 1 << 20
_THREADS = (
    "several threads touched the window's buffers: the order seen is one of many, so nothing"
    " may overlap"
)
_UNTOUCHED = (
    "the window touched neither of the two: these are not its buffers, so nothing can be said"
)


def check_pairs(path: str, records: Sequence[WindowRecord]) -> None:
    """Refuse more pairs of an input and an output than can be answered in a while.

    Raises
    ------
    DiagmemError
        One window has more than `MAX_PAIRS`, or all have more than `MAX_ALL_PAIRS`.
    """
    total = 0
    for record in records:
        names = {buffer.name for buffer in record.window.buffers}
        if len(names) < len(record.window.buffers):
            raise DiagmemError(
                f"{path}: window {record.window.index}: two buffers of one name, expected different"
                " ones"
            )
        roles = [buffer.role for buffer in record.window.buffers]
        here = roles.count(Role.INPUT) * roles.count(Role.OUTPUT)
        total += here
        if here > MAX_PAIRS:
            raise DiagmemError(
                f"{path}: window {record.window.index} has {here:,} pairs of an input and an"
                f" output, expected at most {MAX_PAIRS:,}"
            )
    if total > MAX_ALL_PAIRS:
        raise DiagmemError(
            f"{path}: {total:,} pairs of an input and an output in {len(records):,} windows,"
            f" expected at most {MAX_ALL_PAIRS:,}; choose a window"
        )


def wrote_nothing(output: str) -> str:
    """What is said of a window that stored to no byte of an output."""
    return f"the kernel wrote nothing to {output}: that says nothing of an overlap"


def why_apart(window: Window, input_: BufferLiveness, output: BufferLiveness) -> str:
    """Why nothing can be concluded from a window, or empty."""
    if not window.complete:
        return f"the window did not finish: {window.end}"
    if not output.stored.any():
        touched = input_.loaded.any() or input_.stored.any() or output.loaded.any()
        return wrote_nothing(output.name) if touched else _UNTOUCHED
    return _THREADS if window.several_threads else ""
