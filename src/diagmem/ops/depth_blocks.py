"""Operators that move blocks of a picture into its depth, or out of it."""

from __future__ import annotations

from diagmem.base.errors import DiagmemError
from diagmem.ops.attributes import INPUT, TYPE, TYPES, Attribute
from diagmem.ops.draw import Draw
from diagmem.ops.layer import Layer, Value
from diagmem.ops.nest import Nest, loops, over_output, read, walk, write
from diagmem.ops.operator import Given, Operator, need_rank, one_to_one


def _block(name: str, given: Given) -> int:
    need_rank(name, "input", given["input"], 4)
    size: int = given["block_size"]
    if size < 1:
        raise DiagmemError(f"{name}: block_size is {size}, expected at least 1")
    return size


def _deepened(name: str, given: Given) -> tuple[int, ...]:
    size = _block(name, given)
    batches, height, width, depth = given["input"]
    if height % size or width % size:
        raise DiagmemError(
            f"{name}: {height}x{width} does not go into blocks of {size}, expected multiples"
        )
    return batches, height // size, width // size, depth * size * size


def _flattened(name: str, given: Given) -> tuple[int, ...]:
    size = _block(name, given)
    batches, height, width, depth = given["input"]
    if depth % (size * size):
        raise DiagmemError(
            f"{name}: {depth} channels do not go into blocks of {size}x{size}, expected a multiple"
        )
    return batches, height * size, width * size, depth // (size * size)


def _in_blocks(layer: Layer, picture: tuple[int, ...]) -> tuple[dict[str, int], ...]:
    """The loops over a picture in blocks, and those over the deep one's axes."""
    size = layer.attributes["block_size"]
    assert isinstance(size, int)
    batches, height, width, depth = picture
    flat = {
        "b": batches,
        "h": height // size,
        "i": size,
        "w": width // size,
        "j": size,
        "d": depth,
    }
    return flat, {name: flat[name] for name in ("b", "h", "w", "i", "j", "d")}


def space_to_depth(layer: Layer) -> Nest:
    """Over the INPUT: read, write where it belongs."""
    flat, deep = _in_blocks(layer, layer.inputs[0].shape)
    return (
        loops(
            flat,
            read("input", *walk(list(flat.values()), *flat)),
            write("output", *walk(list(deep.values()), *deep)),
        ),
    )


def depth_to_space(layer: Layer) -> Nest:
    """Over the output: read, write."""
    flat, deep = _in_blocks(layer, layer.outputs[0].shape)
    picture = read("input", *walk(list(deep.values()), *deep))
    return over_output(list(flat.values()), list(flat), picture)


def _draw_deepen(draw: Draw) -> dict[str, Value]:
    size = draw.number(1, 3)
    batches, depth = draw.extent(2), draw.extent(5)
    shape = (batches, size * draw.extent(5), size * draw.extent(5), depth)
    return {"dtype": draw.one_of(TYPES), "input": shape, "block_size": size}


def _draw_flatten(draw: Draw) -> dict[str, Value]:
    size = draw.number(1, 3)
    shape = (draw.extent(2), draw.extent(5), draw.extent(5), size * size * draw.extent(4))
    return {"dtype": draw.one_of(TYPES), "input": shape, "block_size": size}


_BLOCK = (TYPE, INPUT, Attribute("block_size", "count"))

OPERATORS = (
    Operator(
        "SPACE_TO_DEPTH",
        "input=1x6x4x3 block_size=2 dtype=int8",
        _BLOCK,
        one_to_one(_deepened),
        space_to_depth,
        _draw_deepen,
    ),
    Operator(
        "DEPTH_TO_SPACE",
        "input=1x3x2x12 block_size=2 dtype=int8",
        _BLOCK,
        one_to_one(_flattened),
        depth_to_space,
        _draw_flatten,
    ),
)
