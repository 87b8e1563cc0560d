"""Operands whose values say which bytes a kernel touches, such as the indices of a GATHER.

A trace shows one inference.  Where such an operand is computed, the next inference may
touch other bytes, and what the trace says is no bound.  Where it is a constant, the trace
holds for this constant only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from diagmem.tflite.elements import ABSENT, ModelOperator
from diagmem.tflite.graph import Model

_ON_AXES = ("MEAN", "SUM", "REDUCE_PROD", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_ALL", "REDUCE_ANY")
_STEERING: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "GATHER": (1,),
        "GATHER_ND": (1,),
        "EMBEDDING_LOOKUP": (0,),
        "SELECT": (0,),
        "SELECT_V2": (0,),
        # Alpha is loaded where the input is negative.
        "PRELU": (0,),
        "DYNAMIC_UPDATE_SLICE": (2,),
        "SLICE": (1, 2),
        "STRIDED_SLICE": (1, 2, 3),
        "SPLIT": (0,),
        "SPLIT_V": (1, 2),
        "SPACE_TO_BATCH_ND": (1, 2),
        "BATCH_TO_SPACE_ND": (1, 2),
        **dict.fromkeys(("PAD", "PADV2", "MIRROR_PAD", "TRANSPOSE"), (1,)),
        **dict.fromkeys(("REVERSE_V2", "CUMSUM", "ARG_MAX", "ARG_MIN", *_ON_AXES), (1,)),
    }
)
"""Positions among an operator's inputs."""


def steering(operator: ModelOperator) -> Iterator[int]:
    """The tensors that steer an operator; of a custom one, of which nothing is known, all."""
    custom = operator.name.startswith("CUSTOM:")
    positions = range(len(operator.inputs)) if custom else _STEERING.get(operator.name, ())
    for position in positions:
        if position < len(operator.inputs) and operator.inputs[position] != ABSENT:
            yield operator.inputs[position]


def is_steered(model: Model, operator: ModelOperator, tensor: int) -> bool:
    """May the next inference touch other bytes of this input, or of the output meanwhile?

    What steers is itself read in the same order whatever it holds, but by a custom
    operator.
    """
    computed = {number for number in steering(operator) if not model.tensors[number].constant}
    return bool(computed) and (tensor not in computed or operator.name.startswith("CUSTOM:"))
