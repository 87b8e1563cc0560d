"""The algorithmic method: run the loop nest on indices, not on values.

An access happens at tick ``t0 + sum(weight * counter)`` over the loops around it,
and each loop moves one axis at most.  So the last tick at which an element is
touched is a sum with one term for each axis (the last tick among those iterations
of its loops that point there) and one for the loops that move no axis (their last
iteration); the first tick likewise.  A table for each axis and an outer sum give
the ticks of all elements, without running through the iterations.
"""

from __future__ import annotations

from math import prod

import numpy as np

from diagmem.analysis.liveness import NEVER_FIRST, NEVER_LAST, BufferLiveness, Columns, never
from diagmem.base.errors import DiagmemError
from diagmem.ops.layer import Layer, Tensor
from diagmem.ops.nest import Axis, Int64Array, Nest, Statement, duration, statements

MAX_ELEMENTS = 1 << 28
"""Of one tensor: with four ticks each that is 8 GB."""
MAX_TICKS = 1 << 59
MAX_PLACES = 1 << 24
_NOWHERE = 1 << 60
"""Beyond every tick; seven axes of it still fit 64 bits."""


def check_places(count: int) -> None:
    """Refuse to go through more places of one axis than memory and patience allow."""
    if count > MAX_PLACES:
        raise DiagmemError(
            f"an axis has {count:,} places to go through one by one, expected at most"
            f" {MAX_PLACES:,}"
        )


def places(axis: Axis, extents: dict[str, int]) -> Int64Array:
    """Where an axis points, int64 [iterations of its loops..., alternatives].

    The last axis has one entry but for tables; places may lie outside.
    """
    if axis.table is not None:
        return axis.table
    check_places(prod(extents[name] for name in axis.loops))
    if axis.loop:
        counters = np.full(extents[axis.loop], -1, np.int64)
        for piece in axis.pieces:
            counters[piece.first : piece.end] = (
                piece.start + np.arange(piece.end - piece.first, dtype=np.int64) * piece.step
            )
        return counters[:, None]
    total = np.array(axis.start, np.int64)
    for name, step in axis.steps:
        total = np.add.outer(total, np.arange(extents[name], dtype=np.int64) * step)
    return total[..., None]


def liveness(layer: Layer, nest: Nest) -> dict[str, BufferLiveness]:
    """First and last tick of every element of the layer's tensors, by name.

    Raises
    ------
    DiagmemError
        A tensor or the nest is too large for this method.
    """
    ticks = sum(duration(node) for node in nest)
    for tensor in (*layer.inputs, *layer.outputs):
        if tensor.elements > MAX_ELEMENTS or ticks > MAX_TICKS:
            raise DiagmemError(
                f"{layer.operator}: {tensor.name} has {tensor.elements:,} elements and the loop"
                f" nest {ticks:,} steps, the algorithmic method takes {MAX_ELEMENTS:,} and"
                f" {MAX_TICKS:,}; --method exact takes any"
            )
    accesses = statements(nest)
    return {
        tensor.name: _of_tensor(tensor, role, accesses)
        for role, tensors in (("input", layer.inputs), ("output", layer.outputs))
        for tensor in tensors
    }


def _of_tensor(tensor: Tensor, role: str, accesses: tuple[Statement, ...]) -> BufferLiveness:
    columns: dict[bool, Columns] = {}
    for statement in accesses:
        access = statement.access
        if access.tensor != tensor.name or not statement.happens or tensor.elements == 0:
            continue
        if access.elements != tensor.elements:
            raise ValueError(f"{tensor.name}: axes of {access.elements}, not {tensor.elements}")
        new = _first_and_last(statement)
        old = columns.get(access.store)
        columns[access.store] = (
            (np.minimum(old[0], new[0]), np.maximum(old[1], new[1])) if old else new
        )
    loads = columns.get(False) or never(tensor.elements)
    stores = columns.get(True) or never(tensor.elements)
    return BufferLiveness(
        tensor.name, role, tensor.size_bytes, tensor.element_bytes, *loads, *stores
    )


def _first_and_last(statement: Statement) -> Columns:
    """The ticks of every element, int64 each, flat."""
    extents = {around.name: around.extent for around in statement.path}
    weights = dict(zip(extents, statement.weights, strict=True))
    first = np.array([statement.tick], np.int64)
    last = first.copy()
    idle = set(extents)
    everywhere = True
    for axis in statement.access.axes:
        idle -= set(axis.loops)
        low, high = _ticks_of_axis(axis, extents, weights)
        everywhere = everywhere and bool((high >= 0).all())
        first = np.add.outer(first, low).reshape(-1)
        last = np.add.outer(last, high).reshape(-1)
    last += sum(weights[name] * (extents[name] - 1) for name in idle)
    if not everywhere:
        first[last < 0] = NEVER_FIRST
        np.maximum(last, NEVER_LAST, out=last)
    return first, last


def _ticks_of_axis(
    axis: Axis, extents: dict[str, int], weights: dict[str, int]
) -> tuple[Int64Array, Int64Array]:
    """What the axis's own loops add to the first and last tick of each place."""
    place = places(axis, extents)
    tick = np.zeros(1, np.int64)
    for name in axis.loops:
        tick = np.add.outer(tick, np.arange(extents[name], dtype=np.int64) * weights[name])
    tick = np.broadcast_to(tick.reshape(*place.shape[:-1], 1), place.shape).reshape(-1)
    place = place.reshape(-1)
    inside = (place >= 0) & (place < axis.extent)
    first = np.full(axis.extent, _NOWHERE, np.int64)
    last = np.full(axis.extent, -_NOWHERE, np.int64)
    np.minimum.at(first, place[inside], tick[inside])
    np.maximum.at(last, place[inside], tick[inside])
    return first, last
