"""TFLite's reference kernels as plain loops over flat indices, without any arithmetic.

Each function goes through one layer as `tensorflow/lite/kernels/internal/reference` does
and notes what is read and written.  Nothing here knows of loop nests, and geometry is
worked out anew.  A ``memcpy`` writes all, then reads all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any

import numpy as np

from diagmem.ops.layer import Layer
from tests.ops.interpreter import Ticks


@dataclass(slots=True)
class Tape:
    """Notes accesses; only their order matters."""

    elements: dict[str, list[Ticks]]
    tick: int = field(default=0)

    def read(self, tensor: str, at: int) -> None:
        self.elements[tensor][at].touch(self.tick, store=False)
        self.tick += 1

    def write(self, tensor: str, at: int) -> None:
        self.elements[tensor][at].touch(self.tick, store=True)
        self.tick += 1


Kernel = Callable[[Layer, dict[str, Any], Tape], None]


def watch(layer: Layer) -> dict[str, list[Ticks]]:
    """The ticks of every element of the layer's tensors, by name."""
    tensors = (*layer.inputs, *layer.outputs)
    tape = Tape({t.name: [Ticks() for _ in range(t.elements)] for t in tensors})
    KERNELS[layer.operator](layer, dict(layer.attributes), tape)
    return tape.elements


def offset(shape: Sequence[int], *at: int) -> int:
    flat = 0
    for extent, index in zip(shape, at, strict=True):
        assert 0 <= index < extent
        flat = flat * extent + index
    return flat


