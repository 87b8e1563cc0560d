"""Operators that copy whole runs of elements: reshape, concatenate, pack, split.

A library copy of n bytes counts as writing all of them and then reading all of
them: memcpy makes no promise about its order.
"""

from __future__ import annotations

from math import prod

from diagmem.base.errors import DiagmemError
from diagmem.ops.attributes import INPUT, TYPE, TYPES, Attribute, show
from diagmem.ops.draw import Draw
from diagmem.ops.layer import Layer, Tensor, Value
from diagmem.ops.nest import Nest, Node, axis, loop, loops, over_output, read, walk, write
from diagmem.ops.operator import Given, Operator, need_axis, one_to_one

_AXIS = Attribute("axis", "count", 0)


def _around(shape: tuple[int, ...], at: int) -> tuple[int, int]:
    """Elements before an axis, and from it on."""
    return prod(shape[:at]), prod(shape[at:])


def _number(layer: Layer, name: str) -> int:
    value = layer.attributes[name]
    assert isinstance(value, int)
    return value


# ---- reshape ----


def _reshaped(name: str, given: Given) -> tuple[int, ...]:
    shape, wanted = given["input"], given.get("shape")
    if wanted is None:
        kept = tuple(size for size in shape if size != 1)
        return {"SQUEEZE": kept, "EXPAND_DIMS": (1, *shape)}[name]
    if prod(wanted) != prod(shape):
        raise DiagmemError(
            f"{name}: {show(shape)} has {prod(shape):,} elements and shape="
            f"{show(wanted)} {prod(wanted):,}, expected as many"
        )
    return tuple(wanted)


def reshape(layer: Layer) -> Nest:
    """One memcpy of everything."""
    elements = layer.inputs[0].elements
    return (
        loop("w", elements, write("output", axis(elements, "w"))),
        loop("r", elements, read("input", axis(elements, "r"))),
    )


def expand_by_element(layer: Layer) -> Nest:
    """TFLM's EXPAND_DIMS copies element by element, without the library."""
    elements = layer.inputs[0].elements
    return over_output((elements,), "i", read("input", axis(elements, "i")))


# ---- concatenation ----


def _joined(name: str, given: Given) -> tuple[list[Tensor], list[Tensor]]:
    shapes, at, of = given["inputs"], given["axis"], given["dtype"]
    need_axis(name, at, len(shapes[0]))
    for shape in shapes:
        if len(shape) != len(shapes[0]) or any(
            a != b for i, (a, b) in enumerate(zip(shape, shapes[0], strict=True)) if i != at
        ):
            raise DiagmemError(
                f"{name}: {show(shapes[0])} and {show(shape)} differ, expected inputs"
                f" alike but for axis {at}"
            )
    whole = list(shapes[0])
    whole[at] = sum(shape[at] for shape in shapes)
    inputs = [Tensor(f"input{number}", shape, of) for number, shape in enumerate(shapes, 1)]
    return inputs, [Tensor("output", tuple(whole), of)]


def concatenation(layer: Layer) -> Nest:
    """For each outer index a memcpy of each input's part, in order."""
    at = _number(layer, "axis")
    outer, inner = _around(layer.outputs[0].shape, at)
    body: list[Node] = []
    start = 0
    for number, tensor in enumerate(layer.inputs):
        part = _around(tensor.shape, at)[1]
        to = axis(inner, start=start, **{f"w{number}": 1})
        body += [
            loop(f"w{number}", part, write("output", axis(outer, "k"), to)),
            loop(f"r{number}", part, read(tensor.name, *walk((outer, part), "k", f"r{number}"))),
        ]
        start += part
    return (loop("k", outer, *body),)


# ---- pack and its kin ----


def _packed(name: str, given: Given) -> tuple[list[Tensor], list[Tensor]]:
    shape, count, at, of = (given[key] for key in ("input", "count", "axis", "dtype"))
    need_axis(name, at, len(shape) + 1)
    if not 1 <= count <= 1000:
        raise DiagmemError(f"{name}: count is {count}, expected 1 to 1000")
    inputs = [Tensor(f"input{number}", shape, of) for number in range(1, count + 1)]
    return inputs, [Tensor("output", (*shape[:at], count, *shape[at:]), of)]


def pack(layer: Layer) -> Nest:
    """Input by input: for each outer index its inner run, element by element."""
    outer, inner = _around(layer.inputs[0].shape, _number(layer, "axis"))
    count = len(layer.inputs)
    return tuple(
        loops(
            {f"k{i}": outer, f"j{i}": inner},
            read(tensor.name, *walk((outer, inner), f"k{i}", f"j{i}")),
            write("output", axis(outer, f"k{i}"), axis(count, start=i), axis(inner, f"j{i}")),
        )
        for i, tensor in enumerate(layer.inputs)
    )


def _unpacked(name: str, given: Given) -> tuple[list[Tensor], list[Tensor]]:
    shape, at, of = given["input"], given["axis"], given["dtype"]
    need_axis(name, at, len(shape))
    if not 1 <= shape[at] <= 1000:
        raise DiagmemError(f"{name}: axis {at} has {shape[at]} elements, expected 1 to 1000")
    rest = (*shape[:at], *shape[at + 1 :])
    outputs = [Tensor(f"output{number}", rest, of) for number in range(1, shape[at] + 1)]
    return [Tensor("input", shape, of)], outputs


