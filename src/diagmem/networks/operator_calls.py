"""From the liveness of an operator's tensors to what is kept of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diagmem.analysis.liveness import BufferLiveness
from diagmem.analysis.overlap import Overlap, is_safe_at
from diagmem.networks.apart import aliases
from diagmem.networks.formulas import ClosedForm, closed_forms
from diagmem.networks.measured import FRONTIER_SAMPLES, MeasuredOperator, MeasuredPair
from diagmem.tflite.elements import ModelOperator
from diagmem.tflite.facts import facts_of, in_words
from diagmem.tflite.graph import Model, lifetimes


@dataclass(frozen=True, slots=True)
class Moment:
    """An operator and the tensors that the arena holds while it runs.

    ``dying`` are its inputs that nobody reads after it, ``kept`` what stays as it is,
    ``aliased_bytes`` outputs that are their inputs (`diagmem.networks.apart`): moved by
    nobody, and needed all the same.
    """

    operator: ModelOperator
    form: ClosedForm
    alive: frozenset[int]
    dying: frozenset[int]
    aliased_bytes: int

    @property
    def kept(self) -> frozenset[int]:
        return self.alive - self.dying - set(self.operator.outputs)


def moments(model: Model) -> Iterator[Moment]:
    """All operators in their order."""
    lives, aliased = lifetimes(model), aliases(model)
    for operator, form in zip(model.operators, closed_forms(model), strict=True):
        step = operator.index
        alive = {life.tensor: life.end for life in lives if life.start <= step < life.end}
        dying = {tensor for tensor in operator.inputs if alive.get(tensor) == step + 1}
        own = bytes_of(model, aliased.keys() & set(operator.outputs))
        yield Moment(operator, form, frozenset(alive), frozenset(dying), own)


@dataclass(frozen=True, slots=True)
class OperatorCall:
    """What was seen of an operator's call; fields as in `MeasuredOperator`.

    ``live`` holds the tensors, by `name_of`, and ``overlaps`` its pairs.
    """

    live: Mapping[str, BufferLiveness]
    overlaps: Sequence[Overlap]
    events: int
    seconds: float = 0.0
    scratch_bytes: int = 0
    weights_read_bytes: int | None = None
    kernel: str = ""


def measured_operator(model: Model, moment: Moment, call: OperatorCall) -> MeasuredOperator:
    """What is kept of a call."""
    operator, live = moment.operator, call.live
    needed = most_needed(
        [live[name_of(tensor)] for tensor in moment.dying if name_of(tensor) in live],
        [live[name_of(tensor)] for tensor in operator.outputs if name_of(tensor) in live],
    )
    return MeasuredOperator(
        index=operator.index,
        operator=operator.name,
        seconds=call.seconds,
        events=call.events,
        scratch_bytes=call.scratch_bytes,
        weights_read_bytes=call.weights_read_bytes,
        live_bytes=bytes_of(model, moment.alive),
        needed_bytes=bytes_of(model, moment.kept) + max(moment.aliased_bytes, needed),
        pairs=tuple(_pair(overlap, moment, call) for overlap in call.overlaps),
        kernel=call.kernel,
        facts=in_words(facts_of(model, operator)),
    )


def name_of(tensor: int) -> str:
    """What a tensor is called in a trace."""
    return f"t{tensor}"


def number_of(name: str) -> int:
    """The tensor of that name in a trace."""
    return int(name[1:])


def bytes_of(model: Model, tensors: Iterable[int]) -> int:
    """What they take together."""
    return sum(model.tensors[tensor].size_bytes for tensor in tensors)


def touched_bytes(buffer: BufferLiveness) -> int:
    """Bytes that were loaded or stored."""
    return int(np.count_nonzero(buffer.loaded | buffer.stored)) * buffer.cell_bytes


def most_needed(inputs: Sequence[BufferLiveness], outputs: Sequence[BufferLiveness]) -> int:
    """The most bytes of an operator's tensors that hold a value still needed at one time.

    An input's bytes until they are last loaded, an output's from when they are first
    stored.  No placement, however clever, gets the operator into less.
    """
    births = [np.sort(b.first_store[b.stored]) for b in outputs]
    deaths = [np.sort(b.last_load[b.loaded]) for b in inputs]
    most = sum(len(d) * b.cell_bytes for d, b in zip(deaths, inputs, strict=True))
    for times in births:
        needed = np.zeros(len(times), np.int64)
        for born, buffer in zip(births, outputs, strict=True):
            needed += np.searchsorted(born, times, side="right") * buffer.cell_bytes
        for died, buffer in zip(deaths, inputs, strict=True):
            left = len(died) - np.searchsorted(died, times, side="right")
            needed += left * buffer.cell_bytes
        most = max(most, int(needed.max(initial=0)))
    return most


def _pair(overlap: Overlap, moment: Moment, call: OperatorCall) -> MeasuredPair:
    live, form = call.live, moment.form
    source, target = number_of(overlap.input), number_of(overlap.output)
    traced = overlap.min_displacement_bytes
    formula = form.displacements.get((source, target))
    if formula is None:
        says = form.why_none or "no formula for this input"
    else:
        says = "equal" if formula == traced else "looser" if formula > traced else "unsafe"
    ordinary = overlap.exact and not live[overlap.input].stored.any()
    return MeasuredPair(
        input=source,
        output=target,
        dies=source in moment.dying,
        input_bytes=overlap.input_bytes,
        output_bytes=overlap.output_bytes,
        min_displacement_bytes=traced,
        mirror_displacement_bytes=overlap.mirror_displacement_bytes,
        in_place=traced == 0
        or 0 in overlap.isolated_safe_displacements
        or (ordinary and is_safe_at(live[overlap.input], live[overlap.output], 0)),
        safe_overlap_bytes=overlap.safe_overlap_bytes,
        formula_displacement_bytes=formula,
        formula_says=says,
        notes=overlap.notes,
        written=highest_written(live[overlap.output], call.events),
        needed=lowest_needed(live[overlap.input], call.events),
    )


def highest_written(output: BufferLiveness, events: int) -> tuple[int, ...]:
    """Behind the highest byte written before each of the sampled times."""
    highest = np.zeros(FRONTIER_SAMPLES + 1, np.int64)
    cells = np.flatnonzero(output.stored)
    np.maximum.at(highest, _sample_after(output.first_store[cells], events), cells + 1)
    ends = np.maximum.accumulate(highest)[:FRONTIER_SAMPLES] * output.cell_bytes
    return tuple(ends.tolist())


def lowest_needed(input_: BufferLiveness, events: int) -> tuple[int, ...]:
    """The lowest byte loaded at or after each of the sampled times; the size if none is."""
    lowest = np.full(FRONTIER_SAMPLES + 1, input_.cells, np.int64)
    cells = np.flatnonzero(input_.loaded)
    np.minimum.at(lowest, _sample_after(input_.last_load[cells], events) - 1, cells)
    starts = np.minimum.accumulate(lowest[::-1])[::-1][:FRONTIER_SAMPLES] * input_.cell_bytes
    return tuple(starts.tolist())


def _sample_after(ticks: npt.NDArray[np.int64], events: int) -> npt.NDArray[np.int64]:
    """The first sample whose time, events * sample / (samples - 1), is after the tick."""
    return ticks * (FRONTIER_SAMPLES - 1) // max(events, 1) + 1
