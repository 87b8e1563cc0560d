"""Columns of integers as a page carries them: few characters, unpacked by the browser.

A column is stored little endian in the narrowest type that holds it, or its
differences, deflated and written in base64.  ``unpack.js`` is the other side.
"""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode

import numpy as np
import numpy.typing as npt

from diagmem.base.files import JsonObject
from diagmem.trace.window import Int64Array

Packed = JsonObject
"""``data``, ``type`` (see `TYPES`), ``count``, and ``delta``: the differences are stored."""

TYPES = {"u1": "<u1", "u2": "<u2", "i4": "<i4", "f8": "<f8"}
"""As numpy names them, from narrow to wide."""
EXACT_BELOW = 1 << 53
"""JavaScript's numbers, and f8, hold all integers up to here."""
_LIMITS = {"u1": (0, 1 << 8), "u2": (0, 1 << 16), "i4": (-1 << 31, 1 << 31)}
"""Half-open."""
LEVEL = 6


def pack(values: npt.ArrayLike, *, delta: bool = False) -> Packed:
    """Pack integers; ``delta``: store each one's difference from the one before, the first
    one's from 0.

    Raises
    ------
    OverflowError
        If a value cannot be told apart from its neighbour in JavaScript.
    """
    column = np.asarray(values).astype(np.int64, copy=False).ravel()
    stored = np.diff(column, prepend=0) if delta else column
    low, high = (int(stored.min()), int(stored.max())) if len(stored) else (0, 0)
    if max(-low, high) >= EXACT_BELOW:
        raise OverflowError(f"{low} to {high} does not fit a page's numbers")
    fitting = (name for name, (start, end) in _LIMITS.items() if start <= low and high < end)
    name = next(fitting, "f8")
    raw = np.ascontiguousarray(stored, TYPES[name])
    data = b64encode(zlib.compress(raw.tobytes(), LEVEL)).decode("ascii")
    return {"data": data, "type": name, "count": len(column), "delta": delta}


def unpack(packed: Packed) -> Int64Array:
    """What `pack` was given, int64."""
    inflated = zlib.decompress(b64decode(packed["data"]))
    raw = np.frombuffer(inflated, TYPES[packed["type"]]).astype(np.int64)
    return np.cumsum(raw) if packed["delta"] else raw


def characters(packed: object) -> int:
    """How long a structure with packed columns in it is, its numbers left out."""
    if isinstance(packed, str):
        return len(packed)
    if isinstance(packed, dict):
        return sum(characters(value) for value in packed.values())
    if isinstance(packed, list | tuple):
        return sum(characters(value) for value in packed)
    return 0
