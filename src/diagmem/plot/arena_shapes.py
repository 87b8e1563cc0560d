"""Which bytes of an arena each block holds, operator by operator.

Time runs in operators: ``k + 0.5`` is halfway through the call of operator k.  A block
is a rectangle, except in an operator where it dies under an output or is born over an
input: there it ends along what is still needed of it, or begins along what is already
written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import numpy as np
import numpy.typing as npt

from diagmem.arena import Block
from diagmem.base.errors import DiagmemError
from diagmem.networks.measured import FRONTIER_SAMPLES, Measured, MeasuredPair
from diagmem.networks.operator_calls import highest_written, lowest_needed
from diagmem.networks.planning import NetworkPlan, Shared
from diagmem.ops import find_operator
from diagmem.ops.algorithmic import liveness
from diagmem.ops.nest import duration
from diagmem.plot.profile_bytes import check_graph, covered_bytes
from diagmem.tflite.layers import NoRule, layer_of

FloatArray = npt.NDArray[np.float64]
Source = Literal["measured", "loop nest", "straight"]
"""Where frontiers come from; straight: nothing is known of them, or they run backwards."""
Frontier = tuple[int, ...]
"""At `FRONTIER_SAMPLES` evenly spaced times of a call, bytes from a tensor's start."""

MAX_NEST_TICKS = 1 << 57
"""Sampling multiplies ticks by the number of samples."""


@dataclass(frozen=True, slots=True)
class Band:
    """The bytes [low, high) of the arena at each time, float64."""

    time: FloatArray
    low: FloatArray
    high: FloatArray

    @property
    def is_empty(self) -> bool:
        return bool((self.high <= self.low).all())

    def meet(self, other: Band) -> Band:
        """What two bands of the same times have in common."""
        low = np.maximum(self.low, other.low)
        return Band(self.time, low, np.maximum(low, np.minimum(self.high, other.high)))


@dataclass(frozen=True, slots=True)
class Meeting:
    """An operator whose input dies under its output.

    Attributes
    ----------
    needed, written : of dying inputs and of outputs by tensor number, for those that
        share bytes.
    conflicts : what is written while it is still needed; none in a plan that is safe by
        ``source``.
    """

    operator: int
    needed: Mapping[int, Band]
    written: Mapping[int, Band]
    source: Source
    conflicts: tuple[Band, ...]


@dataclass(frozen=True, slots=True)
class Peak:
    """What the arena is made of where it is fullest.

    ``arena_bytes`` is the sum of the blocks, largest first, less ``shared_bytes``, plus
    ``unused_bytes``: gaps, and what the alignment rounds up.
    """

    operator: int
    blocks: tuple[Block, ...]
    shared_bytes: int
    unused_bytes: int


@dataclass(frozen=True, slots=True)
class Arena:
    """A plan as it is drawn: a band for each block that has bytes, in their order.

    ``name`` is what it is called beside others: before, after.
    """

    name: str
    plan: NetworkPlan
    shapes: tuple[tuple[Block, Band], ...]
    meetings: tuple[Meeting, ...]
    peak: Peak

    @property
    def size_bytes(self) -> int:
        return self.plan.plan.arena_bytes

    @property
    def operators(self) -> int:
        return self.plan.problem.operators

    def operator_name(self, operator: int) -> str:
        return f"{operator} {self.plan.problem.steps[operator].name}"


def arena_of(plan: NetworkPlan, measured: Measured | None = None, name: str = "") -> Arena:
    """The shapes of a plan.

    Parameters
    ----------
    measured : where frontiers are taken from; without it, from the loop nests of
        TFLite's reference kernels.

    Raises
    ------
    DiagmemError
        The overlaps were measured on another graph.
    """
    check_graph(measured, plan.model)
    at = {meeting.operator: meeting for meeting in _meetings(plan, measured)}
    shapes = [(b, _shape(b, plan.plan.offsets[b.tensor], at)) for b in plan.problem.blocks]
    return Arena(
        name,
        plan,
        tuple((block, band) for block, band in shapes if block.size_bytes),
        tuple(at.values()),
        peak_of(plan),
    )


