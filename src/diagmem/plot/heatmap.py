"""The heatmap: when each byte is loaded, stored and still needed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from diagmem.analysis.overlap import Overlap
from diagmem.base.errors import DiagmemError
from diagmem.plot import words
from diagmem.plot.bins import Grid
from diagmem.plot.layout import MARGIN_PT, Layout, arrange, panel_width_px, text_width_pt
from diagmem.plot.legend import LIMIT, draw_legend, entries_of
from diagmem.plot.limit import LimitingAccess
from diagmem.plot.paint import share_a_cell
from diagmem.plot.pair import draw_limit, draw_ruler, ring
from diagmem.plot.panels import Drawn, Heading, Panel, draw_panel, line_in
from diagmem.plot.scene import (
    PLACEMENT_PT,
    AccessCounts,
    PanelCounts,
    Scene,
    count,
    needs_close_up,
    panels_of,
    scene_of,
    views_of,
)
from diagmem.plot.sheet import DPI, WIDTH_PX, Sheet, check_extension, fixed_style, wrapped

if TYPE_CHECKING:
    from diagmem.analysis.trace import Trace

MIN_WIDTH_INCHES = 9
CELL_PT = 0.96
TITLE_PT, SUBTITLE_PT = 13.0, 9.5
NOTE_BULLET = "• "


@dataclass(frozen=True, slots=True)
class Picture:
    """A heatmap that was drawn, and what it shows.

    ``buffers`` have panels, ``left_out`` have none; ``pair`` is shown
    overlapped and ``limit`` are the accesses that decide its D; ``notes`` stand at the
    picture's foot.
    """

    path: str
    width_px: int
    height_px: int
    window: int
    function: str
    events: int
    mode: str
    complete: bool
    buffers: tuple[str, ...]
    left_out: tuple[str, ...]
    pair: Overlap | None
    limit: tuple[LimitingAccess, ...]
    notes: tuple[str, ...]


def draw(
    trace: Trace,
    output_path: str | os.PathLike[str],
    *,
    window: int = 0,
    input_: str | None = None,
    output: str | None = None,
    buffers: Sequence[str] = (),
    title: str | None = None,
    width_px: int = WIDTH_PX,
    dpi: int = DPI,
) -> Picture:
    """Draw a window of a trace as PNG, SVG or PDF, by the extension.

    Memory is a grid's and a few arrays of one entry per cell of a buffer,
    however many events there are.

    Parameters
    ----------
    output_path : an existing file is replaced.
    input_, output : the pair to overlap; by default the one that may most.
    buffers : names of the buffers that get a panel; by default the pair's and
        a few others.
    width_px, dpi : of a PNG; in SVG and PDF the detail that is drawn.

    Raises
    ------
    DiagmemError
        For an unknown extension, a window or buffer that is not there, sizes
        that leave no room, or a file that cannot be written.
    """
    path = Path(output_path)
    check_extension(path)
    check_size(width_px, dpi)
    scene = scene_of(trace, window, input_=input_, output=output, buffers=buffers)
    with fixed_style():
        sheet, counts, notes = _draw_scene(trace, scene, title, width_px, dpi)
        sheet.save(path)
    return picture_of(trace, scene, counts, notes, path, sheet)


def picture_of(
    trace: Trace,
    scene: Scene,
    counts: PanelCounts,
    notes: Sequence[str],
    path: Path,
    sheet: Sheet,
) -> Picture:
    return Picture(
        path=str(path),
        width_px=sheet.width_px,
        height_px=sheet.height_px,
        window=scene.window.index,
        function=scene.window.function,
        events=scene.ticks,
        mode=trace.mode,
        complete=scene.window.complete,
        buffers=(*scene.choice.large, *scene.choice.small),
        left_out=scene.choice.left_out,
        pair=scene.choice.pair,
        limit=counts.limit,
        notes=tuple(notes),
    )


def check_size(width_px: int, dpi: int) -> None:
    """Refuse a picture without room for its text, or one beyond all use."""
    if not 50 <= dpi <= 1200:
        raise DiagmemError(f"{dpi} dots per inch, expected 50 to 1200")
    least = MIN_WIDTH_INCHES * dpi
    if not least <= width_px <= 20000:
        raise DiagmemError(
            f"a width of {width_px} pixels at {dpi} dots per inch, expected {least} to 20000:"
            f" the text needs {MIN_WIDTH_INCHES} inches"
        )


def cell_px(dpi: int) -> int:
    """The least width and height of a cell: a single access must catch the eye
    on a screen, too, that shows the picture at half its size."""
    return max(1, round(CELL_PT * dpi / 72))


def _draw_scene(
    trace: Trace, scene: Scene, title: str | None, width_px: int, dpi: int
) -> tuple[Sheet, PanelCounts, list[str]]:
    placement_px = round(PLACEMENT_PT * dpi / 72)
    close_up = needs_close_up(scene, panel_width_px(width_px, dpi), placement_px, dpi)
    views = views_of(scene, close_up=close_up)
    width_pt = text_width_pt(width_px, dpi)
    second = subtitle_lines(words.subtitles(trace, scene), width_pt)
    # Panels first: what is counted in them may want a note, and notes lie below.
    rects = arrange(width_px, dpi, views, subtitles=len(second), notes=0).panels
    panels = panels_of(views, rects, cell_px(dpi))
    counts = count(trace, scene, panels)
    notes = words.notes_on(
        trace, scene, shared=any(share_a_cell(of_panel).any() for of_panel in counts.grids)
    )
    lines = _note_lines(notes, width_pt)
    layout = arrange(width_px, dpi, views, subtitles=len(second), notes=len(lines))
    sheet = Sheet(width_px, layout.height_px, dpi)
    _write_texts(sheet, layout, [title or words.title_of(trace, scene), *second], lines)
    entries = {LIMIT} if scene.is_limited else set()
    for panel, of_panel in zip(panels, counts.grids, strict=True):
        heading = _heading(scene, panel, counts.counted)
        entries |= entries_of(draw_one(sheet, scene, panel, of_panel, heading, counts.limit))
    draw_legend(sheet, *layout.legend, entries)
    return sheet, counts, notes


def subtitle_lines(subtitles: Sequence[str], width_pt: float) -> list[str]:
    """Each subtitle in two lines at most."""
    texts = []
    for text in subtitles:
        lines = wrapped(text, width_pt, SUBTITLE_PT)
        texts += [*lines[:1], " ".join(lines[1:])] if len(lines) > 1 else lines
    return texts


def _note_lines(notes: Sequence[str], width_pt: float) -> list[str]:
    return [line for note in notes for line in wrapped(NOTE_BULLET + note, width_pt)]


def _write_texts(sheet: Sheet, layout: Layout, titles: Sequence[str], notes: Sequence[str]) -> None:
    left = sheet.px(MARGIN_PT)
    width = sheet.width_px - 2 * left
    sheet.write(left, layout.title_y, titles[0], size_pt=TITLE_PT, bold=True, width_px=width)
    for y, text in zip(layout.subtitles_y, titles[1:], strict=True):
        sheet.write(left, y, text, size_pt=SUBTITLE_PT, width_px=width)
    for y, text in zip(layout.notes_y, notes, strict=True):
        sheet.write(left, y, text, width_px=width)


def draw_one(
    sheet: Sheet,
    scene: Scene,
    panel: Panel,
    grids: Sequence[Grid],
    heading: Heading,
    limit: Sequence[LimitingAccess],
) -> Drawn:
    """One panel; beside the placement the memory ruler."""
    pair = scene.choice.pair
    lines = [
        line_in(panel, part, steps)
        for part in panel.parts
        if len((steps := scene.frontiers[part.live.name]).tick)
    ]
    drawn = draw_panel(sheet, panel, grids, lines, heading)
    if pair is None or panel.kind == "buffer":
        return drawn
    if panel.kind == "placement":
        draw_ruler(sheet, panel, pair)
        draw_limit(sheet, drawn, pair, limit)
    else:
        ring(drawn.axes, pair)
    return drawn


def _heading(scene: Scene, panel: Panel, counted: dict[str, AccessCounts]) -> Heading:
    pair = scene.choice.pair
    if panel.kind == "buffer" or pair is None:
        live = panel.parts[0].live
        return Heading(words.buffer_title(live), words.buffer_facts(live, counted[live.name]))
    if panel.kind == "placement":
        return Heading(words.placement_title(pair), words.placement_facts(pair))
    return Heading(
        "close-up of the limiting access",
        f"{panel.ticks.length:,} ticks, {panel.bytes.length:,} B",
    )
