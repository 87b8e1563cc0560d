"""One panel of an arena diagram: some operators across, the arena's bytes up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from diagmem.arena import Block
from diagmem.plot.arena_labels import draw_label
from diagmem.plot.arena_shapes import Arena, Band, FloatArray, Meeting
from diagmem.plot.arena_view import LINE_PT, View, names_operators
from diagmem.plot.labels import spread
from diagmem.plot.paint import (
    BOTH,
    FAINT,
    INK,
    INPUT_LINE,
    INPUT_LIVE,
    LOAD,
    OTHER_LIVE,
    OUTPUT_LINE,
    OUTPUT_LIVE,
    STORE,
)
from diagmem.plot.sheet import TEXT_PT, Sheet
from diagmem.plot.units import byte_ticks, count_ticks, drawable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Tints of one bluish green (Okabe and Ito), apart in grey too.
ACTIVATIONS = ("#d9efe7", "#b3dccd", "#8cc8b2", "#67b298")
BAND = "#efefef"
DASHED = (0, (4, 2))
LINED_COLUMN_PT = 2.5
"""Frontiers are drawn as lines in columns at least so wide."""
RIGHT_PT = 112
"""Room for the names of levels."""
_FRONTIER_PT = 1.0


def draw_view(sheet: Sheet, view: View, arena: Arena, tints: Mapping[int, str]) -> None:
    """Blocks, frontiers, levels and labels.

    Parameters
    ----------
    tints : the colour of each block, by tensor number; see `tints_of`.
    """
    axes = sheet.axes(view.rect)
    axes.set_xlim(view.start, view.end)
    axes.set_ylim(0, view.top_bytes)
    axes.spines[["top", "right"]].set_visible(False)
    _draw_scales(sheet, axes, view, arena)
    column_pt = view.column_px * 72 / sheet.dpi
    for block, band in arena.shapes:
        if block.first < view.end and block.end > view.start:
            _draw_block(axes, block, band, tints[block.tensor], column_pt)
    for meeting in arena.meetings:
        if view.start <= meeting.operator < view.end:
            _draw_meeting(axes, meeting, lines=column_pt >= LINED_COLUMN_PT)
    _draw_levels(sheet, axes, view)
    _mark_peak(axes, arena)
    if view.frame:
        _draw_frame(axes, view.frame)
    for block, band in arena.shapes:
        draw_label(sheet, axes, view, block, band, tints[block.tensor])


def tints_of(arena: Arena) -> dict[int, str]:
    """A colour for each block: its role's; activations that touch get different tints."""
    tints: dict[int, str] = {}
    done: list[tuple[Block, int]] = []
    offsets = arena.plan.plan.offsets
    fixed = {"input": INPUT_LIVE, "output": OUTPUT_LIVE, "scratch": OTHER_LIVE}
    for block, _ in sorted(
        arena.shapes, key=lambda s: (s[0].first, offsets[s[0].tensor], s[0].tensor)
    ):
        offset = offsets[block.tensor]
        if block.role != "activation":
            tints[block.tensor] = fixed[block.role]
            continue
        touching = [
            tints[other.tensor]
            for other, start in done
            if other.end >= block.first
            and start <= offset + block.size_bytes
            and offset <= start + other.size_bytes
        ]
        tints[block.tensor] = min(ACTIVATIONS, key=touching.count)
        done.append((block, offset))
    return tints


# ---- what is drawn ----


