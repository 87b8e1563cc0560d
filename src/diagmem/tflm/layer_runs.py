"""Layers run by TFLM: natively, or under the tool for a trace of them.

All cases of a call share one process, since Python's start costs seconds under
Valgrind.  A case that TFLM refuses, or that takes the process down, is an
outcome like any other.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diagmem.analysis.safe import Placement
from diagmem.base.errors import DiagmemError
from diagmem.ops.layer import Layer
from diagmem.record.recorder import record
from diagmem.record.request import Mode, Recorded, Request
from diagmem.tflm.inputs import input_values
from diagmem.tflm.placing import place
from diagmem.tflm.processes import (
    TIMEOUT_SECONDS,
    child_command,
    how_ended,
    kernels_name,
    printed,
    read_records,
    run_natively,
    runtime_file,
)
from diagmem.tflm.requests import client_library


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
        with tempfile.TemporaryDirectory(prefix="diagmem-") as directory:
            session = _Session(Path(directory), cases[len(outcomes) :])
            how = run_natively(session.command, timeout_seconds)
            outcomes += session.outcomes(how)
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
    with tempfile.TemporaryDirectory(prefix="diagmem-") as directory:
        session = _Session(Path(directory), cases)
        about = {
            "kernels": kernels_name(),
            "operators": [case.layer.operator for case in cases],
        }
        request = Request(command=session.command, mode=mode, about=about)
        recorded = record(request, output, progress=progress)
        outcomes = session.outcomes(how_ended(recorded.exit_code))
    behind = TflmOutcome(refused="refused: an earlier case ended the process")
    return recorded, outcomes + [behind] * (len(cases) - len(outcomes))


class _Session:
    """One process and its files."""

    def __init__(self, directory: Path, cases: Sequence[TflmCase]) -> None:
        self._cases = cases
        self._results = directory / "results"
        head = {
            "runtime": str(runtime_file()),
            "requests": str(client_library("requests")),
            "count": len(cases),
        }
        with (directory / "cases").open("wb") as file:
            pickle.dump(head, file)
            for case in cases:
                pickle.dump(_job(case), file)
        self.command = child_command("one_operator", directory / "cases", self._results)

    def outcomes(self, how: str) -> list[TflmOutcome]:
        """One for each case that was begun; ``how`` the process ended is the last one's."""
        records = read_records(self._results)
        if not records:
            raise DiagmemError(
                f"TFLM did not start: {how or printed(self._results) or 'no reason given'}"
            )
        outcomes = [
            _outcome(case, record) for case, record in zip(self._cases, records[1:], strict=False)
        ]
        if len(outcomes) < len(self._cases):
            reason = "; ".join(text for text in (how, printed(self._results)) if text)
            outcomes.append(TflmOutcome(refused=f"refused: {reason}"))
        return outcomes


def _outcome(case: TflmCase, record: Mapping[str, Any]) -> TflmOutcome:
    if record["refused"]:
        reason = " ".join(f"{record['refused']} {record['printed']}".split())
        return TflmOutcome(refused=f"refused: {reason[:300]}")
    memory = record["memory"]
    covered = case.placement.input if case.placement else ""
    return TflmOutcome(
        outputs={tensor.name: memory[tensor.name] for tensor in case.layer.outputs},
        inputs={t.name: memory[t.name] for t in case.layer.inputs if t.name != covered},
    )


def _job(case: TflmCase) -> dict[str, Any]:
    """What the session needs for a case, or why there is no such model."""
    from diagmem.tflm.models import one_operator_model

    layer = case.layer
    try:
        placed = place(layer, case.placement)
        model = one_operator_model(layer, seed=case.seed, offsets=placed.offsets)
    except DiagmemError as error:
        return {"operator": layer.operator, "refused": str(error)}
    values = input_values(layer, case.seed)
    last = case.placement.input if case.placement else ""
    return {
        "operator": layer.operator,
        "refused": "",
        "model": model,
        "arena_bytes": placed.arena_bytes,
        "offsets": dict(placed.offsets),
        "sizes": {tensor.name: tensor.size_bytes for tensor in (*layer.inputs, *layer.outputs)},
        "outputs": [tensor.name for tensor in layer.outputs],
        "order": sorted(range(len(layer.inputs)), key=lambda i: layer.inputs[i].name == last),
        "inputs": [
            {
                "name": tensor.name,
                "dtype": tensor.dtype,
                "shape": tensor.shape,
                "bytes": values[tensor.name].tobytes(),
            }
            for tensor in layer.inputs
        ],
    }
