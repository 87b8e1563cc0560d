"""Broadcasting: tensors of fewer or shorter axes are spread over a larger one."""

from __future__ import annotations

from collections.abc import Sequence

from diagmem.base.errors import DiagmemError
from diagmem.ops.attributes import show
from diagmem.ops.nest import Axis, axis


def broadcast(name: str, first: Sequence[int], second: Sequence[int]) -> tuple[int, ...]:
    """The shape of both together, by numpy's rule.

    Raises
    ------
    DiagmemError
        They do not go together.
    """
    rank = max(len(first), len(second))
    whole = []
    for a, b in zip(_padded(first, rank), _padded(second, rank), strict=True):
        if a != b and 1 not in (a, b):
            raise DiagmemError(
                f"{name}: {show(tuple(first))} and {show(tuple(second))} differ in an axis where"
                " neither is 1, expected shapes that broadcast"
            )
        whole.append(b if a == 1 else a)
    return tuple(whole)


def spread(shape: Sequence[int], names: Sequence[str]) -> tuple[Axis, ...]:
    """The axes of a tensor inside loops over the larger one: one that has a single
    element is not moved."""
    own = names[len(names) - len(shape) :]
    return tuple(
        axis(1) if extent == 1 else axis(extent, name)
        for extent, name in zip(shape, own, strict=True)
    )


def _padded(shape: Sequence[int], rank: int) -> list[int]:
    return [1] * (rank - len(shape)) + list(shape)
