"""A network's memory profile: how many bytes each operator needs, and each plan takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from diagmem.arena import Problem
from diagmem.networks.measured import Measured
from diagmem.networks.planning import NetworkPlan
from diagmem.plot.paint import FAINT, INK
from diagmem.plot.profile_bytes import Profile, profile_of
from diagmem.plot.profile_panel import (
    LEFT,
    PANEL,
    PLAN_COLOURS,
    PLAN_DASHES,
    RIGHT,
    ProfileLevel,
    ProfilePeak,
    ProfileView,
    draw_bytes,
    draw_levels,
    draw_panel,
    draw_wedges,
    name_peaks,
)
from diagmem.plot.sheet import (
    DPI,
    LINE,
    TITLE_Y,
    WIDTH_PX,
    Sheet,
    check_extension,
    fixed_style,
    text_width,
)
from diagmem.plot.units import bytes_both, bytes_exact, drawable

NAMED_OPERATORS = 48
"""Up to so many operators are named below; more get numbers, and a second panel for
those around the peak."""
AROUND_PEAK = 15
NAME_AT_MOST = 28
"""Characters of an operator's name."""
BOARD_IN_SCALE = 1.6
"""A board with more than so many times all else is named, not drawn."""
_MARGIN = 1.04
"""The scale's end above the highest level."""


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
        key = TITLE_Y + LINE * len(texts)
        views, bottom = _views(profile, last.problem, key + LINE * len(peaks) + 40)
        sheet = Sheet(WIDTH_PX, bottom, DPI)
        sheet.write_titles(texts)
        for view in views:
            axes = draw_panel(sheet, view, top * _MARGIN)
            handles = draw_bytes(axes, profile, thick=bool(view.names))
            draw_levels(sheet, axes, view, drawn)
            draw_wedges(axes, view, peaks)
        sheet.legend(handles, LINE, key - 6, ncols=len(handles))
        name_peaks(sheet, views[0], peaks)
        for view in views[1:]:
            left, y, *_ = view.rect
            text = f"close-up: operators {view.start} to {view.end - 1}"
            sheet.write(left, y - 16, text, size_pt=10, bold=True)
        sheet.save(path)


# ---- what is drawn ----


def _levels(plans: Mapping[str, NetworkPlan], board_bytes: int | None) -> list[ProfileLevel]:
    """Arenas of the plans and of the last plan's baselines."""
    last = list(plans.values())[-1]
    levels = [
        ProfileLevel(
            plan.plan.arena_bytes,
            f"{name}: {bytes_exact(plan.plan.arena_bytes)}",
            PLAN_COLOURS[number],
            PLAN_DASHES[number],
            1.6,
        )
        for number, (name, plan) in enumerate(plans.items())
    ]
    for name, size in last.baselines.items():
        levels.append(ProfileLevel(size, f"{name}: {bytes_exact(size)}", FAINT, ":", 1.2))
    if board_bytes is not None:
        levels.append(
            ProfileLevel(board_bytes, f"board: {bytes_exact(board_bytes)}", INK, "-", 2.0)
        )
    return levels


def _in_scale(profile: Profile, levels: Sequence[ProfileLevel]) -> float:
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


def _peaks(profile: Profile, problem: Problem) -> list[ProfilePeak]:
    """The first operator with the most bytes alive, and of each plan with the most taken.

    Curves that peak alike share a line.
    """
    curves = [("alive", profile.live, INK)]
    curves += [
        (f"taken, {name}", taken, PLAN_COLOURS[number])
        for number, (name, taken) in enumerate(profile.occupied.items())
        if not np.array_equal(taken, profile.live)
    ]
    peaks = []
    for what, curve, colour in curves:
        if len(curve) == 0:
            continue
        operator = int(np.argmax(curve))
        top = int(curve[operator])
        again = int((curve == top).sum()) - 1
        also = f", and {again:,} more" if again else ""
        name = _operator_name(problem, operator)
        text = f"most bytes {what}: {bytes_exact(top)} in operator {name}{also}"
        peaks.append(ProfilePeak(operator, top, text, colour))
    return peaks


def _operator_name(problem: Problem, operator: int) -> str:
    """Names of custom operators are anybody's, as long as they like."""
    name = drawable(problem.steps[operator].name)
    short = name if len(name) <= NAME_AT_MOST else f"{name[: NAME_AT_MOST - 1]}…"
    return f"{operator} {short}"


def _views(profile: Profile, problem: Problem, top: int) -> tuple[list[ProfileView], int]:
    """All operators, and if they are many those around the peak; and where they end."""
    operators = problem.operators
    ranges = [(0, max(operators, 1))]
    if operators > NAMED_OPERATORS:
        peak = int(np.argmax(profile.live))
        start = max(0, min(peak - AROUND_PEAK, operators - 2 * AROUND_PEAK))
        ranges.append((start, start + 2 * AROUND_PEAK))
    views = []
    for number, (start, end) in enumerate(ranges):
        rect = (LEFT, top + 70 * number, WIDTH_PX - LEFT - RIGHT, PANEL)
        steps = problem.steps[start:end] if end - start <= NAMED_OPERATORS else ()
        names = tuple(_operator_name(problem, k) for k in range(start, start + len(steps)))
        views.append(ProfileView(rect, start, end, names))
        longest = max(map(text_width, names), default=38.0)
        top = rect[1] + PANEL + round(longest * DPI / 72) + 2 * LINE
    return views, top
