"""Seeded weights for a graph that has none, so that it runs and its outputs tell.

The network is computed once on a random picture while its weights are drawn, operator
by operator: filters are scaled so that each channel of what they make spreads over the
range of its tensor, and hardly ever beyond.  For float32 a range is agreed on, for int8
it is that of the activation's scale, which is kept.  Ranges of sums leave room for the
other summand.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from diagmem.base.errors import DiagmemError
from diagmem.tflite.elements import ABSENT, ModelOperator, ModelTensor
from diagmem.tflite.forward import activated, passed_on, weighted
from diagmem.tflite.graph import Model, lifetimes, read_model

DEVIATIONS = 4.0
"""A range in standard deviations; other pictures spread more than those that were measured."""
LEAST_ROOM = 0.3
"""A summand may always have this share of its sum's deviation, or nothing would come through."""
BIAS = 0.1
"""The largest, as a share of the output's deviation."""
LOGIT_DEVIATION = 5.0
"""Of what goes into a SOFTMAX: among a thousand classes some then stand out."""
ENOUGH = 32
"""From so many elements a channel's own deviation can be told."""
PASSING = frozenset(
    "RELU RELU6 PAD RESHAPE SQUEEZE STRIDED_SLICE MAX_POOL_2D AVERAGE_POOL_2D MEAN"
    " CONCATENATION".split()
)
"""Operators that give on what they get, in about the range they get it in."""
WEIGHTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})
_AXES = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3}
"""The output channels of a filter: int8 ones have a scale for each."""

Array = npt.NDArray[Any]


def fill(graph: bytes, seed: int) -> bytes:
    """The file with weights: filters, biases, and the constants of ADD and MUL.

    Parameters
    ----------
    graph : a ``.tflite`` file in float32 or int8 of which constants may be cut.

    Raises
    ------
    DiagmemError
        It has other constants that are cut, or operators that `forward` does not know.
    """
    return _Filling(graph, seed).file()


