"""A network's memory profile: how many bytes each operator needs, and each plan takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from diagmem.arena import Problem
from diagmem.networks.measured import Measured
from diagmem.networks.planning import NetworkPlan
from diagmem.plot.labels import spread
from diagmem.plot.paint import FAINT, FRAME, INK, INPUT_LIVE
from diagmem.plot.profile_bytes import Profile, profile_of
from diagmem.plot.sheet import TEXT_PT, Rect, Sheet, check_extension, fixed_style, text_width
from diagmem.plot.units import byte_ticks, bytes_both, bytes_exact, count_ticks, drawable

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

WIDTH_PX, DPI = 1800, 150
# Okabe and Ito's colours, darker ones first; dashes tell them apart in grey.
PLAN_COLOURS = ("#d55e00", "#0072b2", "#8c3a6b", "#111111")
PLAN_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (5, 1.5, 1.5, 1.5)))
NEEDED = "#67b298"
NAMED_OPERATORS = 48
"""Up to so many operators are named below; more get numbers, and a second panel for
those around the peak."""
AROUND_PEAK = 15
NAME_AT_MOST = 28
"""Characters of an operator's name."""
BOARD_IN_SCALE = 1.6
"""A board with more than so many times all else is named, not drawn."""
_LEFT, _RIGHT, _TOP, _LINE, _PANEL = 130, 370, 48, 27, 560
_MARGIN = 1.04
"""The scale's end above the highest level."""


@dataclass(frozen=True, slots=True)
class _Level:
    """A horizontal line and what stands beside it."""

    at_bytes: int
    text: str
    colour: str
    dashes: Any
    width_pt: float


def draw_profile(
    plans: Mapping[str, NetworkPlan],
    path: Path,
    *,
    measured: Measured | None = None,
    board_bytes: int | None = None,
    title: str | None = None,
) -> None:
    """Draw bytes over operators as PNG, SVG or PDF, by the extension.

    The last plan's tensors and scratch count as alive, and its baselines are drawn too.

    Parameters
    ----------
    plans : up to four plans of one network, by the names to show.
    path : an existing file is replaced.
    measured : where the bytes come from that hold a value still needed.
    board_bytes : the RAM of a board, drawn as a line.

    Raises
    ------
    DiagmemError
        For an unknown extension, no plans or too many, plans or overlaps of different
        networks, or a file that cannot be written.
    """
    check_extension(path)
    profile = profile_of(plans, measured)
    last = list(plans.values())[-1]
    levels = _levels(plans, board_bytes)
    drawn = [level for level in levels if level.at_bytes <= _in_scale(profile, levels)]
    top = max([level.at_bytes for level in drawn] + [int(profile.live.max(initial=1))])
    peaks = _peaks(profile, last.problem)
    with fixed_style():
        texts = [title or _title(last), *_subtitles(last, board_bytes)]
        views, bottom = _views(profile, last.problem, _TOP + _LINE * (len(texts) + len(peaks)) + 40)
        sheet = Sheet(WIDTH_PX, bottom, DPI)
        width = WIDTH_PX - 2 * _LINE
        sheet.write(_LINE, _TOP, texts[0], size_pt=13, bold=True, width_px=width)
        for number, text in enumerate(texts[1:], 1):
            sheet.write(_LINE, _TOP + 6 + _LINE * number, text, size_pt=9.5, width_px=width)
        for view in views:
            axes = _panel(sheet, view, top * _MARGIN)
            handles = _draw_bytes(axes, profile, thick=bool(view.names))
            _draw_levels(sheet, axes, view, drawn)
            _draw_wedges(axes, view, peaks)
        _draw_key(sheet, handles, _TOP + _LINE * len(texts) - 6)
        _name_peaks(sheet, views[0], peaks)
        for view in views[1:]:
            left, y, *_ = view.rect
            text = f"close-up: operators {view.start} to {view.end - 1}"
            sheet.write(left, y - 16, text, size_pt=10, bold=True)
        sheet.save(path)


# ---- what is drawn ----


def _levels(plans: Mapping[str, NetworkPlan], board_bytes: int | None) -> list[_Level]:
    """Arenas of the plans and of the last plan's baselines."""
    last = list(plans.values())[-1]
    found = [
        _Level(
            plan.plan.arena_bytes,
            f"{name}: {bytes_exact(plan.plan.arena_bytes)}",
            PLAN_COLOURS[number],
            PLAN_DASHES[number],
            1.6,
        )
        for number, (name, plan) in enumerate(plans.items())
    ]
    for name, size in last.baselines.items():
        found.append(_Level(size, f"{name}: {bytes_exact(size)}", FAINT, ":", 1.2))
    if board_bytes is not None:
        found.append(_Level(board_bytes, f"board: {bytes_exact(board_bytes)}", INK, "-", 2.0))
    return found


def _in_scale(profile: Profile, levels: Sequence[_Level]) -> float:
    """The highest level that is drawn: a far larger board would flatten all else."""
    rest = [level.at_bytes for level in levels if not level.text.startswith("board")]
    return BOARD_IN_SCALE * max(*rest, int(profile.live.max(initial=1)))


def _title(last: NetworkPlan) -> str:
    return f"{Path(last.model.path).name}: bytes alive, operator by operator"


