"""The analytical method: D of a loop nest in closed form, exact.

For a kernel that never writes its input, D is one more than the largest w - r, in
bytes, over all pairs of a write of output byte w and a later read of input byte r.
Take one write and one read of a nest, with c loops around both.  Their places are
sums over the loops, ``w = w0 + g1(x1) + ... + gc(xc)`` and ``r = r0 + f1(y1) + ...
+ fc(yc)``, where w0 takes the largest that the loops around the write alone can
make of it, and r0 the smallest around the read alone.  The write comes first if
for some k the counters are equal before k and x_k < y_k; what comes after k is
free.  So

    w - r = max over k of  sum over j < k of max over x of (g_j(x) - f_j(x))
                         + max over x < y of (g_k(x) - f_k(y))
                         + sum over j > k of (max g_j - min f_j)

and, where the text has the write before the read, also the case in which all
counters are equal.  Each g and f is a handful of straight pieces, and the largest
difference of two straight pieces lies at their ends, so every term costs O(1).
Derivation and the result for each operator: ``docs/formulas.md``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from math import gcd

import numpy as np

from diagmem.analysis.safe import Safe
from diagmem.ops.algorithmic import check_places, places
from diagmem.ops.layer import Layer, Tensor
from diagmem.ops.nest import Axis, Loop, Nest, Statement, statements


@dataclass(frozen=True, slots=True)
class Conflict:
    """The write and the later read that keep D from being smaller.

    Offsets are bytes from the start of their tensors to the two elements.
    ``iterations`` are the counters of the loops around both, the write's and the
    read's.
    """

    output_offset: int
    input_offset: int
    iterations: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exact(Safe):
    """D of one input and one output by closed form, in bytes."""

    conflict: Conflict | None = field(compare=False)


def exact(layer: Layer, nest: Nest) -> list[Exact]:
    """D of every input with every output, in the order of the layer's tensors."""
    accesses = [s for s in statements(nest) if s.happens]
    return [_pair(i, o, accesses) for i in layer.inputs for o in layer.outputs]


def _pair(source: Tensor, target: Tensor, accesses: list[Statement]) -> Exact:
    writes = [s for s in accesses if s.access.store and s.access.tensor == target.name]
    reads = [s for s in accesses if not s.access.store and s.access.tensor == source.name]
    best = _largest(
        case
        for write in writes
        for read in reads
        for case in _cases(_Shared(write, read, target.element_bytes, source.element_bytes))
    )
    needed = 0
    conflict = None
    if best is not None and best.value + target.element_bytes > 0:
        needed = best.value + target.element_bytes
        conflict = Conflict(best.written, best.read, best.iterations)
    sizes = source.size_bytes, target.size_bytes
    return Exact(source.name, target.name, *sizes, needed, sizes[0], conflict=conflict)


# ---- one write, one read ----


@dataclass(frozen=True, slots=True)
class _Term:
    """Bytes that loops add to the place written and the place read, and where."""

    written: int = 0
    read: int = 0
    iterations: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def value(self) -> int:
        return self.written - self.read

    def __add__(self, other: _Term) -> _Term:
        return _Term(
            self.written + other.written,
            self.read + other.read,
            {**self.iterations, **other.iterations},
        )


def _largest(terms: Iterable[_Term | None]) -> _Term | None:
    return max((t for t in terms if t is not None), key=lambda t: t.value, default=None)


@dataclass(frozen=True, slots=True)
class _Shared:
    """A write and a read, and the loops around both."""

    write: Statement
    read: Statement
    write_bytes: int
    read_bytes: int

    @property
    def loops(self) -> tuple[Loop, ...]:
        same = 0
        for a, b in zip(self.write.path, self.read.path, strict=False):
            if a is not b:
                break
            same += 1
        return self.write.path[:same]

    @property
    def write_is_first(self) -> bool:
        """In an iteration of all shared loops."""
        return self.write.place < self.read.place


