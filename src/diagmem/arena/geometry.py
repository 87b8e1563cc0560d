"""The problem in units of the alignment, for planners: who must keep how far from whom.

Offsets are multiples of the alignment, so a size or a bound on a displacement can be
rounded up to it and nothing is lost: all planning is in whole units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diagmem.arena.problem import Block, Permission, Plan, Problem


@dataclass(frozen=True, slots=True)
class Keep:
    """What one block must keep from ``other``, in units.

    offset(block) - offset(other) is >= ``above``, or <= -``below``, or 0 if
    ``in_place``.
    """

    other: int
    above: int
    below: int
    in_place: bool


@dataclass(frozen=True, slots=True)
class Geometry:
    """Blocks by their index in ``problem.blocks``.

    Attributes
    ----------
    sizes : units of each block.
    keeps : for each block, one `Keep` for each block whose life meets its own.
    """

    problem: Problem
    sizes: tuple[int, ...]
    keeps: tuple[tuple[Keep, ...], ...]


def units(size_bytes: int, align_bytes: int) -> int:
    """How many units hold so many bytes."""
    return -(-size_bytes // align_bytes)


def geometry(problem: Problem) -> Geometry:
    """All pairs of blocks that meet."""
    align, blocks = problem.align_bytes, problem.blocks
    sizes = tuple(units(b.size_bytes, align) for b in blocks)
    index = {b.tensor: k for k, b in enumerate(blocks)}
    permitted = {(index[p.input], index[p.output]): p for p in problem.permissions}
    keeps: list[list[Keep]] = [[] for _ in blocks]
    for a, b in meeting(blocks):
        source, target = (b, a) if (b, a) in permitted else (a, b)
        permission = permitted.get((source, target))
        keep = _keep(permission, sizes[source], sizes[target], target, align)
        keeps[source].append(keep)
        keeps[target].append(Keep(source, keep.below, keep.above, keep.in_place))
    return Geometry(problem, sizes, tuple(tuple(k) for k in keeps))


def meeting(blocks: Sequence[Block]) -> list[tuple[int, int]]:
    """Indices (a, b) of the blocks with bytes whose lives meet, each pair once."""
    order = sorted((k for k, b in enumerate(blocks) if b.size_bytes), key=lambda k: blocks[k].first)
    pairs: list[tuple[int, int]] = []
    alive: list[int] = []
    for b in order:
        alive = [a for a in alive if blocks[a].end > blocks[b].first]
        pairs += [(a, b) for a in alive]
        alive.append(b)
    return pairs


def _keep(
    permission: Permission | None, input_units: int, output_units: int, output: int, align: int
) -> Keep:
    """An input from an output; without a permission, any block from any other."""
    if permission is None:
        return Keep(output, output_units, input_units, False)
    above = min(units(permission.min_displacement_bytes, align), output_units)
    below = input_units
    if permission.mirror_displacement_bytes is not None:
        below = min(units(permission.mirror_displacement_bytes, align), input_units)
    return Keep(output, above, below, permission.in_place and min(above, below) > 0)


def make_plan(
    geometry: Geometry, offsets: Sequence[int], lower_bound_units: int, proven: bool, solver: str
) -> Plan:
    """A plan in bytes from offsets in units; ``proven``: the solver says it is optimal."""
    align = geometry.problem.align_bytes
    top = max((o + s for o, s in zip(offsets, geometry.sizes, strict=True)), default=0)
    return Plan(
        offsets={
            b.tensor: o * align for b, o in zip(geometry.problem.blocks, offsets, strict=True)
        },
        arena_bytes=top * align,
        lower_bound_bytes=lower_bound_units * align,
        optimal=proven or top == lower_bound_units,
        solver=solver,
    )
