"""What a layer's inputs hold before a run: seeded, and the same on every machine."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from diagmem.ops.layer import Layer, Tensor
from diagmem.tflm.quantisation import POSITIVE, activation_quantisations

AWAY_FROM_ZERO = 0.125
"""Of a divisor, a root's radicand: so much of the half range is left out."""

Array = npt.NDArray[Any]


def generator(name: str, seed: int) -> np.random.Generator:
    """A stream of its own for each tensor, so that one more does not change the others."""
    return np.random.Generator(np.random.PCG64([seed, crc32(name.encode())]))


def input_values(layer: Layer, seed: int) -> dict[str, Array]:
    """Integers over the type's whole range, floats from -1 to 1, as far as the
    operator takes them: radicands are positive, divisors not near zero."""
    quantisations = activation_quantisations(layer)
    values = {}
    for tensor in layer.inputs:
        known = quantisations.get(tensor.name)
        values[tensor.name] = _values(layer, tensor, seed, known.zero_point if known else 0)
    return values


def _values(layer: Layer, tensor: Tensor, seed: int, zero_point: int) -> Array:
    random = generator(tensor.name, seed)
    shape = tensor.shape
    if tensor.dtype == "bool":
        return random.integers(0, 2, shape).astype(np.bool_)
    if tensor.dtype == "float32":
        values = random.uniform(-1, 1, shape).astype(np.float32)
        near = np.float32(AWAY_FROM_ZERO)
    else:
        limits = np.iinfo(tensor.dtype)
        values = random.integers(limits.min, limits.max + 1, shape).astype(tensor.dtype)
        near = np.dtype(tensor.dtype).type(AWAY_FROM_ZERO * (limits.max + 1))
    if layer.operator in POSITIVE:
        return _above(values, near, zero_point)
    if layer.operator == "DIV" and tensor is layer.inputs[1]:
        return _apart_from(values, near, zero_point)
    return values


def _above(values: Array, near: Any, zero_point: int) -> Array:
    if values.dtype == np.float32:
        shrunk: Array = (np.abs(values) * (1 - near) + near).astype(values.dtype)
        return shrunk
    limits = np.iinfo(values.dtype)
    lowest = zero_point + int(near)
    above: Array = (
        lowest + (values.astype(np.int64) - limits.min) % (limits.max - lowest + 1)
    ).astype(values.dtype)
    return above


def _apart_from(values: Array, near: Any, zero_point: int) -> Array:
    if values.dtype == np.float32:
        moved: Array = np.where(values < 0, values - near, values + near).astype(values.dtype)
        return moved
    distance = values.astype(np.int64) - zero_point
    moved = np.where(distance < 0, np.minimum(distance, -near), np.maximum(distance, near))
    apart: Array = (moved + zero_point).astype(values.dtype)
    return apart
