"""The kernels of the ``tflite-micro`` wheel as a set, one process for many layers."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diagmem.analysis.trace import open_trace
from diagmem.base.errors import DiagmemError
from diagmem.check.kernel_set import LayerOutcome, LayerRun, Traced
from diagmem.ops import find_operator
from diagmem.ops.layer import Layer
from diagmem.ops.operator import REFERENCE
from diagmem.tflm.layer_runs import TflmCase, TflmOutcome, run_layers, trace_layers


@dataclass(frozen=True)
class TflmKernels:
    """TFLM's portable kernels."""

    name: str = "tflm"

    def order(self, layer: Layer) -> str:
        """Where TFLM's kernel parts from the reference, there is an order of its own."""
        return self.name if self.name in find_operator(layer.operator).orders else REFERENCE

    def why_none(self, layer: Layer) -> str:
        if any(tensor.elements == 0 for tensor in (*layer.inputs, *layer.outputs)):
            return "a tensor is empty"
        from diagmem.tflm.recipes import recipe

        try:
            recipe(layer, seed=0)
        except DiagmemError as error:
            return str(error).removeprefix(f"{layer.operator}: ")
        return ""

    def run(self, runs: Sequence[LayerRun]) -> list[LayerOutcome]:
        return [
            _outcome(outcome)
            for outcome in run_layers(
                [TflmCase(run.layer, run.seed, run.placement) for run in runs]
            )
        ]

    def trace(self, layers: Sequence[Layer], seed: int) -> list[Traced]:
        with tempfile.TemporaryDirectory(prefix="diagmem-") as name:
            path = Path(name) / "layers.dmt"
            recorded, outcomes = trace_layers([TflmCase(layer, seed) for layer in layers], path)
            with open_trace(recorded.path) as trace:
                windows = trace.overlaps(isolated=False)
        if len(windows) < len(layers) and not any(outcome.refused for outcome in outcomes):
            raise DiagmemError(
                f"the trace of TFLM has {len(windows)} windows for {len(layers)} layers"
            )
        traces = [
            Traced((), outcome.refused) if outcome.refused else Traced(window.pairs)
            for outcome, window in zip(outcomes, windows, strict=False)
        ]
        return traces + [Traced((), "not reached")] * (len(layers) - len(traces))


def _outcome(outcome: TflmOutcome) -> LayerOutcome:
    tensors = {**outcome.inputs, **outcome.outputs}
    return LayerOutcome(
        {name: np.frombuffer(data, np.uint8) for name, data in tensors.items()}, outcome.refused
    )
