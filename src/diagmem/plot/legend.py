"""The legend: only what the picture holds, beside the data."""

from __future__ import annotations

from dataclasses import dataclass, fields
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
from diagmem.trace.window import Role

if TYPE_CHECKING:
    from matplotlib.artist import Artist


RING_PT = 12
RING_HOLE = 0.74


@dataclass(slots=True)
class Shown:
    """What a picture holds, collected while it is drawn."""

    loads: bool = False
    stores: bool = False
    both: bool = False
    input_live: bool = False
    output_live: bool = False
    other_live: bool = False
    beyond: bool = False
    shared_live: bool = False
    input_line: bool = False
    output_line: bool = False
    limit: bool = False

    @property
    def count(self) -> int:
        """How many entries the legend has."""
        return sum(getattr(self, field.name) for field in fields(self))

    def take(self, drawn: Drawn) -> None:
        grids = drawn.grids
        loads = np.logical_or.reduce([g.loads > 0 for g in grids])
        stores = np.logical_or.reduce([g.stores > 0 for g in grids])
        alive = [g.live > 0 for g in grids]
        self.loads |= bool((loads & ~stores).any())
        self.stores |= bool((stores & ~loads).any())
        self.both |= bool((loads & stores).any())
        for part, live in zip(drawn.panel.parts, alive, strict=True):
            self._take_live(part.role, bool(live.any()))
        self.shared_live |= bool(share_a_cell(grids).any())
        panel = drawn.panel
        self.beyond |= panel.ends[0] < panel.ticks.end or panel.ends[1] < panel.bytes.end
        for line in drawn.lines:
            self.input_line |= line.role is Role.INPUT
            self.output_line |= line.role is Role.OUTPUT

    def _take_live(self, role: Role, alive: bool) -> None:
        match role:
            case Role.INPUT:
                self.input_live |= alive
            case Role.OUTPUT:
                self.output_live |= alive
            case _:
                self.other_live |= alive


_PATCHES = (
    ("loads", LOAD, "load"),
    ("stores", STORE, "store"),
    ("both", BOTH, "load and store"),
    ("input_live", INPUT_LIVE, "input, still needed"),
    ("output_live", OUTPUT_LIVE, "output, already needed"),
    ("shared_live", SHARED_LIVE, "both, in one pixel"),
    ("other_live", OTHER_LIVE, "other buffer, in use"),
    ("beyond", NOTHING, "behind the window's or buffer's end"),
)
_LINES = (
    ("input_line", INPUT_LINE, "lowest input byte still needed"),
    ("output_line", OUTPUT_LINE, "highest output byte written"),
)


def draw_legend(sheet: Sheet, left: int, top: int, shown: Shown, *, columns: int = 1) -> None:
    """The legend's upper left corner lies at ``left``, ``top`` in pixels."""
    spacing = {"handlelength": 1.5, "handletextpad": 0.6, "labelspacing": 0.45}
    sheet.legend(_handles(shown), left, top, ncols=columns, **spacing)


def _handles(shown: Shown) -> list[Artist]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Artist] = [
        Patch(facecolor=colour, edgecolor=FRAME, linewidth=0.5, label=label)
        for name, colour, label in _PATCHES
        if getattr(shown, name)
    ]
    handles += [
        Line2D([], [], color=colour, linewidth=1.6, label=label)
        for name, colour, label in _LINES
        if getattr(shown, name)
    ]
    if shown.limit:
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
