"""The rules of placement pair by pair, and the best plan by trying all."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from diagmem.arena import Block, Problem


def is_right(problem: Problem, offsets: Mapping[int, int]) -> bool:
    """Do all offsets keep the rules?"""
    return all(o % problem.align_bytes == 0 and o >= 0 for o in offsets.values()) and all(
        may_lie(problem, a, b, offsets[a.tensor], offsets[b.tensor])
        for a, b in combinations(problem.blocks, 2)
    )


def may_lie(problem: Problem, a: Block, b: Block, at_a: int, at_b: int) -> bool:
    if not set(range(at_a, at_a + a.size_bytes)) & set(range(at_b, at_b + b.size_bytes)):
        return True
    if not set(range(a.first, a.end)) & set(range(b.first, b.end)):
        return True
    offsets = {a.tensor: at_a, b.tensor: at_b}
    for p in problem.permissions:
        if {p.input, p.output} == set(offsets):
            displacement = offsets[p.input] - offsets[p.output]
            mirror = p.mirror_displacement_bytes
            return (
                displacement >= p.min_displacement_bytes
                or (mirror is not None and displacement <= -mirror)
                or (displacement == 0 and p.in_place)
            )
    return False


def smallest_arena(problem: Problem) -> int:
    """In bytes, by trying every offset of every block."""
    align = problem.align_bytes
    arena = 0
    while not _fits(problem, arena, {}):
        arena += align
    return arena


def _fits(problem: Problem, arena: int, offsets: dict[int, int]) -> bool:
    if len(offsets) == len(problem.blocks):
        return True
    block = problem.blocks[len(offsets)]
    for offset in range(0, arena - block.size_bytes + 1, problem.align_bytes):
        right = all(
            may_lie(problem, block, other, offset, offsets[other.tensor])
            for other in problem.blocks[: len(offsets)]
        )
        if right and _fits(problem, arena, {**offsets, block.tensor: offset}):
            return True
    return False
