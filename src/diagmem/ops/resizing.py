"""Operators that resize a picture.

Source rows and columns are computed as the kernels do, in 32-bit floats or, for
integers between two of them, in 1/1024ths: the rounding decides which is read.
"""

from __future__ import annotations

import numpy as np

from diagmem.base.errors import DiagmemError
from diagmem.ops.attributes import INPUT, MAX_EXTENT, TYPE, TYPES, Attribute
from diagmem.ops.draw import Draw
from diagmem.ops.layer import Layer, Value
from diagmem.ops.nest import (
    Int64Array,
    Nest,
    axis,
    axis_by_table,
    loop,
    loops,
    over_output,
    read,
    walk,
    write,
)
from diagmem.ops.operator import Given, Operator, need_rank, one_to_one

ONE = 1 << 10
"""What integer kernels take steps in."""
MAX_ROWS = 1 << 20
"""Of rows and columns a table is made."""


def _resized(name: str, given: Given) -> tuple[int, ...]:
    need_rank(name, "input", given["input"], 4)
    if given["align_corners"] and given["half_pixel_centers"]:
        raise DiagmemError(f"{name}: align_corners and half_pixel_centers, expected one at most")
    batches, height, width, channels = given["input"]
    if (height == 0 or width == 0) or max(*given["size"], height, width) > MAX_ROWS:
        raise DiagmemError(
            f"{name}: {height}x{width} to {given['size'][0]}x{given['size'][1]}, expected 1 to"
            f" {MAX_ROWS:,} rows and columns"
        )
    assert max(given["size"]) <= MAX_EXTENT
    return batches, *given["size"], channels


def _scale(layer: Layer, along: int) -> np.float32:
    source, target = (t.shape[1 + along] for t in (layer.inputs[0], layer.outputs[0]))
    if layer.attributes["align_corners"] and target > 1:
        return np.float32(source - 1) / np.float32(target - 1)
    return np.float32(source) / np.float32(target)


def nearest(layer: Layer, along: int) -> Int64Array:
    """The source of each row (0) or column (1), int64 [extent, 1]."""
    source, target = (t.shape[1 + along] for t in (layer.inputs[0], layer.outputs[0]))
    offset = np.float32(0.5 if layer.attributes["half_pixel_centers"] else 0)
    place = (np.arange(target, dtype=np.float32) + offset) * _scale(layer, along)
    # Halves away from zero, as C's round; none is negative.
    rounded = np.floor(place + np.float32(0.5)) if layer.attributes["align_corners"] else place
    indices: Int64Array = np.clip(np.floor(rounded).astype(np.int64), 0, source - 1)
    return indices[:, None]


def between(layer: Layer, along: int) -> Int64Array:
    """The two sources of each row (0) or column (1), int64 [extent, 2]."""
    source, target = (t.shape[1 + along] for t in (layer.inputs[0], layer.outputs[0]))
    if layer.inputs[0].dtype != "float32":
        return _between_in_integers(layer, source, target)
    scale, half = _scale(layer, along), np.float32(0.5)
    place = np.arange(target, dtype=np.float32)
    if layer.attributes["half_pixel_centers"]:
        place = (place + half) * scale - half
    else:
        place = place * scale
    low = np.maximum(np.floor(place).astype(np.int64), 0)
    high = np.minimum(np.ceil(place).astype(np.int64), source - 1)
    return np.stack([low, high], axis=1)


def _between_in_integers(layer: Layer, source: int, target: int) -> Int64Array:
    """The same in fixed point: a step is a whole number of 1/1024ths, rounded."""
    part, whole = source, target
    if layer.attributes["align_corners"] and target > 1:
        part, whole = source - 1, target - 1
    step = (ONE * part + whole // 2) // max(whole, 1)
    place = np.arange(target, dtype=np.int64) * step
    if layer.attributes["half_pixel_centers"]:
        place += step // 2 - ONE // 2
    # C divides towards zero; what is negative ends up at 0 either way.
    low = np.clip(place // ONE, 0, source - 1)
    high = np.clip((place + ONE - 1) // ONE, 0, source - 1)
    return np.stack([low, high], axis=1)


def resize_nearest_neighbor(layer: Layer) -> Nest:
    """b, y, x: a memcpy of all channels."""
    batches, source_h, source_w, channels = layer.inputs[0].shape
    shape = layer.outputs[0].shape
    rows, columns = nearest(layer, 0), nearest(layer, 1)
    return (
        loops(
            dict(zip(("b", "y", "x"), shape[:3], strict=True)),
            loop("w", channels, write("output", *walk(shape, "b", "y", "x", "w"))),
            loop(
                "r",
                channels,
                read(
                    "input",
                    axis(batches, "b"),
                    axis_by_table(source_h, "y", rows),
                    axis_by_table(source_w, "x", columns),
                    axis(channels, "r"),
                ),
            ),
        ),
    )


def resize_bilinear(layer: Layer) -> Nest:
    """b, y, x, channel: read four, write one."""
    batches, source_h, source_w, channels = layer.inputs[0].shape
    shape = layer.outputs[0].shape
    rows, columns = between(layer, 0), between(layer, 1)
    four = read(
        "input",
        axis(batches, "b"),
        axis_by_table(source_h, "y", rows),
        axis_by_table(source_w, "x", columns),
        axis(channels, "c"),
    )
    return over_output(shape, "byxc", four)


def _draw(draw: Draw) -> dict[str, Value]:
    batches, height, width, channels = draw.picture()
    centres = draw.one_of(("", "", "align_corners", "half_pixel_centers"))
    return {
        "dtype": draw.one_of(TYPES),
        "input": (batches, max(height, 1), max(width, 1), channels),
        "size": draw.pair(20),
        "align_corners": centres == "align_corners",
        "half_pixel_centers": centres == "half_pixel_centers",
    }


OPERATORS = tuple(
    Operator(
        name,
        "input=1x6x5x4 size=12x7 half_pixel_centers=true dtype=int8",
        (
            TYPE,
            INPUT,
            Attribute("size", "pair"),
            Attribute("align_corners", "switch", False),
            Attribute("half_pixel_centers", "switch", False),
        ),
        one_to_one(_resized),
        nest,
        _draw,
    )
    for name, nest in (
        ("RESIZE_NEAREST_NEIGHBOR", resize_nearest_neighbor),
        ("RESIZE_BILINEAR", resize_bilinear),
    )
)