def _cases(pair: _Shared) -> Iterator[_Term | None]:
    """The best pair of places for each way in which the write can come first."""
    shared = pair.loops
    names = [around.name for around in shared]
    written, write_rest = _profiles(pair.write, names, pair.write_bytes, largest=True)
    read, read_rest = _profiles(pair.read, names, pair.read_bytes, largest=False)
    if write_rest is None or read_rest is None:
        return
    equal = [_equal(name, written[name], read[name]) for name in names]
    free = [_free(name, written[name], read[name]) for name in names]
    rest = _Term(write_rest, read_rest)
    for k, name in enumerate(names):
        yield _sum([rest, *equal[:k], _earlier(name, written[name], read[name]), *free[k + 1 :]])
    if pair.write_is_first:
        yield _sum([rest, *equal])


def _sum(terms: list[_Term | None]) -> _Term | None:
    total = _Term()
    for term in terms:
        if term is None:
            return None
        total = total + term
    return total


# ---- straight pieces ----


@dataclass(frozen=True, slots=True)
class _Straight:
    """``base + slope * x`` bytes, for x in ``[first, end)``."""

    first: int
    end: int
    base: int
    slope: int

    def at(self, x: int) -> int:
        return self.base + self.slope * x


def _equal(name: str, written: list[_Straight], read: list[_Straight]) -> _Term | None:
    """The largest g(x) - f(x)."""

    def ends() -> Iterator[_Term]:
        for g, f in product(written, read):
            first, last = max(g.first, f.first), min(g.end, f.end) - 1
            if first <= last:
                for x in {first, last}:
                    yield _Term(g.at(x), f.at(x), {name: (x, x)})

    return _largest(ends())


def _earlier(name: str, written: list[_Straight], read: list[_Straight]) -> _Term | None:
    """The largest g(x) - f(y) with x < y: at a corner of that polygon.

    Its sides are those of the two ranges and x = y - 1, all with whole corners.
    """

    def corners() -> Iterator[_Term]:
        for g, f in product(written, read):
            lowest, highest = max(f.first, g.first + 1), f.end - 1
            if lowest > highest:
                continue
            for y in {lowest, min(max(lowest, g.end), highest), highest}:
                for x in {g.first, min(g.end, y) - 1}:
                    yield _Term(g.at(x), f.at(y), {name: (x, y)})

    return _largest(corners())


def _free(name: str, written: list[_Straight], read: list[_Straight]) -> _Term | None:
    """The largest g less the smallest f."""
    highest = max(((g.at(x), x) for g in written for x in (g.first, g.end - 1)), default=None)
    lowest = min(((f.at(x), x) for f in read for x in (f.first, f.end - 1)), default=None)
    if highest is None or lowest is None:
        return None
    return _Term(highest[0], lowest[0], {name: (highest[1], lowest[1])})


# ---- from an access to its pieces ----


def _profiles(
    statement: Statement, shared: list[str], element_bytes: int, *, largest: bool
) -> tuple[dict[str, list[_Straight]], int | None]:
    """What each shared loop adds to the place, and what all other loops can add.

    None where they reach no place at all.
    """
    extents = {around.name: around.extent for around in statement.path}
    profiles = {name: [_Straight(0, extents[name], 0, 0)] for name in shared}
    rest = 0
    stride = element_bytes
    for axis in reversed(statement.access.axes):
        own = [name for name in axis.loops if name in shared]
        if len(own) > 1:
            raise ValueError(f"{statement.access.tensor}: {own} around both move one axis")
        if own:
            pieces = _straighten(axis, own[0], extents, largest=largest)
            profiles[own[0]] = [
                _Straight(p.first, p.end, p.base * stride, p.slope * stride) for p in pieces
            ]
        else:
            place = _outermost(axis, extents, largest=largest)
            if place is None:
                return profiles, None
            rest += place * stride
        stride *= axis.extent
    return profiles, rest


def _outermost(axis: Axis, extents: Mapping[str, int], *, largest: bool) -> int | None:
    """The largest or smallest place on an axis that its loops can reach."""
    ends = [
        piece.at(x)
        for piece in _pieces(axis, extents, largest=largest)
        for x in (piece.first, piece.end - 1)
    ]
    return (max(ends) if largest else min(ends)) if ends else None


