"""A network measured on the kernels that run it: every operator's call a window."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from diagmem import __version__
from diagmem.api import Trace, open_trace
from diagmem.errors import DiagmemError
from diagmem.kernels.tflm.network import (
    Arena,
    Call,
    Inputs,
    NetworkOutcome,
    NetworkRun,
    Place,
    run_network,
    trace_network,
)
from diagmem.kernels.tflm.processes import kernels_name
from diagmem.liveness import BufferLiveness
from diagmem.model.elements import ABSENT, ModelOperator
from diagmem.model.graph import PLANNED_ONLINE, Model, lifetimes
from diagmem.networks.apart import aliases, model_apart
from diagmem.networks.formulas import ClosedForm, closed_forms
from diagmem.networks.overlaps import (
    FRONTIER_SAMPLES,
    Measured,
    MeasuredOperator,
    MeasuredPair,
    identity,
)
from diagmem.overlap import Overlap, apart, is_safe
from diagmem.trace.model import Role

TARGET = "x86_64"
SCRATCH = "scratch"


def measure(
    model: Model,
    inputs: Inputs,
    *,
    said: str = "",
    weights: bool = False,
    keep: Path | None = None,
    progress: bool = False,
) -> Measured:
    """Run one inference under the tool and say how far each operator's tensors may
    overlap.

    Parameters
    ----------
    inputs : an array for each input of the model.
    said : what the inputs are, for the record.
    weights : record the loads of constants, too: it takes half as long again.
    keep : where the trace goes; by default it is not kept.

    Raises
    ------
    DiagmemError
        TFLM refuses the model, or the tool or the wheel is not there.
    """
    with tempfile.TemporaryDirectory(prefix="diagmem-") as directory:
        planned = model_apart(model, Path(directory))
        arena, run = _natively(planned, inputs, model.path)
        calls = _calls(planned, arena.head_bytes)
        if not weights:
            calls = [_without_weights(call) for call in calls]
        path = keep or Path(directory) / "network.dmt"
        # The trace keeps one processor busy; meanwhile the other has this run.
        with ThreadPoolExecutor(1) as beside:
            plain = beside.submit(run_network, model, [inputs])
            recorded, outcome = trace_network(planned, inputs, calls, path, progress=progress)
            _check_outputs(model, plain.result(), run)
        if outcome.refused:
            raise DiagmemError(f"{model.path}: TFLM under Valgrind: {outcome.refused}")
        if outcome.runs[0].outputs != run.outputs:
            raise DiagmemError(
                f"{model.path}: TFLM computes other outputs under Valgrind than natively, so the"
                " trace says nothing of the native kernels"
            )
        with open_trace(path) as trace:
            if len(trace.windows) != len(model.operators):
                raise DiagmemError(
                    f"{model.path}: the trace has {len(trace.windows)} windows, expected one for"
                    f" each of {len(model.operators)} operators{_because(recorded.cut)}"
                )
            valgrind = str(trace.header.get("valgrind", ""))
            operators = tuple(_measured(model, trace, run, weights))
    return Measured(
        model=identity(model),
        kernels={
            "kernels": kernels_name(),
            "target": TARGET,
            "flags": "as the wheel was built",
            "measured_by": f"diagmem {__version__}, Valgrind {valgrind}",
        },
        about={"inputs": said, "arena": _arena_as_json(arena), "seconds": run.seconds},
        operators=operators,
    )


def _because(cut: str) -> str:
    return f": {cut}" if cut else ""


def _arena_as_json(arena: Arena) -> dict[str, int]:
    return {"head_bytes": arena.head_bytes, "tail_bytes": arena.tail_bytes}


def _natively(planned: Model, inputs: Inputs, name: str) -> tuple[Arena, NetworkRun]:
    outcome = run_network(planned, [inputs], calls=_calls(planned, 0))
    if outcome.refused or outcome.arena is None:
        raise DiagmemError(f"{name}: TFLM refuses the model: {outcome.refused}")
    return outcome.arena, outcome.runs[0]


def _check_outputs(model: Model, plain: NetworkOutcome, run: NetworkRun) -> None:
    """The plan that is measured under computes what the model does."""
    if plain.refused or plain.runs[0].outputs != run.outputs:
        raise DiagmemError(
            f"{model.path}: TFLM computes other outputs where the arena is planned for measuring"
            f" than where it plans itself{_because(plain.refused)}"
        )


# ---- windows and what lies in them ----


def _calls(planned: Model, head_bytes: int) -> list[Call]:
    return [
        Call(operator.name.removeprefix("CUSTOM:"), tuple(_places(planned, operator, head_bytes)))
        for operator in planned.operators
    ]


def _without_weights(call: Call) -> Call:
    return Call(call.name, tuple(place for place in call.places if place.role != "weights"))


def _places(planned: Model, operator: ModelOperator, head_bytes: int) -> Iterator[Place]:
    """An operator's tensors, its constants, and the rest of the arena."""
    assert planned.plan is not None
    taken = []
    for role, numbers in (("input", operator.inputs), ("output", operator.outputs)):
        for number in dict.fromkeys(n for n in numbers if n != ABSENT):
            tensor = planned.tensors[number]
            if tensor.size_bytes == 0 or (role == "output" and number in operator.inputs):
                continue
            if planned.plan[number] != PLANNED_ONLINE:
                start = planned.plan[number]
                taken.append((start, start + tensor.size_bytes))
                yield Place(_name(number), role, "arena", start, tensor.size_bytes)
            elif tensor.constant and tensor.data.size_bytes:
                data = tensor.data
                yield Place(_name(number), "weights", "model", data.start, data.size_bytes)
    free = 0
    for start, end in [*sorted(taken), (head_bytes, head_bytes)]:
        if start > free:
            yield Place(f"{SCRATCH}{free}", "scratch", "arena", free, start - free)
        free = max(free, end)


