"""The overlapped pair: memory ruler beside the panel, and the limiting access."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from diagmem.analysis.overlap import Overlap
from diagmem.plot.labels import free_place, spread
from diagmem.plot.layout import HINTING
from diagmem.plot.legend import ring_marker
from diagmem.plot.limit import LimitingAccess
from diagmem.plot.paint import (
    FAINT,
    INK,
    INPUT_LINE,
    INPUT_LIVE,
    OUTPUT_LINE,
    OUTPUT_LIVE,
    BoolArray,
    marks,
)
from diagmem.plot.panels import Drawn, Panel
from diagmem.plot.scene import limit_point
from diagmem.plot.sheet import TEXT_PT, Sheet
from diagmem.plot.units import bytes_exact, drawable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BAR_PT = 14
LINE_PT = 12.5
NOTE_PART = 0.8
"""Of a panel's width, the widest note on the limit."""


def draw_ruler(sheet: Sheet, panel: Panel, pair: Overlap) -> None:
    """Where both tensors lie, as two bars beside the panel, with D and O_s."""
    left, top, width, height = panel.rect
    bar = sheet.px(BAR_PT)
    strip = (left + width + sheet.px(8), top, 2 * bar + sheet.px(3), height)
    axes = sheet.axes(strip)
    axes.set_axis_off()
    axes.set_xlim(0, strip[2])
    axes.set_ylim(panel.bytes.start, panel.bytes.end)
    d = pair.min_displacement_bytes
    second = bar + sheet.px(3)
    for x, at, size, name, fill, edge in (
        (0, 0, pair.output_bytes, pair.output, OUTPUT_LIVE, OUTPUT_LINE),
        (second, d, pair.input_bytes, pair.input, INPUT_LIVE, INPUT_LINE),
    ):
        axes.bar(
            x,
            size,
            bar,
            at,
            align="edge",
            color=fill,
            edgecolor=edge,
            linewidth=0.9,
            clip_on=False,
        )
        room = size * height / panel.bytes.length - sheet.px(6)
        if room > sheet.px(20):
            axes.text(
                x + bar / 2,
                at + size / 2,
                sheet.fitted(drawable(name), room),
                rotation=90,
                ha="center",
                va="center",
            )
    _write_measures(sheet, panel, pair, strip[0] + strip[2])


def _write_measures(sheet: Sheet, panel: Panel, pair: Overlap, left: int) -> None:
    """D and O_s right of the bars, each tied to the bytes it measures."""
    _, top, _, height = panel.rect
    d, o_s = pair.min_displacement_bytes, pair.safe_overlap_bytes
    measures = [(0, d, f"D = {bytes_exact(d)}")]
    measures.append((d, d + o_s, f"O_s = {bytes_exact(o_s)}"))

    def y(at: float) -> float:
        return top + height - at * height / panel.bytes.length

    # From the top down: the higher bytes first.
    wanted = [y((low + high) / 2) for low, high, _ in measures]
    half = sheet.px(7)
    placed = spread(wanted, sheet.px(LINE_PT + 3), top + half, top + height - half)
    bracket, text = left + sheet.px(5), left + sheet.px(18)
    for (low, high, label), at in zip(measures, placed, strict=True):
        _bracket(sheet, bracket, y(low), y(high), at)
        sheet.write(text, at, label, bold=True, va="center_baseline", size_pt=TEXT_PT + 0.5)


def _bracket(sheet: Sheet, x: float, low: float, high: float, label: float) -> None:
    """A bracket from ``low`` to ``high`` and a line to its label, in sheet pixels."""
    from matplotlib.lines import Line2D

    arm, tip = sheet.px(3), sheet.px(11)
    middle = (low + high) / 2
    for points in (
        [(x - arm, low), (x, low), (x, high), (x - arm, high)],
        [(x, middle), (x + arm, middle), (x + tip - arm, label), (x + tip, label)],
    ):
        xs = [px / sheet.width_px for px, _ in points]
        ys = [1 - py / sheet.height_px for _, py in points]
        sheet.figure.add_artist(Line2D(xs, ys, color=INK, linewidth=0.9))


