"""Operators that work element by element."""

from __future__ import annotations

from diagmem.base.errors import DiagmemError
from diagmem.ops.attributes import INPUT, TYPE, TYPES, Attribute, dtype, show
from diagmem.ops.broadcast import broadcast, spread
from diagmem.ops.draw import Draw
from diagmem.ops.layer import Layer, Tensor, Value
from diagmem.ops.nest import Nest, axis, over_output, read
from diagmem.ops.operator import Given, Operator, one_to_one

UNARY = "RELU RELU6 LOGISTIC TANH HARD_SWISH LEAKY_RELU ABS NEG SQRT RSQRT EXP".split()
BINARY = "ADD SUB MUL DIV MAXIMUM MINIMUM SQUARED_DIFFERENCE PRELU".split()
CONVERSIONS = {
    "QUANTIZE": (("float32",), ("int8", "int16")),
    "DEQUANTIZE": (("int8", "int16"), ("float32",)),
    "CAST": (("float32", "int8", "int16"), ("int8", "float32", "int16")),
}
"""Types of input and output."""


def _same(_: str, given: Given) -> tuple[int, ...]:
    shape: tuple[int, ...] = given["input"]
    return shape


def unary(layer: Layer) -> Nest:
    """Element by element: read, write."""
    elements = layer.inputs[0].elements
    return over_output((elements,), "i", read("input", axis(elements, "i")))


def _two(name: str, given: Given) -> tuple[list[Tensor], list[Tensor]]:
    shapes, of = (given["input1"], given["input2"]), given["dtype"]
    whole = broadcast(name, *shapes)
    if name == "PRELU" and whole != shapes[0]:
        raise DiagmemError(
            f"{name}: input2, which is alpha, is {show(shapes[1])}, expected one that"
            f" broadcasts to input1, {show(shapes[0])}"
        )
    inputs = [Tensor(f"input{number}", shape, of) for number, shape in enumerate(shapes, 1)]
    return inputs, [Tensor("output", whole, of)]


def binary(layer: Layer) -> Nest:
    """Over the output: read one element of each input, write."""
    shape = layer.outputs[0].shape
    names = [f"d{number}" for number in range(len(shape))]
    reads = [read(tensor.name, *spread(tensor.shape, names)) for tensor in layer.inputs]
    return over_output(shape, names, *reads)


def _draw_unary(draw: Draw) -> dict[str, Value]:
    return {"dtype": draw.one_of(TYPES), "input": draw.shape(draw.number(1, 4))}


def _draw_conversion(name: str, draw: Draw) -> dict[str, Value]:
    here, there = (draw.one_of(types) for types in CONVERSIONS[name])
    return {"dtype": here, "output_dtype": there, "input": draw.shape(draw.number(1, 4))}


def _draw_binary(draw: Draw) -> dict[str, Value]:
    shape = draw.shape(draw.number(1, 4))
    if draw.chance(0.4):
        return {"dtype": draw.one_of(TYPES), "input1": shape, "input2": shape}
    return {"dtype": draw.one_of(TYPES), "input1": shape, "input2": _narrowed(draw, shape)}


def _draw_either(draw: Draw) -> dict[str, Value]:
    drawn = _draw_binary(draw)
    if draw.chance(0.5):
        drawn["input1"], drawn["input2"] = drawn["input2"], drawn["input1"]
    return drawn


def _narrowed(draw: Draw, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that broadcasts to the given one."""
    shorter = shape[draw.number(0, len(shape) - 1) :]
    return tuple(1 if draw.chance(0.4) else size for size in shorter)


def _conversion(name: str) -> Operator:
    here, there = CONVERSIONS[name]
    return Operator(
        name,
        f"input=1x6x5x4 dtype={here[0]} output_dtype={there[0]}",
        (
            dtype(*here, default=here[0]),
            dtype(*there, default=there[0], name="output_dtype"),
            INPUT,
        ),
        one_to_one(_same),
        unary,
        lambda draw: _draw_conversion(name, draw),
    )


OPERATORS = (
    *(
        Operator(
            name,
            "input=1x6x5x4 dtype=int8",
            (TYPE, INPUT),
            one_to_one(_same),
            unary,
            _draw_unary,
        )
        for name in UNARY
    ),
    *(_conversion(name) for name in CONVERSIONS),
    *(
        Operator(
            name,
            "input1=1x6x5x4 input2=1x1x5x4 dtype=int8",
            (TYPE, Attribute("input1", "shape"), Attribute("input2", "shape")),
            _two,
            binary,
            _draw_binary if name == "PRELU" else _draw_either,
        )
        for name in BINARY
    ),
)
