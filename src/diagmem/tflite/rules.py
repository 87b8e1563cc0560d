"""What each of TFLite's operators is among the layers: attributes, and which operands."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from diagmem.base.errors import DiagmemError
from diagmem.ops.attributes import show
from diagmem.ops.elementwise import BINARY, CONVERSIONS, UNARY
from diagmem.ops.layer import Value
from diagmem.tflite.elements import ABSENT, ModelOperator, ModelTensor, Option
from diagmem.tflite.graph import Model

MAX_CONSTANT_NUMBERS = 64
"""Axes, paddings and sizes have no more."""
_WHOLE_NUMBERS = {"int32": "i", "int64": "q"}


class Reading(NamedTuple):
    """What a rule says of an operator.

    ``operands``: which of the operator's inputs are the layer's, in its order;
    ``shrunk``: axes of the layer's output that the model's tensor does not have.
    """

    attributes: dict[str, Value]
    operands: tuple[int, ...] = (0,)
    like: str = ""
    """Another operator that this one works like."""
    shrunk: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """An operator and its operands, each access checked."""

    model: Model
    operator: ModelOperator

    def fail(self, fault: str) -> DiagmemError:
        return DiagmemError(f"{self.operator.name}: {fault}")

    def tensor(self, position: int) -> ModelTensor:
        inputs = self.operator.inputs
        if position >= len(inputs) or inputs[position] == ABSENT:
            raise self.fail(f"found no input {position}, expected one")
        return self.model.tensors[inputs[position]]

    def output(self) -> ModelTensor:
        if not self.operator.outputs:
            raise self.fail("found no output, expected one")
        return self.model.tensors[self.operator.outputs[0]]

    def shape(self, position: int, rank: int | None = None) -> tuple[int, ...]:
        shape = self.tensor(position).shape
        if rank is not None and len(shape) != rank:
            raise self.fail(f"input {position} has {len(shape)} axes, expected {rank}")
        return shape

    def option(self, name: str) -> Option:
        if name not in self.operator.options:
            raise self.fail(f"found no option {name}, expected one")
        return self.operator.options[name]

    def integer(self, name: str) -> int:
        value = self.option(name)
        if not isinstance(value, int):
            raise self.fail(f"option {name} is {value!r}, expected a whole number")
        return value

    def pair(self, height: str, width: str) -> tuple[int, int]:
        """Two sizes, neither of which may be 0."""
        return self.sizes(self.integer(height), self.integer(width))

    def sizes(self, height: int, width: int) -> tuple[int, int]:
        if min(height, width) < 1:
            raise self.fail(f"a size is {height}x{width}, expected 1x1 at least")
        return height, width

    def axis(self, axis: int, rank: int) -> int:
        """An axis, counted from the end if it is negative."""
        if not -rank <= axis < rank:
            raise self.fail(f"axis is {axis}, expected {-rank} to {rank - 1}")
        return axis % rank

    def numbers(self, position: int) -> tuple[int, ...]:
        """A constant operand of whole numbers."""
        tensor = self.tensor(position)
        code = _WHOLE_NUMBERS.get(tensor.dtype)
        count = prod(tensor.shape)
        if code is None or not tensor.constant or count > MAX_CONSTANT_NUMBERS:
            raise self.fail(f"input {position} is no constant of a few whole numbers")
        data = self.model.constant_data(tensor)
        if len(data) != tensor.size_bytes:
            raise self.fail(f"input {position} has {len(data)} bytes, expected {tensor.size_bytes}")
        return struct.unpack(f"<{count}{code}", data)


# ---- windows ----


def _window(node: Node, position: int = 0) -> dict[str, Value]:
    return {
        "input": node.shape(position, 4),
        "stride": node.pair("stride_h", "stride_w"),
        "padding": str(node.option("padding")),
    }


def _dilated(node: Node) -> dict[str, Value]:
    _, height, width, _ = node.shape(1, 4)
    return {
        **_window(node),
        "filter": node.sizes(height, width),
        "dilation": node.pair("dilation_h_factor", "dilation_w_factor"),
    }


def _conv_2d(node: Node) -> Reading:
    channels, _, _, depth = node.shape(1, 4)
    if depth != node.shape(0, 4)[3]:
        raise node.fail(f"the filter takes {depth} channels of {node.shape(0)[3]}: it is grouped")
    return Reading({**_dilated(node), "output_channels": channels})


def _depthwise_conv_2d(node: Node) -> Reading:
    return Reading({**_dilated(node), "depth_multiplier": node.integer("depth_multiplier")})


def _transpose_conv(node: Node) -> Reading:
    channels, height, width, _ = node.shape(1, 4)
    attributes = {**_window(node, 2), "filter": node.sizes(height, width)}
    return Reading({**attributes, "output_channels": channels}, (2,))


def _pool_2d(node: Node) -> Reading:
    return Reading({**_window(node), "filter": node.pair("filter_height", "filter_width")})


# ---- rows ----


def _fully_connected(node: Node) -> Reading:
    """Whatever the input's shape, rows of the filter's depth are taken from it."""
    channels, depth = node.shape(1, 2)
    shape = node.shape(0)
    if not node.option("keep_num_dims"):
        shape = (prod(shape) // max(depth, 1), depth)
    if shape[-1:] != (depth,):
        raise node.fail(f"input is {show(shape)}, expected rows of {depth}")
    return Reading({"input": shape, "output_channels": channels})


def _batch_matmul(node: Node) -> Reading:
    turned: dict[str, Value] = {name: bool(node.option(name)) for name in ("adj_x", "adj_y")}
    return Reading({"input1": node.shape(0), "input2": node.shape(1), **turned}, (0, 1))


# ---- element by element ----


def _plain(node: Node) -> Reading:
    return Reading({"input": node.shape(0)})


def _binary(node: Node) -> Reading:
    return Reading({"input1": node.shape(0), "input2": node.shape(1)}, (0, 1))


# ---- joining ----


def _reshape(node: Node) -> Reading:
    return Reading({"input": node.shape(0), "shape": node.output().shape}, like="RESHAPE")


def _squeeze(node: Node) -> Reading:
    """Where axes of one element are left, it is a RESHAPE."""
    squeezed = tuple(size for size in node.shape(0) if size != 1)
    return _plain(node) if node.output().shape == squeezed else _reshape(node)


def _expand_dims(node: Node) -> Reading:
    """Where the axis is not the first, it is a RESHAPE, whose promise is the weaker."""
    return _plain(node) if node.output().shape == (1, *node.shape(0)) else _reshape(node)


def _every(node: Node) -> tuple[int, ...]:
    return tuple(range(len(node.operator.inputs)))


def _concatenation(node: Node) -> Reading:
    operands = _every(node)
    shapes = tuple(node.shape(position) for position in operands)
    axis = node.axis(node.integer("axis"), len(node.shape(0)))
    return Reading({"inputs": shapes, "axis": axis}, operands)


def _pack(node: Node) -> Reading:
    operands, shape = _every(node), node.shape(0)
    axis = node.axis(node.integer("axis"), len(shape) + 1)
    return Reading({"input": shape, "count": len(operands), "axis": axis}, operands)


def _unpack(node: Node) -> Reading:
    shape = node.shape(0)
    return Reading({"input": shape, "axis": node.axis(node.integer("axis"), len(shape))})


def _split(node: Node) -> Reading:
    shape = node.shape(1)
    axis, *more = node.numbers(0)
    if more:
        raise node.fail(f"{1 + len(more)} axes, expected one")
    count = node.integer("num_splits")
    return Reading({"input": shape, "count": count, "axis": node.axis(axis, len(shape))}, (1,))


# ---- moving ----


def _pad(node: Node) -> Reading:
    """PADV2, too: it takes its value from an operand."""
    return Reading({"input": node.shape(0), "paddings": node.numbers(1)}, like="PAD")


def _mirror_pad(node: Node) -> Reading:
    mode = str(node.option("mode"))
    return Reading({"input": node.shape(0), "paddings": node.numbers(1), "mode": mode})


def _slice(node: Node) -> Reading:
    """A size of -1 is all that is left."""
    shape, begin, size = node.shape(0), node.numbers(1), node.numbers(2)
    if not len(shape) == len(begin) == len(size):
        raise node.fail(f"begin and size have {len(begin)} and {len(size)} numbers")
    if node.tensor(1).dtype != node.tensor(2).dtype:
        raise node.fail("begin and size are of different types: TFLM computes nothing")
    whole = tuple(e - b if s == -1 else s for e, b, s in zip(shape, begin, size, strict=True))
    return Reading({"input": shape, "begin": begin, "size": whole})


def _strided_slice(node: Node) -> Reading:
    shape = node.shape(0)
    operands = [node.numbers(position) for position in (1, 2, 3)]
    if {len(numbers) for numbers in operands} != {len(shape)}:
        raise node.fail(f"begin, end or strides have not {len(shape)} numbers, one for each axis")
    if node.integer("ellipsis_mask") or node.integer("new_axis_mask"):
        raise node.fail("ellipsis_mask or new_axis_mask is set, which TFLM does not take")
    taken = [
        _taken(node, axis, *numbers) for axis, numbers in enumerate(zip(*operands, strict=True))
    ]
    begins, ends, strides = zip(*taken, strict=True) if taken else ((), (), ())
    shrink = node.integer("shrink_axis_mask")
    return Reading(
        {"input": shape, "begin": begins, "end": ends, "strides": strides},
        shrunk=tuple(axis for axis in range(len(shape)) if shrink >> axis & 1),
    )


def _taken(node: Node, axis: int, begin: int, end: int, stride: int) -> tuple[int, int, int]:
    """What one axis of a slice takes, its masks resolved, as Python's slices count."""
    extent = node.shape(0)[axis]
    first, last, shrink = (
        node.integer(f"{name}_mask") >> axis & 1 for name in ("begin", "end", "shrink_axis")
    )
    start = begin if not first else 0 if stride > 0 else max(extent - 1, 0)
    if shrink:
        if not -extent <= start < extent:
            raise node.fail(f"element {start} of axis {axis}, expected one of {extent}")
        return start % extent, start % extent + 1, 1
    if last:
        return start, extent if stride > 0 else -extent - 1, stride
    return start, end + begin if node.option("offset") else end, stride


