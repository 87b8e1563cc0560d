"""A network measured on the kernels that run it: every operator's call a window."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from diagmem import __version__
from diagmem.analysis.liveness import BufferLiveness
from diagmem.analysis.overlap import Overlap, apart
from diagmem.analysis.trace import Trace, open_trace
from diagmem.base.errors import DiagmemError
from diagmem.networks.apart import aliases, model_apart
from diagmem.networks.determined import difference, run_apart
from diagmem.networks.measured import Measured, MeasuredOperator, identity
from diagmem.networks.operator_calls import (
    OperatorCall,
    measured_operator,
    moments,
    name_of,
    number_of,
    touched_bytes,
)
from diagmem.tflite.elements import ABSENT, ModelOperator
from diagmem.tflite.graph import PLANNED_ONLINE, Model
from diagmem.tflm.child.job import ArenaUse, NetworkRun, WatchedBuffer, WatchedCall
from diagmem.tflm.network import (
    Inputs,
    NetworkOutcome,
    run_network,
    trace_network,
)
from diagmem.tflm.processes import kernels_name
from diagmem.trace.window import Role

TARGET = platform.machine()
"""The kernels run here: ``x86_64``."""
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
            _check_outputs(model, inputs, plain.result(), run)
        if outcome.refused:
            raise DiagmemError(f"{model.path}: TFLM under Valgrind: {outcome.refused}")
        if not _same(model, inputs, outcome.runs[0], run):
            raise DiagmemError(
                f"{model.path}: TFLM computes other outputs under Valgrind than natively, so the"
                " trace says nothing of the native kernels"
            )
        with open_trace(recorded.path) as trace:
            if len(trace.windows) != len(model.operators):
                raise DiagmemError(
                    f"{model.path}: the trace has {len(trace.windows)} windows, expected one for"
                    f" each of {len(model.operators)} operators{_because(recorded.cut)}"
                )
            valgrind = trace.about.valgrind
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


def _arena_as_json(arena: ArenaUse) -> dict[str, int]:
    return {"head_bytes": arena.head_bytes, "tail_bytes": arena.tail_bytes}


def _natively(planned: Model, inputs: Inputs, name: str) -> tuple[ArenaUse, NetworkRun]:
    outcome = run_network(planned, [inputs], calls=_calls(planned, 0))
    if outcome.refused or outcome.arena is None:
        raise DiagmemError(f"{name}: TFLM refuses the model: {outcome.refused}")
    return outcome.arena, outcome.runs[0]


def _check_outputs(
    model: Model, inputs: Inputs, plain: NetworkOutcome[NetworkRun], run: NetworkRun
) -> None:
    """The plan that is measured under computes what the model does."""
    if plain.refused or not _same(model, inputs, plain.runs[0], run):
        raise DiagmemError(
            f"{model.path}: TFLM computes other outputs where the arena is planned for measuring"
            f" than where it plans itself{_because(plain.refused)}"
        )


def _same(model: Model, inputs: Inputs, a: NetworkRun, b: NetworkRun) -> bool:
    """Did both put out the same, but for bytes that no kernel writes?"""
    if a.outputs == b.outputs:
        return True
    apart = run_apart(model, [inputs])
    return not apart.refused and not difference(model, [a], [b], [apart.runs[0].masks])


# ---- windows and what lies in them ----


def _calls(planned: Model, head_bytes: int) -> list[WatchedCall]:
    return [
        WatchedCall(
            operator.name.removeprefix("CUSTOM:"), tuple(_places(planned, operator, head_bytes))
        )
        for operator in planned.operators
    ]


def _without_weights(call: WatchedCall) -> WatchedCall:
    return WatchedCall(call.name, tuple(place for place in call.places if place.role != "weights"))


def _places(planned: Model, operator: ModelOperator, head_bytes: int) -> Iterator[WatchedBuffer]:
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
                yield WatchedBuffer(name_of(number), role, "arena", start, tensor.size_bytes)
            elif tensor.constant and tensor.data.size_bytes:
                data = tensor.data
                yield WatchedBuffer(
                    name_of(number), "weights", "model", data.start, data.size_bytes
                )
    free = 0
    for start, end in [*sorted(taken), (head_bytes, head_bytes)]:
        if start > free:
            yield WatchedBuffer(f"{SCRATCH}{free}", "scratch", "arena", free, start - free)
        free = max(free, end)


# ---- from windows to overlaps ----


def _measured(
    model: Model, trace: Trace, run: NetworkRun, weights: bool
) -> Iterator[MeasuredOperator]:
    aliased = aliases(model)
    for moment in moments(model):
        step = moment.operator.index
        liveness = trace.liveness(step)
        live = {buffer.name: buffer for buffer in liveness}
        window = trace.overlaps_of(step, liveness, isolated=False)
        scratch = [buffer for name, buffer in live.items() if name.startswith(SCRATCH)]
        yield measured_operator(
            model,
            moment,
            OperatorCall(
                live=live,
                overlaps=[
                    _aliased(pair, live)
                    if aliased.get(number_of(pair.output)) == number_of(pair.input)
                    else pair
                    for pair in window.pairs
                ],
                events=window.events,
                seconds=run.call_seconds[step],
                scratch_bytes=sum(map(touched_bytes, scratch)),
                weights_read_bytes=_weights_read(live, weights),
            ),
        )


def _weights_read(live: Mapping[str, BufferLiveness], watched: bool) -> int | None:
    if not watched:
        return None
    return sum(touched_bytes(buffer) for buffer in live.values() if buffer.role == Role.WEIGHTS)


def _aliased(overlap: Overlap, live: Mapping[str, BufferLiveness]) -> Overlap:
    """Input and output were one place: is that safe?  Nothing else was seen."""
    both = live[overlap.input], live[overlap.output]
    nowhere = apart(*both, "measured where input and output are one place")
    if any(touched_bytes(buffer) for buffer in both):
        return nowhere
    return replace(nowhere, isolated_safe_displacements=(0,))