class _Filling:
    """A model being filled, operator by operator."""

    def __init__(self, graph: bytes, seed: int) -> None:
        self._model = read_model(graph)
        _check(self._model)
        self._draft: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(graph, 0))
        self._graph = self._draft.subgraphs[0]
        self._seed = seed
        self._scales = {t.index: t.scale[0] for t in self._model.tensors if t.scale}
        self._zeros = {t.index: t.zero_point[0] for t in self._model.tensors if t.zero_point}
        # Real values of activations that are alive, and of constants that were drawn.
        self._values: dict[int, Array] = {}
        self._readers: dict[int, list[ModelOperator]] = {}
        for operator in self._model.operators:
            for number in operator.inputs:
                self._readers.setdefault(number, []).append(operator)
        self._logits = set(self._before_softmax())

    def file(self) -> bytes:
        for number in self._logits:
            self._rescale(number, 2 * DEVIATIONS * LOGIT_DEVIATION / 255)
        for number in self._model.inputs:
            shape = self._model.tensors[number].shape
            self._values[number] = self._random(number).uniform(-1, 1, shape).astype(np.float32)
        ends = {life.tensor: life.end for life in lifetimes(self._model)}
        for operator in self._model.operators:
            (made,) = operator.outputs
            self._values[made] = self._in_range(made, self._made(operator))
            for number in {*operator.inputs, *operator.outputs}:
                if ends.get(number) == operator.index + 1:
                    del self._values[number]
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self._draft.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _made(self, operator: ModelOperator) -> Array:
        if operator.name in WEIGHTED:
            return self._weigh(operator)
        for number in operator.inputs:
            if number != ABSENT and self._model.tensors[number].constant:
                self._draw(operator, self._model.tensors[number])
        there = [self._values[n] for n in operator.inputs if n in self._values]
        return passed_on(self._model, operator, there)

    # ---- how far values may spread ----

    def _before_softmax(self) -> Iterator[int]:
        """What goes into a SOFTMAX, up to the operator that computes it."""
        makers = {number: o for o in self._model.operators for number in o.outputs}
        for operator in self._model.operators:
            number = operator.inputs[0] if operator.name == "SOFTMAX" else None
            while number is not None and number in makers:
                yield number
                maker = makers[number]
                number = maker.inputs[0] if maker.name in ("RESHAPE", "SQUEEZE") else None

    def _quantised(self, number: int) -> bool:
        return self._model.tensors[number].dtype == "int8"

    def _positive(self, number: int) -> bool:
        """It has no integers for values below zero."""
        return self._quantised(number) and self._zeros[number] == -128

    def _in_range(self, number: int, values: Array) -> Array:
        if not self._quantised(number):
            return values
        zero, scale = self._zeros[number], self._scales[number]
        return np.clip(values, (-128 - zero) * scale, (127 - zero) * scale)

    def _range(self, number: int) -> float:
        """The deviation that a tensor's range allows."""
        if not self._quantised(number):
            return LOGIT_DEVIATION if number in self._logits else 1.0
        zero = self._zeros[number]
        levels = 127 - zero if self._positive(number) else min(127 - zero, 128 + zero)
        return max(levels, 1) * self._scales[number] / DEVIATIONS

    def _room(self, number: int) -> float:
        """The deviation that a tensor may have for its own range and its readers'."""
        room = self._range(number)
        for reader in self._readers.get(number, ()):
            if reader.name in PASSING:
                room = min(room, self._room(reader.outputs[0]))
            elif reader.name == "ADD":
                room = min(room, self._share(number, reader))
        return room

    def _share(self, number: int, adder: ModelOperator) -> float:
        """What a summand may have of its sum's range."""
        whole = self._range(adder.outputs[0])
        others = [other for other in adder.inputs if other != number]
        if not others:
            return whole / 2
        if self._model.tensors[others[0]].constant:
            return whole * sqrt(1 - BIAS**2)
        if others[0] not in self._values:
            return whole / sqrt(2)
        left = whole**2 - float(np.mean(self._values[others[0]] ** 2))
        return sqrt(max(left, (LEAST_ROOM * whole) ** 2))

    # ---- weights ----

    def _weigh(self, operator: ModelOperator) -> Array:
        """Draw a filter and a bias, and scale them for each channel."""
        source, weights = operator.inputs[:2]
        tensor, room = self._model.tensors[weights], self._room(operator.outputs[0])
        random = self._random(weights)
        drawn = random.integers(-127, 128, tensor.shape).astype(np.float32)
        axis = _AXES.get(operator.name)
        made = weighted(self._model, operator, self._values[source], drawn)
        deviation = _deviation(made)
        if axis is None:
            scales = np.array([room / sqrt(np.mean(deviation**2))])
        else:
            # Scales of channels differ, or a kernel that mixes channels up would pass.
            scales = room / deviation * random.uniform(0.8, 1.1, len(deviation))
        self._put(tensor, drawn * _along(scales, axis or 0, drawn.ndim), scales, axis or 0)
        made *= scales
        if len(operator.inputs) > 2 and operator.inputs[2] != ABSENT:
            bias = self._model.tensors[operator.inputs[2]]
            values = self._bias(bias, room)
            self._put(bias, values, self._scales.get(source, 1.0) * scales)
            made += values
        return activated(made, operator.options.get("fused_activation_function"))

    def _draw(self, operator: ModelOperator, tensor: ModelTensor) -> None:
        """The constant of an ADD or a MUL, such as a batch normalisation leaves."""
        if operator.name not in ("ADD", "MUL"):
            if len(self._model.constant_data(tensor)) != tensor.size_bytes:
                raise DiagmemError(
                    f"{operator.label}: found that tensor {tensor.index} ({tensor.name[:60]}) is"
                    " cut, expected that only weights are"
                )
            return
        if tensor.index in self._values:
            return
        others = [self._values[n] for n in operator.inputs if n in self._values]
        if len(others) != 1:
            raise DiagmemError(f"{operator.label}: found no activation, expected one")
        made = operator.outputs[0]
        if operator.name == "ADD":
            values = self._bias(tensor, self._range(made))
        else:
            random = self._random(tensor.index)
            values = self._room(made) / _deviation(others[0])
            values = values * random.uniform(0.7, 1.1, tensor.shape)
            if not self._positive(made):
                values *= random.choice([-1, 1], tensor.shape)
        self._values[tensor.index] = values.astype(np.float32)
        self._put(tensor, values, np.array([np.abs(values).max() / 127]))

    def _bias(self, tensor: ModelTensor, room: float) -> Array:
        """Small: a mean taken away from what was measured here would be a mean added
        to what another picture gives, and that adds up over hundreds of operators."""
        bias: Array = self._random(tensor.index).uniform(-1, 1, tensor.shape) * BIAS * room
        return bias

    # ---- values ----

    def _random(self, number: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, number])

    def _rescale(self, number: int, scale: float) -> None:
        if self._quantised(number):
            self._scales[number], self._zeros[number] = scale, 0
            self._quantise(number, np.array([scale]))

    def _quantise(self, number: int, scales: Array, axis: int = 0) -> None:
        quantisation = schema.QuantizationParametersT()
        quantisation.scale = scales.astype(np.float32)
        quantisation.zeroPoint = np.zeros(len(scales), np.int64)
        quantisation.quantizedDimension = axis
        self._graph.tensors[number].quantization = quantisation

    def _put(self, tensor: ModelTensor, values: Array, scales: Array, axis: int = 0) -> None:
        """Store a constant's values, in its own type."""
        stored = values
        if tensor.dtype != "float32":
            limit = np.iinfo(tensor.dtype).max
            stored = np.clip(np.rint(values / _along(scales, axis, values.ndim)), -limit, limit)
            self._quantise(tensor.index, scales, axis)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(stored.astype(tensor.dtype).tobytes(), np.uint8)
        # A buffer of its own: constants that once were alike may share one.
        self._draft.buffers.append(buffer)
        self._graph.tensors[tensor.index].buffer = len(self._draft.buffers) - 1


def _check(model: Model) -> None:
    """Refuse what is no network on pictures or rows, with one output to an operator."""
    for number in model.inputs:
        tensor = model.tensors[number]
        if len(tensor.shape) < 2 or tensor.dtype not in ("float32", "int8"):
            raise DiagmemError(
                f"{model.path}: input {number} ({tensor.name[:60]}): found {tensor.dtype} of"
                f" {len(tensor.shape)} axes, expected float32 or int8 of 2 at least"
            )
    for operator in model.operators:
        if len(operator.outputs) != 1:
            raise DiagmemError(
                f"{model.path}: {operator.label}: found {len(operator.outputs)} outputs, expected 1"
            )


def _deviation(values: Array) -> Array:
    """From zero, of each channel, or of all together where one has too little to tell; never 0."""
    squares = values.reshape(-1, values.shape[-1]).astype(np.float64) ** 2
    whole = squares.mean() or 1.0
    each = squares.mean(0) if len(squares) >= ENOUGH else np.full(squares.shape[1], whole)
    deviation: Array = np.sqrt(np.maximum(each, whole / 16))
    return deviation


def _along(values: Array, axis: int, rank: int) -> Array:
    """One value for all, or one for each slice along an axis, to go along with a tensor."""
    shape = [1] * rank
    if len(values) > 1:
        shape[axis] = -1
    return values.reshape(shape)
