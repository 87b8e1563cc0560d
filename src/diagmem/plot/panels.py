"""What a picture's panels show, and the drawing that all of them share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from diagmem.analysis.liveness import BufferLiveness
from diagmem.plot.bins import Extent, Grid
from diagmem.plot.paint import FAINT, INPUT_LINE, NOTHING, OUTPUT_LINE, paint_accesses, paint_lives
from diagmem.plot.shading import Steps
from diagmem.plot.sheet import TEXT_PT, Rect, Sheet
from diagmem.plot.units import byte_ticks, count_ticks, drawable
from diagmem.trace.window import Role

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Kind = Literal["buffer", "placement", "close-up"]
TITLE_PT = 10.0
ROW_LABEL_GAP_PT = 22.0
"""From one label on the byte axis to the next, at least."""
LINE_PT = 1.0
LABEL_PT = 77.0
"""From the axes to the byte axis's own label."""
CELL_LINES_PT = 4.0
"""Cells at least so wide or high are told apart by thin lines."""


@dataclass(frozen=True, slots=True)
class Part:
    """A buffer in a panel; its first byte lies at ``shift`` on the byte axis."""

    live: BufferLiveness
    shift: int = 0

    @property
    def role(self) -> Role:
        return Role(self.live.role)


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes: bytes upwards, ticks to the right.

    ``ends`` are the tick and byte behind the data, where the panel may go on beside a
    larger one's scale.
    """

    rect: Rect
    ticks: Extent
    bytes: Extent
    parts: tuple[Part, ...]
    kind: Kind
    tick_labels: bool
    ends: tuple[int, int]
    byte_labels: bool = True


@dataclass(frozen=True, slots=True)
class Heading:
    """Above a panel: what it is at the left, facts about it at the right."""

    title: str
    facts: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """A panel with what was drawn in it."""

    axes: Axes
    panel: Panel
    grids: Sequence[Grid]
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True)
class Line:
    """A frontier in a panel: the step line and whose it is."""

    steps: Steps
    role: Role
    stops: bool
    """It ends with its last step: nothing is needed after it."""


def line_in(panel: Panel, part: Part, steps: Steps) -> Line:
    """A buffer's frontier where the panel has the buffer, down to its pixels."""
    _, _, width, height = panel.rect
    ticks = panel.ticks
    thinned = steps.thinned(
        ticks.start, ticks.end, ticks.length / width, panel.bytes.length / height
    )
    stops = part.role is Role.INPUT and int(thinned.edge[-1]) == part.live.size_bytes
    return Line(Steps(thinned.tick, thinned.edge + part.shift), part.role, stops)


def draw_panel(
    sheet: Sheet,
    panel: Panel,
    grids: Sequence[Grid],
    lines: Sequence[Line],
    heading: Heading,
) -> Drawn:
    """The cells, the lines over them, the axes around and the heading above."""
    axes = sheet.axes(panel.rect)
    ticks, bytes_ = panel.ticks, panel.bytes
    # Accesses lie on top where they are small: the data hide the drawing there,
    # not the other way round.
    lives = paint_lives([(g, p.role) for g, p in zip(grids, panel.parts, strict=True)])
    for image, zorder in ((lives, 0), (paint_accesses(grids), 2)):
        axes.imshow(
            image,
            extent=(ticks.start, ticks.end, bytes_.start, bytes_.end),
            origin="lower",
            aspect="auto",
            # "none" leaves the cells as they are in SVG and PDF too.
            interpolation="none",
            zorder=zorder,
        )
    cells_show = _draw_cell_lines(sheet, axes, panel)
    for line in lines:
        _draw_line(sheet, axes, panel, line, over_cells=cells_show)
    axes.set_xlim(ticks.start, ticks.end)
    axes.set_ylim(bytes_.start, bytes_.end)
    _draw_beyond(axes, panel)
    _draw_scales(sheet, axes, panel)
    _write_heading(sheet, panel, heading)
    return Drawn(axes, panel, grids, lines)