def limit_texts(pair: Overlap, accesses: Sequence[LimitingAccess] = ()) -> list[str]:
    """What limits D, and by which accesses, in short lines; nothing where nothing does."""
    limit = pair.limit
    if limit is None:
        return []
    until = f"needed until tick {limit.input_tick:,}" if limit.input_tick >= 0 else "there"
    held = f"output byte {limit.output_offset:,} is"
    since = f"stored at tick {limit.output_tick:,}"
    if limit.output_tick < 0:
        since = "needed from before the start"
    return [
        f"limit of D = {bytes_exact(pair.min_displacement_bytes)}",
        f"{held} {since} while",
        f"input byte {limit.input_offset:,} is {until}",
        *map(str, accesses),
    ]


def ring(axes: Axes, pair: Overlap) -> tuple[int, int] | None:
    """A ring where the frontiers touch; that point, if there is one."""
    point = limit_point(pair)
    if point is not None:
        axes.plot(*zip(point, strict=True), **ring_marker(), clip_on=False, zorder=6)
    return point


def draw_limit(
    sheet: Sheet, drawn: Drawn, pair: Overlap, accesses: Sequence[LimitingAccess]
) -> None:
    """The ring, and a note on it where it hides nothing."""
    panel = drawn.panel
    point = ring(drawn.axes, pair)
    if point is None:
        return
    tick, byte = point
    _, _, width, height = panel.rect
    target = (
        round((byte - panel.bytes.start) * height / panel.bytes.length),
        round((tick - panel.ticks.start) * width / panel.ticks.length),
    )
    pad = sheet.px(5)
    room = (width * NOTE_PART - 2 * pad) / HINTING
    texts = [sheet.fitted(drawable(text), room) for text in limit_texts(pair, accesses)]
    box = (
        sheet.px(LINE_PT) * len(texts) + 2 * pad,
        round(HINTING * max(sheet.width_of(t) for t in texts)) + 2 * pad,
    )
    row, column = free_place(_occupied(drawn), box, target)
    _leader(sheet, drawn, (row, column), box, target)
    x = panel.rect[0] + column + pad
    y = panel.rect[1] + height - row - box[0] + pad + sheet.px(TEXT_PT)
    for number, text in enumerate(texts):
        sheet.write(x, y + number * sheet.px(LINE_PT), text, zorder=8, bold=number == 0)


def _leader(
    sheet: Sheet,
    drawn: Drawn,
    place: tuple[int, int],
    box: tuple[int, int],
    target: tuple[int, int],
) -> None:
    """The note's frame, and a line from it to just outside of the ring."""
    from matplotlib.patches import Rectangle

    axes = drawn.axes
    _, _, width, height = drawn.panel.rect
    row, column = place
    nearest = np.array(
        [
            min(max(target[1], column), column + box[1]),
            min(max(target[0], row), row + box[0]),
        ],
        float,
    )
    ring = np.array([target[1], target[0]], float)
    away = nearest - ring
    ring += away / max(float(np.hypot(*away)), 1e-9) * sheet.px(6)
    axes.plot(
        [nearest[0] / width, ring[0] / width],
        [nearest[1] / height, ring[1] / height],
        color=INK,
        linewidth=0.9,
        transform=axes.transAxes,
        zorder=6,
    )
    axes.add_patch(
        Rectangle(
            (column / width, row / height),
            box[1] / width,
            box[0] / height,
            transform=axes.transAxes,
            facecolor="white",
            edgecolor=FAINT,
            linewidth=0.8,
            alpha=0.92,
            zorder=5,
        )
    )


def _occupied(drawn: Drawn) -> BoolArray:
    """The panel's pixels, (height, width), that hold accesses or a line."""
    panel = drawn.panel
    _, _, width, height = panel.rect
    occupied = marks(drawn.grids)
    rows = np.arange(height) * occupied.shape[0] // height
    columns = np.arange(width) * occupied.shape[1] // width
    pixels = occupied[np.ix_(rows, columns)]
    edges = panel.ticks.start + np.arange(width + 1) * panel.ticks.length / width
    for line in drawn.lines:
        step = np.searchsorted(line.steps.tick, edges, side="right") - 1
        at = np.where(step < 0, 0, line.steps.edge[np.maximum(step, 0)]) - panel.bytes.start
        y = np.clip(at * height // panel.bytes.length, 0, height - 1)
        for column, (low, high) in enumerate(pairwise(y)):
            pixels[low : high + 1, column] = True
    return pixels
