"""Ranges of addresses."""

from __future__ import annotations

from collections.abc import Iterable


def covered_bytes(ranges: Iterable[tuple[int, int]]) -> int:
    """Bytes in any of the ranges ``[low, high)``; what several share counts once."""
    total = 0
    reached: int | None = None
    for low, high in sorted(ranges):
        start = low if reached is None else max(low, reached)
        total += max(high - start, 0)
        reached = high if reached is None else max(reached, high)
    return total