def _draw_scales(sheet: Sheet, axes: Axes, view: View, arena: Arena) -> None:
    axes.set_yticks(*byte_ticks(0, int(view.top_bytes), view.rect[3] // sheet.px(24)))
    axes.tick_params(length=3, labelsize=TEXT_PT)
    if names_operators(view.column_px, sheet.dpi):
        operators = range(view.start, view.end)
        labels = [drawable(arena.operator_name(k)) for k in operators]
        axes.set_xticks([k + 0.5 for k in operators], labels, rotation=90, parse_math=False)
        axes.tick_params(axis="x", length=0)
        if view.start <= arena.peak.operator < view.end:
            axes.get_xticklabels()[arena.peak.operator - view.start].set_fontweight("bold")
    else:
        at_most = view.rect[2] // sheet.px(40)
        axes.set_xticks(*count_ticks(view.start, view.end - 1, at_most, zero=0.5))
        axes.set_xlabel("operator, in execution order", fontsize=TEXT_PT, color=FAINT)


def _outline(band: Band) -> FloatArray:
    """The polygon around a band, (points, 2)."""
    there = np.stack([band.time, band.high], axis=1)
    back = np.stack([band.time, band.low], axis=1)[::-1]
    return np.concatenate([there, back])


def _draw_block(axes: Axes, block: Block, band: Band, tint: str, column_pt: float) -> None:
    from matplotlib.patches import Polygon

    edge = {"input": LOAD, "output": STORE}.get(block.role, FAINT)
    width = 1.4 if edge is not FAINT else 0.6
    patch = Polygon(
        _outline(band),
        facecolor=tint,
        edgecolor=edge,
        linewidth=width * min(1.0, column_pt / 6),
        joinstyle="bevel",
        hatch="///" if block.role == "scratch" else None,
        zorder=2 if edge is not FAINT else 1,
    )
    axes.add_patch(patch)


def _draw_meeting(axes: Axes, meeting: Meeting, *, lines: bool) -> None:
    """Both frontiers of each pair, and what is written while it is still needed.

    Each line lies inside of its own block, so that both are seen where they touch.
    """
    from matplotlib.patches import Polygon
    from matplotlib.transforms import ScaledTranslation

    for band in meeting.conflicts:
        axes.add_patch(Polygon(_outline(band), facecolor=BOTH, linewidth=0, zorder=8))
    if not lines:
        return
    style = DASHED if meeting.source == "straight" else "-"
    for bands, colour, side in (
        (meeting.needed, INPUT_LINE, -1),
        (meeting.written, OUTPUT_LINE, 1),
    ):
        aside = side * _FRONTIER_PT / 2 / 72
        inside = ScaledTranslation(aside, -aside, axes.figure.dpi_scale_trans)
        for band in bands.values():
            edge = band.low if band.low[0] != band.low[-1] else band.high
            axes.plot(
                band.time,
                edge,
                color=colour,
                linewidth=_FRONTIER_PT,
                linestyle=style,
                transform=axes.transData + inside,
                zorder=3,
            )


def _draw_levels(sheet: Sheet, axes: Axes, view: View) -> None:
    """Each line from the left scale to its name on the right."""
    left, top, width, height = view.rect
    px_per_byte = height / view.top_bytes
    line_px = sheet.px(LINE_PT)
    wanted = [top + height - level.at_bytes * px_per_byte for level in view.levels]
    tallest = max((len(level.lines) for level in view.levels), default=1) * line_px
    places = spread(wanted, tallest + 4, top, top + height - tallest / 2)
    styles = {"peak": (INK, DASHED, 1.2), "board": (INK, "-", 1.6), "other": (FAINT, ":", 1.2)}
    out = sheet.px(8)
    for level, y in zip(view.levels, places, strict=True):
        colour, style, thick = styles[level.kind]
        axes.axhline(level.at_bytes, color=colour, linestyle=style, linewidth=thick, zorder=5)
        at = view.end + out / view.column_px
        axes.plot(
            [view.end, at],
            [level.at_bytes, (top + height - y) / px_per_byte],
            color=colour,
            linewidth=0.8,
            clip_on=False,
        )
        first = y - len(level.lines) * line_px / 2 + 0.78 * line_px
        for number, text in enumerate(level.lines):
            sheet.write(
                left + width + out + sheet.px(3),
                first + number * line_px,
                text,
                bold=number == 0 and level.kind == "peak",
                color=colour,
                width_px=sheet.px(RIGHT_PT) - out,
            )


def _mark_peak(axes: Axes, arena: Arena) -> None:
    """A wedge on top of the operator that reaches the peak."""
    start, end = axes.get_xlim()
    if start <= arena.peak.operator < end and arena.plan.plan.arena_bytes:
        axes.plot(
            arena.peak.operator + 0.5,
            arena.plan.plan.arena_bytes,
            marker=[(0, 0), (-0.6, 1.2), (0.6, 1.2), (0, 0)],
            markersize=11,
            markerfacecolor=INK,
            markeredgewidth=0,
            clip_on=False,
            zorder=6,
        )


def _draw_frame(axes: Axes, operators: tuple[int, int]) -> None:
    """A band behind the operators that are enlarged elsewhere, and a bracket above."""
    start, end = operators
    axes.axvspan(start, end, color=BAND, linewidth=0, zorder=0)
    bracket = [start, start, end, end], [0.97, 1, 1, 0.97]
    axes.plot(*bracket, color=INK, clip_on=False, transform=axes.get_xaxis_transform())
