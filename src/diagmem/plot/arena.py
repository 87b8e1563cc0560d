"""Arena diagrams: which tensor holds which bytes of the arena, operator by operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from diagmem.networks.measured import Measured
from diagmem.networks.planning import NetworkPlan
from diagmem.plot.arena_panel import ACTIVATIONS, DASHED, RIGHT_PT, draw_view, tints_of
from diagmem.plot.arena_shapes import Arena, arena_of
from diagmem.plot.arena_view import Level, View, names_operators, names_px
from diagmem.plot.arena_words import (
    heading,
    notes_on,
    peak_text,
    subtitles,
    title_of,
    wrapped_to,
)
from diagmem.plot.paint import (
    BOTH,
    FAINT,
    FRAME,
    INPUT_LINE,
    INPUT_LIVE,
    LOAD,
    OTHER_LIVE,
    OUTPUT_LINE,
    OUTPUT_LIVE,
    STORE,
)
from diagmem.plot.sheet import DPI, LINE, TITLE_Y, WIDTH_PX, Sheet, check_extension, fixed_style
from diagmem.plot.units import bytes_exact

if TYPE_CHECKING:
    from matplotlib.artist import Artist

WHOLE_OPERATORS = 40
"""Up to so many, all operators are drawn large; else those around the peak, besides."""
AROUND_PEAK = 8
KEY_COLUMNS = 5
"""Entries of the key in one row; more take two."""
BESIDE_OPERATORS = 12
"""Two arenas of up to so many operators lie side by side."""
BOARD_IN_SCALE = 1.6
"""A board with more than so many times the arena's bytes is named, not drawn."""
_LEFT, _GAP, _SCALE = 110, 40, 62
_TALL, _FLAT = 460, 330
_COLUMN_PX = 170
"""The widest column of an operator."""
_WIDTH = WIDTH_PX - 2 * LINE


