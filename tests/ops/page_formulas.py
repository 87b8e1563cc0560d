"""The formulas that docs/formulas.md states, in elements (bytes where it says so)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from diagmem.ops import OPERATORS
from diagmem.ops.answer import answer
from diagmem.ops.draw import Draw
from diagmem.ops.elementwise import BINARY, CONVERSIONS, UNARY
from diagmem.ops.layer import Layer, Value
from diagmem.ops.moving import taken
from diagmem.ops.reducing import takes_pictures
from diagmem.ops.windows import geometry

Formula = Callable[[Layer], list[int] | None]
"""D of each input with each output, in elements; None where the page states nothing."""


# ---- windows ----


@dataclass(frozen=True, slots=True)
class Along:
    """One axis of a window: the first tap inside of the map for each output."""

    first: tuple[tuple[int, int], ...]
    """(output, first input read), of the windows that meet the map."""

    @classmethod
    def of(cls, layer: Layer, along: int) -> Along:
        given = layer.attributes
        outputs, before = geometry(layer.operator, given, along)
        extent = layer.inputs[0].shape[1 + along]
        stride, taps = number(given["stride"], along), number(given["filter"], along)
        dilation = number(given["dilation"], along) if "dilation" in given else 1
        found = []
        for x in range(outputs):
            start = x * stride - before
            inside = [p for p in range(start, start + taps * dilation, dilation) if p >= 0]
            if inside and inside[0] < extent:
                found.append((x, inside[0]))
        return cls(tuple(found))

    def most(self, written: int, read: int) -> int:
        """The largest of x * written - u(x) * read."""
        return max(x * written - u * read for x, u in self.first)


def number(value: Value, at: int) -> int:
    assert isinstance(value, tuple)
    found = value[at]
    assert isinstance(found, int)
    return found


def window(layer: Layer) -> list[int] | None:
    """Convolutions and pools: the constant, and the most of each axis."""
    batches, in_h, in_w, in_c = layer.inputs[0].shape
    _, out_h, out_w, out_c = layer.outputs[0].shape
    rows, columns = Along.of(layer, 0), Along.of(layer, 1)
    if not rows.first or not columns.first:
        return [0]
    constant = {"CONV_2D": out_c - 1, "DEPTHWISE_CONV_2D": out_c - in_c}.get(layer.operator, 0)
    return [
        max(
            0,
            constant
            + (batches - 1) * max(0, out_h * out_w * out_c - in_h * in_w * in_c)
            + rows.most(out_w * out_c, in_w * in_c)
            + columns.most(out_c, in_c),
        )
    ]


def three_places(layer: Layer, along: int, written: int, read: int) -> int:
    """`Along.most` without dilation: before the padding ends, where it does, at the end."""
    outputs, before = geometry(layer.operator, layer.attributes, along)
    extent, stride = layer.inputs[0].shape[1 + along], number(layer.attributes["stride"], along)
    taps = number(layer.attributes["filter"], along)
    front = max(0, -((taps - 1 - before) // stride))
    last = min(outputs - 1, (extent - 1 + before) // stride)
    whole = -(-before // stride)
    places = {min(max(x, front), last) for x in (whole - 1, whole, last)}
    return max(x * written - max(0, x * stride - before) * read for x in places)


def transpose_conv(layer: Layer) -> list[int]:
    return [layer.outputs[0].elements if layer.outputs[0].dtype == "float32" else 0]


# ---- all others ----


def in_place(layer: Layer) -> list[int]:
    return [0] * (len(layer.inputs) * len(layer.outputs))


def whole(layer: Layer) -> list[int]:
    return [layer.outputs[0].elements]


def broadcast(layer: Layer) -> list[int]:
    return [layer.outputs[0].elements - tensor.elements for tensor in layer.inputs]


def fully_connected(layer: Layer) -> list[int]:
    rows, depth = prod(layer.inputs[0].shape[:-1]), layer.inputs[0].shape[-1]
    channels = layer.outputs[0].shape[-1]
    return [channels - 1 + (rows - 1) * max(0, channels - depth)]


def batch_matmul(layer: Layer) -> list[int] | None:
    left, right = (tensor.shape for tensor in layer.inputs)
    if prod(left[:-2]) != prod(right[:-2]):
        return None
    batches = prod(left[:-2])
    m, n = layer.outputs[0].shape[-2:]
    turned = bool(layer.attributes["adj_x"])
    k = left[-2] if turned else left[-1]
    first = n - 1 + (batches * m - 1) * max(0, n - k)
    if turned:
        first = m * (n - 1) + (batches - 1) * m * max(0, n - k)
    second = (m - 1) * n + (batches - 1) * n * max(0, m - k)
    return [first, second]


def concatenation(layer: Layer) -> list[int]:
    at = layer.attributes["axis"]
    assert isinstance(at, int)
    outer, total = prod(layer.outputs[0].shape[:at]), prod(layer.outputs[0].shape[at:])
    found, start = [], 0
    for tensor in layer.inputs:
        part = prod(tensor.shape[at:])
        found.append(start + part + (outer - 1) * (total - part))
        start += part
    return found


def split_up(layer: Layer) -> tuple[int, int, int]:
    """Outer extent, number of parts, inner run."""
    at = layer.attributes["axis"]
    assert isinstance(at, int)
    part = (layer.inputs if layer.operator == "PACK" else layer.outputs)[0]
    count = max(len(layer.inputs), len(layer.outputs))
    return prod(part.shape[:at]), count, prod(part.shape[at:])


def pack(layer: Layer) -> list[int]:
    outer, count, inner = split_up(layer)
    first = max(0, (outer - (2 if inner == 1 else 1)) * inner * (count - 1))
    return [first] + [(outer - 1) * count * inner + i * inner for i in range(1, count)]


def unpack(layer: Layer) -> list[int]:
    outer, count, inner = split_up(layer)
    return [inner * max(0, outer - i - 1) if i < count - 1 else 0 for i in range(count)]


def pad(layer: Layer) -> list[int]:
    """The padding that lies before the last element of the input."""
    around = layer.attributes["paddings"]
    last = 0
    for i, (extent, size) in enumerate(
        zip(layer.inputs[0].shape, layer.outputs[0].shape, strict=True)
    ):
        last = last * size + number(around, 2 * i) + extent - 1
    return [last + 1 - layer.inputs[0].elements]


def strided_slice(layer: Layer) -> list[int] | None:
    ranges = [taken(layer.operator, layer.attributes, i) for i in range(len(layer.inputs[0].shape))]
    if any(r.step < 0 for r in ranges):
        return None
    if ranges[-1].step > 1:
        return [0]
    first = 0
    for extent, taking in zip(layer.inputs[0].shape, ranges, strict=True):
        first = first * extent + taking.start
    return [max(0, len(ranges[-1]) - first)]


def transpose(layer: Layer) -> list[int] | None:
    if layer.attributes["perm"] != (1, 0):
        return None
    height, width = layer.inputs[0].shape
    return [(height - 1) * (width - 1)]


def blocks(layer: Layer) -> list[int]:
    size = layer.attributes["block_size"]
    assert isinstance(size, int)
    deep = layer.operator == "SPACE_TO_DEPTH"
    flat = (layer.inputs if deep else layer.outputs)[0].shape
    return [size * (size - 1) * flat[3] * (flat[2] // size - 1)]


def mean(layer: Layer) -> list[int]:
    return [0] if takes_pictures(layer) else whole(layer)


FORMULAS: dict[str, Formula] = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D"), window),
    "TRANSPOSE_CONV": transpose_conv,
    **dict.fromkeys(UNARY, in_place),
    **dict.fromkeys(BINARY, broadcast),
    **dict.fromkeys(("SOFTMAX", "LOG_SOFTMAX", "L2_NORMALIZATION"), in_place),
    "FULLY_CONNECTED": fully_connected,
    "BATCH_MATMUL": batch_matmul,
    **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"), whole),
    "CONCATENATION": concatenation,
    "PACK": pack,
    "UNPACK": unpack,
    "SPLIT": in_place,
    "PAD": pad,
    "SLICE": in_place,
    "STRIDED_SLICE": strided_slice,
    "TRANSPOSE": transpose,
    **dict.fromkeys(("SPACE_TO_DEPTH", "DEPTH_TO_SPACE"), blocks),
    "MEAN": mean,
    **dict.fromkeys(("SUM", "REDUCE_MAX"), whole),
}
ELSEWHERE = {"MIRROR_PAD", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", *CONVERSIONS}
"""Two have no simple formula, the others one for some layers, or in bytes:
test_docs_formulas.py has those."""


def layers(operator: str, cases: int) -> list[Layer]:
    """Random layers without empty tensors."""
    found = OPERATORS[operator]
    drawn = (found.of(found.draw(Draw(f"page/{operator}/{i}"))) for i in range(3 * cases))
    full = [layer for layer in drawn if all(t.elements for t in (*layer.inputs, *layer.outputs))]
    return full[:cases]


def displacements(layer: Layer) -> list[int]:
    """By the closed form, in bytes."""
    return [pair.min_displacement_bytes for pair in answer(layer).pairs]
