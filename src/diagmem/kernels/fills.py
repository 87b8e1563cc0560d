"""The contents of a buffer before the call: seeded, and the same on every machine."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from diagmem.kernels.kernel import BufferSpec, Iota, Noise, Raw, Repeat, Uniform

UInt8Array = npt.NDArray[np.uint8]


def contents(buffer: BufferSpec, seed: int) -> UInt8Array:
    """The bytes of one buffer that count, for one seed, uint8: ``buffer.size_bytes``.

    Each buffer draws from a stream of its own, so that another argument in the
    description does not change the others' contents.
    """
    return _filled(buffer, seed)[: buffer.size_bytes]


def _filled(buffer: BufferSpec, seed: int) -> UInt8Array:
    # The streams of PCG64 and of Generator.random/integers are kept stable by numpy.
    random = np.random.Generator(np.random.PCG64([seed, crc32(buffer.name.encode())]))
    fill = buffer.fill
    match fill:
        case Noise():
            return random.integers(0, 256, buffer.allocated_bytes, dtype=np.uint8)
        case Raw(data):
            return np.frombuffer(data, np.uint8)
        case Uniform(low, high):
            return _bytes(buffer, _uniform(buffer, random, low, high))
        case Repeat(values):
            return _bytes(buffer, np.resize(np.array(values), buffer.elements))
        case Iota(start, step):
            return _bytes(buffer, start + step * np.arange(buffer.elements))


def _uniform(
    buffer: BufferSpec, random: np.random.Generator, low: float, high: float
) -> npt.NDArray[Any]:
    dtype = buffer.dtype.numpy
    if not buffer.dtype.is_float:
        # Scaled doubles would miss the ends of 64-bit ranges; integers() does not.
        kind = np.uint64 if high > 2**63 else np.int64
        return random.integers(int(low), int(high), buffer.elements, dtype=kind).astype(dtype)
    share = random.random(buffer.elements)
    values = (low * (1 - share) + high * share).astype(dtype)
    # Rounding to fewer bits may reach the upper end, which is not in the range.
    below: npt.NDArray[Any] = np.nextafter(dtype.type(high), dtype.type(low))
    limited: npt.NDArray[Any] = np.minimum(values, below)
    return limited


def _bytes(buffer: BufferSpec, values: npt.NDArray[Any]) -> UInt8Array:
    return np.frombuffer(values.astype(buffer.dtype.numpy).tobytes(), np.uint8)
