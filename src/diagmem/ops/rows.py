"""Operators on rows and matrices: products, and what normalises a row."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from diagmem.base.errors import DiagmemError
from diagmem.ops.attributes import INPUT, TYPE, TYPES, Attribute, show
from diagmem.ops.broadcast import broadcast, spread
from diagmem.ops.draw import Draw
from diagmem.ops.layer import Layer, Tensor, Value
from diagmem.ops.nest import Nest, loop, over_output, read, walk, write
from diagmem.ops.operator import Given, Operator, one_to_one

# ---- products ----


def _connected(name: str, given: Given) -> tuple[int, ...]:
    shape = given["input"]
    if not shape:
        raise DiagmemError(f"{name}: input is a scalar, expected at least one axis")
    return (*shape[:-1], given["output_channels"])


def fully_connected(layer: Layer) -> Nest:
    """row, output channel; then the depth."""
    *rows, depth = layer.inputs[0].shape
    channels = layer.outputs[0].shape[-1]
    row = loop("d", depth, read("input", *walk((prod(rows), depth), "b", "d")))
    return over_output((prod(rows), channels), "bo", row)


def _matrices(name: str, given: Given) -> tuple[list[Tensor], list[Tensor]]:
    shapes = given["input1"], given["input2"]
    for which, shape in enumerate(shapes, 1):
        if not 2 <= len(shape) <= 5:
            raise DiagmemError(f"{name}: input{which} has {len(shape)} axes, expected 2 to 5")
    left, right = shapes
    rows, inner = (left[-1], left[-2]) if given["adj_x"] else left[-2:]
    inner2, columns = (right[-1], right[-2]) if given["adj_y"] else right[-2:]
    if inner != inner2:
        raise DiagmemError(
            f"{name}: {show(left)} times {show(right)} would sum over {inner} and"
            f" {inner2}, expected equal sizes"
        )
    batches = broadcast(name, left[:-2], right[:-2])
    of = given["dtype"]
    return (
        [Tensor("input1", left, of), Tensor("input2", right, of)],
        [Tensor("output", (*batches, rows, columns), of)],
    )


def batch_matmul(layer: Layer) -> Nest:
    """batches, row, column; then the sum."""
    return _products(layer, copied=())


def batch_matmul_tflm(layer: Layer) -> Nest:
    """A factor that does not lie as the sum runs is first copied to memory that is
    kept for it: input2 unless adj_y, input1 if adj_x."""
    copied = [
        tensor
        for tensor, turned in zip(
            layer.inputs, (layer.attributes["adj_x"], not layer.attributes["adj_y"]), strict=True
        )
        if turned
    ]
    copies = [
        loop(
            f"c{tensor.name}",
            tensor.elements,
            read(tensor.name, *walk([tensor.elements], f"c{tensor.name}")),
        )
        for tensor in copied
    ]
    return (*copies, *_products(layer, copied=[tensor.name for tensor in copied]))


def _products(layer: Layer, copied: Sequence[str]) -> Nest:
    left, right = layer.inputs[0].shape, layer.inputs[1].shape
    shape = layer.outputs[0].shape
    turned = layer.attributes["adj_x"], layer.attributes["adj_y"]
    names = [f"b{number}" for number in range(len(shape) - 2)]
    inner = left[-2] if turned[0] else left[-1]
    first = ("k", "i") if turned[0] else ("i", "k")
    second = ("j", "k") if turned[1] else ("k", "j")
    reads = [
        read("input1", *spread(left[:-2], names), *walk(left[-2:], *first)),
        read("input2", *spread(right[:-2], names), *walk(right[-2:], *second)),
    ]
    terms = loop("k", inner, *(access for access in reads if access.tensor not in copied))
    return over_output(shape, [*names, "i", "j"], terms)


# ---- rows ----


def _same(name: str, given: Given) -> tuple[int, ...]:
    shape: tuple[int, ...] = given["input"]
    if not shape:
        raise DiagmemError(f"{name}: input is a scalar, expected at least one axis")
    return shape


def normalise(layer: Layer, passes: Sequence[str]) -> Nest:
    """Row by row: some passes that only read it, then one that reads and writes."""
    *rows, depth = layer.inputs[0].shape
    shape = (prod(rows), depth)
    return (
        loop(
            "r",
            shape[0],
            *(loop(name, depth, read("input", *walk(shape, "r", name))) for name in passes),
            loop(
                "d",
                depth,
                read("input", *walk(shape, "r", "d")),
                write("output", *walk(shape, "r", "d")),
            ),
        ),
    )


def softmax(layer: Layer) -> Nest:
    """Row by row: the largest element, the sum, the results."""
    return normalise(layer, ("m", "s"))


def l2_normalization(layer: Layer) -> Nest:
    """Row by row: the sum of squares, the results."""
    return normalise(layer, ("s",))


# ---- draws ----


def _draw_connected(draw: Draw) -> dict[str, Value]:
    return {
        "dtype": draw.one_of(TYPES),
        "input": draw.shape(draw.one_of((2, 2, 2, 1, 3))),
        "output_channels": draw.extent(20),
    }


def _draw_matrices(draw: Draw) -> dict[str, Value]:
    rows, inner, columns = draw.extent(), draw.extent(), draw.extent()
    turned = draw.chance(0.3), draw.chance(0.3)
    batches = draw.shape(draw.number(0, 2))
    # One side may be the same for all batches.
    other = tuple(1 if draw.chance(0.2) else size for size in batches)
    sides = [batches, other] if draw.chance(0.5) else [other, batches]
    left = (inner, rows) if turned[0] else (rows, inner)
    right = (columns, inner) if turned[1] else (inner, columns)
    return {
        "dtype": draw.one_of(TYPES),
        "input1": (*sides[0], *left),
        "input2": (*sides[1], *right),
        "adj_x": turned[0],
        "adj_y": turned[1],
    }


def _draw_rows(draw: Draw) -> dict[str, Value]:
    return {"dtype": draw.one_of(TYPES), "input": draw.shape(draw.one_of((2, 2, 1, 3, 4)))}


_ROWS = (TYPE, INPUT)

OPERATORS = (
    Operator(
        "FULLY_CONNECTED",
        "input=3x40 output_channels=10 dtype=int8",
        (*_ROWS, Attribute("output_channels", "count")),
        one_to_one(_connected),
        fully_connected,
        _draw_connected,
    ),
    Operator(
        "BATCH_MATMUL",
        "input1=2x5x7 input2=2x7x3 adj_x=false adj_y=false dtype=float32",
        (
            TYPE,
            Attribute("input1", "shape"),
            Attribute("input2", "shape"),
            Attribute("adj_x", "switch", False),
            Attribute("adj_y", "switch", False),
        ),
        _matrices,
        batch_matmul,
        _draw_matrices,
        {"tflm": batch_matmul_tflm},
    ),
    *(
        Operator(name, "input=6x11 dtype=int8", _ROWS, one_to_one(_same), nest, _draw_rows)
        for name, nest in (
            ("SOFTMAX", softmax),
            ("LOG_SOFTMAX", softmax),
            ("L2_NORMALIZATION", l2_normalization),
        )
    ),
)
