"""Panels of a memory profile: bytes in use by operator, levels, peaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from diagmem.plot.labels import spread
from diagmem.plot.paint import FAINT, FRAME, INPUT_LIVE
from diagmem.plot.profile_bytes import Profile
from diagmem.plot.sheet import LINE, TEXT_PT, Rect, Sheet
from diagmem.plot.units import byte_ticks, count_ticks, drawable

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

# Okabe and Ito's colours, darker ones first; dashes tell them apart in grey.
PLAN_COLOURS = ("#d55e00", "#0072b2", "#8c3a6b", "#111111")
PLAN_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (5, 1.5, 1.5, 1.5)))
NEEDED = "#67b298"
LEFT, RIGHT, PANEL = 130, 370, 560


@dataclass(frozen=True, slots=True)
class ProfileLevel:
    """A horizontal line and what stands beside it."""

    at_bytes: int
    text: str
    colour: str
    dashes: Any
    width_pt: float


@dataclass(frozen=True, slots=True)
class ProfilePeak:
    operator: int
    at_bytes: int
    text: str
    colour: str


@dataclass(frozen=True, slots=True)
class ProfileView:
    """A panel of the operators [start, end); ``names`` stand below, if there are any."""

    rect: Rect
    start: int
    end: int
    names: tuple[str, ...]

    @property
    def column_px(self) -> float:
        return self.rect[2] / (self.end - self.start)


def draw_panel(sheet: Sheet, view: ProfileView, top_bytes: float) -> Axes:
    axes = sheet.axes(view.rect)
    _, _, width, height = view.rect
    axes.set_xlim(view.start, view.end)
    axes.set_ylim(0, top_bytes)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_yticks(*byte_ticks(0, int(top_bytes), height // 60))
    if view.names:
        middles = [view.start + k + 0.5 for k in range(len(view.names))]
        axes.set_xticks(middles, view.names, rotation=90)
    else:
        axes.set_xticks(*count_ticks(view.start, view.end, width // 100))
        axes.set_xlabel("operators, in execution order", color=FAINT, fontsize=TEXT_PT)
    axes.tick_params(labelsize=TEXT_PT, length=3)
    return axes


def draw_bytes(axes: Axes, profile: Profile, *, thick: bool) -> list[Artist]:
    """Areas of bytes alive and needed, a line for each plan's; handles for the key."""
    edges = np.arange(len(profile.live) + 1)
    drawn: list[Artist] = [
        axes.stairs(
            profile.live,
            edges,
            fill=True,
            facecolor=INPUT_LIVE,
            edgecolor=FRAME,
            linewidth=0.5,
            label="alive: sum of all tensors",
        )
    ]
    if profile.needed is not None:
        label = "needed: hold a value that is still used"
        drawn.append(
            axes.stairs(profile.needed, edges, fill=True, facecolor=NEEDED, label=label, zorder=2)
        )
    for number, (name, taken) in enumerate(profile.occupied.items()):
        if np.array_equal(taken, profile.live):
            continue
        drawn.append(
            axes.stairs(
                taken,
                edges,
                baseline=None,
                color=PLAN_COLOURS[number],
                linestyle=PLAN_DASHES[number] if thick else "-",
                linewidth=1.6 if thick else 0.8,
                label=f"taken in the arena, {drawable(name)}",
                zorder=3,
            )
        )
    return drawn


def draw_levels(
    sheet: Sheet, axes: Axes, view: ProfileView, levels: Sequence[ProfileLevel]
) -> None:
    """Each line across the panel, on to its name at the right, where none hides another."""
    left, top, width, height = view.rect
    scale = height / axes.get_ylim()[1]
    ordered = sorted(levels, key=lambda level: -level.at_bytes)
    wanted = [top + height - level.at_bytes * scale for level in ordered]
    places = spread(wanted, sheet.px(TEXT_PT * 1.5), top, top + height)
    out = sheet.px(10)
    for level, y in zip(ordered, places, strict=True):
        style = {"color": level.colour, "linestyle": level.dashes, "linewidth": level.width_pt}
        axes.axhline(level.at_bytes, zorder=4, **style)
        axes.plot(
            [view.end, view.end + out / view.column_px],
            [level.at_bytes, (top + height - y) / scale],
            color=level.colour,
            linewidth=0.8,
            clip_on=False,
        )
        sheet.write(
            left + width + out + sheet.px(3),
            y,
            level.text,
            va="center_baseline",
            color=level.colour,
            width_px=RIGHT - out - sheet.px(8),
        )


def draw_wedges(axes: Axes, view: ProfileView, peaks: Sequence[ProfilePeak]) -> None:
    for peak in peaks:
        if view.start <= peak.operator < view.end:
            axes.plot(
                peak.operator + 0.5,
                peak.at_bytes,
                marker="v",
                markersize=9,
                markerfacecolor=peak.colour,
                markeredgecolor="white",
                clip_on=False,
                zorder=7,
            )


def name_peaks(sheet: Sheet, view: ProfileView, peaks: Sequence[ProfilePeak]) -> None:
    """Above the panel, a row for each name, and a line down to the panel."""
    from matplotlib.lines import Line2D

    left, top, width, _ = view.rect
    for row, peak in enumerate(peaks):
        x = left + (peak.operator + 0.5) * view.column_px
        y = top - 12 - LINE * (len(peaks) - 1 - row)
        room = width + RIGHT - 2 * LINE
        at = max(left, min(x + 8, left + room - sheet.width_of(peak.text)))
        sheet.write(at, y, peak.text, color=peak.colour, width_px=room)
        xs, ys = [x, x], [y - 14, top]
        sheet.figure.add_artist(
            Line2D(
                [px / sheet.width_px for px in xs],
                [1 - px / sheet.height_px for px in ys],
                color=peak.colour,
                linewidth=1.0,
            )
        )