def _transpose(node: Node) -> Reading:
    return Reading({"input": node.shape(0), "perm": node.numbers(1)})


def _blocks(node: Node) -> Reading:
    return Reading({"input": node.shape(0), "block_size": node.integer("block_size")})


# ---- reducing and resizing ----


def _reduce(node: Node) -> Reading:
    shape = node.shape(0)
    spelled = node.numbers(1)
    axes = tuple(sorted({node.axis(axis, len(shape)) for axis in spelled}))
    # TFLM looks for the loop nest of pictures by the numbers as they are in the file.
    if node.operator.name == "MEAN" and axes == (1, 2) and sorted(spelled) != [1, 2]:
        raise node.fail(f"axes are {show(spelled, listed=True)}, expected 1 and 2 spelled so")
    return Reading({"input": shape, "axes": axes, "keep_dims": bool(node.option("keep_dims"))})


def _resize(node: Node) -> Reading:
    size = node.numbers(1)
    if len(size) != 2:
        raise node.fail(f"size has {len(size)} numbers, expected 2")
    switches: dict[str, Value] = {
        name: bool(node.option(name)) for name in ("align_corners", "half_pixel_centers")
    }
    return Reading({"input": node.shape(0), "size": node.sizes(*size), **switches})


RULES: Mapping[str, Callable[[Node], Reading]] = {
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "TRANSPOSE_CONV": _transpose_conv,
    "AVERAGE_POOL_2D": _pool_2d,
    "MAX_POOL_2D": _pool_2d,
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _batch_matmul,
    **dict.fromkeys(("SOFTMAX", "LOG_SOFTMAX", "L2_NORMALIZATION"), _plain),
    **dict.fromkeys((*UNARY, *CONVERSIONS), _plain),
    **dict.fromkeys(BINARY, _binary),
    "RESHAPE": _reshape,
    "SQUEEZE": _squeeze,
    "EXPAND_DIMS": _expand_dims,
    "CONCATENATION": _concatenation,
    "PACK": _pack,
    "UNPACK": _unpack,
    "SPLIT": _split,
    "PAD": _pad,
    "PADV2": _pad,
    "MIRROR_PAD": _mirror_pad,
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice,
    "TRANSPOSE": _transpose,
    "SPACE_TO_DEPTH": _blocks,
    "DEPTH_TO_SPACE": _blocks,
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX"), _reduce),
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "RESIZE_BILINEAR": _resize,
}
"""By operator; checks see to it that none of `diagmem.ops` is missing."""
