"""One panel of a picture of frontiers: what is still needed, what is already written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from diagmem.analysis.overlap import Overlap
from diagmem.ops.nest import Int64Array
from diagmem.plot.legend import ring_marker
from diagmem.plot.paint import (
    FAINT,
    INK,
    INPUT_LINE,
    INPUT_LIVE,
    OUTPUT_LINE,
    OUTPUT_LIVE,
    SHARED_LIVE,
)
from diagmem.plot.scene import span_bytes
from diagmem.plot.shading import Steps
from diagmem.plot.sheet import TEXT_PT, WIDTH_PX, Rect, Sheet
from diagmem.plot.units import byte_ticks, count_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLOSE_UP_CELLS = 48
"""The height of a close-up; pictures of less than four times that need none."""
TOP, HEADINGS, PANEL, SCALES = 105, 108, 400, 110
"""Pixels: the titles, those of a pair, its panels, what is below."""
_LINE_PT = 1.2
_MARGIN = 0.03
"""Of a panel beyond its data, so that no line lies on the frame."""


@dataclass(frozen=True, slots=True)
class Pair:
    """An input and an output: their overlap and frontiers, in ``ticks`` steps."""

    overlap: Overlap
    needed: Steps
    written: Steps
    ticks: int

    @property
    def span_bytes(self) -> int:
        return span_bytes(self.overlap)

    @property
    def is_empty(self) -> bool:
        """Has the input or the output no elements?"""
        return 0 in (self.overlap.input_bytes, self.overlap.output_bytes)

    @property
    def touch(self) -> tuple[int, int, int] | None:
        """A step at which D is needed, and what is to be read and written there.

        None where nothing keeps D from being smaller.
        """
        limit = self.overlap.limit
        if limit is None or not len(self.needed.tick):
            return None
        tick = max(limit.input_tick, 0)
        at = np.array([tick])
        return tick, int(_levels(self.needed, at)[0]), int(_levels(self.written, at)[0])

    @property
    def close_up(self) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """Steps and bytes around the touch, the input moved; None where not needed."""
        high = CLOSE_UP_CELLS * self.overlap.cell_bytes
        if self.touch is None or self.span_bytes < 4 * high:
            return None
        tick, _, written = self.touch
        low = max(min(written - high // 2, self.span_bytes - high), 0)
        inside = np.searchsorted(self.written.edge, [low, low + high])
        first, end = (_entry(self.written.tick, i, self.ticks) for i in inside.tolist())
        return (min(first, tick), max(end, tick + 1)), (low, low + high)


def draw_panel(
    sheet: Sheet,
    rect: Rect,
    title: str,
    ticks: tuple[int, int],
    bytes_: tuple[int, int],
    zero: tuple[int, int] = (0, 0),
) -> Axes:
    """Empty axes for these steps and bytes, with a title and scales.

    ``zero``: the step and the byte that the scales count from.
    """
    left, top, width, height = rect
    sheet.write(left, top - 8, title, color=FAINT, width_px=width)
    axes = sheet.axes(rect)
    for set_limits, (start, end) in ((axes.set_xlim, ticks), (axes.set_ylim, bytes_)):
        margin = _MARGIN * (end - start)
        set_limits(start - margin, end + margin)
    (start, end), (low, high) = ticks, bytes_
    step, byte = zero
    axes.set_yticks(*byte_ticks(low - byte, high - byte, height // sheet.px(30), byte))
    axes.set_xticks(*count_ticks(start - step, end - step, width // sheet.px(45), step))
    axes.tick_params(length=3, labelsize=TEXT_PT)
    axes.set_xlabel("step of the loop nest", fontsize=TEXT_PT, color=FAINT)
    return axes


def draw_apart(axes: Axes, pair: Pair, ticks: tuple[int, int], bytes_: tuple[int, int]) -> None:
    """Both frontiers from zero, and D: the most that one is above the other."""
    needed, written = both_lines(pair, ticks, bytes_, 0)
    if pair.touch is not None:
        tick = np.union1d(needed.tick, written.tick)
        tick = tick[tick <= needed.tick[-1]]
        low, high = (_levels(line, tick) for line in (needed, written))
        axes.fill_between(
            tick, low, np.maximum(low, high), step="post", color=SHARED_LIVE, linewidth=0
        )
        _draw_distance(axes, *pair.touch, right=2 * pair.touch[0] < ticks[1])
    _draw_lines(axes, needed, written)


def _draw_distance(axes: Axes, tick: int, low: int, high: int, *, right: bool) -> None:
    """D as a bar from byte to byte, with its name where there is room for it."""
    axes.plot([tick, tick], [low, high], color=INK, linewidth=1.2, zorder=5)
    axes.plot([tick, tick], [low, high], "_", color=INK, markersize=9, zorder=5)
    bottom, top = axes.get_ylim()
    if (high - low) * PANEL > 30 * (top - bottom):
        axes.annotate(
            "D",
            (tick, (low + high) / 2),
            xytext=(6 if right else -6, 0),
            textcoords="offset points",
            ha="left" if right else "right",
            va="center",
            fontweight="bold",
        )


def draw_moved(axes: Axes, pair: Pair, ticks: tuple[int, int], bytes_: tuple[int, int]) -> None:
    """The input D bytes up: what is needed of both shares no byte at any step."""
    overlap = pair.overlap
    d = overlap.min_displacement_bytes
    needed, written = both_lines(pair, ticks, bytes_, d)
    for line, edge, colour in (
        (written, 0, OUTPUT_LIVE),
        (needed, d + overlap.input_bytes, INPUT_LIVE),
    ):
        if len(line.tick):
            axes.fill_between(line.tick, line.edge, edge, step="post", color=colour, linewidth=0)
    _draw_lines(axes, needed, written)
    if pair.touch is not None:
        tick, _, byte = pair.touch
        axes.plot(tick, byte, **ring_marker(), clip_on=False, zorder=6)


def _draw_lines(axes: Axes, needed: Steps, written: Steps) -> None:
    """Each beside the edge that it follows, so that both are seen where they touch."""
    from matplotlib.transforms import ScaledTranslation

    for line, colour, side in ((written, OUTPUT_LINE, 1), (needed, INPUT_LINE, -1)):
        if not len(line.tick):
            continue
        aside = side * _LINE_PT / 2 / 72
        moved = ScaledTranslation(aside, -aside, axes.figure.dpi_scale_trans)
        axes.step(
            line.tick,
            line.edge,
            where="post",
            color=colour,
            linewidth=_LINE_PT,
            transform=axes.transData + moved,
        )


def both_lines(
    pair: Pair, ticks: tuple[int, int], bytes_: tuple[int, int], shift: int
) -> tuple[Steps, Steps]:
    """The input's frontier ``shift`` bytes up, and the output's, down to pixels.

    Each ends where it has its last level: the input's when nothing is needed any
    more, the output's with the nest.
    """
    (start, end), (low, high) = ticks, bytes_
    columns, rows = (end - start) / WIDTH_PX, (high - low) / PANEL
    lines = []
    for line, until, up in ((pair.needed, 0, shift), (pair.written, pair.ticks, 0)):
        if not len(line.tick):
            lines.append(line)
            continue
        thinned = line.thinned(start, end, columns, rows)
        last = min(max(until, int(line.tick[-1])), end)
        lines.append(
            Steps(np.append(thinned.tick, last), np.append(thinned.edge, thinned.edge[-1]) + up)
        )
    return lines[0], lines[1]


def _levels(line: Steps, ticks: Int64Array) -> Int64Array:
    edges: Int64Array = line.edge[np.searchsorted(line.tick, ticks, side="right") - 1]
    return edges


def _entry(values: Int64Array, index: int, beyond: int) -> int:
    return int(values[index]) if index < len(values) else beyond
