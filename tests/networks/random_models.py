"""Random small models that TFLM runs: residuals, branches, aliases, several inputs and
outputs, some that nobody reads; float32 or int8."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod, sqrt

import numpy as np

from tests.tflite.build import Draft

Shape = tuple[int, ...]
_LEVELS = 60
"""Spread of an int8 activation's levels, roughly."""
_SOFTMAX = (1 / 256, -128)
"""The scale and zero point that TFLM wants of an int8 softmax."""


@dataclass(frozen=True, slots=True)
class Made:
    """A tensor that is there: operators that only move bytes keep its levels, the
    scale and zero point; None in float models."""

    shape: Shape
    levels: tuple[float, int] | None


class Grower:
    """A model that grows operator by operator from tensors that are there."""

    def __init__(self, seed: int, dtype: str) -> None:
        self.random = random.Random(seed)
        self.values = np.random.default_rng(seed)
        self.dtype = dtype
        self.draft = Draft()
        self.made: dict[int, Made] = {}

    def input(self, shape: Shape) -> int:
        return self.tensor(shape, self.levels())

    def levels(self) -> tuple[float, int] | None:
        if self.dtype == "float32":
            return None
        return self.random.choice((1 / 64, 1 / 48, 1 / 32)), self.random.choice((-3, 0, 5))

    def tensor(self, shape: Shape, levels: tuple[float, int] | None) -> int:
        scale, zero = ([levels[0]], [levels[1]]) if levels else ((), ())
        number = self.draft.tensor(shape, self.dtype, scale=scale, zero_point=zero)
        self.made[number] = Made(shape, levels)
        return number

    def ints(self, values: Sequence[int]) -> int:
        return self.draft.tensor((len(values),), "int32", values=np.array(values, np.int32))

    def grow(self) -> None:
        """One more operator, mostly on what is newest."""
        newest = sorted(self.made)[-4:]
        source = self.random.choice([*newest, newest[-1], newest[-1]])
        flat = [self.binary, self.join, self.relu, self.dense, self.softmax, self.split]
        maps = [self.conv, self.depthwise, self.pool, self.pad, self.mean, self.slice]
        steps = flat + (2 * maps if len(self.made[source].shape) == 4 else [])
        self.random.choice([*steps, self.reshape, self.transpose, self.binary])(source)

    # ---- operators with weights ----

    def _weights(self, source: int, shape: Shape, axis: int, fan_in: int) -> tuple[int, int, int]:
        """Filter, bias, and how many channels; int8 sums spread over the output's levels."""
        channels = shape[axis]
        if self.dtype == "float32":
            width = 1 / sqrt(fan_in)
            made = self.draft.tensor(shape, values=self.values.uniform(-width, width, shape))
            bias = self.draft.tensor((channels,), values=self.values.uniform(-1, 1, channels))
            return made, bias, channels
        levels = self.made[source].levels
        assert levels is not None
        scale = 1 / 48 * 40 / (levels[0] * 73 * _LEVELS * sqrt(fan_in))
        each = [scale * factor for factor in self.values.uniform(0.7, 1.3, channels)]
        filled = self.values.integers(-127, 128, shape)
        made = self.draft.tensor(shape, "int8", values=filled, scale=each)
        self.draft.graph.tensors[made].quantization.quantizedDimension = axis
        sums = self.values.integers(-2000, 2000, channels)
        scales = [levels[0] * one for one in each]
        bias = self.draft.tensor((channels,), "int32", values=sums, scale=scales)
        return made, bias, channels

    def conv(self, source: int) -> None:
        batches, height, width, depth = self.made[source].shape
        tap, stride = self.random.choice((1, 1, 3)), self.random.choice((1, 1, 1, 2))
        shape = (self.random.randint(1, 6), tap, tap, depth)
        weights, bias, channels = self._weights(source, shape, 0, tap * tap * depth)
        made = self.tensor(
            (batches, -(-height // stride), -(-width // stride), channels), self.levels()
        )
        options = {"strideH": stride, "strideW": stride}
        self.draft.operator("CONV_2D", [source, weights, bias], [made], "Conv2D", **options)

    def depthwise(self, source: int) -> None:
        batches, height, width, depth = self.made[source].shape
        stride, each = self.random.choice((1, 1, 2)), self.random.choice((1, 1, 2))
        weights, bias, channels = self._weights(source, (1, 3, 2, depth * each), 3, 6)
        made = self.tensor(
            (batches, -(-height // stride), -(-width // stride), channels), self.levels()
        )
        options = {"strideH": stride, "strideW": stride, "depthMultiplier": each}
        operands = [source, weights, bias]
        self.draft.operator("DEPTHWISE_CONV_2D", operands, [made], "DepthwiseConv2D", **options)

    def dense(self, source: int) -> None:
        shape = self.made[source].shape
        units, depth = self.random.randint(1, 9), shape[-1]
        weights, bias, _ = self._weights(source, (units, depth), 0, depth)
        if self.dtype == "int8":  # TFLM wants one scale for all
            quantised = self.draft.graph.tensors
            for tensor in (weights, bias):
                quantised[tensor].quantization.scale = quantised[tensor].quantization.scale[:1]
                quantised[tensor].quantization.zeroPoint = [0]
        made = self.tensor((prod(shape[:-1]), units), self.levels())
        operands = [source, weights, bias]
        self.draft.operator("FULLY_CONNECTED", operands, [made], "FullyConnected")

    # ---- operators that compute ----

    def pool(self, source: int) -> None:
        batches, height, width, depth = self.made[source].shape
        made = self.tensor(
            (batches, -(-height // 2), -(-width // 2), depth), self.made[source].levels
        )
        name = self.random.choice(("MAX_POOL_2D", "AVERAGE_POOL_2D"))
        fields = {"strideH": 2, "strideW": 2, "filterHeight": 2, "filterWidth": 3}
        self.draft.operator(name, [source], [made], "Pool2D", **fields)

    def binary(self, source: int) -> None:
        """Two tensors that broadcast: a residual, the same one twice, a gate."""
        shape = self.made[source].shape
        partners = [
            tensor
            for tensor, other in self.made.items()
            if len(other.shape) == len(shape)
            and all(b in (1, a) for a, b in zip(shape, other.shape, strict=True))
        ]
        name, options = self.random.choice((("ADD", "Add"), ("MUL", "Mul"), ("SUB", "Sub")))
        operands = [source, self.random.choice(partners)]
        if self.random.random() < 0.5:
            operands.reverse()
        self.draft.operator(name, operands, [self.tensor(shape, self.levels())], options)

    def mean(self, source: int) -> None:
        batches, _, _, depth = self.made[source].shape
        keep = self.random.random() < 0.7
        made = self.tensor((batches, 1, 1, depth) if keep else (batches, depth), self.levels())
        operands = [source, self.ints((1, 2))]
        self.draft.operator("MEAN", operands, [made], "Reducer", keepDims=keep)

    def relu(self, source: int) -> None:
        made = self.made[source]
        self.draft.operator("RELU", [source], [self.tensor(made.shape, made.levels)])

    def softmax(self, source: int) -> None:
        levels = None if self.dtype == "float32" else _SOFTMAX
        made = self.tensor(self.made[source].shape, levels)
        self.draft.operator("SOFTMAX", [source], [made], "Softmax", beta=1.0)

    # ---- operators that move bytes ----

    def join(self, source: int) -> None:
        one = self.made[source]
        alike = [
            tensor
            for tensor, other in self.made.items()
            if other.shape[:-1] == one.shape[:-1] and other.levels == one.levels
        ]
        parts = [source, *self.random.choices(alike, k=self.random.choice((1, 1, 2)))]
        depth = sum(self.made[part].shape[-1] for part in parts)
        made = self.tensor((*one.shape[:-1], depth), one.levels)
        axis = len(one.shape) - 1
        self.draft.operator("CONCATENATION", parts, [made], "Concatenation", axis=axis)

    def split(self, source: int) -> None:
        """In two along the last axis, where that can be."""
        one = self.made[source]
        if one.shape[-1] % 2:
            return self.relu(source)
        half = (*one.shape[:-1], one.shape[-1] // 2)
        made = [self.tensor(half, one.levels) for _ in range(2)]
        operands = [self.draft.tensor((), "int32", values=len(one.shape) - 1), source]
        self.draft.operator("SPLIT", operands, made, "Split", numSplits=2)
        return None

    def pad(self, source: int) -> None:
        one = self.made[source]
        pads = [(0, 0), *((self.random.randint(0, 1), self.random.randint(0, 2)) for _ in "hw")]
        pads.append((0, self.random.randint(0, 1)))
        values = np.array(pads, np.int32)
        made = self.tensor(
            tuple(s + a + b for s, (a, b) in zip(one.shape, pads, strict=True)), one.levels
        )
        operands = [source, self.draft.tensor((4, 2), "int32", values=values)]
        self.draft.operator("PAD", operands, [made], "Pad")

    def slice(self, source: int) -> None:
        """Every second row, and columns up to the last but one."""
        one = self.made[source]
        batches, height, width, depth = one.shape
        end = max(width - 1, 1)
        made = self.tensor((batches, -(-height // 2), end, depth), one.levels)
        spans = [(0, 0, 0, 0), (batches, height, end, depth), (1, 2, 1, 1)]
        operands = [source, *(self.ints(span) for span in spans)]
        self.draft.operator("STRIDED_SLICE", operands, [made], "StridedSlice")

    def reshape(self, source: int) -> None:
        one = self.made[source]
        shape = (one.shape[0], *reversed(one.shape[1:-1]), one.shape[-1])
        if self.random.random() < 0.3:
            shape = (one.shape[0], prod(one.shape[1:]))
        made = self.tensor(shape, one.levels)
        operands = [source, self.ints(shape)]
        self.draft.operator("RESHAPE", operands, [made], "Reshape", newShape=list(shape))

    def transpose(self, source: int) -> None:
        one = self.made[source]
        order = self.random.sample(range(len(one.shape)), len(one.shape))
        made = self.tensor(tuple(one.shape[axis] for axis in order), one.levels)
        self.draft.operator("TRANSPOSE", [source, self.ints(order)], [made], "Transpose")


def random_model(seed: int) -> bytes:
    """5 to 15 operators; every third model is int8.

    What nobody reads is an output, now and then something that somebody does, the first
    input too; some are left for nobody, and so is an input now and then.
    """
    grower = Grower(seed, "int8" if seed % 3 == 2 else "float32")
    choose = grower.random
    shape = (choose.choice((1, 1, 2)), *(choose.randint(3, 9) for _ in "hw"), choose.randint(1, 5))
    inputs = [grower.input(shape)]
    if choose.random() < 0.4:
        inputs.append(grower.input(shape))
    for _ in range(choose.randint(5, 15)):
        grower.grow()
    if choose.random() < 0.1:
        inputs.append(grower.input((3, 5)))
    read = {t for operator in grower.draft.graph.operators for t in operator.inputs}
    made = {t for operator in grower.draft.graph.operators for t in operator.outputs}
    outputs = [t for t in sorted(made) if t not in read]
    if len(outputs) > 1 and choose.random() < 0.5:
        outputs.pop(choose.randrange(len(outputs)))
    if choose.random() < 0.3:
        outputs.append(choose.choice(sorted(made & read) or outputs))
    if choose.random() < 0.15:
        outputs.append(inputs[0])
    return grower.draft.io(inputs, list(dict.fromkeys(outputs))).file()
