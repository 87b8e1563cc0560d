"""Both frontiers of a loop nest: what is written, and what is still to be read.

For each input with each output: both from their own tensor's start, and the input
moved D bytes above the output's start, where the two just touch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from diagmem.analysis.overlap import find_overlap
from diagmem.base.errors import DiagmemError
from diagmem.ops import find_operator
from diagmem.ops.algorithmic import liveness
from diagmem.ops.layer import Layer
from diagmem.ops.nest import duration
from diagmem.plot.frontiers_panel import (
    HEADINGS,
    PANEL,
    SCALES,
    TOP,
    Pair,
    draw_apart,
    draw_moved,
    draw_panel,
)
from diagmem.plot.legend import ring_marker
from diagmem.plot.paint import (
    FAINT,
    FRAME,
    INPUT_LINE,
    OUTPUT_LINE,
    SHARED_LIVE,
)
from diagmem.plot.shading import highest_written, still_needed
from diagmem.plot.sheet import DPI, LINE, WIDTH_PX, Sheet, fixed_style, wrapped
from diagmem.plot.units import bytes_both, bytes_exact

if TYPE_CHECKING:
    from matplotlib.artist import Artist

MAX_PAIRS = 4
_LEFT, _BETWEEN, _RIGHT = 140, 150, 40


def pairs_of(layer: Layer, order: str) -> list[Pair]:
    """Every input with every output, the first `MAX_PAIRS` of them.

    Raises
    ------
    DiagmemError
        The layer is too large for the algorithmic method.
    """
    nest = find_operator(layer.operator).loop_nest(layer, order)
    try:
        live = liveness(layer, nest)
    except DiagmemError as error:
        raise DiagmemError(f"{error}, without -o") from None
    ticks = max(sum(duration(node) for node in nest), 1)
    names = [(i.name, o.name) for i in layer.inputs for o in layer.outputs][:MAX_PAIRS]
    return [
        Pair(
            find_overlap(live[source], live[target], isolated=False),
            still_needed(live[source]),
            highest_written(live[target]),
            ticks,
        )
        for source, target in names
    ]


def draw(layer: Layer, order: str, path: Path) -> None:
    """Write the picture: one row for each input with each output.

    Raises
    ------
    DiagmemError
        The layer is too large for the algorithmic method, or the file cannot be
        written.
    """
    pairs = pairs_of(layer, order)
    words = " ".join(f"{k}={v}" for k, v in find_operator(layer.operator).words(layer).items())
    with fixed_style():
        notes = wrapped(_left_out(layer), (WIDTH_PX - _LEFT - _RIGHT) * 72 / DPI)
        tops = [TOP]
        for pair in pairs:
            tops.append(tops[-1] + HEADINGS + (0 if pair.is_empty else PANEL + SCALES))
        foot = tops.pop()
        sheet = Sheet(WIDTH_PX, foot + 50 + LINE * len(notes), DPI)
        width = WIDTH_PX - _LEFT - _RIGHT
        title = f"{layer.operator}, loop order: {order}"
        sheet.write(_LEFT, 48, title, size_pt=13, bold=True, width_px=width)
        sheet.write(_LEFT, 80, words, color=FAINT, width_px=width)
        columns = 3 if any(pair.close_up for pair in pairs) else 2
        for top, pair in zip(tops, pairs, strict=True):
            _draw_pair(sheet, pair, top, columns)
        handles = _legend(pairs)
        sheet.legend(handles, _LEFT, foot + 10, loc="center left", ncols=len(handles))
        for number, line in enumerate(notes):
            sheet.write(_LEFT, foot + 55 + number * LINE, line)
        sheet.save(path)


def _left_out(layer: Layer) -> str:
    pairs = [f"{i.name} over {o.name}" for i in layer.inputs for o in layer.outputs]
    rest = pairs[MAX_PAIRS:]
    return f"Left out: {', '.join(rest)}." if rest else ""


def _draw_pair(sheet: Sheet, pair: Pair, top: int, columns: int) -> None:
    """Headings, and the panels from left to right."""
    overlap = pair.overlap
    d = overlap.min_displacement_bytes
    sheet.write(
        _LEFT,
        top + 30,
        f"{overlap.input} over {overlap.output}: D = {bytes_both(d)},"
        f" O_s = {bytes_both(overlap.safe_overlap_bytes)}",
        size_pt=10,
        bold=True,
        width_px=WIDTH_PX - _LEFT - _RIGHT,
    )
    sheet.write(_LEFT, top + 58, _limit(pair), width_px=WIDTH_PX - _LEFT - _RIGHT)
    if pair.is_empty:
        return
    width = (WIDTH_PX - _LEFT - _RIGHT - (columns - 1) * _BETWEEN) // columns
    rects = [(_LEFT + i * (width + _BETWEEN), top + HEADINGS, width, PANEL) for i in range(columns)]
    everything = (0, pair.ticks), (0, pair.span_bytes)
    draw_apart(
        draw_panel(sheet, rects[0], "each from its own start", *everything), pair, *everything
    )
    title = f"{overlap.input} {bytes_exact(d)} above {overlap.output}"
    draw_moved(draw_panel(sheet, rects[1], title, *everything), pair, *everything)
    if pair.close_up and pair.touch:
        step, _, byte = pair.touch
        title = "close-up, counted from the limit"
        axes = draw_panel(sheet, rects[2], title, *pair.close_up, zero=(step, byte))
        draw_moved(axes, pair, *pair.close_up)


def _limit(pair: Pair) -> str:
    """What keeps D from being smaller, or why nothing does."""
    overlap = pair.overlap
    if pair.is_empty:
        sizes = {overlap.input: overlap.input_bytes, overlap.output: overlap.output_bytes}
        empty = [name for name, size in sizes.items() if size == 0]
        return f"nothing to draw: no elements in {' and '.join(empty)}"
    limit = overlap.limit
    if limit is None:
        if not len(pair.needed.tick):
            return f"no byte of {overlap.input} is read"
        return "every byte is read for the last time before one at its place is written"
    since = f"written at step {limit.output_tick:,}"
    if limit.output_tick < 0:
        since = "needed from before the start"
    until = f"last read at step {limit.input_tick:,}" if limit.input_tick >= 0 else "there"
    return (
        f"{overlap.output} byte {limit.output_offset:,} is {since}, and"
        f" {overlap.input} byte {limit.input_offset:,} is {until}"
    )


def _legend(pairs: list[Pair]) -> list[Artist]:
    """Handles of what the picture holds."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Artist] = []
    if any(len(pair.written.tick) for pair in pairs):
        label = "highest output byte written"
        handles.append(Line2D([], [], color=OUTPUT_LINE, linewidth=1.6, label=label))
    if any(len(pair.needed.tick) for pair in pairs):
        label = "lowest input byte still needed"
        handles.append(Line2D([], [], color=INPUT_LINE, linewidth=1.6, label=label))
    if any(pair.touch for pair in pairs):
        label = "written above what is needed, at most D"
        handles += [
            Patch(facecolor=SHARED_LIVE, edgecolor=FRAME, linewidth=0.5, label=label),
            Line2D([], [], linestyle="", label="limit of D", **ring_marker()),
        ]
    return handles
