"""Layers run by TFLM: natively, or under the tool for a trace of them.

All cases of a call share one process, since Python's start costs seconds under
Valgrind.  A case that TFLM refuses, or that takes the process down, is an
outcome like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from diagmem.analysis.safe import Placement
from diagmem.base.errors import DiagmemError
from diagmem.ops.layer import Layer
from diagmem.record.recorder import record
from diagmem.record.request import Mode, Recorded, Request
from diagmem.tflm.child.job import (
    Job,
    NetworkRun,
    Record,
    Refused,
    WatchedBuffer,
    WatchedCall,
)
from diagmem.tflm.inputs import input_values
from diagmem.tflm.placing import place
from diagmem.tflm.processes import (
    TIMEOUT_SECONDS,
    child_process,
    how_ended,
    kernels_name,
    last_words,
    read_records,
    run_natively,
)
from diagmem.tflm.profiler_library import profiler_library


@dataclass(frozen=True, slots=True)
class TflmCase:
    """One run of a layer; ``seed`` makes its weights and inputs.

    Without ``placement`` all activations lie apart.
    """

    layer: Layer
    seed: int = 0
    placement: Placement | None = None


@dataclass(frozen=True, slots=True)
class TflmOutcome:
    """What a run left behind.

    ``inputs`` are those that no output lay over, as they are after the run;
    ``refused`` says why there was no run, or how it ended the process.
    """

    outputs: Mapping[str, bytes] = field(default_factory=dict)
    inputs: Mapping[str, bytes] = field(default_factory=dict)
    refused: str = ""


def run_layers(
    cases: Sequence[TflmCase], *, timeout_seconds: float = TIMEOUT_SECONDS
) -> list[TflmOutcome]:
    """Run all cases natively; one outcome per case, in the same order.

    Raises
    ------
    DiagmemError
        tflite-micro is not there, or fails before the first case.
    """
    outcomes: list[TflmOutcome] = []
    while len(outcomes) < len(cases):
        left = cases[len(outcomes) :]
        with child_process("network", map(_job, left)) as (command, results):
            how = run_natively(command, timeout_seconds)
            outcomes += _outcomes(left, results, how)
    return outcomes


def trace_layers(
    cases: Sequence[TflmCase], output: Path, *, mode: Mode = "summary", progress: bool = False
) -> tuple[Recorded, list[TflmOutcome]]:
    """Run all cases under the tool and write their trace: a window for each.

    A case that was refused has a window without buffers.  One that ends the
    process leaves the cases behind it without windows; `run_layers` finds it.

    Raises
    ------
    DiagmemError
        tflite-micro or the tool is not there, or fails before the first case.
    """
    about = {"kernels": kernels_name(), "operators": [case.layer.operator for case in cases]}
    profiler = str(profiler_library())
    jobs = (_job(case, profiler) for case in cases)
    with child_process("network", jobs) as (command, results):
        request = Request(command=command, mode=mode, about=about)
        recorded = record(request, output, progress=progress)
        outcomes = _outcomes(cases, results, how_ended(recorded.exit_code))
    behind = TflmOutcome(refused="refused: an earlier case ended the process")
    return recorded, outcomes + [behind] * (len(cases) - len(outcomes))


def _outcomes(cases: Sequence[TflmCase], results: Path, how: str) -> list[TflmOutcome]:
    """One for each case that was begun; ``how`` the process ended is the last one's."""
    if not results.is_file():
        raise DiagmemError(f"TFLM did not start: {last_words(how, results)}")
    records = zip(cases, read_records(results), strict=False)
    outcomes = [_outcome(case, record) for case, record in records]
    if len(outcomes) < len(cases):
        outcomes.append(TflmOutcome(refused=f"refused: {last_words(how, results)}"))
    return outcomes


def _outcome(case: TflmCase, record: Record) -> TflmOutcome:
    if isinstance(record, Refused):
        return TflmOutcome(refused=f"refused: {record.why[:300]}")
    assert isinstance(record, NetworkRun)
    names = [tensor.name for tensor in case.layer.outputs]
    return TflmOutcome(
        outputs=dict(zip(names, record.outputs, strict=True)),
        inputs=record.kept,
    )


def _job(case: TflmCase, profiler: str = "") -> Job:
    """Tensors are numbered as `one_operator_model` has them: inputs, then outputs."""
    from diagmem.tflm.models import one_operator_model

    layer = case.layer
    tensors = (*layer.inputs, *layer.outputs)
    inputs = range(len(layer.inputs))
    try:
        arena = place(layer, case.placement)
        model = one_operator_model(layer, seed=case.seed, offsets=arena.offsets)
    except DiagmemError as error:
        calls = [WatchedCall(layer.operator, ())] if profiler else []
        return Job(b"", 0, {}, (), (), [], calls, profiler, layer=True, refused=str(error))
    places = tuple(
        WatchedBuffer(
            tensor.name,
            "input" if number in inputs else "output",
            "arena",
            arena.offsets[tensor.name],
            tensor.size_bytes,
        )
        for number, tensor in enumerate(tensors)
    )
    values = input_values(layer, case.seed)
    covered = case.placement.input if case.placement else ""
    return Job(
        model=model,
        arena_bytes=arena.arena_bytes,
        offsets={number: place.offset for number, place in enumerate(places)},
        inputs=tuple(inputs),
        outputs=tuple(range(len(inputs), len(tensors))),
        runs=[[values[tensor.name] for tensor in layer.inputs]],
        calls=[WatchedCall(layer.operator, places)] if profiler else [],
        profiler=profiler,
        kept=tuple(places[number] for number in inputs if places[number].name != covered),
        layer=True,
    )