def draw_arenas(
    plans: Mapping[str, NetworkPlan],
    path: Path,
    *,
    measured: Measured | None = None,
    board_bytes: int | None = None,
    title: str | None = None,
) -> None:
    """Draw a plan, or two on one scale, as PNG, SVG or PDF, by the extension.

    Where an input dies under an output, the boundary between both runs along what is
    still needed and what is already written.

    Parameters
    ----------
    plans : by what each is called beside the other, such as before and after; what the
        second saves is in the subtitle.
    path : an existing file is replaced.
    measured : where these frontiers are taken from; without it, from the loop nests of
        TFLite's reference kernels.
    board_bytes : the RAM of a board, drawn as a line.

    Raises
    ------
    DiagmemError
        For an unknown extension, overlaps of another graph, or a file that cannot be
        written.
    """
    check_extension(path)
    arenas = [arena_of(plan, measured, name) for name, plan in plans.items()]
    with fixed_style():
        texts = [title or title_of(arenas), *subtitles(arenas, board_bytes)]
        notes = [line for note in notes_on(arenas) for line in wrapped_to(note, _WIDTH)]
        key = _key(arenas)
        rows = 2 if len(key) > KEY_COLUMNS else min(len(key), 1)
        parts, bottom = _arrange(arenas, board_bytes, TITLE_Y + LINE * (len(texts) + rows) + 10)
        sheet = Sheet(WIDTH_PX, bottom + LINE * (len(notes) + 1), DPI)
        sheet.write_titles(texts)
        columns = -(-len(key) // max(rows, 1))
        sheet.legend(key, LINE, TITLE_Y - 6 + LINE * len(texts), ncols=columns)
        for part in parts:
            tints = tints_of(part.arena)
            for line in part.lines:
                sheet.write(line.x, line.y, line.text, bold=line.bold, width_px=line.width_px)
            for view in part.views:
                draw_view(sheet, view, part.arena, tints)
        for number, text in enumerate(notes):
            sheet.write(LINE, bottom + LINE * number, text)
        sheet.save(path)


def _key(arenas: Sequence[Arena]) -> list[Artist]:
    """Handles for a legend of what the arenas hold."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    roles = {block.role for arena in arenas for block, _ in arena.shapes}
    meetings = [meeting for arena in arenas for meeting in arena.meetings]
    patches = (
        ("input", INPUT_LIVE, LOAD, "model input"),
        ("activation", ACTIVATIONS[1], FAINT, "activation, neighbours in different tints"),
        ("output", OUTPUT_LIVE, STORE, "model output"),
        ("scratch", OTHER_LIVE, FRAME, "scratch"),
    )
    handles: list[Artist] = [
        Patch(
            facecolor=colour,
            edgecolor=edge,
            linewidth=1.2,
            label=label,
            hatch="///" if role == "scratch" else None,
        )
        for role, colour, edge, label in patches
        if role in roles
    ]
    if any(meeting.conflicts for meeting in meetings):
        handles.append(Patch(facecolor=BOTH, label="written while still needed: not safe"))
    if meetings:
        for colour, label in (
            (INPUT_LINE, "lowest input byte still needed"),
            (OUTPUT_LINE, "highest output byte written"),
        ):
            handles.append(Line2D([], [], color=colour, linewidth=1.4, label=label))
    if any(meeting.source == "straight" for meeting in meetings):
        label = "order not known, drawn straight"
        handles.append(
            Line2D([], [], color=OUTPUT_LINE, linewidth=1.4, linestyle=DASHED, label=label)
        )
    return handles


# ---- where it lies ----


@dataclass(frozen=True, slots=True)
class _Line:
    x: int
    y: int
    text: str
    width_px: int
    bold: bool = False


@dataclass(frozen=True, slots=True)
class _Part:
    """An arena's headings and panels."""

    arena: Arena
    lines: tuple[_Line, ...]
    views: tuple[View, ...]


def _arrange(arenas: Sequence[Arena], board_bytes: int | None, top: int) -> tuple[list[_Part], int]:
    """All parts side by side or below each other, and where the last ends."""
    scale = _scale(arenas, board_bytes)
    beside = len(arenas) > 1 and max(arena.operators for arena in arenas) <= BESIDE_OPERATORS
    width = WIDTH_PX // len(arenas) if beside else WIDTH_PX
    parts = []
    left, bottom = 0, top
    for number, arena in enumerate(arenas):
        levels = _levels(arenas[: number + 1], board_bytes, scale)
        peak = _shown_peak(arenas[0], arena)
        part, end = _part(arena, levels, scale, peak, (left, top, width))
        parts.append(part)
        bottom = max(bottom, end)
        left, top = (left + width, top) if beside else (left, end)
    return parts, bottom


def _scale(arenas: Sequence[Arena], board_bytes: int | None) -> float:
    """The bytes that every panel spans."""
    most = max(arena.size_bytes for arena in arenas)
    if board_bytes is not None and board_bytes <= BOARD_IN_SCALE * most:
        most = max(most, board_bytes)
    return max(most, 1) * 1.06


def _levels(arenas: Sequence[Arena], board_bytes: int | None, scale: float) -> tuple[Level, ...]:
    """The lines in the last arena's panels: its peak, those before it, the board."""
    *earlier, own = arenas
    operator = f"operator {own.peak.operator}"
    levels = [Level(own.size_bytes, (f"peak {bytes_exact(own.size_bytes)}", operator), "peak")]
    for arena in earlier:
        saved = arena.size_bytes - own.size_bytes
        if saved:
            change = f"{bytes_exact(abs(saved))} {'saved' if saved > 0 else 'more'}"
            text = f"{arena.name} {bytes_exact(arena.size_bytes)}"
            levels.append(Level(arena.size_bytes, (text, change), "other"))
    if board_bytes is not None and board_bytes <= scale:
        levels.append(Level(board_bytes, ("board", bytes_exact(board_bytes)), "board"))
    return tuple(levels)


def _part(
    arena: Arena,
    levels: tuple[Level, ...],
    scale: float,
    peak: int,
    place: tuple[int, int, int],
) -> tuple[_Part, int]:
    """An arena at ``place`` (left, top and width), and where it ends.

    ``peak`` is the operator that a close-up shows the surroundings of.
    """
    left, y, width = place
    lines: list[_Line] = []
    for text in (heading(arena), *wrapped_to(peak_text(arena), width - 2 * LINE)):
        y += LINE
        lines.append(_Line(left + LINE, y, text, width - 2 * LINE, bold=not lines))
    room = width - _LEFT - round(RIGHT_PT * DPI / 72) - LINE
    views: list[View] = []
    whole = arena.operators <= WHOLE_OPERATORS
    near = _around(peak, arena.operators)
    for start, end in [(0, arena.operators)] if whole else [(0, arena.operators), near]:
        if views:
            y += LINE
            text = f"close-up: operators {start} to {end - 1}"
            lines.append(_Line(left + _LEFT, y, text, room))
        large = whole or bool(views)
        columns_px, height = min(room, _COLUMN_PX * (end - start)), _TALL if large else _FLAT
        rect = (left + _LEFT, y + _GAP, columns_px, height)
        views.append(View(rect, start, end, scale, levels, None if large else near))
        y += _GAP + height + _foot(views[-1], arena)
    return _Part(arena, tuple(lines), tuple(views)), y + LINE


def _shown_peak(first: Arena, arena: Arena) -> int:
    """The first arena's peak where both are near, so that close-ups can be compared."""
    peak, own = first.peak.operator, arena.peak.operator
    same = first.operators == arena.operators and abs(peak - own) <= AROUND_PEAK
    return peak if same else own


def _around(peak: int, operators: int) -> tuple[int, int]:
    """The operators next to the peak, moved inside where there are enough."""
    start = max(0, min(peak - AROUND_PEAK, operators - 2 * AROUND_PEAK - 1))
    return start, min(operators, start + 2 * AROUND_PEAK + 1)


def _foot(view: View, arena: Arena) -> int:
    """The height of what is below a panel."""
    if not names_operators(view.column_px, DPI):
        return _SCALE
    return names_px((arena.operator_name(k) for k in range(view.start, view.end)), DPI)
