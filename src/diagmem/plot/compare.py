"""Several heatmaps side by side: other kernels, other windows, one scale."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from diagmem.base.errors import DiagmemError
from diagmem.base.text import counted
from diagmem.plot import words
from diagmem.plot.bins import Extent
from diagmem.plot.heatmap import (
    NOTE_BULLET,
    SUBTITLE_PT,
    TITLE_PT,
    Picture,
    cell_px,
    check_size,
    draw_one,
    picture_of,
    subtitle_lines,
)
from diagmem.plot.layout import (
    HEADING_PT,
    LEFT_PT,
    MARGIN_PT,
    NOTE_LINE_PT,
    SUBTITLE_LINE_PT,
    TICK_LABELS_PT,
    text_width_pt,
)
from diagmem.plot.legend import LIMIT, draw_legend, entries_of
from diagmem.plot.paint import share_a_cell
from diagmem.plot.panels import Heading, Panel
from diagmem.plot.scene import PanelCounts, Scene, count, panels_of, scene_of, span_bytes, views_of
from diagmem.plot.sheet import DPI, Rect, Sheet, check_extension, fixed_style, wrapped
from diagmem.plot.units import bytes_exact

if TYPE_CHECKING:
    from diagmem.analysis.trace import Trace

LETTERS = "ABCD"
"""The columns' names; there are no more columns than letters."""
COLUMN_PX = 1200
RULER_PT = 190
"""Room right of each panel for the placement's memory ruler."""
GAP_PT = 24
"""Between the texts of two columns."""
LEAST_PANEL_PT = 240
LEGEND_ROWS, LEGEND_ROW_PT = 3, 14
_TITLE_PT, _HEADER_PT = 27, 50
"""From the top to the sheet's title, and to the columns' titles."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A picture of several windows at one scale.

    ``ticks`` is what all panels span; ``pictures`` has an entry for each window, with
    the size and path of the whole.
    """

    path: str
    width_px: int
    height_px: int
    ticks: int
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class _Column:
    """A window and its panels; ``rows`` are the panels' places from the top."""

    letter: str
    trace: Trace
    scene: Scene
    left: int
    rows: tuple[int, ...]
    panels: tuple[Panel, ...]
    texts: tuple[str, ...]


def draw_side_by_side(
    windows: Sequence[tuple[Trace, int]],
    output_path: str | os.PathLike[str],
    *,
    input_: str | None = None,
    output: str | None = None,
    buffers: Sequence[str] = (),
    title: str | None = None,
    width_px: int | None = None,
    dpi: int = DPI,
) -> Comparison:
    """Draw windows of one or several traces at one scale, as PNG, SVG or PDF.

    A tick is as wide in all panels, and a byte as high in all panels of a row; what a
    smaller window leaves empty is grey.

    Parameters
    ----------
    windows : two to four traces, each with the index of a window.
    output_path, input_, output, buffers, title, dpi : as of `diagmem.plot.heatmap.draw`.
    width_px : by default 8 inches a column.

    Raises
    ------
    DiagmemError
        As `diagmem.plot.heatmap.draw` does, and for too few or too many windows.
    """
    path = Path(output_path)
    check_extension(path)
    if not 2 <= len(windows) <= len(LETTERS):
        raise DiagmemError(
            f"{counted(len(windows), 'window')} side by side, expected 2 to {len(LETTERS)}"
        )
    width_px = COLUMN_PX * len(windows) * dpi // DPI if width_px is None else width_px
    check_size(width_px, dpi)
    panel_px = _panel_px(width_px, dpi, len(windows))
    scenes = [
        _large_only(scene_of(trace, window, input_=input_, output=output, buffers=buffers))
        for trace, window in windows
    ]
    traces = [trace for trace, _ in windows]
    with fixed_style():
        columns = _at_one_scale(_columns(traces, scenes, panel_px, dpi), cell_px(dpi))
        counts = [count(column.trace, column.scene, column.panels) for column in columns]
        notes = [_notes(*both) for both in zip(columns, counts, strict=True)]
        sheet = _draw(columns, counts, _listed(columns, notes), title, width_px, dpi)
        sheet.save(path)
    pictures = tuple(
        picture_of(column.trace, column.scene, tally, lines, path, sheet)
        for column, tally, lines in zip(columns, counts, notes, strict=True)
    )
    ticks = max(scene.ticks for scene in scenes)
    return Comparison(str(path), sheet.width_px, sheet.height_px, ticks, pictures)


