"""An operator with its shapes and attributes: what one call reads and writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

Value = int | bool | str | tuple[int, ...] | tuple[tuple[int, ...], ...]
"""What an attribute can be: a size, a switch, a word, a shape, several shapes."""

ELEMENT_BYTES = {"float32": 4, "int32": 4, "int16": 2, "uint8": 1, "int8": 1, "bool": 1}


@dataclass(frozen=True, slots=True)
class Tensor:
    """An activation: ``shape`` in elements, row-major; ``dtype`` as numpy names it."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def element_bytes(self) -> int:
        return ELEMENT_BYTES[self.dtype]

    @property
    def size_bytes(self) -> int:
        return self.elements * self.element_bytes


@dataclass(frozen=True, slots=True)
class Layer:
    """One operator of which every size is known.

    ``attributes`` are complete: what was not given has its default.  Weights are
    no tensors here: they are constants, and nothing lies over them.
    """

    operator: str
    attributes: Mapping[str, Value]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
