"""Blocks placed one by one, each at the lowest or the highest place that is free."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from diagmem.arena.geometry import Geometry

_UNPLACED = -1


def stack(shape: Geometry, order: Iterable[int]) -> list[int]:
    """Offsets in units, for each block; each takes the lowest place."""
    offsets = [0] * len(shape.sizes)
    for a, offset in placed(shape, order, [False] * len(shape.sizes), 0):
        offsets[a] = offset
    return offsets


def placed(
    shape: Geometry, order: Iterable[int], down: Sequence[bool], ceiling: int
) -> Iterator[tuple[int, int]]:
    """Each block of ``order`` with its offset in units.

    A block takes the lowest offset that keeps its distance from those placed before
    it; where ``down`` says so, the highest offset with which it ends no higher than
    ``ceiling``, if there is one.
    """
    offsets = [_UNPLACED] * len(shape.sizes)
    for a in order:
        taken = _taken(shape, a, offsets)
        offset = _highest(taken, ceiling - shape.sizes[a]) if down[a] else _UNPLACED
        if offset < 0:
            offset = _lowest(taken)
        offsets[a] = offset
        yield a, offset


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