def _panel_px(width_px: int, dpi: int, columns: int) -> int:
    panel_px = (width_px - round(LEFT_PT * dpi / 72)) // columns - round(RULER_PT * dpi / 72)
    least = LEAST_PANEL_PT * dpi // 72
    if panel_px < least:
        whole = round(LEFT_PT * dpi / 72) + columns * (least + 1 + round(RULER_PT * dpi / 72))
        raise DiagmemError(
            f"a width of {width_px} pixels for {columns} windows at {dpi} dots per inch,"
            f" expected at least {whole}"
        )
    return panel_px


def _large_only(scene: Scene) -> Scene:
    """Without the small panels of other buffers, which no comparison is about."""
    choice = scene.choice
    return replace(
        scene, choice=replace(choice, small=(), left_out=(*choice.small, *choice.left_out))
    )


# ---- where it lies ----


def _columns(
    traces: Sequence[Trace], scenes: Sequence[Scene], panel_px: int, dpi: int
) -> list[_Column]:
    """All columns, every panel at its own scale as yet."""

    def px(points: float) -> int:
        return round(points * dpi / 72)

    texts = [
        _texts(*each, (panel_px + px(RULER_PT)) * 72 / dpi - GAP_PT)
        for each in zip(LETTERS, traces, scenes, strict=False)
    ]
    top_pt = _HEADER_PT + SUBTITLE_LINE_PT * max(map(len, texts))
    placement_row = max(len(scene.choice.large) for scene in scenes)
    columns = []
    for number, (trace, scene) in enumerate(zip(traces, scenes, strict=True)):
        views = views_of(scene, close_up=False)
        rows = list(range(len(scene.choice.large)))
        rows += [placement_row] * (scene.choice.pair is not None)
        left = px(LEFT_PT) + number * (panel_px + px(RULER_PT))
        rects: list[Rect] = []
        for row, view in zip(rows, views, strict=True):
            above_pt = top_pt + HEADING_PT + row * (views[0].height_pt + HEADING_PT)
            rects.append((left, px(above_pt), panel_px, px(view.height_pt)))
        panels = panels_of(views, rects, cell_px(dpi))
        columns.append(
            _Column(
                LETTERS[number],
                trace,
                scene,
                left,
                tuple(rows),
                tuple(panels),
                tuple(texts[number]),
            )
        )
    return columns


