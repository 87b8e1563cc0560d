"""Operators that put each element elsewhere: pad, slice, transpose, blocks."""

from __future__ import annotations

from collections.abc import Callable

from diagmem.base.errors import DiagmemError
from diagmem.ops.attributes import INPUT, TYPE, TYPES, Attribute
from diagmem.ops.draw import Draw
from diagmem.ops.layer import Layer, Value
from diagmem.ops.nest import (
    Axis,
    Nest,
    Piece,
    axis,
    axis_in_pieces,
    loop,
    loops,
    over_output,
    read,
    walk,
    write,
)
from diagmem.ops.operator import Given, Operator, one_to_one

MAX_RANK = 5


def _numbers(layer: Layer, name: str) -> tuple[int, ...]:
    value = layer.attributes[name]
    assert isinstance(value, tuple)
    return tuple(number for number in value if isinstance(number, int))


def _as_many(name: str, given: Given, *keys: str, each: int = 1) -> int:
    """The rank of the input, if the listed attributes have a number for each axis."""
    rank = len(given["input"])
    if rank > MAX_RANK:
        raise DiagmemError(f"{name}: input has {rank} axes, expected {MAX_RANK} at most")
    for key in keys:
        if len(given[key]) != rank * each:
            raise DiagmemError(
                f"{name}: {key} has {len(given[key])} numbers, expected {rank * each} for an"
                f" input of {rank} axes"
            )
    return rank


def _fetched(layer: Layer, place: Callable[[int, str], Axis]) -> Nest:
    """Over the output: read the element that belongs there, if any; write.

    ``place`` gives an input axis from its number and the loop over the output axis.
    """
    shape = layer.outputs[0].shape
    names = [f"d{number}" for number in range(len(shape))]
    axes = [place(number, name) for number, name in enumerate(names)]
    return over_output(shape, names, read("input", *axes))


# ---- pad ----


def _padded(name: str, given: Given) -> tuple[int, ...]:
    rank = _as_many(name, given, "paddings", each=2)
    around = given["paddings"]
    if min(around, default=0) < 0:
        raise DiagmemError(f"{name}: paddings has {min(around)}, expected none below 0")
    if name == "MIRROR_PAD":
        less = 1 if given["mode"] == "REFLECT" else 0
        for i, extent in enumerate(given["input"]):
            if max(around[2 * i : 2 * i + 2]) > max(extent - less, 0):
                raise DiagmemError(
                    f"{name}: axis {i} of {extent} elements is padded by"
                    f" {max(around[2 * i : 2 * i + 2])}, expected at most {max(extent - less, 0)}"
                    f" with mode={given['mode']}"
                )
    return tuple(around[2 * i] + given["input"][i] + around[2 * i + 1] for i in range(rank))


def pad(layer: Layer) -> Nest:
    """Over the output: read and write, or write the padding."""
    before = _numbers(layer, "paddings")[::2]

    def place(number: int, name: str) -> Axis:
        extent = layer.inputs[0].shape[number]
        inside = Piece(before[number], before[number] + extent, 0, 1)
        return axis_in_pieces(extent, name, [inside])

    return _fetched(layer, place)


def mirror_pad(layer: Layer) -> Nest:
    """Over the output: read the element, or the one it mirrors; write."""
    around = _numbers(layer, "paddings")
    edge = 1 if layer.attributes["mode"] == "REFLECT" else 0

    def place(number: int, name: str) -> Axis:
        extent = layer.inputs[0].shape[number]
        before, after = around[2 * number : 2 * number + 2]
        end = before + extent
        pieces = [
            Piece(0, before, before - 1 + edge, -1),
            Piece(before, end, 0, 1),
            Piece(end, end + after, extent - 1 - edge, -1),
        ]
        return axis_in_pieces(extent, name, pieces)

    return _fetched(layer, place)


# ---- slice ----


def _sliced(name: str, given: Given) -> tuple[int, ...]:
    _as_many(name, given, "begin", "size")
    for i, (extent, begin, size) in enumerate(
        zip(given["input"], given["begin"], given["size"], strict=True)
    ):
        if begin < 0 or size < 0 or begin + size > extent:
            raise DiagmemError(
                f"{name}: axis {i} of {extent} elements: begin={begin} size={size}, expected a"
                " part of it"
            )
    return tuple(given["size"])


def slice_(layer: Layer) -> Nest:
    """Over the output: read, write."""
    begin = _numbers(layer, "begin")
    return _fetched(
        layer, lambda i, name: axis(layer.inputs[0].shape[i], start=begin[i], **{name: 1})
    )


def _strided(name: str, given: Given) -> tuple[int, ...]:
    rank = _as_many(name, given, "begin", "end", "strides")
    return tuple(len(taken(name, given, number)) for number in range(rank))


def taken(name: str, given: Given, number: int) -> range:
    """The elements that one axis of a slice takes.

    Negative numbers count from the end, as in Python; beyond both ends is cut off.
    """
    keys = ("input", "begin", "end", "strides")
    extent, begin, end, stride = (given[key][number] for key in keys)
    if stride == 0:
        raise DiagmemError(f"{name}: stride of axis {number} is 0, expected another")
    return range(*slice(begin, end, stride).indices(extent))


