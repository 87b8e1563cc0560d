"""The default planner: blocks placed one by one, and the order of them improved.

One at a time, in some order, a block takes the lowest place that keeps its distance
from those already placed, or the highest place under a ceiling.  With overlap such
places include those right at the minimum displacement.  Stacks that grow down from the
ceiling matter: along a chain of operators whose outputs slide under their inputs,
offsets fall, and the room for that must be left by whoever is placed first.

Where no order of the usual ones meets the lower bound, random changes around the
blocks that stick out above it are kept as long as they make nothing worse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from random import Random

from diagmem.arena.bound import lower_bound_units
from diagmem.arena.geometry import Geometry, geometry, make_plan
from diagmem.arena.problem import Options, Plan, Problem
from diagmem.arena.stacking import placed
from diagmem.arena.together import joining

STARTS = 4
"""How many of the first layouts the search starts from, with an equal share of it."""


@dataclass(frozen=True, slots=True)
class _Recipe:
    """Indices in the order of placement, and for each block whether it goes to the
    highest place under ``ceiling``."""

    order: tuple[int, ...]
    down: tuple[bool, ...]
    ceiling: int


@dataclass(frozen=True, slots=True)
class _Layout:
    """What came of a recipe, in units; ``excess`` sums what ends above the bound."""

    recipe: _Recipe
    offsets: tuple[int, ...]
    top: int
    excess: int

    @property
    def cost(self) -> tuple[int, int]:
        return self.top, self.excess


@joining
def heuristic(problem: Problem, options: Options) -> Plan:
    """A plan close to the best one, in a second or so; optimal if it meets the bound."""
    shape = geometry(problem)
    bound = lower_bound_units(shape)
    best = _search(shape, bound, options)
    return make_plan(shape, best, bound, proven=False, solver="heuristic")


def _search(shape: Geometry, bound: int, options: Options) -> tuple[int, ...]:
    """Offsets in units; no further than to ``bound``."""
    layouts: list[_Layout] = []
    for recipe in _first_recipes(shape, bound):
        layout = _place(shape, recipe, bound, limit=inf)
        assert layout is not None
        if layout.top <= bound:
            return layout.offsets
        layouts.append(layout)
    layouts.sort(key=lambda layout: layout.cost)
    best = layouts[0]
    rng = Random(options.seed)
    for start in layouts[:STARTS]:
        order = _improved(shape, start, bound, options.iterations // STARTS, rng)
        best = min(best, order, key=lambda layout: layout.cost)
        if best.top <= bound:
            break
    return best.offsets


def _first_recipes(shape: Geometry, bound: int) -> Iterator[_Recipe]:
    blocks, sizes = shape.problem.blocks, shape.sizes
    live = [0] * shape.problem.operators
    for block, size in zip(blocks, sizes, strict=True):
        for k in range(block.first, block.end):
            live[k] += size
    busiest = [max(live[b.first : b.end]) for b in blocks]
    life = [b.end - b.first for b in blocks]
    filled = [a for a, size in enumerate(sizes) if size]
    # The index makes each a total order.
    keys: list[Callable[[int], tuple[int, ...]]] = [
        lambda a: (-busiest[a], blocks[a].first, a),
        lambda a: (-busiest[a], -blocks[a].end, -a),
        lambda a: (-busiest[a], -sizes[a], -a),
        lambda a: (-life[a], -sizes[a], a),
        lambda a: (-life[a] * sizes[a], a),
        lambda a: (-sizes[a], a),
        lambda a: (blocks[a].first, a),
        lambda a: (-blocks[a].end, -a),
    ]
    for key in keys:
        order = tuple(sorted(filled, key=key))
        for down in (False, True):
            yield _Recipe(order, (down,) * len(blocks), bound)


def _place(shape: Geometry, recipe: _Recipe, bound: int, limit: float) -> _Layout | None:
    """None as soon as a block ends above ``limit``."""
    offsets = [0] * len(shape.sizes)
    top = excess = 0
    for a, offset in placed(shape, recipe.order, recipe.down, recipe.ceiling):
        end = offset + shape.sizes[a]
        if end > limit:
            return None
        offsets[a] = offset
        top = max(top, end)
        excess += max(end - bound, 0)
    return _Layout(recipe, tuple(offsets), top, excess)


def _improved(
    shape: Geometry, layout: _Layout, bound: int, iterations: int, rng: Random
) -> _Layout:
    """The layout after random changes, each kept if it makes nothing worse."""
    for _ in range(iterations):
        if layout.top <= bound:
            break
        changed = _place(shape, _changed(shape, layout, bound, rng), bound, limit=layout.top)
        if changed is not None and changed.cost <= layout.cost:
            layout = changed
    return layout


def _changed(shape: Geometry, layout: _Layout, bound: int, rng: Random) -> _Recipe:
    """A block that ends above the bound, or one that may be in its way, is placed
    earlier, later, or from the other side."""
    recipe = layout.recipe
    high = [a for a, o in enumerate(layout.offsets) if o + shape.sizes[a] > bound]
    a = rng.choice(high)
    around = [keep.other for keep in shape.keeps[a]]
    ceiling = rng.choice((bound, layout.top - 1))
    order, down = list(recipe.order), list(recipe.down)
    for _ in range(rng.randint(1, 3)):
        b = rng.choice([a, *around])
        if rng.random() < 0.5:
            down[b] = not down[b]
        else:
            order.remove(b)
            order.insert(rng.randint(0, len(order)), b)
    return _Recipe(tuple(order), tuple(down), ceiling)