def unpack(layer: Layer) -> Nest:
    """Output by output: for each outer index its inner run, element by element."""
    outer, inner = _around(layer.outputs[0].shape, _number(layer, "axis"))
    count = len(layer.outputs)
    return tuple(
        loops(
            {f"k{i}": outer, f"j{i}": inner},
            read("input", axis(outer, f"k{i}"), axis(count, start=i), axis(inner, f"j{i}")),
            write(tensor.name, *walk((outer, inner), f"k{i}", f"j{i}")),
        )
        for i, tensor in enumerate(layer.outputs)
    )


def _parts(name: str, given: Given) -> tuple[list[Tensor], list[Tensor]]:
    shape, count, at, of = (given[key] for key in ("input", "count", "axis", "dtype"))
    need_axis(name, at, len(shape))
    if not 1 <= count <= 1000 or shape[at] % count:
        raise DiagmemError(
            f"{name}: axis {at} has {shape[at]} elements, which does not go into {count} equal"
            " parts"
        )
    part = (*shape[:at], shape[at] // count, *shape[at + 1 :])
    outputs = [Tensor(f"output{number}", part, of) for number in range(1, count + 1)]
    return [Tensor("input", shape, of)], outputs


def split(layer: Layer) -> Nest:
    """For each outer index the run of each output, element by element."""
    outer, inner = _around(layer.outputs[0].shape, _number(layer, "axis"))
    count = len(layer.outputs)
    return (
        loop(
            "k",
            outer,
            *(
                loop(
                    f"j{i}",
                    inner,
                    read("input", axis(outer, "k"), axis(count, start=i), axis(inner, f"j{i}")),
                    write(tensor.name, *walk((outer, inner), "k", f"j{i}")),
                )
                for i, tensor in enumerate(layer.outputs)
            ),
        ),
    )


# ---- draws ----


def _draw_reshape(draw: Draw) -> dict[str, Value]:
    shape = draw.shape(draw.number(1, 4))
    return {"dtype": draw.one_of(TYPES), "input": shape, "shape": (prod(shape),)}


def _draw_ones(draw: Draw) -> dict[str, Value]:
    shape = (1, *draw.shape(draw.number(1, 3)))
    return {"dtype": draw.one_of(TYPES), "input": shape}


def _draw_joined(draw: Draw) -> dict[str, Value]:
    shape = draw.shape(draw.number(1, 4))
    at = draw.number(0, len(shape) - 1)
    shapes = [(*shape[:at], draw.extent(), *shape[at + 1 :]) for _ in range(draw.number(2, 4))]
    return {"dtype": draw.one_of(TYPES), "inputs": tuple(shapes), "axis": at}


def _draw_packed(draw: Draw) -> dict[str, Value]:
    shape = draw.shape(draw.number(1, 3))
    return {
        "dtype": draw.one_of(TYPES),
        "input": shape,
        "count": draw.number(1, 4),
        "axis": draw.number(0, len(shape)),
    }


def _draw_unpacked(draw: Draw) -> dict[str, Value]:
    shape = draw.shape(draw.number(1, 3))
    at = draw.number(0, len(shape) - 1)
    shape = (*shape[:at], draw.number(1, 4), *shape[at + 1 :])
    return {"dtype": draw.one_of(TYPES), "input": shape, "axis": at}


def _draw_parts(draw: Draw) -> dict[str, Value]:
    shape = draw.shape(draw.number(1, 4))
    at, count = draw.number(0, len(shape) - 1), draw.number(1, 4)
    shape = (*shape[:at], count * draw.extent(4), *shape[at + 1 :])
    return {"dtype": draw.one_of(TYPES), "input": shape, "count": count, "axis": at}


OPERATORS = (
    Operator(
        "RESHAPE",
        "input=1x6x5x4 shape=1x120 dtype=int8",
        (TYPE, INPUT, Attribute("shape", "shape")),
        one_to_one(_reshaped),
        reshape,
        _draw_reshape,
    ),
    *(
        Operator(
            name,
            "input=1x6x5x4 dtype=int8",
            (TYPE, INPUT),
            one_to_one(_reshaped),
            reshape,
            _draw_ones,
            orders,
        )
        for name, orders in (("SQUEEZE", {}), ("EXPAND_DIMS", {"tflm": expand_by_element}))
    ),
    Operator(
        "CONCATENATION",
        "inputs=1x6x5x4,1x6x5x3 axis=3 dtype=int8",
        (TYPE, Attribute("inputs", "shapes"), _AXIS),
        _joined,
        concatenation,
        _draw_joined,
    ),
    Operator(
        "PACK",
        "input=6x5x4 count=3 axis=0 dtype=int8",
        (TYPE, INPUT, Attribute("count", "count"), _AXIS),
        _packed,
        pack,
        _draw_packed,
    ),
    Operator(
        "UNPACK",
        "input=3x6x5 axis=0 dtype=int8",
        (TYPE, INPUT, _AXIS),
        _unpacked,
        unpack,
        _draw_unpacked,
    ),
    Operator(
        "SPLIT",
        "input=1x6x5x4 count=2 axis=3 dtype=int8",
        (TYPE, INPUT, Attribute("count", "count"), _AXIS),
        _parts,
        split,
        _draw_parts,
    ),
)
