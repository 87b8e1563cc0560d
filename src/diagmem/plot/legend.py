"""The legend: only what the picture holds, beside the data."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from diagmem.plot.paint import (
    BOTH,
    FRAME,
    INK,
    INPUT_LINE,
    INPUT_LIVE,
    LOAD,
    NOTHING,
    OTHER_LIVE,
    OUTPUT_LINE,
    OUTPUT_LIVE,
    SHARED_LIVE,
    STORE,
    share_a_cell,
)
from diagmem.plot.panels import Drawn
from diagmem.plot.sheet import Sheet

if TYPE_CHECKING:
    from matplotlib.artist import Artist


RING_PT = 12
RING_HOLE = 0.74


_PATCHES = {
    "loads": (LOAD, "load"),
    "stores": (STORE, "store"),
    "both": (BOTH, "load and store"),
    "input": (INPUT_LIVE, "input, still needed"),
    "output": (OUTPUT_LIVE, "output, already needed"),
    "shared": (SHARED_LIVE, "both, in one pixel"),
    "other": (OTHER_LIVE, "other buffer, in use"),
    "beyond": (NOTHING, "behind the window's or buffer's end"),
}
_LINES = {
    "input line": (INPUT_LINE, "lowest input byte still needed"),
    "output line": (OUTPUT_LINE, "highest output byte written"),
}
LIMIT = "limit"
"""The entry of the limiting access."""


def entries_of(drawn: Drawn) -> set[str]:
    """The legend's entries that a panel needs, but for `LIMIT`."""
    grids, panel = drawn.grids, drawn.panel
    loads = np.logical_or.reduce([g.loads > 0 for g in grids])
    stores = np.logical_or.reduce([g.stores > 0 for g in grids])
    cells = {
        "loads": loads & ~stores,
        "stores": stores & ~loads,
        "both": loads & stores,
        "shared": share_a_cell(grids),
        "beyond": panel.ends[0] < panel.ticks.end or panel.ends[1] < panel.bytes.end,
    }
    return {
        *(name for name, where in cells.items() if np.any(where)),
        *(
            part.role.value if part.role.value in _PATCHES else "other"
            for part, grid in zip(panel.parts, grids, strict=True)
            if (grid.live > 0).any()
        ),
        *(f"{line.role.value} line" for line in drawn.lines),
    }


def draw_legend(
    sheet: Sheet, left: int, top: int, entries: Collection[str], *, columns: int = 1
) -> None:
    """The legend's upper left corner lies at ``left``, ``top`` in pixels."""
    spacing = {"handlelength": 1.5, "handletextpad": 0.6, "labelspacing": 0.45}
    sheet.legend(_handles(entries), left, top, ncols=columns, **spacing)


def _handles(entries: Collection[str]) -> list[Artist]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Artist] = [
        Patch(facecolor=colour, edgecolor=FRAME, linewidth=0.5, label=label)
        for name, (colour, label) in _PATCHES.items()
        if name in entries
    ]
    handles += [
        Line2D([], [], color=colour, linewidth=1.6, label=label)
        for name, (colour, label) in _LINES.items()
        if name in entries
    ]
    if LIMIT in entries:
        handles.append(Line2D([], [], linestyle="", label="limiting access", **ring_marker()))
    return handles


def ring_marker() -> dict[str, Any]:
    """How `Line2D` marks the limit: a ring filled with ink, with nothing inside.

    An open circle would do, if every SVG reader knew that a marker can be empty.
    """
    from matplotlib.path import Path

    inner = Path.unit_circle()
    # Backwards, so that it is a hole by the non-zero winding rule as well.
    hole = Path(np.asarray(inner.vertices, float)[::-1] * RING_HOLE, inner.codes)
    return {
        "marker": Path.make_compound_path(Path.unit_circle(), hole),
        "markersize": RING_PT,
        "markerfacecolor": INK,
        "markeredgewidth": 0,
    }
