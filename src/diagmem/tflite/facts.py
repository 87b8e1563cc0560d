"""What a runtime picks an operator's kernel by, and layers know nothing of."""

from __future__ import annotations

from collections.abc import Mapping

from diagmem.tflite.elements import ABSENT, ModelOperator, ModelTensor
from diagmem.tflite.graph import Model

_FILTERS = {
    "CONV_2D": (1, 2),
    "DEPTHWISE_CONV_2D": (1, 2),
    "FULLY_CONNECTED": (1, 2),
    "TRANSPOSE_CONV": (1, 3),
}
"""Where the filter and the bias are among an operator's inputs."""


def facts_of(model: Model, operator: ModelOperator) -> dict[str, str]:
    """The facts of an operator in the words of kernel descriptions' parameters.

    ``input_rank`` and ``output_rank`` are the axes of its first input that is no constant
    and of its first output.  Where it has a filter: ``weights_dtype``, ``bias_dtype``
    (empty without a bias), ``per_channel`` (more than one scale), ``constant_weights``
    (filter and bias are part of the file) and ``filter_offset`` (its zero point, negated).
    """
    inputs = [_tensor(model, operator.inputs, k) for k in range(len(operator.inputs))]
    moving = next((tensor for tensor in inputs if tensor and not tensor.constant), None)
    made = _tensor(model, operator.outputs, 0)
    facts: dict[str, object] = {
        "input_rank": len(moving.shape) if moving else 0,
        "output_rank": len(made.shape) if made else 0,
    }
    if operator.name in _FILTERS:
        at, behind = _FILTERS[operator.name]
        weights = _tensor(model, operator.inputs, at)
        bias = _tensor(model, operator.inputs, behind)
        if weights is not None:
            facts |= {
                "weights_dtype": weights.dtype,
                "bias_dtype": bias.dtype if bias else "",
                "per_channel": len(weights.scale) > 1,
                "constant_weights": weights.constant and (bias is None or bias.constant),
                "filter_offset": -weights.zero_point[0] if weights.zero_point else 0,
            }
    return {
        word: str(value).lower() if isinstance(value, bool) else str(value)
        for word, value in facts.items()
    }


def in_words(facts: Mapping[str, str]) -> str:
    """The facts in one line."""
    return " ".join(f"{word}={value}" for word, value in facts.items())


def _tensor(model: Model, numbers: tuple[int, ...], position: int) -> ModelTensor | None:
    """The tensor at a position; None where there is none."""
    if position >= len(numbers) or numbers[position] == ABSENT:
        return None
    return model.tensors[numbers[position]]