def peak_of(plan: NetworkPlan) -> Peak:
    """The operator that reaches the arena's highest byte, the fullest and first of them."""
    best: tuple[int, int, int] | None = None
    peak = Peak(0, (), 0, plan.plan.arena_bytes)
    for k in range(plan.problem.operators):
        blocks = [b for b in plan.problem.blocks if b.first <= k < b.end and b.size_bytes]
        blocks.sort(key=lambda b: (-b.size_bytes, b.tensor))
        starts = [plan.plan.offsets[b.tensor] for b in blocks]
        ranges = [(low, low + b.size_bytes) for low, b in zip(starts, blocks, strict=True)]
        top = max((high for _, high in ranges), default=0)
        covered = covered_bytes(ranges)
        if best is None or (top, covered, -k) > best:
            best = top, covered, -k
            shared = sum(b.size_bytes for b in blocks) - covered
            peak = Peak(k, tuple(blocks), shared, plan.plan.arena_bytes - covered)
    return peak


def _shape(block: Block, offset: int, meetings: Mapping[int, Meeting]) -> Band:
    """A block's rectangle, its first and last operator replaced where it shares bytes."""
    born = meetings[block.first].written.get(block.tensor) if block.first in meetings else None
    last = block.end - 1
    dies = meetings[last].needed.get(block.tensor) if last in meetings else None
    start, end = block.first + (born is not None), block.end - (dies is not None)
    middle = _rectangle(np.array([start, end], np.float64), offset, block.size_bytes)
    parts = [part for part in (born, middle if start < end else None, dies) if part is not None]
    return Band(
        np.concatenate([part.time for part in parts]),
        np.concatenate([part.low for part in parts]),
        np.concatenate([part.high for part in parts]),
    )


def _rectangle(time: FloatArray, offset: int, size_bytes: int) -> Band:
    low = np.full(len(time), offset, np.float64)
    return Band(time, low, low + size_bytes)


# ---- where an input dies under an output ----


@dataclass(frozen=True, slots=True)
class _Frontiers:
    """Of one operator, by tensor number."""

    needed: Mapping[int, Frontier]
    written: Mapping[int, Frontier]
    source: Source


def _meetings(plan: NetworkPlan, measured: Measured | None) -> list[Meeting]:
    by_operator = sorted(
        plan.shared, key=lambda s: (s.permission.operator, s.permission.input, s.permission.output)
    )
    return [
        _meeting(plan, operator, tuple(pairs), measured)
        for operator, pairs in groupby(by_operator, lambda s: s.permission.operator)
    ]


def _meeting(
    plan: NetworkPlan, operator: int, pairs: tuple[Shared, ...], measured: Measured | None
) -> Meeting:
    known = _measured(measured, operator) if measured else _by_nest(plan, operator)
    inputs = {shared.permission.input for shared in pairs}
    outputs = {shared.permission.output for shared in pairs}
    if known is None or not (inputs <= set(known.needed) and outputs <= set(known.written)):
        return _straight(plan, operator, pairs)
    time = _times(operator)
    offsets = plan.plan.offsets
    sizes = {block.tensor: block.size_bytes for block in plan.problem.blocks}
    needed, written = {}, {}
    for tensor in sorted(inputs):
        band = _rectangle(time, offsets[tensor], sizes[tensor])
        needed[tensor] = Band(time, band.low + known.needed[tensor], band.high)
    for tensor in sorted(outputs):
        band = _rectangle(time, offsets[tensor], sizes[tensor])
        written[tensor] = Band(time, band.low, band.low + known.written[tensor])
    conflicts = []
    for shared in pairs:
        source, target = shared.permission.input, shared.permission.output
        both = needed[source].meet(written[target])
        if both.is_empty:
            continue
        if not _runs_otherwise(shared, operator, measured):
            conflicts.append(both)
        elif shared.displacement_bytes < 0 and known.written[target][1] < sizes[target]:
            # Its end was written over early, so it was not read, or not after that.
            low, high = needed[source].low, needed[source].high
            needed[source] = Band(time, *(np.minimum(e, offsets[target]) for e in (low, high)))
        else:
            return _straight(plan, operator, pairs)
    return Meeting(operator, needed, written, known.source, tuple(conflicts))