def _name(number: int) -> str:
    return f"t{number}"


# ---- from windows to overlaps ----


def _measured(
    model: Model, trace: Trace, run: NetworkRun, weights: bool
) -> Iterator[MeasuredOperator]:
    lives = lifetimes(model)
    aliased = aliases(model)
    for operator, form in zip(model.operators, closed_forms(model), strict=True):
        step = operator.index
        alive = {life.tensor: life.end for life in lives if life.start <= step < life.end}
        dying = {tensor for tensor in operator.inputs if alive.get(tensor) == step + 1}
        kept = set(alive) - dying - set(operator.outputs)
        liveness = trace.liveness(step)
        live = {buffer.name: buffer for buffer in liveness}
        window = trace.overlaps_of(step, liveness, isolated=False)
        pairs = [
            _aliased(pair, live)
            if aliased.get(_number(pair.output)) == _number(pair.input)
            else pair
            for pair in window.pairs
        ]
        # An alias moves nothing, and its bytes are needed all the same.
        own = _bytes(model, aliased.keys() & set(operator.outputs))
        yield MeasuredOperator(
            index=step,
            operator=operator.name,
            seconds=run.call_seconds[step],
            events=window.events,
            scratch_bytes=sum(_touched(b) for name, b in live.items() if name.startswith(SCRATCH)),
            weights_read_bytes=_weights_read(live, weights),
            live_bytes=_bytes(model, alive),
            needed_bytes=_bytes(model, kept)
            + max(
                own,
                most_needed(
                    [live[_name(tensor)] for tensor in dying if _name(tensor) in live],
                    [live[_name(tensor)] for tensor in operator.outputs if _name(tensor) in live],
                ),
            ),
            pairs=tuple(_pair(pair, live, dying, form, window.events) for pair in pairs),
        )


def _weights_read(live: Mapping[str, BufferLiveness], watched: bool) -> int | None:
    if not watched:
        return None
    return sum(_touched(buffer) for buffer in live.values() if buffer.role == Role.WEIGHTS)


def _bytes(model: Model, tensors: Iterable[int]) -> int:
    return sum(model.tensors[tensor].size_bytes for tensor in tensors)


def _touched(buffer: BufferLiveness) -> int:
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


def _pair(
    overlap: Overlap,
    live: Mapping[str, BufferLiveness],
    dying: set[int],
    form: ClosedForm,
    events: int,
) -> MeasuredPair:
    source, target = _number(overlap.input), _number(overlap.output)
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
        dies=source in dying,
        input_bytes=overlap.input_bytes,
        output_bytes=overlap.output_bytes,
        min_displacement_bytes=traced,
        mirror_displacement_bytes=overlap.mirror_displacement_bytes,
        in_place=traced == 0
        or 0 in overlap.isolated_safe_displacements
        or (ordinary and is_safe(live[overlap.input], live[overlap.output], 0)),
        safe_overlap_bytes=overlap.safe_overlap_bytes,
        formula_displacement_bytes=formula,
        formula_says=says,
        notes=overlap.notes,
        written=written_by(live[overlap.output], events),
        needed=needed_from(live[overlap.input], events),
    )


def _aliased(overlap: Overlap, live: Mapping[str, BufferLiveness]) -> Overlap:
    """Input and output were one place: is that safe?  Nothing else was seen."""
    both = live[overlap.input], live[overlap.output]
    found = apart(*both, "measured where input and output are one place")
    if any(_touched(buffer) for buffer in both):
        return found
    return replace(found, isolated_safe_displacements=(0,))


def written_by(output: BufferLiveness, events: int) -> tuple[int, ...]:
    """Behind the highest byte written before each of the sampled times."""
    highest = np.zeros(FRONTIER_SAMPLES + 1, np.int64)
    cells = np.flatnonzero(output.stored)
    np.maximum.at(highest, _sample_after(output.first_store[cells], events), cells + 1)
    ends = np.maximum.accumulate(highest)[:FRONTIER_SAMPLES] * output.cell_bytes
    return tuple(ends.tolist())


def needed_from(input_: BufferLiveness, events: int) -> tuple[int, ...]:
    """The lowest byte loaded at or after each of the sampled times; the size if none is."""
    lowest = np.full(FRONTIER_SAMPLES + 1, input_.cells, np.int64)
    cells = np.flatnonzero(input_.loaded)
    np.minimum.at(lowest, _sample_after(input_.last_load[cells], events) - 1, cells)
    starts = np.minimum.accumulate(lowest[::-1])[::-1][:FRONTIER_SAMPLES] * input_.cell_bytes
    return tuple(starts.tolist())


def _sample_after(ticks: npt.NDArray[np.int64], events: int) -> npt.NDArray[np.int64]:
    """The first sample whose time, events * sample / (samples - 1), is after the tick."""
    return ticks * (FRONTIER_SAMPLES - 1) // max(events, 1) + 1


def _number(name: str) -> int:
    return int(name[1:])
