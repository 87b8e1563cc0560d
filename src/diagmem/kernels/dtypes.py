"""The element types of buffers and scalars: their names, sizes and C types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class DType:
    """One element type.

    ``low`` and ``high`` bound the default contents of a buffer, ``[low, high)``.
    They are chosen so that sums of products neither overflow nor saturate.
    """

    name: str
    c_type: str
    low: float
    high: float

    @property
    def numpy(self) -> np.dtype[Any]:
        """The same type in numpy, little-endian as in the driver's files."""
        return np.dtype(self.name).newbyteorder("<")

    @property
    def size_bytes(self) -> int:
        return int(np.dtype(self.name).itemsize)

    @property
    def is_float(self) -> bool:
        return np.dtype(self.name).kind == "f"

    @property
    def extremes(self) -> tuple[float, float]:
        """The smallest and the largest finite value."""
        if self.name == "bool":
            return 0, 1
        if self.is_float:
            limits = np.finfo(self.name)
            return float(limits.min), float(limits.max)
        bounds = np.iinfo(self.name)
        return int(bounds.min), int(bounds.max)


DTYPES: dict[str, DType] = {
    d.name: d
    for d in (
        DType("float16", "uint16_t", -1, 1),
        DType("float32", "float", -1, 1),
        DType("float64", "double", -1, 1),
        DType("int8", "int8_t", -128, 128),
        DType("uint8", "uint8_t", 0, 256),
        DType("int16", "int16_t", -32768, 32768),
        DType("uint16", "uint16_t", 0, 65536),
        DType("int32", "int32_t", -1000, 1000),
        DType("uint32", "uint32_t", 0, 1000),
        DType("int64", "int64_t", -1000, 1000),
        DType("uint64", "uint64_t", 0, 1000),
        DType("bool", "_Bool", 0, 2),
    )
}
