"""Small random layers of every operator and loop order."""

from __future__ import annotations

from collections.abc import Iterator

from diagmem.ops import OPERATORS, find_operator
from diagmem.ops.draw import Draw
from diagmem.ops.layer import Layer
from diagmem.ops.nest import duration
from diagmem.ops.operator import REFERENCE

ORDERS = [(name, order) for name in OPERATORS for order in (REFERENCE, *OPERATORS[name].orders)]
"""Every operator with each of its loop orders."""

LARGEST_TICKS = 2000
LARGEST_PAIRS = 8_000
"""Of an input element and an output element."""


def small_layers(operator: str, order: str, cases: int, *, seed: int = 0) -> Iterator[Layer]:
    """Layers that plain Python runs in a moment; every fourth may be empty."""
    found = find_operator(operator)
    number = 0
    while cases:
        draw = Draw(f"{seed}/{operator}/{number}", largest=5, zeros=number % 4 == 3)
        layer = found.of(found.draw(draw))
        number += 1
        ticks = sum(duration(node) for node in found.loop_nest(layer, order))
        pairs = sum(i.elements * o.elements for i in layer.inputs for o in layer.outputs)
        if ticks <= LARGEST_TICKS and pairs <= LARGEST_PAIRS:
            cases -= 1
            yield layer
