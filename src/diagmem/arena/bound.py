"""How small an arena can be at best: operator by operator."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from diagmem.arena.geometry import Geometry, Keep, geometry, units
from diagmem.arena.problem import Problem
from diagmem.arena.together import joined


def largest_live_sum(problem: Problem) -> int:
    """The largest sum of the sizes alive in one operator, in bytes.

    No plan without overlap has a smaller arena.  Sizes are rounded up to the alignment.
    """
    problem, align = joined(problem), problem.align_bytes
    return align * max(_live_sums(problem, [units(b.size_bytes, align) for b in problem.blocks]))


def lower_bound(problem: Problem) -> int:
    """No plan, with overlap or without, has an arena smaller than this, in bytes.

    In one operator an arena holds all blocks alive, and a cell that two of them share
    is a cell of an output and of one dying input: outputs are apart from each other,
    and so are inputs.  So the arena is at least the live sum less all that can be
    shared there, and `_shared` is at least that.
    """
    return problem.align_bytes * lower_bound_units(geometry(joined(problem)))


def lower_bound_units(geometry: Geometry) -> int:
    """The same in units of the alignment."""
    problem = geometry.problem
    sums = _live_sums(problem, geometry.sizes)
    index = {b.tensor: k for k, b in enumerate(problem.blocks)}
    pairs: dict[int, dict[int, list[_Pair]]] = {}
    for p in problem.permissions:
        source, target = index[p.input], index[p.output]
        for keep in geometry.keeps[source]:
            if keep.other == target:
                pair = _pair(keep, source, geometry.sizes[source], geometry.sizes[target])
                pairs.setdefault(p.operator, {}).setdefault(target, []).append(pair)
    for k, outputs in pairs.items():
        sums[k] -= _shared(outputs, geometry.sizes)
    return max(sums)


def _live_sums(problem: Problem, sizes: Iterable[int]) -> list[int]:
    """For each operator; [0] if there is none."""
    change = [0] * (problem.operators + 1)
    for block, size in zip(problem.blocks, sizes, strict=True):
        change[block.first] += size
        change[block.end] -= size
    total, sums = 0, []
    for step in change[:-1]:
        total += step
        sums.append(total)
    return sums or [0]


@dataclass(frozen=True, slots=True)
class _Pair:
    """An input can share with an output of n units only cells [0, low) and [high, n),
    and no more than ``most`` of them."""

    input: int
    most: int
    low: int
    high: int


def _pair(keep: Keep, source: int, input_units: int, output_units: int) -> _Pair:
    both = min(input_units, output_units)
    most = max(
        min(input_units, output_units - keep.above),
        min(output_units, input_units - keep.below),
        both if keep.in_place else 0,
    )
    low = both if keep.in_place else min(input_units - keep.below, output_units)
    return _Pair(source, most, low, keep.above)


def _shared(outputs: dict[int, list[_Pair]], sizes: tuple[int, ...]) -> int:
    """An upper bound on the units shared in one operator.

    What outputs can share in all, and what inputs can.
    """
    by_input: dict[int, int] = {}
    for pairs in outputs.values():
        for pair in pairs:
            by_input[pair.input] = by_input.get(pair.input, 0) + pair.most
    return min(
        sum(_covered(pairs, sizes[output]) for output, pairs in outputs.items()),
        sum(min(most, sizes[source]) for source, most in by_input.items()),
    )


def _covered(pairs: list[_Pair], output_units: int) -> int:
    """An upper bound on the units of one output that inputs can cover.

    A flow from inputs (``most`` each) to cells (one each) is no larger than any cut:
    some inputs at their most, and all cells that the others can reach.  The others are
    taken in order of ``high``; without mirrors and places in place the best of these
    cuts is the exact answer, as for jobs with release times on one machine.
    """
    others = sorted(pairs, key=lambda p: (-p.high, p.input))
    at_most = sum(p.most for p in others)
    best, low, high = at_most, 0, output_units
    for pair in others:
        at_most -= pair.most
        low, high = max(low, pair.low), min(high, pair.high)
        best = min(best, at_most + min(low + output_units - high, output_units))
    return best