def _pieces(axis: Axis, extents: Mapping[str, int], *, largest: bool) -> list[_Straight]:
    """All places of an axis, by its first loop."""
    if axis.loops:
        return _straighten(axis, axis.loops[0], extents, largest=largest)
    return [_Straight(0, 1, axis.start, 0)] if 0 <= axis.start < axis.extent else []


def _straighten(
    axis: Axis, name: str, extents: Mapping[str, int], *, largest: bool
) -> list[_Straight]:
    """The extreme place for each counter of one loop; no piece where there is none."""
    if axis.pieces:
        return [
            clipped
            for piece in axis.pieces
            for clipped in _clipped(
                _Straight(
                    piece.first, piece.end, piece.start - piece.step * piece.first, piece.step
                ),
                axis.extent,
            )
        ]
    if axis.table is None and len(axis.steps) == 1:
        return _clipped(_Straight(0, extents[name], axis.start, axis.steps[0][1]), axis.extent)
    if axis.table is None and not largest and _is_window(axis, name):
        return _window(axis, name, extents)
    return _one_by_one(axis, name, extents, largest=largest)


def _clipped(piece: _Straight, extent: int) -> list[_Straight]:
    """Where ``0 <= base + slope * x < extent``."""
    first, end = piece.first, piece.end
    if piece.slope > 0:
        first = max(first, -(piece.base // piece.slope))
        end = min(end, -((piece.base - extent) // piece.slope))
    elif piece.slope < 0:
        down = -piece.slope
        first = max(first, -((extent - 1 - piece.base) // down))
        end = min(end, piece.base // down + 1)
    elif not 0 <= piece.base < extent:
        return []
    return [_Straight(first, end, piece.base, piece.slope)] if first < end else []


def _is_window(axis: Axis, name: str) -> bool:
    """Is the axis moved by a loop over outputs and one over taps, both forwards?"""
    return len(axis.steps) == 2 and all(step > 0 for _, step in axis.steps)


def _window(axis: Axis, name: str, extents: Mapping[str, int]) -> list[_Straight]:
    """The first tap inside, for each output along an axis: straight but for the front.

    With the window of output x beginning at u = start + stride x: from u >= 0 on
    the first tap itself is inside, a straight line.  Where u < 0 it is tap
    ceil(-u / dilation), at u mod dilation, if the window has so many taps: 0 all
    the way for a dilation of 1.  Otherwise the places repeat with a period, and of the
    outputs with one place only the first and the last can be extreme: two periods, one
    by one.
    """
    steps = dict(axis.steps)
    stride = steps.pop(name)
    ((tap, dilation),) = steps.items()
    taps, end = extents[tap], extents[name]
    whole = min(max(0, -(axis.start // stride)), end)
    clipped = _clipped(_Straight(whole, end, axis.start, stride), axis.extent)
    reach = (taps - 1) * dilation
    front = max(0, -((axis.start + reach) // stride))
    if dilation == 1:
        return ([_Straight(front, whole, 0, 0)] if front < whole and axis.extent else []) + clipped
    period = dilation // gcd(stride, dilation)
    check_places(min(whole - front, 2 * period))
    early = range(front, min(front + period, whole))
    late = range(max(early.stop, whole - period), whole)
    for x in (*early, *late):
        place = (axis.start + stride * x) % dilation
        if place < axis.extent:
            clipped.append(_Straight(x, x + 1, place, 0))
    return clipped


def _one_by_one(
    axis: Axis, name: str, extents: Mapping[str, int], *, largest: bool
) -> list[_Straight]:
    """By trying all iterations of the axis's loops: for tables, and unusual orders."""
    place = places(axis, dict(extents))
    by_loop = np.moveaxis(place, axis.loops.index(name), 0).reshape(extents[name], -1)
    inside = (by_loop >= 0) & (by_loop < axis.extent)
    if largest:
        extreme = np.where(inside, by_loop, -1).max(axis=1, initial=-1)
    else:
        extreme = np.where(inside, by_loop, axis.extent).min(axis=1, initial=axis.extent)
    reached = inside.any(axis=1)
    return [_Straight(x, x + 1, int(extreme[x]), 0) for x in np.flatnonzero(reached).tolist()]