def _runs_otherwise(shared: Shared, operator: int, measured: Measured | None) -> bool:
    """Do frontiers that cross mean that the kernel is no ordinary one, not that the
    overlap is unsafe?  So it is in place, and where the output lies above the input."""
    displacement = shared.displacement_bytes
    if measured is None:
        return displacement <= 0
    pair = _pair(measured, operator, shared)
    return pair is not None and pair.safe.holds(displacement)


def _pair(measured: Measured, operator: int, shared: Shared) -> MeasuredPair | None:
    wanted = shared.permission.input, shared.permission.output
    pairs = measured.operators[operator].pairs
    return next((pair for pair in pairs if (pair.input, pair.output) == wanted), None)


def _measured(measured: Measured, operator: int) -> _Frontiers:
    pairs = measured.operators[operator].pairs
    return _Frontiers(
        {pair.input: pair.needed for pair in pairs},
        {pair.output: pair.written for pair in pairs},
        "measured",
    )


def _by_nest(plan: NetworkPlan, operator: int) -> _Frontiers | None:
    """By the loop nest of the reference kernel; None where there is none, or too large."""
    mapped = layer_of(plan.model, plan.model.operators[operator])
    if isinstance(mapped, NoRule):
        return None
    layer = mapped.layer
    try:
        nest = find_operator(layer.operator).loop_nest(layer)
        live = liveness(layer, nest)
    except DiagmemError:
        return None
    ticks = sum(duration(node) for node in nest)
    if ticks > MAX_NEST_TICKS:
        return None
    needed: dict[int, Frontier] = {}
    for tensor in layer.inputs:
        number = mapped.tensors.get(tensor.name)
        if number is not None:
            frontier = lowest_needed(live[tensor.name], ticks)
            # The model may give an operator one tensor twice.
            earlier = needed.get(number, frontier)
            needed[number] = tuple(map(min, earlier, frontier))
    written = {mapped.tensors[t.name]: highest_written(live[t.name], ticks) for t in layer.outputs}
    return _Frontiers(needed, written, "loop nest")


def _straight(plan: NetworkPlan, operator: int, pairs: tuple[Shared, ...]) -> Meeting:
    """Outputs grow evenly, from the side away from their input, which keeps the rest."""
    time = _times(operator)
    passed = time - operator
    sizes = {block.tensor: block.size_bytes for block in plan.problem.blocks}
    offsets = plan.plan.offsets
    written: dict[int, Band] = {}
    needed: dict[int, Band] = {}
    falling = set()
    for shared in sorted(pairs, key=lambda s: (-s.shared_bytes, s.permission.input)):
        source, target = shared.permission.input, shared.permission.output
        if target not in written:
            band = _rectangle(time, offsets[target], sizes[target])
            if shared.displacement_bytes < 0:
                falling.add(target)
                written[target] = Band(time, band.high - passed * sizes[target], band.high)
            else:
                written[target] = Band(time, band.low, band.low + passed * sizes[target])
        out = written[target]
        left = needed.get(source, _rectangle(time, offsets[source], sizes[source]))
        if target in falling:
            high = np.minimum(left.high, out.low)
            needed[source] = Band(time, left.low, np.maximum(left.low, high))
        else:
            low = np.maximum(left.low, out.high)
            needed[source] = Band(time, np.minimum(low, left.high), left.high)
    return Meeting(operator, needed, written, "straight", ())


def _times(operator: int) -> FloatArray:
    times: FloatArray = np.linspace(operator, operator + 1, FRONTIER_SAMPLES)
    return times
