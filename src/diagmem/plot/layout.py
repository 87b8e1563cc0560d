"""Where everything lies on the sheet, in pixels from its upper left corner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diagmem.plot.sheet import Rect

MARGIN_PT = 12
LEFT_PT = 92
"""Room for the byte axis's labels."""
RIGHT_PT = 198
"""Room for the legend and the memory ruler."""
TITLE_LINE_PT = 20
SUBTITLE_LINE_PT = 14
HEADING_PT = 22
NOTE_LINE_PT = 13
TICK_LABELS_PT = 34
HINTING = 1.03
"""Letters on whole pixels run up to so much wider than those that are measured."""


@dataclass(frozen=True, slots=True)
class Place:
    """A panel to be placed: its height, and whether its ticks are labelled."""

    height_pt: float
    tick_labels: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """The panels' rectangles, and where texts begin."""

    height_px: int
    panels: tuple[Rect, ...]
    subtitles_y: tuple[int, ...]
    title_y: int
    legend: tuple[int, int]
    notes_y: tuple[int, ...]


def arrange(
    width_px: int, dpi: int, places: Sequence[Place], *, subtitles: int, notes: int
) -> Layout:
    """Panels below each other under the titles, notes at the foot."""

    def px(points: float) -> int:
        return round(points * dpi / 72)

    y = px(MARGIN_PT + TITLE_LINE_PT - 5)
    title_y = y
    subtitles_y = tuple(y + px(4 + SUBTITLE_LINE_PT * (i + 1)) - px(2) for i in range(subtitles))
    y = (subtitles_y[-1] if subtitles_y else y) + px(8)
    left, width = px(LEFT_PT), width_px - px(LEFT_PT) - px(RIGHT_PT)
    panels: list[Rect] = []
    for place in places:
        y += px(HEADING_PT)
        panels.append((left, y, width, px(place.height_pt)))
        y += px(place.height_pt) + px(TICK_LABELS_PT if place.tick_labels else 2)
    y += px(4)
    notes_y = tuple(y + px(NOTE_LINE_PT * (i + 1)) for i in range(notes))
    bottom = (notes_y[-1] if notes_y else y) + px(MARGIN_PT)
    legend = (left + width + px(12), panels[0][1] if panels else y)
    return Layout(bottom, tuple(panels), subtitles_y, title_y, legend, notes_y)


def text_width_pt(width_px: int, dpi: int) -> float:
    """For texts between the margins of the sheet."""
    return (width_px * 72 / dpi - 2 * MARGIN_PT) / HINTING


def panel_width_px(width_px: int, dpi: int) -> int:
    return arrange(width_px, dpi, [Place(1, False)], subtitles=0, notes=0).panels[0][2]
