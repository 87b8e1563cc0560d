"""Names of blocks in a diagram of an arena, as long as there is room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from diagmem.arena import Block
from diagmem.plot.arena_shapes import Band, FloatArray
from diagmem.plot.arena_view import LINE_PT, PAD_PT, View
from diagmem.plot.sheet import Sheet
from diagmem.plot.units import drawable

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def tag(block: Block) -> str:
    """What a block is called where there is little room."""
    return "scratch" if block.role == "scratch" else f"t{block.tensor}"


def rounded(count: int) -> str:
    """Four digits: ``4.594 MiB``."""
    unit, name = (1 << 20, "MiB") if count >= 1 << 20 else (1 << 10, "KiB")
    return f"{count / unit:.4g} {name}" if count >= 1 << 10 else f"{count} B"


def _wordings(block: Block) -> Iterator[tuple[tuple[str, ...], Sequence[int]]]:
    """Lines to try, longest first, each with the angles that it is tried at."""
    short, size = tag(block), rounded(block.size_bytes)
    if block.role != "scratch":
        # A converter joins the names of what it fused by semicolons, scopes by slashes.
        name = "/".join(drawable(block.name).partition(";")[0].split("/")[-2:])
        yield (f"{short} {name}", size), (0, 90)
    yield (short, size), (0, 90)
    yield (f"{short} {size}",), (0, 90)
    yield (short,), (0, 90)


def draw_label(sheet: Sheet, axes: Axes, view: View, block: Block, band: Band, tint: str) -> None:
    """Name and size inside of the block's shape, as much as fits in."""
    line_px, pad = sheet.px(LINE_PT), 2 * sheet.px(PAD_PT)
    room = _Room.of(view, band)
    if room is None or min(len(room.low), float(room.high.max() - room.low.min())) < line_px:
        return
    for lines, angles in _wordings(block):
        along = max(sheet.width_of(line) for line in lines) + pad
        across = len(lines) * line_px + pad / 2
        for angle in angles:
            place = room.fit(*((along, across) if angle == 0 else (across, along)))
            if place is not None:
                axes.text(
                    view.start + place[0] / view.column_px,
                    place[1] * view.top_bytes / view.rect[3],
                    "\n".join(lines),
                    rotation=angle,
                    ha="center",
                    va="center",
                    linespacing=1.1,
                    # Levels do not run through words.
                    bbox={"facecolor": tint, "linewidth": 0, "boxstyle": "square,pad=0"},
                    parse_math=False,
                    zorder=7,
                )
                return


@dataclass(frozen=True, slots=True)
class _Room:
    """A shape in a panel's pixels, from its lower left corner: [low, high) of columns."""

    left: int
    low: FloatArray
    high: FloatArray

    @classmethod
    def of(cls, view: View, band: Band) -> _Room | None:
        first, last = (
            (min(max(t, view.start), view.end) - view.start) * view.column_px
            for t in (band.time[0], band.time[-1])
        )
        left, right = int(np.ceil(first)), int(last)
        if right <= left:
            return None
        time = view.start + (np.arange(left, right) + 0.5) / view.column_px
        scale = view.rect[3] / view.top_bytes
        return cls(
            left,
            np.interp(time, band.time, band.low) * scale,
            np.interp(time, band.time, band.high) * scale,
        )

    def fit(self, width: float, height: float) -> tuple[float, float] | None:
        """The middle of the roomiest place for a box; None where it fits nowhere."""
        columns = int(np.ceil(width))
        if columns > len(self.low):
            return None
        windows = np.lib.stride_tricks.sliding_window_view
        low = windows(self.low, columns).max(axis=1)
        high = windows(self.high, columns).min(axis=1)
        spare = high - low - height
        if spare.max() < 0:
            return None
        roomiest = np.flatnonzero(spare > spare.max() - 1)
        at = int(roomiest[len(roomiest) // 2])
        return self.left + at + columns / 2, float(low[at] + high[at]) / 2
