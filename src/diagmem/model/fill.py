"""Seeded weights for a graph that has none, so that it runs and its outputs tell.

Each weight tensor is drawn so that what its operator makes spreads over the range of
its output and hardly ever beyond: for float32 a range is agreed on, for int8 it is
that of the output's scale.  Ranges of sums leave room for the other summand.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod, sqrt
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from diagmem.errors import DiagmemError
from diagmem.model.elements import ABSENT, ModelOperator, ModelTensor
from diagmem.model.graph import Model, read_model
from diagmem.model.layers import NoRule, layer_of
from diagmem.model.moments import INPUT, Moments, clamped, passed_on
from diagmem.ops.windows import geometry

DEVIATIONS = 3.2
"""A range in standard deviations: about one value in a thousand lies beyond."""
LEAST_ROOM = 0.3
"""A summand may always have this share of its sum's deviation, or nothing would come through."""
BIAS = 0.1
"""Of the output's deviation."""
WEIGHT_DEVIATION = 127 / sqrt(3)
"""Of integers drawn evenly from -127 to 127."""
LOGIT_DEVIATION = 5.0
"""Of what goes into a SOFTMAX: among a thousand classes some then stand out."""
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
    """The file with weights; constants that are whole stay as they are.

    Parameters
    ----------
    graph : a ``.tflite`` file in float32 or int8 of which constants may be cut.

    Raises
    ------
    DiagmemError
        It has cut constants where it is unknown what they do.
    """
    return _Filling(graph, seed).file()