def _draw_beyond(axes: Axes, panel: Panel) -> None:
    """Grey behind the end of the window and above the end of the buffers.

    Below the accesses: the last of them may lie in a cell that reaches beyond.
    """
    last_tick, last_byte = panel.ends
    style: dict[str, Any] = {"facecolor": NOTHING, "linewidth": 0, "zorder": 1.5}
    if last_tick < panel.ticks.end:
        axes.axvspan(last_tick, panel.ticks.end, **style)
    if last_byte < panel.bytes.end:
        axes.axhspan(last_byte, panel.bytes.end, **style)


def _draw_cell_lines(sheet: Sheet, axes: Axes, panel: Panel) -> bool:
    """Thin white lines between cells that are large enough to be seen; are they
    in both directions?"""
    _, _, width, height = panel.rect
    style: dict[str, Any] = {"colors": "white", "linewidths": 0.5, "zorder": 3}
    least = sheet.px(CELL_LINES_PT)
    ticks, bytes_ = panel.ticks, panel.bytes
    wide = width / ticks.length >= least
    if wide:
        axes.vlines(np.arange(ticks.start + 1, ticks.end), bytes_.start, bytes_.end, **style)
    for step in (1, min(part.live.cell_bytes for part in panel.parts)):
        if height * step / bytes_.length >= least:
            at = np.arange(bytes_.start + step, bytes_.end, step)
            axes.hlines(at, ticks.start, ticks.end, **style)
            return wide
    return False


def _draw_line(sheet: Sheet, axes: Axes, panel: Panel, line: Line, *, over_cells: bool) -> None:
    """The line lies beside the edge that it follows.

    Among small cells, which are drawn over it, on the side of the bytes that
    nobody needs, so that both can be seen; among large ones on the other, so
    that two frontiers that touch lie side by side in their order.
    """
    from matplotlib.transforms import ScaledTranslation

    steps = line.steps
    aside = LINE_PT / 2 / 72 * (1 if line.role is Role.INPUT else -1) * (-1 if over_cells else 1)
    axes.step(
        np.append(
            steps.tick, steps.tick[-1] if line.stops else min(panel.ticks.end, panel.ends[0])
        ),
        np.append(steps.edge, steps.edge[-1]),
        where="post",
        color=INPUT_LINE if line.role is Role.INPUT else OUTPUT_LINE,
        linewidth=LINE_PT,
        solid_joinstyle="miter",
        zorder=4 if over_cells else 1,
        transform=axes.transData + ScaledTranslation(aside, -aside, sheet.figure.dpi_scale_trans),
    )


def _draw_scales(sheet: Sheet, axes: Axes, panel: Panel) -> None:
    _, _, width, height = panel.rect
    at_most = int(height / sheet.px(ROW_LABEL_GAP_PT))
    axes.set_yticks(*byte_ticks(panel.bytes.start, panel.bytes.end, at_most))
    if panel.byte_labels:
        axes.set_ylabel("byte offset", fontsize=TEXT_PT, color=FAINT)
        # All labels of a sheet stand at one distance, whatever the numbers' width.
        axes.yaxis.set_label_coords(-sheet.px(LABEL_PT) / width, 0.5)
    axes.set_xticks(*count_ticks(panel.ticks.start, panel.ticks.end, int(width / sheet.px(70))))
    for spine in axes.spines.values():
        spine.set_zorder(5)
    axes.tick_params(
        labelbottom=panel.tick_labels,
        labelleft=panel.byte_labels,
        length=3,
        labelsize=TEXT_PT,
    )
    if panel.tick_labels:
        axes.set_xlabel("time in ticks (events of the window)", fontsize=TEXT_PT, color=FAINT)


def _write_heading(sheet: Sheet, panel: Panel, heading: Heading) -> None:
    left, top, width, _ = panel.rect
    facts = drawable(heading.facts)
    room = width - sheet.width_of(facts) - sheet.px(12)
    baseline = top - sheet.px(5)
    sheet.write(left, baseline, heading.title, size_pt=TITLE_PT, bold=True, width_px=room)
    sheet.write(left + width, baseline, facts, ha="right", color=FAINT)
