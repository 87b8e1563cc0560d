"""Operators that reduce axes: mean, sum, largest element."""

from __future__ import annotations

from diagmem.base.errors import DiagmemError
from diagmem.ops.attributes import INPUT, TYPE, TYPES, Attribute
from diagmem.ops.draw import Draw
from diagmem.ops.layer import Layer, Value
from diagmem.ops.nest import Nest, axis, loop, loops, over_output, read, walk, write
from diagmem.ops.operator import Given, Operator, one_to_one


def _reduced(name: str, given: Given) -> tuple[int, ...]:
    shape, axes = given["input"], given["axes"]
    if not all(0 <= a < len(shape) for a in axes) or sorted(set(axes)) != list(axes):
        raise DiagmemError(
            f"{name}: axes={','.join(map(str, axes))}, expected axes from 0 to {len(shape) - 1},"
            " rising"
        )
    if given["keep_dims"]:
        return tuple(1 if i in axes else size for i, size in enumerate(shape))
    return tuple(size for i, size in enumerate(shape) if i not in axes)


def accumulate(layer: Layer) -> Nest:
    """The whole output is filled; then the input is gone through from end to end,
    each element added to its sum; then the output is written, from wider sums.

    The sums are the output itself (REDUCE_MAX, and SUM in floats: the last step is
    missing) or scratch memory; for when the output is first written it is one.
    """
    source, target = layer.inputs[0].elements, layer.outputs[0].elements
    fill = loop("z", target, write("output", axis(target, "z")))
    through = loop("i", source, read("input", axis(source, "i")))
    if layer.operator == "REDUCE_MAX" or (layer.operator, layer.outputs[0].dtype) == (
        "SUM",
        "float32",
    ):
        return fill, through
    return fill, through, loop("o", target, write("output", axis(target, "o")))


def takes_pictures(layer: Layer) -> bool:
    """Is it a mean that TFLite's kernels have a loop nest of its own for?"""
    source = layer.inputs[0]
    return (
        layer.operator == "MEAN"
        and source.dtype == "float32"
        and len(source.shape) == 4
        and layer.attributes["axes"] == (1, 2)
        and bool(layer.attributes["keep_dims"])
    )


def mean(layer: Layer) -> Nest:
    """Floats over height and width of a picture that stays one: each batch and
    channel by itself.  All else goes through the input from end to end, as sums do."""
    shape = layer.inputs[0].shape
    if not takes_pictures(layer):
        return accumulate(layer)
    batches, height, width, channels = shape
    picture = loops({"h": height, "w": width}, read("input", *walk(shape, "b", "h", "w", "c")))
    return over_output((batches, channels), "bc", picture)


def _draw(draw: Draw) -> dict[str, Value]:
    shape = draw.shape(draw.number(1, 4))
    axes: Value = tuple(i for i in range(len(shape)) if draw.chance(0.5))
    return {
        "dtype": draw.one_of(TYPES),
        "input": shape,
        "axes": axes or (len(shape) - 1,),
        "keep_dims": draw.chance(0.5),
    }


def _draw_mean(draw: Draw) -> dict[str, Value]:
    drawn = _draw(draw)
    if draw.chance(0.6):
        drawn.update(input=draw.picture(), axes=(1, 2))
    return drawn


OPERATORS = tuple(
    Operator(
        name,
        "input=1x6x5x4 axes=1,2 keep_dims=false dtype=int8",
        (
            TYPE,
            INPUT,
            Attribute("axes", "numbers"),
            Attribute("keep_dims", "switch", False),
        ),
        one_to_one(_reduced),
        nest,
        draw,
    )
    for name, nest, draw in (
        ("MEAN", mean, _draw_mean),
        ("SUM", accumulate, _draw),
        ("REDUCE_MAX", accumulate, _draw),
    )
)