def _at_one_scale(columns: Sequence[_Column], least_px: int) -> list[_Column]:
    """All panels span as many ticks, and those of a row as many bytes, as the largest."""
    ticks = max(column.scene.ticks for column in columns)
    bytes_: dict[int, int] = {}
    first: dict[int, str] = {}
    for column in columns:
        for row, panel in zip(column.rows, column.panels, strict=True):
            bytes_[row] = max(bytes_.get(row, 0), panel.bytes.end)
            first.setdefault(row, column.letter)

    def scaled(panel: Panel, row: int, letter: str) -> Panel:
        _, _, width, height = panel.rect
        return replace(
            panel,
            ticks=Extent.of(0, ticks, width // least_px),
            bytes=Extent.of(0, bytes_[row], height // least_px),
            byte_labels=first[row] == letter,
        )

    return [
        replace(
            column,
            panels=tuple(
                scaled(panel, row, column.letter)
                for row, panel in zip(column.rows, column.panels, strict=True)
            ),
        )
        for column in columns
    ]


# ---- what it says ----


def _texts(letter: str, trace: Trace, scene: Scene, width_pt: float) -> list[str]:
    """A column's title, the lines below it, and the pair's figures."""
    lines = [f"{letter}   {words.title_of(trace, scene)}"]
    lines += subtitle_lines(words.subtitles(trace, scene), width_pt)
    pair = scene.choice.pair
    if pair is not None:
        lines.append(
            f"D = {bytes_exact(pair.min_displacement_bytes)},"
            f" O_s = {bytes_exact(pair.safe_overlap_bytes)}"
        )
    return lines


def _notes(column: _Column, counts: PanelCounts) -> list[str]:
    shared = any(share_a_cell(of_panel).any() for of_panel in counts.grids)
    return words.notes_on(column.trace, column.scene, shared=shared)


def _listed(columns: Sequence[_Column], notes: Sequence[Sequence[str]]) -> list[str]:
    """Each note once, behind the letters of its columns."""
    letters: dict[str, list[str]] = {}
    for column, column_notes in zip(columns, notes, strict=True):
        for note in column_notes:
            letters.setdefault(note, []).append(column.letter)
    return [f"{NOTE_BULLET}{', '.join(where)}: {note}" for note, where in letters.items()]


def _heading(scene: Scene, panel: Panel) -> Heading:
    """Short: columns are narrow, and counts stand in the subtitle."""
    pair = scene.choice.pair
    if panel.kind == "buffer" or pair is None:
        live = panel.parts[0].live
        return Heading(words.buffer_title(live), bytes_exact(live.size_bytes))
    return Heading(words.placement_title(pair), bytes_exact(span_bytes(pair)))


# ---- drawing ----


def _draw(
    columns: Sequence[_Column],
    counts: Sequence[PanelCounts],
    notes: Sequence[str],
    title: str | None,
    width_px: int,
    dpi: int,
) -> Sheet:
    bottom = max(top + height for c in columns for _, top, _, height in (p.rect for p in c.panels))
    lines = [line for note in notes for line in wrapped(note, text_width_pt(width_px, dpi))]
    foot = bottom + round((TICK_LABELS_PT + MARGIN_PT) * dpi / 72)
    below_pt = LEGEND_ROW_PT * LEGEND_ROWS + NOTE_LINE_PT * len(lines) + 2 * MARGIN_PT
    sheet = Sheet(width_px, foot + round(below_pt * dpi / 72), dpi)
    ticks = columns[0].panels[0].ticks.length
    shown_title = title or f"{len(columns)} windows at one scale: {counted(ticks, 'tick')} across"
    margin = sheet.px(MARGIN_PT)
    sheet.write(
        margin,
        sheet.px(_TITLE_PT),
        shown_title,
        size_pt=TITLE_PT,
        bold=True,
        width_px=width_px - 2 * margin,
    )
    entries: set[str] = set()
    for column, tally in zip(columns, counts, strict=True):
        entries |= _draw_column(sheet, column, tally)
    draw_legend(sheet, columns[0].left, foot, entries, columns=-(-len(entries) // LEGEND_ROWS))
    for number, line in enumerate(lines, 1):
        y = foot + sheet.px(LEGEND_ROW_PT * LEGEND_ROWS + NOTE_LINE_PT * number)
        sheet.write(margin, y, line, width_px=width_px - 2 * margin)
    return sheet


def _draw_column(sheet: Sheet, column: _Column, counts: PanelCounts) -> set[str]:
    """Draw it; what of it is in the legend."""
    pair = column.scene.choice.pair
    width = column.panels[0].rect[2] + sheet.px(RULER_PT - GAP_PT)
    for number, text in enumerate(column.texts):
        sheet.write(
            column.left,
            sheet.px(_HEADER_PT + SUBTITLE_LINE_PT * number),
            text,
            size_pt=SUBTITLE_PT + (number == 0),
            bold=number == 0 or (pair is not None and number == len(column.texts) - 1),
            width_px=width,
        )
    entries = {LIMIT} if column.scene.is_limited else set()
    for panel, grids in zip(column.panels, counts.grids, strict=True):
        heading = _heading(column.scene, panel)
        drawn = draw_one(sheet, column.scene, panel, grids, heading, counts.limit)
        entries |= entries_of(drawn)
    return entries
