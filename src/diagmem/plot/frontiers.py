"""Both frontiers of a loop nest: what is written, and what is still to be read.

The input is drawn D bytes above the output's start, where the two just touch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from diagmem.ops import find_operator
from diagmem.ops.algorithmic import liveness
from diagmem.ops.layer import Layer
from diagmem.ops.nest import Int64Array, duration
from diagmem.overlap import Overlap, find_overlap
from diagmem.plot.lives import Steps, highest_written, still_needed
from diagmem.plot.paint import (
    FAINT,
    INK,
    INPUT_LINE,
    INPUT_LIVE,
    OUTPUT_LINE,
    OUTPUT_LIVE,
)
from diagmem.plot.sheet import TEXT_PT, Sheet, fixed_style
from diagmem.plot.units import byte_ticks, bytes_both, count_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH_PX, ROW_PX, DPI = 1500, 620, 150
_MARGIN_PX = (150, 150, 60, 130)
"""Left, top, right and bottom of each pair's axes."""


def draw(layer: Layer, order: str, path: Path) -> None:
    """Write the picture: one row for each input with each output.

    Raises
    ------
    DiagmemError
        The layer is too large for the algorithmic method, or the file cannot be
        written.
    """
    nest = find_operator(layer.operator).loop_nest(layer, order)
    live = liveness(layer, nest)
    ticks = max(sum(duration(node) for node in nest), 1)
    pairs = [(i.name, o.name) for i in layer.inputs for o in layer.outputs]
    words = " ".join(f"{k}={v}" for k, v in find_operator(layer.operator).words(layer).items())
    with fixed_style():
        sheet = Sheet(WIDTH_PX, 60 + ROW_PX * len(pairs), DPI)
        left, top, right, bottom = _MARGIN_PX
        sheet.write(left, 45, f"{layer.operator}, loop order: {order}", size_pt=12, bold=True)
        sheet.write(left, 75, words, color=FAINT, width_px=WIDTH_PX - left - right)
        for row, (source, target) in enumerate(pairs):
            pair = find_overlap(live[source], live[target], isolated=False)
            rect = (
                left,
                60 + row * ROW_PX + top - 60,
                WIDTH_PX - left - right,
                ROW_PX - top - bottom + 60,
            )
            sheet.write(
                left,
                rect[1] - 14,
                f"{source} over {target}: D = {bytes_both(pair.min_displacement_bytes)},"
                f" O_s = {bytes_both(pair.safe_overlap_bytes)}",
                bold=True,
                width_px=rect[2],
            )
            lines = still_needed(live[source]), highest_written(live[target])
            _draw_pair(sheet.axes(rect), pair, *lines, ticks)
        sheet.save(path)


def _draw_pair(axes: Axes, pair: Overlap, needed: Steps, written: Steps, ticks: int) -> None:
    height = max(pair.output_bytes, pair.min_displacement_bytes + pair.input_bytes, 1)
    columns, rows = ticks / WIDTH_PX, height / ROW_PX
    if len(written.tick):
        tick, edge = _until(written.thinned(0, ticks, columns, rows), ticks)
        axes.fill_between(tick, 0, edge, step="post", color=OUTPUT_LIVE, linewidth=0)
        axes.step(
            tick, edge, where="post", color=OUTPUT_LINE, label=f"{pair.output}: written up to here"
        )
    if len(needed.tick):
        thinned = needed.thinned(0, ticks, columns, rows)
        tick, edge = _until(thinned, int(needed.tick[-1]))
        edge = edge + pair.min_displacement_bytes
        end = pair.min_displacement_bytes + pair.input_bytes
        axes.fill_between(tick, edge, end, step="post", color=INPUT_LIVE, linewidth=0)
        axes.step(
            tick, edge, where="post", color=INPUT_LINE, label=f"{pair.input}: needed from here up"
        )
    if pair.limit is not None:
        point = pair.limit.input_tick, pair.min_displacement_bytes + pair.limit.input_offset
        axes.plot(
            *point,
            "o",
            markersize=9,
            markerfacecolor="none",
            markeredgecolor=INK,
            clip_on=False,
            label="what keeps D from being smaller",
        )
    axes.set_xlim(0, ticks)
    axes.set_ylim(0, height)
    places = byte_ticks(0, height, 6)
    axes.set_yticks([at for at, _ in places], [label for _, label in places])
    places = count_ticks(0, ticks, 9)
    axes.set_xticks([at for at, _ in places], [label for _, label in places])
    axes.tick_params(length=3, labelsize=TEXT_PT)
    axes.set_xlabel("steps of the loop nest", fontsize=TEXT_PT, color=FAINT)
    axes.set_ylabel("bytes above the output's start", fontsize=TEXT_PT, color=FAINT)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, -0.17),
            ncols=3,
            frameon=False,
            fontsize=TEXT_PT,
        )


def _until(steps: Steps, tick: int) -> tuple[Int64Array, Int64Array]:
    """The line's points, its last level held up to a tick."""
    return np.append(steps.tick, tick), np.append(steps.edge, steps.edge[-1])
