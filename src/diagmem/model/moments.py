"""How the values of a tensor spread, guessed from how they came about.

Only as good as it has to be: weights are scaled by it so that activations neither
die out nor saturate over hundreds of operators.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import erf, exp, pi, prod, sqrt
from typing import NamedTuple

from diagmem.model.elements import ModelOperator
from diagmem.model.graph import Model

_POOLED = 0.5
"""Neighbours are alike: their mean varies half as much, whatever their number."""


class Moments(NamedTuple):
    """Mean and variance over all elements of a tensor, in real units."""

    mean: float
    variance: float

    @property
    def square(self) -> float:
        """The mean of the squares."""
        return self.variance + self.mean**2


INPUT = Moments(0.0, 1 / 3)
"""Pictures between -1 and 1."""


def clamped(moments: Moments, activation: object) -> Moments:
    """After an activation, as if the values were normally distributed."""
    if activation not in ("RELU", "RELU6"):
        return moments
    mean, deviation = moments.mean, sqrt(moments.variance) or 1e-9
    above = (1 + erf(mean / deviation / sqrt(2))) / 2
    density = exp(-((mean / deviation) ** 2) / 2) / sqrt(2 * pi)
    rectified = mean * above + deviation * density
    square = moments.square * above + mean * deviation * density
    return Moments(rectified, max(square - rectified**2, 0.0))


def passed_on(model: Model, operator: ModelOperator, inputs: Sequence[Moments]) -> Moments:
    """The output of an operator without weights."""
    rule = _RULES.get(operator.name)
    return rule(model, operator, inputs) if rule else inputs[0]


def _add(_: Model, operator: ModelOperator, inputs: Sequence[Moments]) -> Moments:
    together = Moments(sum(i.mean for i in inputs), sum(i.variance for i in inputs))
    return clamped(together, operator.options.get("fused_activation_function"))


def _joined(model: Model, operator: ModelOperator, inputs: Sequence[Moments]) -> Moments:
    sizes = [prod(model.tensors[number].shape) for number in operator.inputs]
    mean = sum(n * i.mean for n, i in zip(sizes, inputs, strict=True)) / sum(sizes)
    square = sum(n * i.square for n, i in zip(sizes, inputs, strict=True)) / sum(sizes)
    return Moments(mean, square - mean**2)


def _rectified(_: Model, operator: ModelOperator, inputs: Sequence[Moments]) -> Moments:
    return clamped(inputs[0], operator.name)


def _averaged(_: Model, operator: ModelOperator, inputs: Sequence[Moments]) -> Moments:
    if operator.name == "AVERAGE_POOL_2D" and _taps(operator) == 1:
        return inputs[0]
    return Moments(inputs[0].mean, inputs[0].variance * _POOLED)


def _largest(_: Model, operator: ModelOperator, inputs: Sequence[Moments]) -> Moments:
    """Of nine normally distributed values."""
    if _taps(operator) == 1:
        return inputs[0]
    mean, variance = inputs[0]
    return Moments(mean + 1.49 * sqrt(variance), 0.36 * variance)


def _taps(operator: ModelOperator) -> int:
    sizes = (operator.options[name] for name in ("filter_height", "filter_width"))
    return prod(size for size in sizes if isinstance(size, int))


_RULES: dict[str, Callable[[Model, ModelOperator, Sequence[Moments]], Moments]] = {
    "ADD": _add,
    "CONCATENATION": _joined,
    "RELU": _rectified,
    "RELU6": _rectified,
    "AVERAGE_POOL_2D": _averaged,
    "MEAN": _averaged,
    "MAX_POOL_2D": _largest,
}
