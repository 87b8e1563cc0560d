"""Blocks placed one by one, each at the lowest or the highest place that is free."""

from __future__ import annotations

from collections.abc import Sequence

from diagmem.arena.geometry import Geometry

_UNPLACED = -1


def stack(
    shape: Geometry, order: Sequence[int], down: Sequence[bool] | None = None, ceiling: int = 0
) -> list[int]:
    """Offsets in units, for each block, of blocks placed in ``order``.

    A block takes the lowest offset that keeps its distance from those placed before
    it; where ``down`` says so, the highest offset with which it ends no higher than
    ``ceiling``, if there is one.
    """
    offsets = [_UNPLACED] * len(shape.sizes)
    for a in order:
        taken = _taken(shape, a, offsets)
        offset = _UNPLACED
        if down is not None and down[a]:
            offset = _highest(taken, ceiling - shape.sizes[a])
        offsets[a] = offset if offset >= 0 else _lowest(taken)
    return offsets


def _taken(shape: Geometry, a: int, offsets: Sequence[int]) -> list[tuple[int, int]]:
    """Sorted ranges [start, end) of offsets that block a must not have."""
    taken = []
    for keep in shape.keeps[a]:
        other = offsets[keep.other]
        if other == _UNPLACED:
            continue
        if keep.in_place:
            taken.append((other - keep.below + 1, other))
            taken.append((other + 1, other + keep.above))
        else:
            taken.append((other - keep.below + 1, other + keep.above))
    taken.sort()
    return taken


def _lowest(taken: Sequence[tuple[int, int]]) -> int:
    """The lowest offset from 0 up that is in none of the sorted ranges."""
    offset = 0
    for start, end in taken:
        if start > offset:
            break
        offset = max(offset, end)
    return offset


def _highest(taken: Sequence[tuple[int, int]], offset: int) -> int:
    """The highest offset from ``offset`` down that is in none of the ranges; it may be
    negative."""
    for start, end in sorted(taken, key=lambda t: t[1], reverse=True):
        if end <= offset:
            break
        offset = min(offset, start - 1)
    return offset
