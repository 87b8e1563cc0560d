"""A network in numpy, in real numbers, as far as drawing its weights asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from diagmem.base.errors import DiagmemError
from diagmem.ops.windows import geometry
from diagmem.tflite.elements import ModelOperator
from diagmem.tflite.graph import Model
from diagmem.tflite.layers import NoRule, layer_of

Array = npt.NDArray[np.float32]


def activated(values: Array, activation: object) -> Array:
    """After an activation: NONE, RELU or RELU6."""
    if activation not in ("RELU", "RELU6"):
        return values
    return np.clip(values, 0, 6 if activation == "RELU6" else None)


def weighted(model: Model, operator: ModelOperator, values: Array, weights: Array) -> Array:
    """A product with weights as TFLite stores them, without bias and activation."""
    if operator.name == "FULLY_CONNECTED":
        return values.reshape(-1, weights.shape[1]) @ weights.T
    given = _given(model, operator)
    padded = _padded(values, operator.name, given, 0.0)
    shape = _picture(model, operator)
    if operator.name == "CONV_2D":
        # One product for each tap: the windows are never laid out.
        made = np.zeros(shape, np.float32)
        for (y, x), part in _taps(padded, shape, given):
            made += part @ weights[:, y, x].T
        return made
    multiplier = weights.shape[3] // values.shape[3]
    made = np.zeros(shape, np.float32)
    for (y, x), part in _taps(padded, shape, given):
        made += np.repeat(part, multiplier, axis=3) * weights[0, y, x]
    return made


def passed_on(model: Model, operator: ModelOperator, inputs: Sequence[Array]) -> Array:
    """The output of an operator without weights.

    Raises
    ------
    DiagmemError
        How to compute this operator is not known here.
    """
    first, shape = inputs[0], model.tensors[operator.outputs[0]].shape
    given = _given(model, operator)
    match operator.name:
        case "ADD":
            made = inputs[0] + inputs[1]
        case "MUL":
            made = inputs[0] * inputs[1]
        case "RELU" | "RELU6":
            return activated(first, operator.name)
        case "CONCATENATION":
            made = np.concatenate(inputs, axis=given["axis"])
        case "AVERAGE_POOL_2D" | "MAX_POOL_2D":
            made = _pooled(first, operator.name, given, shape)
        case "MEAN":
            made = first.mean(given["axes"], keepdims=given["keep_dims"])
        case "RESHAPE" | "SQUEEZE":
            made = first.reshape(shape)
        case "PAD":
            made = np.pad(first, np.reshape(given["paddings"], (-1, 2)))
        case "STRIDED_SLICE":
            numbers = (given[key] for key in ("begin", "end", "strides"))
            made = first[tuple(slice(*each) for each in zip(*numbers, strict=True))]
        case "SOFTMAX":
            powers = np.exp(first - first.max(-1, keepdims=True))
            made = powers / powers.sum(-1, keepdims=True)
        case _:
            raise DiagmemError(f"{operator.label}: found an operator that is not computed here")
    return activated(made, operator.options.get("fused_activation_function"))


def _given(model: Model, operator: ModelOperator) -> Mapping[str, Any]:
    mapped = layer_of(model, operator)
    if isinstance(mapped, NoRule):
        raise DiagmemError(mapped.reason)
    return mapped.layer.attributes


def _picture(model: Model, operator: ModelOperator) -> tuple[int, ...]:
    return model.tensors[operator.outputs[0]].shape


def _padded(values: Array, name: str, given: Mapping[str, Any], with_: float) -> Array:
    """The input with what its windows reach beyond it."""
    around = [(0, 0)]
    for along in (0, 1):
        out, before = geometry(name, given, along)
        dilation = given.get("dilation", (1, 1))[along]
        reach = (given["filter"][along] - 1) * dilation + 1
        end = (out - 1) * given["stride"][along] + reach
        around.append((before, max(end - before - values.shape[1 + along], 0)))
    return np.pad(values, [*around, (0, 0)], constant_values=with_)


def _taps(
    padded: Array, shape: Sequence[int], given: Mapping[str, Any]
) -> Iterator[tuple[tuple[int, int], Array]]:
    """For each tap of the filter the input elements that it meets, one for each output."""
    (down, right), dilation = given["stride"], given.get("dilation", (1, 1))
    for y, x in np.ndindex(*given["filter"]):
        top, left = y * dilation[0], x * dilation[1]
        rows = slice(top, top + (shape[1] - 1) * down + 1, down)
        columns = slice(left, left + (shape[2] - 1) * right + 1, right)
        yield (y, x), padded[:, rows, columns]


def _pooled(values: Array, name: str, given: Mapping[str, Any], shape: Sequence[int]) -> Array:
    if name == "MAX_POOL_2D":
        padded = _padded(values, name, given, -np.inf)
        largest: Array = np.maximum.reduce([part for _, part in _taps(padded, shape, given)])
        return largest
    total, count = (
        np.add.reduce([part for _, part in _taps(_padded(v, name, given, 0), shape, given)])
        for v in (values, np.ones_like(values))
    )
    made: Array = total / count
    return made
