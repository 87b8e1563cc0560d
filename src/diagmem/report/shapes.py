"""Lives and frontiers of buffers, packed as finely as a budget lets them be."""

from __future__ import annotations

import numpy as np

from diagmem.base.files import JsonObject
from diagmem.plot.scene import Scene
from diagmem.plot.shading import NO_STEPS, CellLives, Steps, lives_of
from diagmem.report.packed import Packed, characters, pack
from diagmem.trace.window import Int64Array

LIVES_DRAWN = 1 << 22
"""Of a buffer: what a browser draws without a pause."""


def shapes_of(scene: Scene, budget: int) -> dict[str, JsonObject]:
    """Each buffer's lives and frontier, as fine as fits."""
    names = scene.choice.large
    each = budget // len(names) // 2
    return {
        name: {
            "lives": _packed_lives(lives_of(scene.part(name).live, scene.ticks), each),
            "frontier": _packed_steps(scene.frontiers.get(name, NO_STEPS), scene, each),
        }
        for name in names
    }


def _packed_lives(lives: CellLives, budget: int) -> JsonObject:
    """A start and an end for each cell, or for each 2, 4, 8 ... of them."""
    alive = lives.end > lives.start
    start, end = np.where(alive, lives.start, 0), np.where(alive, lives.end, 0)
    cells = 1
    while len(start) > LIVES_DRAWN:
        start, end, cells = *_paired(start, end), 2 * cells
    while True:
        packed = {"start": pack(start, delta=True), "end": pack(end, delta=True)}
        if characters(packed) <= budget or len(start) <= 1:
            return {**packed, "cell_bytes": cells * lives.cell_bytes, "exact": cells == 1}
        start, end, cells = *_paired(start, end), 2 * cells


def _paired(start: Int64Array, end: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Two lives made one, from the earlier start to the later end; dead ones are 0, 0."""
    odd = len(start) % 2
    later = np.iinfo(np.int64).max
    first = np.pad(np.where(end > start, start, later), (0, odd), constant_values=later)
    first = np.minimum(first[0::2], first[1::2])
    end = np.pad(end, (0, odd))
    end = np.maximum(end[0::2], end[1::2])
    return np.where(end > 0, first, 0), end


def _packed_steps(steps: Steps, scene: Scene, budget: int) -> dict[str, Packed]:
    """A frontier; if need be without steps that are within a pixel at a first look."""
    columns, span = 1 << 16, int(steps.edge.max(initial=1))
    kept = steps
    while True:
        packed = {"tick": pack(kept.tick, delta=True), "edge": pack(kept.edge, delta=True)}
        if characters(packed) <= budget or columns == 1:
            return packed
        kept = steps.thinned(0, scene.ticks, scene.ticks / columns, 4 * span / columns)
        columns //= 2
