"""Loop nests on indices: the order in which a kernel reads and writes elements.

A nest is a tree: loops hold loops and accesses, and are run as C would run them.
An access names a tensor and says, axis by axis, which element the loops point at:

    loop("b", 1, loop("y", 4, loop("x", 5,
        loop("f", 3, read("input", axis(1, "b"), axis(4, "y"), axis(5, x=1, f=1, start=-1))),
        write("output", axis(1, "b"), axis(4, "y"), axis(5, "x")))))

An axis outside of its extent is no access: that is how a window skips its padding.
The axes of an access are any row-major view of the tensor (a picture whose height
is split into blocks has one axis more).  Each loop moves one axis of an access at
most; that is what makes both methods quick, see ``docs/formulas.md``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

MAX_AXES = 7

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Piece:
    """``start + step * (i - first)`` for i in ``[first, end)`` of one loop."""

    first: int
    end: int
    start: int
    step: int


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of an access: its extent, and where on it the loops point.

    ``steps`` names the loops that move it and by how much; the place is
    ``start`` and their sum.  Instead, a single loop may go by ``pieces``, or by
    a ``table`` [iterations, alternatives] of places, all of them accessed.
    """

    extent: int
    start: int = 0
    steps: tuple[tuple[str, int], ...] = ()
    loop: str = ""
    pieces: tuple[Piece, ...] = ()
    table: Int64Array | None = None

    @property
    def loops(self) -> tuple[str, ...]:
        return (self.loop,) if self.loop else tuple(name for name, _ in self.steps)


def axis(extent: int, of: str = "", /, *, start: int = 0, **steps: int) -> Axis:
    """The axis that one loop walks, or several by the given steps."""
    if of:
        steps[of] = 1
    return Axis(extent, start, tuple(steps.items()))


def axis_in_pieces(extent: int, of: str, pieces: Sequence[Piece]) -> Axis:
    return Axis(extent, loop=of, pieces=tuple(pieces))


def axis_by_table(extent: int, of: str, table: Int64Array) -> Axis:
    """``table``: int64 [iterations, alternatives]."""
    return Axis(extent, loop=of, table=table)


def walk(extents: Sequence[int], *names: str) -> tuple[Axis, ...]:
    """One axis for each loop."""
    return tuple(axis(extent, name) for extent, name in zip(extents, names, strict=True))


@dataclass(frozen=True, slots=True)
class Access:
    tensor: str
    store: bool
    axes: tuple[Axis, ...]

    @property
    def elements(self) -> int:
        return prod(axis.extent for axis in self.axes)


@dataclass(frozen=True, slots=True)
class Loop:
    name: str
    extent: int
    body: tuple[Node, ...]


Node = Loop | Access
Nest = tuple[Node, ...]


def loop(name: str, extent: int, *body: Node) -> Loop:
    return Loop(name, extent, body)


def loops(extents: dict[str, int], *body: Node) -> Node:
    """Loops one inside the other, the first outermost."""
    inner = body
    for name, extent in reversed(extents.items()):
        inner = (Loop(name, extent, inner),)
    return inner[0]


def read(tensor: str, *axes: Axis) -> Access:
    return Access(tensor, False, axes)


def write(tensor: str, *axes: Axis) -> Access:
    return Access(tensor, True, axes)


def over_output(shape: Sequence[int], names: Sequence[str], *body: Node) -> Nest:
    """Loops over the output, one for each axis of its ``shape``: the body, then the write
    of that element."""
    each = (*body, write("output", *walk(shape, *names)))
    return (loops(dict(zip(names, shape, strict=True)), *each),) if names else each


@dataclass(frozen=True, slots=True)
class Statement:
    """An access in its nest.

    ``path`` are the loops around it, outermost first; ``place`` numbers each of
    its steps down the tree, so that of two statements below the same loops the
    one with the smaller number comes first.  Its tick in an iteration is
    ``tick`` and ``weights`` times the loops' counters.
    """

    access: Access
    path: tuple[Loop, ...]
    place: tuple[int, ...]
    tick: int
    weights: tuple[int, ...]

    @property
    def happens(self) -> bool:
        return all(around.extent > 0 for around in self.path)


def duration(node: Node) -> int:
    """Ticks that a node takes: one for each access it would make without bounds."""
    if isinstance(node, Access):
        return 1
    return node.extent * sum(duration(child) for child in node.body)


def statements(nest: Nest) -> tuple[Statement, ...]:
    """All accesses of a nest, in the order of the text."""
    accesses = tuple(_walk(nest, (), (), 0, ()))
    for statement in accesses:
        _check(statement)
    return accesses


def _walk(
    body: Nest,
    path: tuple[Loop, ...],
    place: tuple[int, ...],
    tick: int,
    weights: tuple[int, ...],
) -> Iterator[Statement]:
    for number, node in enumerate(body):
        here = (*place, number)
        if isinstance(node, Access):
            yield Statement(node, path, here, tick, weights)
        else:
            each = sum(duration(child) for child in node.body)
            yield from _walk(node.body, (*path, node), here, tick, (*weights, each))
        tick += duration(node)


def _check(statement: Statement) -> None:
    """A mistake in a nest is ours or an extender's, not a user's."""
    access, around = statement.access, [loop.name for loop in statement.path]
    used = [name for axis in access.axes for name in axis.loops]
    if len(set(around)) < len(around) or len(set(used)) < len(used):
        raise ValueError(f"{access.tensor}: each loop has a name, and moves one axis at most")
    if not set(used) <= set(around):
        raise ValueError(f"{access.tensor}: axes of loops that are not around it: {used}")
    if len(access.axes) > MAX_AXES:
        raise ValueError(f"{access.tensor}: {len(access.axes)} axes, at most {MAX_AXES}")
