"""Scales and zero points: such that an operator's output keeps its low bits.

An output that saturates, or hardly changes, hides damage.  So scales follow the
spread of what full-range inputs give, not what some network once had.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod, sqrt

from diagmem.ops.layer import Layer, Tensor

LEVELS = {"int8": 256, "int16": 65536}
WEIGHT_SPREAD = 73.3
"""Standard deviation of integers drawn evenly from -127 to 127."""
OUTPUT_SPREAD = 6.4
"""The output's range in standard deviations: one value in a thousand saturates."""
POSITIVE = frozenset({"SQRT", "RSQRT"})
"""Operators whose input must lie above zero."""

_INPUT_RANGE = {"RELU6": 7.5, "HARD_SWISH": 7.5, "EXP": 1.0}
# TFLite's quantised kernels demand exactly these.
_FIXED = {
    ("SOFTMAX", "int8"): (1 / 256, -128),
    ("SOFTMAX", "int16"): (1 / 32768, 0),
    ("LOG_SOFTMAX", "int8"): (16 / 256, 127),
    ("LOGISTIC", "int8"): (1 / 256, -128),
    ("LOGISTIC", "int16"): (1 / 32768, 0),
    ("TANH", "int8"): (1 / 128, 0),
    ("TANH", "int16"): (1 / 32768, 0),
    ("L2_NORMALIZATION", "int8"): (1 / 128, 0),
}


@dataclass(frozen=True, slots=True)
class Quantisation:
    """real = scale * (integer - zero_point); one scale per slice along ``axis``."""

    scales: tuple[float, ...]
    zero_point: int = 0
    axis: int = 0

    @property
    def scale(self) -> float:
        return self.scales[0]


def activation_quantisations(layer: Layer) -> dict[str, Quantisation]:
    """What the layer's quantised tensors mean, by name; the others are left out."""
    quantisations = {}
    for tensor in layer.inputs:
        if tensor.dtype in LEVELS:
            quantisations[tensor.name] = _input(layer, tensor)
    for tensor in layer.outputs:
        if tensor.dtype in LEVELS:
            quantisations[tensor.name] = _output(
                layer, tensor, quantisations.get(layer.inputs[0].name)
            )
    return quantisations


def accumulator_spread(layer: Layer) -> float:
    """Standard deviation of the sums of input times weight, in integers."""
    return spread(layer.inputs[0].dtype) * WEIGHT_SPREAD * sqrt(fan_in(layer))


def fan_in(layer: Layer) -> float:
    """How many products go into one output element, on average."""
    attributes, first = layer.attributes, layer.inputs[0]
    match layer.operator:
        case "FULLY_CONNECTED":
            return first.shape[-1]
        case "BATCH_MATMUL":
            return first.shape[-2 if attributes["adj_x"] else -1]
    window = prod(_sizes(attributes["filter"]))
    match layer.operator:
        case "DEPTHWISE_CONV_2D":
            return window
        case "TRANSPOSE_CONV":
            return max(1.0, window * first.shape[-1] / prod(_sizes(attributes["stride"])))
    return window * first.shape[-1]


def weight_scale(channel: int) -> float:
    """Per-channel scales differ, or a kernel that mixes channels up would pass."""
    return 0.004 * (1 + channel % 5 / 8)


def spread(dtype: str) -> float:
    """Standard deviation of integers drawn evenly from the type's whole range."""
    return LEVELS[dtype] / sqrt(12)


def _sizes(value: object) -> tuple[int, ...]:
    assert isinstance(value, tuple)
    return value


def _input(layer: Layer, tensor: Tensor) -> Quantisation:
    half_range = _INPUT_RANGE.get(layer.operator, 2.5)
    if layer.operator == "PRELU" and tensor is layer.inputs[1]:
        half_range = 1.0
    zero_point = 0
    if tensor.dtype == "int8":
        zero_point = -128 if layer.operator in POSITIVE else -3
    return Quantisation((half_range / (LEVELS[tensor.dtype] // 2),), zero_point)


def _output(layer: Layer, tensor: Tensor, first: Quantisation | None) -> Quantisation:
    fixed = _FIXED.get((layer.operator, tensor.dtype))
    if fixed:
        return Quantisation((fixed[0],), fixed[1])
    if first is None:  # QUANTIZE and CAST, from float
        return Quantisation((2.1 / LEVELS[tensor.dtype],), _zero(tensor, 2))
    scale, zero_point = _scale(layer, tensor, first)
    return Quantisation((scale,), _zero(tensor, zero_point))


def _zero(tensor: Tensor, zero_point: int) -> int:
    return zero_point if tensor.dtype == "int8" else 0


def _scale(layer: Layer, tensor: Tensor, first: Quantisation) -> tuple[float, int]:
    """The output's scale and, for int8, its zero point."""
    deviation = _deviation(layer, first)
    if deviation is not None:
        return deviation * OUTPUT_SPREAD / LEVELS[tensor.dtype], 4
    levels = LEVELS[tensor.dtype]
    match layer.operator:
        case "ADD" | "SUB":
            return 2 * first.scale, 4
        case "DIV":
            return 8 / levels, 4
        case "SQUARED_DIFFERENCE":
            return 8 * (spread(layer.inputs[0].dtype) * first.scale) ** 2 / levels, -128
        case "ABS":
            return 0.55 * first.scale, -128
        case "SQRT":
            return sqrt(levels * first.scale) / levels, -128
        case "RSQRT":
            return OUTPUT_SPREAD / levels / sqrt(first.scale * levels / 2), -128
        case "EXP":
            return 2.8 / levels, -128
        case "HARD_SWISH":
            return 8 / levels, -116
        case "QUANTIZE":
            return first.scale * LEVELS[layer.inputs[0].dtype] / levels * 1.3, 5
    return first.scale, first.zero_point


def _deviation(layer: Layer, first: Quantisation) -> float | None:
    """The standard deviation of an output that is a sum of many, in real numbers."""
    deviation = spread(layer.inputs[0].dtype) * first.scale
    match layer.operator:
        case "CONV_2D" | "DEPTHWISE_CONV_2D" | "TRANSPOSE_CONV" | "FULLY_CONNECTED":
            return accumulator_spread(layer) * first.scale * weight_scale(2)
        case "BATCH_MATMUL":
            return deviation**2 * sqrt(fan_in(layer))
        case "MUL":
            return deviation**2
        case "MEAN":
            return deviation / sqrt(_reduced(layer))
        case "SUM":
            return deviation * sqrt(_reduced(layer))
    return None


def _reduced(layer: Layer) -> float:
    return layer.inputs[0].elements / layer.outputs[0].elements
