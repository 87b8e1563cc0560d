"""What a graph is made of: tensors and operators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from diagmem.tflite.flat import Span

ABSENT = -1
"""Stands where an operator leaves an optional input out."""

Option = int | float | bool | str | tuple[int, ...]

ELEMENT_BYTES = {
    "float32": 4,
    "float16": 2,
    "int32": 4,
    "uint8": 1,
    "int64": 8,
    "string": 0,
    "bool": 1,
    "int16": 2,
    "complex64": 8,
    "int8": 1,
    "float64": 8,
    "complex128": 16,
    "uint64": 8,
    "resource": 0,
    "variant": 0,
    "uint32": 4,
    "uint16": 2,
    "int4": 1,
    "bfloat16": 2,
    "int2": 1,
    "uint4": 1,
    "float8_e4m3fn": 1,
    "float8_e5m2": 1,
}
"""By dtype, in the order of TFLite's numbers.  Types below a byte are packed in
constants only: in TFLM's arena each element has its byte (`TfLiteTypeSizeOf` in
memory_helpers.cc)."""
PACKED_BITS = {"int4": 4, "int2": 2, "uint4": 4}


@dataclass(frozen=True, slots=True)
class ModelTensor:
    """A tensor of the graph.

    Attributes
    ----------
    index : its number in the file.
    shape : in elements, row-major; () is a scalar.
    dtype : as numpy names it, where numpy has it; else TFLite's name in small letters.
    size_bytes : bytes in the arena; of a constant, bytes that its shape asks for.
    constant : its values are part of the file.
    variable : it keeps its values between inferences.
    scale, zero_point : one for all, one for each channel, or none.
    data : where a constant's values are.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    size_bytes: int
    constant: bool
    variable: bool
    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    data: Span

    @property
    def unplannable(self) -> bool:
        """It has no size of its own: strings, resources, variants."""
        return ELEMENT_BYTES[self.dtype] == 0

    @property
    def planned(self) -> bool:
        """The arena has to hold it, if anybody uses it."""
        return not (self.constant or self.variable or self.unplannable)


@dataclass(frozen=True, slots=True)
class ModelOperator:
    """An operator of the graph.

    Attributes
    ----------
    name : as TFLite spells it, in capitals; ``CUSTOM:<name>`` for custom ones.
    inputs : tensor numbers, `ABSENT` for an optional one that is left out.
    options : the fields of its options; words for paddings, activations and dtypes.
    """

    index: int
    name: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    intermediates: tuple[int, ...]
    options: Mapping[str, Option]

    @property
    def label(self) -> str:
        """How messages call it."""
        return f"operator {self.index} ({self.name})"


def size_bytes(shape: tuple[int, ...], dtype: str, constant: bool) -> int:
    """Bytes of a tensor: packed in a constant, whole bytes in the arena."""
    elements = prod(shape)
    if constant and dtype in PACKED_BITS:
        return -(-elements * PACKED_BITS[dtype] // 8)
    return elements * ELEMENT_BYTES[dtype]