def _subtitles(last: NetworkPlan, board_bytes: int | None) -> list[str]:
    plan = last.plan
    parts = [f"{last.problem.operators:,} operators", f"arena {bytes_both(plan.arena_bytes)}"]
    if board_bytes is not None:
        left = board_bytes - plan.arena_bytes
        state = "left" if left >= 0 else "too much"
        parts.append(f"board of {bytes_both(board_bytes)}: {bytes_exact(abs(left))} {state}")
    less = [f"{last.saving_percent(name):.1f} % against {name}" for name in last.baselines]
    return [" · ".join(parts), *([f"saves {', '.join(less)}"] if less else [])]


@dataclass(frozen=True, slots=True)
class _Peak:
    operator: int
    at_bytes: int
    text: str
    colour: str


def _peaks(profile: Profile, problem: Problem) -> list[_Peak]:
    """The first operator with the most bytes alive, and of each plan with the most taken.

    Curves that peak alike share a line.
    """
    curves = [("alive", profile.live, INK)]
    curves += [
        (f"taken, {name}", taken, PLAN_COLOURS[number])
        for number, (name, taken) in enumerate(profile.occupied.items())
        if not np.array_equal(taken, profile.live)
    ]
    found = []
    for what, curve, colour in curves:
        if len(curve) == 0:
            continue
        operator = int(np.argmax(curve))
        top = int(curve[operator])
        again = int((curve == top).sum()) - 1
        also = f", and {again:,} more" if again else ""
        name = _operator_name(problem, operator)
        text = f"most bytes {what}: {bytes_exact(top)} in operator {name}{also}"
        found.append(_Peak(operator, top, text, colour))
    return found


@dataclass(frozen=True, slots=True)
class _View:
    """A panel of the operators [start, end); ``names`` stand below, if there are any."""

    rect: Rect
    start: int
    end: int
    names: tuple[str, ...]

    @property
    def column_px(self) -> float:
        return self.rect[2] / (self.end - self.start)


def _operator_name(problem: Problem, operator: int) -> str:
    """Names of custom operators are anybody's, as long as they like."""
    name = drawable(problem.steps[operator].name)
    short = name if len(name) <= NAME_AT_MOST else f"{name[: NAME_AT_MOST - 1]}…"
    return f"{operator} {short}"


def _views(profile: Profile, problem: Problem, top: int) -> tuple[list[_View], int]:
    """All operators, and if they are many those around the peak; and where they end."""
    operators = problem.operators
    ranges = [(0, max(operators, 1))]
    if operators > NAMED_OPERATORS:
        peak = int(np.argmax(profile.live))
        start = max(0, min(peak - AROUND_PEAK, operators - 2 * AROUND_PEAK))
        ranges.append((start, start + 2 * AROUND_PEAK))
    views = []
    for number, (start, end) in enumerate(ranges):
        rect = (_LEFT, top + 70 * number, WIDTH_PX - _LEFT - _RIGHT, _PANEL)
        steps = problem.steps[start:end] if end - start <= NAMED_OPERATORS else ()
        names = tuple(_operator_name(problem, k) for k in range(start, start + len(steps)))
        views.append(_View(rect, start, end, names))
        longest = max(map(text_width, names), default=38.0)
        top = rect[1] + _PANEL + round(longest * DPI / 72) + 2 * _LINE
    return views, top


# ---- drawing ----


def _panel(sheet: Sheet, view: _View, top_bytes: float) -> Axes:
    axes = sheet.axes(view.rect)
    _, _, width, height = view.rect
    axes.set_xlim(view.start, view.end)
    axes.set_ylim(0, top_bytes)
    axes.spines[["top", "right"]].set_visible(False)
    places = byte_ticks(0, int(top_bytes), height // 60)
    axes.set_yticks([at for at, _ in places], [label for _, label in places])
    if view.names:
        middles = [view.start + k + 0.5 for k in range(len(view.names))]
        axes.set_xticks(middles, view.names, rotation=90)
    else:
        places = count_ticks(view.start, view.end, width // 100)
        axes.set_xticks([at for at, _ in places], [label for _, label in places])
        axes.set_xlabel("operators, in execution order", color=FAINT, fontsize=TEXT_PT)
    axes.tick_params(labelsize=TEXT_PT, length=3)
    return axes


def _draw_bytes(axes: Axes, profile: Profile, *, thick: bool) -> list[Artist]:
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


def _draw_key(sheet: Sheet, handles: Sequence[Artist], top: int) -> None:
    sheet.figure.legend(
        handles=list(handles),
        loc="upper left",
        bbox_to_anchor=(_LINE / sheet.width_px, 1 - top / sheet.height_px),
        ncols=len(handles),
        borderaxespad=0,
        borderpad=0,
        frameon=False,
        fontsize=TEXT_PT,
    )


def _draw_levels(sheet: Sheet, axes: Axes, view: _View, levels: Sequence[_Level]) -> None:
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
            width_px=_RIGHT - out - sheet.px(8),
        )


def _draw_wedges(axes: Axes, view: _View, peaks: Sequence[_Peak]) -> None:
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


def _name_peaks(sheet: Sheet, view: _View, peaks: Sequence[_Peak]) -> None:
    """Above the panel, a row for each name, and a line down to the panel."""
    from matplotlib.lines import Line2D

    left, top, width, _ = view.rect
    for row, peak in enumerate(peaks):
        x = left + (peak.operator + 0.5) * view.column_px
        y = top - 12 - _LINE * (len(peaks) - 1 - row)
        room = width + _RIGHT - 2 * _LINE
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