def strided_slice(layer: Layer) -> Nest:
    """Over the output: read, write.  Where the last axis has a stride of 1, its part is
    one memcpy."""

    def place(number: int, name: str) -> Axis:
        elements = taken(layer.operator, layer.attributes, number)
        return axis(layer.inputs[0].shape[number], start=elements.start, **{name: elements.step})

    if not copies_rows(layer):
        return _fetched(layer, place)
    shape = layer.outputs[0].shape
    last = len(shape) - 1
    names = [f"d{number}" for number in range(last)]
    axes = [place(number, name) for number, name in enumerate(names)]
    body = (
        loop("w", shape[last], write("output", *walk(shape, *names, "w"))),
        loop("r", shape[last], read("input", *axes, place(last, "r"))),
    )
    return (loops(dict(zip(names, shape, strict=False)), *body),) if names else body


def copies_rows(layer: Layer) -> bool:
    """Does STRIDED_SLICE take its elements from the last axis by memcpy?"""
    rank = len(layer.inputs[0].shape)
    return (
        layer.operator == "STRIDED_SLICE"
        and rank > 0
        and taken(layer.operator, layer.attributes, rank - 1).step == 1
    )


# ---- transpose ----


def _turned(name: str, given: Given) -> tuple[int, ...]:
    rank = _as_many(name, given, "perm")
    if sorted(given["perm"]) != list(range(rank)):
        numbers = ",".join(map(str, given["perm"]))
        raise DiagmemError(f"{name}: perm={numbers}, expected each of 0 to {rank - 1} once")
    return tuple(given["input"][i] for i in given["perm"])


def transpose(layer: Layer) -> Nest:
    """Over the output: read, write."""
    perm = _numbers(layer, "perm")
    return _fetched(layer, lambda i, _: axis(layer.inputs[0].shape[i], f"d{perm.index(i)}"))


# ---- draws ----


def _draw_pad(draw: Draw) -> dict[str, Value]:
    shape = draw.shape(draw.number(1, 4))
    around = tuple(draw.one_of((0, 0, 1, 2, 5)) for _ in range(2 * len(shape)))
    return {"dtype": draw.one_of(TYPES), "input": shape, "paddings": around}


def _draw_mirror(draw: Draw) -> dict[str, Value]:
    mode = draw.one_of(("REFLECT", "SYMMETRIC"))
    shape = draw.shape(draw.number(1, 4))
    most = [max(extent - (mode == "REFLECT"), 0) for extent in shape]
    around = tuple(draw.number(0, min(most[i // 2], 4)) for i in range(2 * len(shape)))
    return {"dtype": draw.one_of(TYPES), "input": shape, "paddings": around, "mode": mode}


def _draw_slice(draw: Draw) -> dict[str, Value]:
    shape = draw.shape(draw.number(1, 4))
    begin = tuple(draw.number(0, max(extent - 1, 0)) for extent in shape)
    size = tuple(draw.number(min(1, e - b), e - b) for e, b in zip(shape, begin, strict=True))
    return {"dtype": draw.one_of(TYPES), "input": shape, "begin": begin, "size": size}


def _draw_strided(draw: Draw) -> dict[str, Value]:
    shape = draw.shape(draw.number(1, 4))
    begin, end, strides = [], [], []
    for extent in shape:
        stride = draw.one_of((1, 1, 1, 2, 3, -1, -2))
        low = draw.number(0, max(extent - 1, 0))
        high = draw.number(min(low + 1, extent), extent)
        strides.append(stride)
        if stride > 0:
            begin.append(low)
            end.append(high)
        else:
            begin.append(max(high - 1, 0))
            end.append(low - 1 if low else -extent - 1)
    return {
        "dtype": draw.one_of(TYPES),
        "input": shape,
        "begin": tuple(begin),
        "end": tuple(end),
        "strides": tuple(strides),
    }


def _draw_transpose(draw: Draw) -> dict[str, Value]:
    shape = draw.shape(draw.number(2, 4))
    left, perm = list(range(len(shape))), []
    while left:
        perm.append(left.pop(draw.number(0, len(left) - 1)))
    return {"dtype": draw.one_of(TYPES), "input": shape, "perm": tuple(perm)}


_PADDINGS = Attribute("paddings", "numbers")

OPERATORS = (
    Operator(
        "PAD",
        "input=1x6x5x4 paddings=0,0,1,2,1,1,0,0 dtype=int8",
        (TYPE, INPUT, _PADDINGS),
        one_to_one(_padded),
        pad,
        _draw_pad,
    ),
    Operator(
        "MIRROR_PAD",
        "input=6x5 paddings=1,2,1,1 mode=REFLECT dtype=int8",
        (TYPE, INPUT, _PADDINGS, Attribute("mode", "word", "REFLECT", ("REFLECT", "SYMMETRIC"))),
        one_to_one(_padded),
        mirror_pad,
        _draw_mirror,
    ),
    Operator(
        "SLICE",
        "input=1x6x5x4 begin=0,1,0,0 size=1,3,5,4 dtype=int8",
        (TYPE, INPUT, Attribute("begin", "numbers"), Attribute("size", "numbers")),
        one_to_one(_sliced),
        slice_,
        _draw_slice,
    ),
    Operator(
        "STRIDED_SLICE",
        "input=1x6x5x4 begin=0,0,4,0 end=1,6,0,4 strides=1,2,-1,1 dtype=int8",
        (
            TYPE,
            INPUT,
            *(Attribute(name, "numbers") for name in ("begin", "end", "strides")),
        ),
        one_to_one(_strided),
        strided_slice,
        _draw_strided,
    ),
    Operator(
        "TRANSPOSE",
        "input=1x6x5x4 perm=0,2,1,3 dtype=int8",
        (TYPE, INPUT, Attribute("perm", "numbers")),
        one_to_one(_turned),
        transpose,
        _draw_transpose,
    ),
)
