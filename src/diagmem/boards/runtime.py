"""What TensorFlow Lite Micro keeps in RAM beside the tensors, estimated from the graph.

That is the arena's tail: an array of tensors and one of operators, the tensors that
the application sees, what each kernel keeps from its preparation, and the options of
each operator.  Tensors and operators are the structures of TFLM's common.h and
micro_allocator.h; what kernels keep is fitted to the tails that TFLM's
print_allocations() reports on 64 bit (docs/boards.md lists for which networks).  Sizes
follow from how many pointers a structure holds, so that one formula can be held against
the 64-bit runtime and used for a 32-bit target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from diagmem.tflite.elements import ABSENT, ModelOperator, ModelTensor
from diagmem.tflite.graph import Model

TARGET_POINTER_BYTES = 4
BUFFER_ALIGN_BYTES = 16
"""Of whatever a kernel asks to keep."""
FIXED_BYTES = 512
"""Allocators and planner; what is left over on 64 bit, taken for 32 bit too."""


@dataclass(frozen=True, slots=True)
class RuntimeStruct:
    """A structure of so many pointers, and other bytes with their padding."""

    pointers: int
    other_bytes: int

    def size_bytes(self, pointer_bytes: int) -> int:
        return _up(self.pointers * pointer_bytes + self.other_bytes, pointer_bytes)


@dataclass(frozen=True, slots=True)
class Kept:
    """What an operator's kernel keeps, and its parsed options."""

    data: RuntimeStruct
    options_bytes: int


EVAL_TENSOR = RuntimeStruct(2, 4)
TENSOR = RuntimeStruct(5, 24)
QUANTISATION = RuntimeStruct(2, 4)
NODE = RuntimeStruct(7, 4)

_CONVOLUTION = Kept(RuntimeStruct(2, 64), 28)
_ADD = Kept(RuntimeStruct(0, 60), 8)
_POOL = Kept(RuntimeStruct(0, 32), 40)
_REDUCE = Kept(RuntimeStruct(0, 44), 4)
_PAD = Kept(RuntimeStruct(0, 56), 0)
_RELU = Kept(RuntimeStruct(0, 28), 0)
KEPT: Mapping[str, Kept] = MappingProxyType(
    {
        "CONV_2D": _CONVOLUTION,
        "DEPTHWISE_CONV_2D": _CONVOLUTION,
        "TRANSPOSE_CONV": _CONVOLUTION,
        "FULLY_CONNECTED": Kept(RuntimeStruct(2, 56), 20),
        "CONCATENATION": Kept(RuntimeStruct(2, 64), 8),
        "SOFTMAX": Kept(RuntimeStruct(3, 56), 4),
        "ADD": _ADD,
        "SUB": _ADD,
        "MUL": Kept(RuntimeStruct(0, 36), 4),
        "AVERAGE_POOL_2D": _POOL,
        "MAX_POOL_2D": _POOL,
        "MEAN": _REDUCE,
        "SUM": _REDUCE,
        "REDUCE_MAX": _REDUCE,
        "PAD": _PAD,
        "PADV2": _PAD,
        "RELU": _RELU,
        "RELU6": _RELU,
        "STRIDED_SLICE": Kept(RuntimeStruct(0, 84), 20),
        "RESHAPE": Kept(RuntimeStruct(0, 0), 36),
    }
)
OTHERS = Kept(RuntimeStruct(4, 96), 48)
"""For operators that are not listed: more than any that is."""


def persistent_bytes(model: Model, pointer_bytes: int = TARGET_POINTER_BYTES) -> int:
    """The arena's tail, in bytes.

    Scratch memory and the tensors themselves are not part of it; variable tensors are.
    """
    shown = [model.tensors[index] for index in (*model.inputs, *model.outputs)]
    variables = [tensor.size_bytes for tensor in model.tensors if tensor.variable]
    return (
        FIXED_BYTES
        + len(model.tensors) * EVAL_TENSOR.size_bytes(pointer_bytes)
        + len(model.operators) * NODE.size_bytes(pointer_bytes)
        + sum(_tensor_bytes(tensor, pointer_bytes) for tensor in shown)
        + sum(_up(size, BUFFER_ALIGN_BYTES) for size in variables)
        + sum(_operator_bytes(model, operator, pointer_bytes) for operator in model.operators)
    )


def _tensor_bytes(tensor: ModelTensor, pointer_bytes: int) -> int:
    size = pointer_bytes + TENSOR.size_bytes(pointer_bytes)
    if tensor.scale and tensor.zero_point:
        size += QUANTISATION.size_bytes(pointer_bytes)
        size += _up(4 * (1 + len(tensor.scale)), pointer_bytes)
    return size


def _operator_bytes(model: Model, operator: ModelOperator, pointer_bytes: int) -> int:
    kept = KEPT.get(operator.name, OTHERS)
    # A multiplier and a shift for each output channel.
    channels = 4 * _channels(model, operator)
    return (
        _up(kept.data.size_bytes(pointer_bytes), BUFFER_ALIGN_BYTES)
        + 2 * _up(channels, BUFFER_ALIGN_BYTES)
        + _up(kept.options_bytes, pointer_bytes)
    )


def _channels(model: Model, operator: ModelOperator) -> int:
    """Channels that a kernel keeps numbers of; convolutions do so for any type."""
    if KEPT.get(operator.name) is _CONVOLUTION:
        return sum((model.tensors[output].shape or (1,))[-1] for output in operator.outputs)
    if operator.name == "FULLY_CONNECTED":
        weights = [model.tensors[index] for index in operator.inputs[1:2] if index != ABSENT]
        return sum(len(tensor.scale) for tensor in weights if len(tensor.scale) > 1)
    return 0


def _up(size_bytes: int, align_bytes: int) -> int:
    return -(-size_bytes // align_bytes) * align_bytes
