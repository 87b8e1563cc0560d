"""Both frontiers of a loop nest: what is written, and what is still to be read.

For each input with each output: both from their own tensor's start, and the input
moved D bytes above the output's start, where the two just touch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from diagmem.analysis.overlap import Overlap, find_overlap
from diagmem.base.errors import DiagmemError
from diagmem.ops import find_operator
from diagmem.ops.algorithmic import liveness
from diagmem.ops.layer import Layer
from diagmem.ops.nest import Int64Array, duration
from diagmem.plot.legend import ring_marker
from diagmem.plot.lives import Steps, highest_written, still_needed
from diagmem.plot.paint import (
    FAINT,
    FRAME,
    INK,
    INPUT_LINE,
    INPUT_LIVE,
    OUTPUT_LINE,
    OUTPUT_LIVE,
    SHARED_LIVE,
)
from diagmem.plot.sheet import TEXT_PT, Rect, Sheet, fixed_style, wrapped
from diagmem.plot.units import byte_ticks, bytes_both, bytes_exact, count_ticks

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

WIDTH_PX, DPI = 1800, 150
MAX_PAIRS = 4
CLOSE_UP_CELLS = 48
"""The height of a close-up; pictures of less than four times that need none."""
_LEFT, _BETWEEN, _RIGHT = 140, 150, 40
_TOP, _HEADINGS, _PANEL, _SCALES, _LINE = 105, 108, 400, 110, 27
"""Pixels: the titles, those of a pair, its panels, what is below; a line of text."""
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
        """Of both tensors, the input D bytes above the output's start."""
        overlap = self.overlap
        return max(overlap.output_bytes, overlap.min_displacement_bytes + overlap.input_bytes)

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
        tops = [_TOP]
        for pair in pairs:
            tops.append(tops[-1] + _HEADINGS + (0 if pair.is_empty else _PANEL + _SCALES))
        foot = tops.pop()
        sheet = Sheet(WIDTH_PX, foot + 50 + _LINE * len(notes), DPI)
        width = WIDTH_PX - _LEFT - _RIGHT
        title = f"{layer.operator}, loop order: {order}"
        sheet.write(_LEFT, 48, title, size_pt=13, bold=True, width_px=width)
        sheet.write(_LEFT, 80, words, color=FAINT, width_px=width)
        columns = 3 if any(pair.close_up for pair in pairs) else 2
        for top, pair in zip(tops, pairs, strict=True):
            _draw_pair(sheet, pair, top, columns)
        _draw_legend(sheet, pairs, foot)
        for number, line in enumerate(notes):
            sheet.write(_LEFT, foot + 55 + number * _LINE, line)
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
    rects = [
        (_LEFT + i * (width + _BETWEEN), top + _HEADINGS, width, _PANEL) for i in range(columns)
    ]
    everything = (0, pair.ticks), (0, pair.span_bytes)
    _draw_apart(_panel(sheet, rects[0], "each from its own start", *everything), pair, *everything)
    title = f"{overlap.input} {bytes_exact(d)} above {overlap.output}"
    _draw_moved(_panel(sheet, rects[1], title, *everything), pair, *everything)
    if pair.close_up and pair.touch:
        step, _, byte = pair.touch
        title = "close-up, counted from the limit"
        axes = _panel(sheet, rects[2], title, *pair.close_up, zero=(step, byte))
        _draw_moved(axes, pair, *pair.close_up)


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


# ---- one panel ----


def _panel(
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
    places = byte_ticks(low - byte, high - byte, height // sheet.px(30))
    axes.set_yticks([byte + at for at, _ in places], [label for _, label in places])
    places = count_ticks(start - step, end - step, width // sheet.px(45))
    axes.set_xticks([step + at for at, _ in places], [label for _, label in places])
    axes.tick_params(length=3, labelsize=TEXT_PT)
    axes.set_xlabel("step of the loop nest", fontsize=TEXT_PT, color=FAINT)
    return axes


def _draw_apart(axes: Axes, pair: Pair, ticks: tuple[int, int], bytes_: tuple[int, int]) -> None:
    """Both frontiers from zero, and D: the most that one is above the other."""
    needed, written = _both_lines(pair, ticks, bytes_, 0)
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
    if (high - low) * _PANEL > 30 * (top - bottom):
        axes.annotate(
            "D",
            (tick, (low + high) / 2),
            xytext=(6 if right else -6, 0),
            textcoords="offset points",
            ha="left" if right else "right",
            va="center",
            fontweight="bold",
        )


def _draw_moved(axes: Axes, pair: Pair, ticks: tuple[int, int], bytes_: tuple[int, int]) -> None:
    """The input D bytes up: what is needed of both shares no byte at any step."""
    overlap = pair.overlap
    d = overlap.min_displacement_bytes
    needed, written = _both_lines(pair, ticks, bytes_, d)
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


def _both_lines(
    pair: Pair, ticks: tuple[int, int], bytes_: tuple[int, int], shift: int
) -> tuple[Steps, Steps]:
    """The input's frontier ``shift`` bytes up, and the output's, down to pixels.

    Each ends where it has its last level: the input's when nothing is needed any
    more, the output's with the nest.
    """
    (start, end), (low, high) = ticks, bytes_
    columns, rows = (end - start) / WIDTH_PX, (high - low) / _PANEL
    found = []
    for line, until, up in ((pair.needed, 0, shift), (pair.written, pair.ticks, 0)):
        if not len(line.tick):
            found.append(line)
            continue
        seen = line.thinned(start, end, columns, rows)
        last = min(max(until, int(line.tick[-1])), end)
        found.append(Steps(np.append(seen.tick, last), np.append(seen.edge, seen.edge[-1]) + up))
    return found[0], found[1]


def _draw_legend(sheet: Sheet, pairs: list[Pair], bottom: int) -> None:
    """One line below all panels, of what the picture holds."""
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
    if handles:
        sheet.figure.legend(
            handles=handles,
            loc="center left",
            bbox_to_anchor=(_LEFT / sheet.width_px, 1 - (bottom + 10) / sheet.height_px),
            ncols=len(handles),
            borderaxespad=0,
            borderpad=0,
            frameon=False,
            fontsize=TEXT_PT,
        )


# ---- step lines ----


def _levels(line: Steps, ticks: Int64Array) -> Int64Array:
    found: Int64Array = line.edge[np.searchsorted(line.tick, ticks, side="right") - 1]
    return found


def _entry(values: Int64Array, index: int, beyond: int) -> int:
    return int(values[index]) if index < len(values) else beyond
