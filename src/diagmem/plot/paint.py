"""The palette, and grids of counts as coloured pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from diagmem.plot.bins import Grid
from diagmem.trace.window import Role

# Blue against vermilion (Okabe and Ito) stays apart for every kind of colour
# blindness, and in grey: accesses are dark, lives are light, "both" is darkest.
LOAD = "#0072b2"
STORE = "#d55e00"
BOTH = "#3b0f4f"
INPUT_LIVE = "#cfe3f1"
OUTPUT_LIVE = "#fbe0c8"
OTHER_LIVE = "#e2e2e2"
SHARED_LIVE = "#d9c8dc"
INPUT_LINE = "#08264a"
OUTPUT_LINE = "#5f2300"
INK = "#222222"
FAINT = "#666666"
FRAME = "#999999"
NOTHING = "#f0f0f0"

UInt8Array = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]


def live_colour(role: Role) -> str:
    return {Role.INPUT: INPUT_LIVE, Role.OUTPUT: OUTPUT_LIVE}.get(role, OTHER_LIVE)


def _rgb(colour: str) -> UInt8Array:
    return np.frombuffer(bytes.fromhex(colour[1:]), np.uint8)


def marks(grids: Sequence[Grid]) -> BoolArray:
    """Cells with any access, (rows, columns)."""
    marked: BoolArray = np.logical_or.reduce([(g.loads + g.stores) > 0 for g in grids])
    return marked


def paint_lives(layers: Sequence[tuple[Grid, Role]]) -> UInt8Array:
    """Where grids of one extent are alive, uint8 (rows, columns, 3), row 0 lowest."""
    image = np.full((*layers[0][0].live.shape, 3), 255, np.uint8)
    for grid, role in layers:
        image[grid.live > 0] = _rgb(live_colour(role))
    image[share_a_cell([grid for grid, _ in layers])] = _rgb(SHARED_LIVE)
    return image


def paint_accesses(grids: Sequence[Grid]) -> UInt8Array:
    """Accesses on nothing, uint8 (rows, columns, 4), row 0 lowest.

    An access shows at full strength wherever there is one: its colour does not
    fade with how small a part of the cell it is.
    """
    image = np.zeros((*grids[0].live.shape, 4), np.uint8)
    loads = np.logical_or.reduce([g.loads > 0 for g in grids])
    stores = np.logical_or.reduce([g.stores > 0 for g in grids])
    image[loads | stores, 3] = 255
    image[loads, :3] = _rgb(LOAD)
    image[stores, :3] = _rgb(STORE)
    image[loads & stores, :3] = _rgb(BOTH)
    return image


def share_a_cell(grids: Sequence[Grid]) -> BoolArray:
    """Cells that lives of several grids reach into."""
    shared: BoolArray = np.add.reduce([g.live > 0 for g in grids], dtype=int) > 1
    return shared
