"""Loop nests run as C would run them: one iteration after the other, in plain Python.

It shares nothing with `diagmem.ops.algorithmic` or `diagmem.ops.analytical` but the
nest itself, and is hopelessly slow and meant to be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

from diagmem.ops.layer import Layer, Tensor
from diagmem.ops.nest import Access, Axis, Nest

NEVER = None


@dataclass(slots=True)
class Ticks:
    """First and last tick of one element; None for what never happens."""

    first_load: int | None = NEVER
    last_load: int | None = NEVER
    first_store: int | None = NEVER
    last_store: int | None = NEVER

    def touch(self, tick: int, *, store: bool) -> None:
        if store:
            self.first_store = tick if self.first_store is None else self.first_store
            self.last_store = tick
        else:
            self.first_load = tick if self.first_load is None else self.first_load
            self.last_load = tick


@dataclass(slots=True)
class Machine:
    """Counts accesses and notes them at their elements, by tensor."""

    elements: dict[str, list[Ticks]]
    tick: int = 0
    counters: dict[str, int] = field(default_factory=dict)

    def run(self, body: Nest) -> None:
        for node in body:
            if isinstance(node, Access):
                self.access(node)
            else:
                for i in range(node.extent):
                    self.counters[node.name] = i
                    self.run(node.body)

    def access(self, access: Access) -> None:
        """One access takes one tick, whether or not it lies outside of the tensor."""
        of_tensor = self.elements[access.tensor]
        for place in product(*(places(axis, self.counters) for axis in access.axes)):
            flat = 0
            for at, axis in zip(place, access.axes, strict=True):
                flat = flat * axis.extent + at
            of_tensor[flat].touch(self.tick, store=access.store)
        self.tick += 1


def places(axis: Axis, counters: dict[str, int]) -> Iterator[int]:
    """Where an axis points now; nowhere if that is outside of its extent."""
    yield from (at for at in _all_places(axis, counters) if 0 <= at < axis.extent)


def _all_places(axis: Axis, counters: dict[str, int]) -> Iterator[int]:
    if axis.table is not None:
        yield from axis.table[counters[axis.loop]].tolist()
    elif axis.loop:
        i = counters[axis.loop]
        for piece in axis.pieces:
            if piece.first <= i < piece.end:
                yield piece.start + piece.step * (i - piece.first)
    else:
        yield axis.start + sum(step * counters[name] for name, step in axis.steps)


def run(layer: Layer, nest: Nest) -> dict[str, list[Ticks]]:
    """The ticks of every element of the layer's tensors, by name."""
    tensors = (*layer.inputs, *layer.outputs)
    machine = Machine({t.name: [Ticks() for _ in range(t.elements)] for t in tensors})
    machine.run(nest)
    return machine.elements


def minimum_displacement(
    source: Tensor, target: Tensor, read: Sequence[Ticks], written: Sequence[Ticks]
) -> int:
    """D in bytes by its definition: one more than the largest displacement at which
    some byte of an input element lies on one of an output element that is stored before
    the other's last load.  An element never stored shares with nothing."""
    largest = -1
    for r, source_ticks in enumerate(read):
        for w, target_ticks in enumerate(written):
            if target_ticks.first_store is not None and (
                source_ticks.last_load is None or source_ticks.last_load < target_ticks.first_store
            ):
                continue
            last_byte = (w + 1) * target.element_bytes - 1
            largest = max(largest, last_byte - r * source.element_bytes)
    return largest + 1
