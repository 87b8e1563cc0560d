"""One question, three methods: how far must the input lie above the output?"""

from __future__ import annotations

from dataclasses import dataclass

from diagmem.analysis.overlap import Overlap, find_overlap
from diagmem.base.errors import DiagmemError
from diagmem.ops import find_operator
from diagmem.ops.algorithmic import liveness
from diagmem.ops.analytical import Exact, exact
from diagmem.ops.layer import Layer
from diagmem.ops.operator import REFERENCE
from diagmem.ops.paper import LINES, Published, bound

METHODS = ("exact", "algorithmic", "paper")

Figure = Exact | Overlap | Published
"""D and O_s of one pair, with what the method knows besides."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a method says of a layer: one figure for each input with each output."""

    layer: Layer
    method: str
    order: str
    pairs: tuple[Figure, ...]

    @property
    def min_displacement_bytes(self) -> int:
        """D of the first pair."""
        return self.pairs[0].min_displacement_bytes

    @property
    def safe_overlap_bytes(self) -> int:
        """O_s of the first pair."""
        return self.pairs[0].safe_overlap_bytes


def formula(
    operator: str, *, method: str = "exact", order: str = REFERENCE, **attributes: object
) -> Answer:
    """D and O_s of an operator, from its attributes alone.

    Parameters
    ----------
    operator : as TFLite spells it, such as CONV_2D.
    method : ``exact``, the closed form; ``algorithmic``, the loop nest; ``paper``,
        the bound that the authors of the method published.
    order : the loop order, that of TFLite's reference kernels by default.
    attributes : as ``diagmem formula`` takes them, ``stride="2x1"``.

    Raises
    ------
    DiagmemError
        Something of it is unknown, missing or impossible.
    """
    entry = find_operator(operator)
    layer = entry.layer({name: str(value) for name, value in attributes.items()})
    return answer(layer, method, order)


def answer(layer: Layer, method: str = "exact", order: str = REFERENCE) -> Answer:
    """The answer of one method; raises as `formula` does."""
    if method not in METHODS:
        raise DiagmemError(f"unknown method {method!r}, expected {', '.join(METHODS)}")
    nest = find_operator(layer.operator).loop_nest(layer, order)
    if method == "exact":
        return Answer(layer, method, order, tuple(exact(layer, nest)))
    if method == "algorithmic":
        return Answer(layer, method, order, tuple(by_loop_nest(layer, order)))
    if order != REFERENCE:
        raise DiagmemError(f"the paper's bound is for the order {REFERENCE}, found {order}")
    published = bound(layer)
    if published is None:
        raise DiagmemError(
            f"{layer.operator}: the paper has no bound for it, only for {', '.join(LINES)}"
        )
    return Answer(layer, method, order, (published,))


def by_loop_nest(layer: Layer, order: str = REFERENCE, *, isolated: bool = True) -> list[Overlap]:
    """D of every input with every output by running the nest on indices."""
    live = liveness(layer, find_operator(layer.operator).loop_nest(layer, order))
    return [
        find_overlap(live[source.name], live[target.name], isolated=isolated)
        for source in layer.inputs
        for target in layer.outputs
    ]
