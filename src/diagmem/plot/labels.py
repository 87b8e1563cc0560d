"""Finding room for labels, so that they hide no data and never collide."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from diagmem.plot.paint import BoolArray

STEP_PX = 6
"""Places are tried on a raster of so many pixels."""
HIDDEN_COST = 50.0
"""What hiding one pixel of data weighs against a pixel of distance."""


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions at least ``gap`` apart in ``[low, high]``, in the order of the
    wanted ones and near them; closer only where there is no room for all."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    if len(order) > 1:
        gap = min(gap, (high - low) / (len(order) - 1))
    placed = [0.0] * len(wanted)
    at = low - gap
    for i in order:
        at = placed[i] = max(wanted[i], at + gap)
    at = high + gap
    for i in reversed(order):
        at = placed[i] = min(placed[i], at - gap)
    return placed


def free_place(
    occupied: BoolArray, box: tuple[int, int], target: tuple[int, int]
) -> tuple[int, int]:
    """Lowest row and column of a box that hides little and lies near a target.

    Parameters
    ----------
    occupied : bool (rows, columns)
        Pixels with data.
    box : rows and columns of the box
    target : row and column that the box explains
    """
    rows, columns = occupied.shape
    height, width = min(box[0], rows), min(box[1], columns)
    total = np.zeros((rows + 1, columns + 1))
    total[1:, 1:] = np.cumsum(np.cumsum(occupied, axis=0), axis=1)
    row = np.arange(0, rows - height + 1, STEP_PX)[:, None]
    column = np.arange(0, columns - width + 1, STEP_PX)[None, :]
    hidden = (
        total[row + height, column + width]
        - total[row, column + width]
        - total[row + height, column]
        + total[row, column]
    )
    # From the target to the nearest point of the box, which must not cover it.
    up = np.maximum(np.maximum(row - target[0], target[0] - row - height), 0)
    along = np.maximum(np.maximum(column - target[1], target[1] - column - width), 0)
    distance = np.hypot(up, along)
    cost = HIDDEN_COST * hidden + distance + 1e6 * (distance < 14)
    best = np.unravel_index(int(np.argmin(cost)), cost.shape)
    return int(best[0]) * STEP_PX, int(best[1]) * STEP_PX