class _Filling:
    """A model being filled, operator by operator."""

    def __init__(self, graph: bytes, seed: int) -> None:
        self._model = read_model(graph)
        self._draft: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(graph, 0))
        self._graph = self._draft.subgraphs[0]
        self._seed = seed
        self._moments: dict[int, Moments] = dict.fromkeys(self._model.inputs, INPUT)
        self._scales = {t.index: t.scale[0] for t in self._model.tensors if t.scale}
        self._zeros = {t.index: t.zero_point[0] for t in self._model.tensors if t.zero_point}
        self._done = {t.index for t in self._model.tensors if _whole(self._model, t)}
        self._readers: dict[int, list[ModelOperator]] = {}
        for operator in self._model.operators:
            for number in operator.inputs:
                self._readers.setdefault(number, []).append(operator)

    def file(self) -> bytes:
        for number in self._logits():
            self._rescale(number, 2 * DEVIATIONS * LOGIT_DEVIATION / 255, 0)
        for operator in self._model.operators:
            made = operator.outputs[0]
            if operator.name in WEIGHTED:
                self._moments[made] = self._weigh(operator)
            elif operator.name == "MUL":
                self._moments[made] = self._multiply(operator)
            else:
                inputs = [self._input(operator, n) for n in operator.inputs if n != ABSENT]
                self._moments[made] = passed_on(self._model, operator, inputs)
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self._draft.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    # ---- how far values may spread ----

    def _logits(self) -> Iterator[int]:
        """What goes into a SOFTMAX, up to the operator that computes it."""
        makers = {number: o for o in self._model.operators for number in o.outputs}
        for operator in self._model.operators:
            number = operator.inputs[0] if operator.name == "SOFTMAX" else None
            while number is not None and number in makers:
                yield number
                maker = makers[number]
                number = maker.inputs[0] if maker.name in ("RESHAPE", "SQUEEZE") else None

    def _range(self, number: int) -> float:
        """The deviation that a tensor's range allows, in real units."""
        if self._model.tensors[number].dtype != "int8":
            return LOGIT_DEVIATION if number in set(self._logits()) else 1.0
        zero = self._zeros[number]
        # What is rectified uses the range above zero only.
        levels = 127 - zero if zero == -128 else min(127 - zero, 128 + zero)
        return max(levels, 1) * self._scales[number] / DEVIATIONS

    def _room(self, number: int) -> float:
        """The deviation that a tensor may have for its own range and its readers'."""
        room = self._range(number)
        for reader in self._readers.get(number, ()):
            made = reader.outputs[0]
            if reader.name in PASSING:
                room = min(room, self._room(made))
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
        if others[0] not in self._moments:
            return whole / sqrt(2)
        left = whole**2 - self._moments[others[0]].square
        return sqrt(max(left, (LEAST_ROOM * whole) ** 2))

    # ---- what operators get ----

    def _input(self, operator: ModelOperator, number: int) -> Moments:
        """An operand's moments; a constant that was cut is drawn first."""
        tensor = self._model.tensors[number]
        if not tensor.constant:
            return self._moments[number]
        if number not in self._done:
            if operator.name != "ADD":
                raise DiagmemError(
                    f"{operator.label}: found that tensor {number} ({tensor.name[:60]}) is cut,"
                    " expected that only weights are"
                )
            spread = BIAS * self._range(operator.outputs[0])
            values = self._random(number).uniform(-1, 1, tensor.shape)
            self._put(tensor, values * spread * sqrt(3), spread * sqrt(3) / 127)
        return self._stored(number)

    def _weigh(self, operator: ModelOperator) -> Moments:
        """Draw a filter and a bias."""
        source, weights = operator.inputs[:2]
        room = self._room(operator.outputs[0])
        tensor, moments = self._model.tensors[weights], self._moments[source]
        fan_in = prod(tensor.shape) / tensor.shape[_AXES.get(operator.name, 0)]
        drawn = self._random(weights).integers(-127, 128, tensor.shape).astype(np.float64)
        square = moments.square
        if operator.name != "DEPTHWISE_CONV_2D" and fan_in > 1:
            # Without this the mean of rectified inputs drowns what differs between them.
            drawn -= np.rint(drawn.mean(axis=tuple(range(1, drawn.ndim)), keepdims=True))
            square = moments.variance
        drawn = np.clip(drawn, -127, 127)
        summed = fan_in * self._inside(operator)
        step = room / (WEIGHT_DEVIATION * sqrt(summed * square))
        steps = self._steps(operator.name, tensor, step)
        self._put(tensor, drawn * steps, steps, axis=_AXES.get(operator.name, 0))
        if len(operator.inputs) > 2 and operator.inputs[2] != ABSENT:
            self._bias(operator, steps.reshape(-1), room)
        before = Moments(0.0, room**2)
        return clamped(before, operator.options.get("fused_activation_function"))

    def _inside(self, operator: ModelOperator) -> float:
        """The share of a filter's taps that do not fall into the padding, on average."""
        found = layer_of(self._model, operator)
        if operator.name == "FULLY_CONNECTED" or isinstance(found, NoRule):
            return 1.0
        given = found.layer.attributes
        taps = []
        for along in (0, 1):
            filter_, stride, dilation = (
                np.ravel(np.array(given[key]))[along] for key in ("filter", "stride", "dilation")
            )
            extent, out = given["input"], self._model.tensors[operator.outputs[0]].shape
            _, before = geometry(operator.name, given, along)
            first = np.arange(out[1 + along])[:, None] * stride - before
            place = first + np.arange(filter_) * dilation
            taps.append(np.mean((place >= 0) & (place < np.ravel(np.array(extent))[1 + along])))
        return float(prod(taps))

    def _steps(self, name: str, tensor: ModelTensor, step: float) -> Array:
        """The scales of a filter's channels, which differ; shaped to go along with it."""
        if name not in _AXES:
            return np.full([1] * len(tensor.shape), step)
        shape = [1] * len(tensor.shape)
        shape[_AXES[name]] = -1
        channels = tensor.shape[_AXES[name]]
        random = self._random(tensor.index + len(self._model.tensors))
        return (step * random.uniform(0.8, 1.1, channels)).reshape(shape)

    def _bias(self, operator: ModelOperator, steps: Array, room: float) -> None:
        tensor = self._model.tensors[operator.inputs[2]]
        values = self._random(tensor.index).uniform(-1, 1, tensor.shape) * BIAS * room
        self._put(tensor, values, self._scales.get(operator.inputs[0], 1.0) * steps)

    def _multiply(self, operator: ModelOperator) -> Moments:
        """Draw a factor of either sign for each channel, as from a batch normalisation."""
        constants = [n for n in operator.inputs if self._model.tensors[n].constant]
        others = [n for n in operator.inputs if n not in constants]
        if len(constants) != 1 or len(others) != 1:
            raise DiagmemError(f"{operator.label}: found two activations, expected one constant")
        tensor, moments = self._model.tensors[constants[0]], self._moments[others[0]]
        if tensor.index in self._done:
            factor = self._stored(tensor.index)
            return Moments(factor.mean * moments.mean, factor.square * moments.variance)
        random, room = self._random(tensor.index), self._room(operator.outputs[0])
        drawn = random.integers(70, 128, tensor.shape) * random.choice([-1, 1], tensor.shape)
        step = room / (100 * sqrt(moments.square))
        self._put(tensor, drawn * step, step)
        return Moments(0.0, room**2)

    # ---- values ----

    def _random(self, number: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, number])

    def _stored(self, number: int) -> Moments:
        tensor = self._graph.tensors[number]
        data = self._draft.buffers[tensor.buffer].data.tobytes()
        values = np.frombuffer(data, self._model.tensors[number].dtype).astype(np.float64)
        if number in self._scales:
            values = (values - self._zeros.get(number, 0)) * self._scales[number]
        return Moments(float(values.mean()), float(values.var()))

    def _rescale(self, number: int, scale: float, zero_point: int) -> None:
        if self._model.tensors[number].dtype == "int8":
            self._scales[number], self._zeros[number] = scale, zero_point
            self._quantise(number, np.array([scale]), zero_point)

    def _quantise(self, number: int, scales: Array, zero_point: int = 0, axis: int = 0) -> None:
        quantisation = schema.QuantizationParametersT()
        quantisation.scale = scales.astype(np.float32)
        quantisation.zeroPoint = np.full(len(scales), zero_point, np.int64)
        quantisation.quantizedDimension = axis
        self._graph.tensors[number].quantization = quantisation

    def _put(self, tensor: ModelTensor, values: Array, scales: Any, axis: int = 0) -> None:
        """Store a constant's values, in its own type; what is there already stays."""
        if tensor.index in self._done:
            return
        self._done.add(tensor.index)
        stored = values
        if tensor.dtype != "float32":
            limit = np.iinfo(tensor.dtype).max
            stored = np.clip(np.rint(values / scales), -limit, limit)
            scales = np.reshape(scales, -1)
            self._scales[tensor.index], self._zeros[tensor.index] = float(scales[0]), 0
            self._quantise(tensor.index, scales, axis=axis)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(stored.astype(tensor.dtype).tobytes(), np.uint8)
        # A buffer of its own: constants that once were alike may share one.
        self._draft.buffers.append(buffer)
        self._graph.tensors[tensor.index].buffer = len(self._draft.buffers) - 1


def _whole(model: Model, tensor: ModelTensor) -> bool:
    return tensor.constant and len(model.constant_data(tensor)) == tensor.size_bytes
