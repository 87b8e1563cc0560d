"""What a panel of an arena's diagram shows: operators across, bytes up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from diagmem.plot.sheet import TEXT_PT, Rect, text_width

NAMED_COLUMN_PT = 10.5
"""Operators are named below columns at least so wide, ..."""
TICK_GAP_PT = 5

LINE_PT = TEXT_PT * 1.25
PAD_PT = 2


@dataclass(frozen=True, slots=True)
class Level:
    """A horizontal line across a panel, named beside it; the arena's own is its peak."""

    at_bytes: int
    lines: tuple[str, ...]
    kind: Literal["peak", "board", "other"]


@dataclass(frozen=True, slots=True)
class View:
    """A panel: where it lies, and the operators [start, end) and bytes it spans.

    ``frame`` marks operators that are enlarged elsewhere.
    """

    rect: Rect
    start: int
    end: int
    top_bytes: float
    levels: tuple[Level, ...]
    frame: tuple[int, int] | None = None

    @property
    def column_px(self) -> float:
        return self.rect[2] / (self.end - self.start)


def names_operators(column_px: float, dpi: int) -> bool:
    return column_px * 72 / dpi >= NAMED_COLUMN_PT


def names_px(names: Iterable[str], dpi: int) -> int:
    """What the operators' names take below a panel."""
    longest = max((text_width(name, bold=True) for name in names), default=0.0)
    return round((longest + TICK_GAP_PT) * dpi / 72)