def over(shape: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """All indices, the last fastest."""
    return product(*map(range, shape))


def pad_before(given: dict[str, Any], along: int, out_size: int) -> int:
    """``ComputePaddingWithOffset``; explicit padding is given."""
    if given["padding"] == "VALID":
        return 0
    if given["padding"] != "SAME":
        return int(given["padding"][2 * along])
    dilation = given.get("dilation", (1, 1))[along]
    reach: int = (given["filter"][along] - 1) * dilation + 1
    total: int = (out_size - 1) * given["stride"][along] + reach - given["input"][1 + along]
    return max(total, 0) // 2


def conv(layer: Layer, given: dict[str, Any], tape: Tape) -> None:
    source, target = layer.inputs[0].shape, layer.outputs[0].shape
    for b, y, x, channel in over(target):
        read_window(source, target, given, tape, (b, y, x), list(range(source[3])))
        tape.write("output", offset(target, b, y, x, channel))


def read_window(
    source: Sequence[int],
    target: Sequence[int],
    given: dict[str, Any],
    tape: Tape,
    at: tuple[int, int, int],
    channels: list[int],
) -> None:
    b, y, x = at
    origin_y = y * given["stride"][0] - pad_before(given, 0, target[1])
    origin_x = x * given["stride"][1] - pad_before(given, 1, target[2])
    dilation = given.get("dilation", (1, 1))
    for filter_y in range(given["filter"][0]):
        in_y = origin_y + dilation[0] * filter_y
        for filter_x in range(given["filter"][1]):
            in_x = origin_x + dilation[1] * filter_x
            if 0 <= in_x < source[2] and 0 <= in_y < source[1]:
                for channel in channels:
                    tape.read("input", offset(source, b, in_y, in_x, channel))


def depthwise(layer: Layer, given: dict[str, Any], tape: Tape) -> None:
    source, target = layer.inputs[0].shape, layer.outputs[0].shape
    for b, y, x in over(target[:3]):
        for in_channel in range(source[3]):
            for m in range(given["depth_multiplier"]):
                read_window(source, target, given, tape, (b, y, x), [in_channel])
                out_channel = m + in_channel * given["depth_multiplier"]
                tape.write("output", offset(target, b, y, x, out_channel))


def pool(layer: Layer, given: dict[str, Any], tape: Tape) -> None:
    source, target = layer.inputs[0].shape, layer.outputs[0].shape
    _, height, width, _ = source
    for b, y, x, channel in over(target):
        origin_x = x * given["stride"][1] - pad_before(given, 1, target[2])
        origin_y = y * given["stride"][0] - pad_before(given, 0, target[1])
        for filter_y in range(max(0, -origin_y), min(given["filter"][0], height - origin_y)):
            for filter_x in range(max(0, -origin_x), min(given["filter"][1], width - origin_x)):
                at = offset(source, b, origin_y + filter_y, origin_x + filter_x, channel)
                tape.read("input", at)
        tape.write("output", offset(target, b, y, x, channel))


def fully_connected(layer: Layer, given: dict[str, Any], tape: Tape) -> None:
    depth, out_depth = layer.inputs[0].shape[-1], layer.outputs[0].shape[-1]
    for b in range(prod(layer.inputs[0].shape[:-1])):
        for out_c in range(out_depth):
            for d in range(depth):
                tape.read("input", b * depth + d)
            tape.write("output", b * out_depth + out_c)


def batch_matmul(layer: Layer, given: dict[str, Any], tape: Tape) -> None:
    """Both as they lie: what a kernel copies to scratch first is not in here."""
    left, right = (tensor.shape for tensor in layer.inputs)
    target = layer.outputs[0].shape
    rank = len(target) - 2
    depth = left[-2] if given["adj_x"] else left[-1]

    def batch(shape: Sequence[int], at: tuple[int, ...]) -> list[int]:
        own = len(shape) - 2
        pairs = zip(shape[:own], at[rank - own :], strict=True)
        return [0 if extent == 1 else index for extent, index in pairs]

    for *batches, row, column in over(target):
        here = tuple(batches)
        for k in range(depth):
            first = (k, row) if given["adj_x"] else (row, k)
            second = (column, k) if given["adj_y"] else (k, column)
            tape.read("input1", offset(left, *batch(left, here), *first))
            tape.read("input2", offset(right, *batch(right, here), *second))
        tape.write("output", offset(target, *here, row, column))


def softmax(layer: Layer, given: dict[str, Any], tape: Tape) -> None:
    *outer, depth = layer.inputs[0].shape
    for i in range(prod(outer)):
        for _ in ("largest", "sum"):
            for c in range(depth):
                tape.read("input", i * depth + c)
        for c in range(depth):
            tape.read("input", i * depth + c)
            tape.write("output", i * depth + c)


def concatenation(layer: Layer, given: dict[str, Any], tape: Tape) -> None:
    axis, whole = given["axis"], layer.outputs[0].shape
    base_inner = prod(whole[axis + 1 :])
    done = 0
    for k in range(prod(whole[:axis])):
        for tensor in layer.inputs:
            size = tensor.shape[axis] * base_inner
            for i in range(size):
                tape.write("output", done + i)
            for i in range(size):
                tape.read(tensor.name, k * size + i)
            done += size


def mean(layer: Layer, given: dict[str, Any], tape: Tape) -> None:
    shape, floats = layer.inputs[0].shape, given["dtype"] == "float32"
    if floats and given["keep_dims"] and len(shape) == 4 and given["axes"] == (1, 2):
        batches, height, width, depth = shape
        for b, d in over((batches, depth)):
            for h, w in over((height, width)):
                tape.read("input", offset(shape, b, h, w, d))
            tape.write("output", b * depth + d)
        return
    outputs = layer.outputs[0].elements
    for i in range(outputs):
        tape.write("output", i)
    for at in over(shape):
        tape.read("input", offset(shape, *at))
    for i in range(outputs):
        tape.write("output", i)


def pad(layer: Layer, given: dict[str, Any], tape: Tape) -> None:
    shape, target = layer.inputs[0].shape, layer.outputs[0].shape
    before = given["paddings"][::2]
    source = 0
    for number, at in enumerate(over(target)):
        inside = all(p <= i < p + n for i, p, n in zip(at, before, shape, strict=True))
        if inside:
            # The kernel's input pointer moves on by one.
            tape.read("input", source)
            source += 1
        tape.write("output", number)


def transpose(layer: Layer, given: dict[str, Any], tape: Tape) -> None:
    shape, target = layer.inputs[0].shape, layer.outputs[0].shape
    strides = [prod(shape[i + 1 :]) for i in range(len(shape))]
    for number, at in enumerate(over(target)):
        place = sum(i * strides[axis] for i, axis in zip(at, given["perm"], strict=True))
        tape.read("input", place)
        tape.write("output", number)


def resize_bilinear(layer: Layer, given: dict[str, Any], tape: Tape) -> None:
    source, target = layer.inputs[0].shape, layer.outputs[0].shape
    between = between_floats if given["dtype"] == "float32" else between_integers

    def sources(along: int, out: int) -> tuple[int, int]:
        return between(out, source[1 + along], target[1 + along], given)

    for b, y, x, c in over(target):
        y0, y1 = sources(0, y)
        x0, x1 = sources(1, x)
        for in_y, in_x in ((y0, x0), (y1, x0), (y0, x1), (y1, x1)):
            tape.read("input", offset(source, b, in_y, in_x, c))
        tape.write("output", offset(target, b, y, x, c))


def between_floats(out: int, size: int, out_size: int, given: dict[str, Any]) -> tuple[int, int]:
    """``ComputeInterpolationValues``"""
    one, half = np.float32(1), np.float32(0.5)
    scale = np.float32(size) / np.float32(out_size)
    if given["align_corners"] and out_size > 1:
        scale = (np.float32(size) - one) / (np.float32(out_size) - one)
    value = np.float32(out)
    scaled = (value + half) * scale - half if given["half_pixel_centers"] else value * scale
    return max(int(np.floor(scaled)), 0), min(int(np.ceil(scaled)), size - 1)


def between_integers(out: int, size: int, out_size: int, given: dict[str, Any]) -> tuple[int, int]:
    """``ComputeInterpolationValuesInteger``, in 1/1024ths."""
    scale = ((1 << 10) * size + out_size // 2) // out_size
    if given["align_corners"] and out_size > 1:
        scale = ((1 << 10) * (size - 1) + (out_size - 1) // 2) // (out_size - 1)
    scaled = out * scale
    if given["half_pixel_centers"]:
        scaled += scale // 2 - (1 << 9)
    # C divides towards zero.
    low, high = int(scaled / 1024), int((scaled + 1023) / 1024)
    return max(low, 0), min(high, size - 1)


KERNELS: dict[str, Kernel] = {
    "CONV_2D": conv,
    "DEPTHWISE_CONV_2D": depthwise,
    "AVERAGE_POOL_2D": pool,
    "MAX_POOL_2D": pool,
    "FULLY_CONNECTED": fully_connected,
    "BATCH_MATMUL": batch_matmul,
    "SOFTMAX": softmax,
    "LOG_SOFTMAX": softmax,
    "CONCATENATION": concatenation,
    "MEAN": mean,
    "PAD": pad,
    "TRANSPOSE": transpose,
    "RESIZE_BILINEAR": resize_bilinear,
}
