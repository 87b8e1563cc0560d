"""The C reference kernels as a set, many layers to a process."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from diagmem.analysis.safe import Placement
from diagmem.analysis.trace import open_trace
from diagmem.base.errors import DiagmemError
from diagmem.check.kernel_set import LayerOutcome, LayerRun, Traced
from diagmem.kernels.build import Built, build
from diagmem.kernels.cases import Case, Result, layout
from diagmem.kernels.cortex_m.on_target import for_target, on_target, why_too_large
from diagmem.kernels.driver import signature
from diagmem.kernels.kernel import Kernel
from diagmem.kernels.native import driver_command, run_each
from diagmem.kernels.reference import reference_kernel, why_none
from diagmem.ops.layer import Layer
from diagmem.proof.runs import BATCH_BYTES
from diagmem.record.recorder import record
from diagmem.record.request import Request
from diagmem.trace.window import Role

PATIENCE_SECONDS = 120.0
"""For a batch of small runs: a kernel that loses its way overlapped is stopped."""


@dataclass
class CKernels:
    """Kernels compiled with some flags, which follow one loop order; with a target they
    are compiled for it and run in QEMU."""

    name: str
    flags: str
    loop_order: str
    target: str = ""
    compiler: str = ""
    _kernels: dict[str, Kernel] = field(default_factory=dict)
    _built: dict[tuple[object, ...], Built] = field(default_factory=dict)

    def order(self, layer: Layer) -> str:
        return self.loop_order

    def why_none(self, layer: Layer) -> str:
        reason = why_none(layer, self.loop_order)
        if self.target and not reason:
            reason = why_too_large(self.target, Case(self._kernel(layer)))
        return reason

    def run(self, runs: Sequence[LayerRun]) -> list[LayerOutcome]:
        outcomes: list[LayerOutcome] = [LayerOutcome({}, "not run")] * len(runs)
        cases = [self._case(run) for run in runs]
        for built, numbers in self._by_build(cases):
            for batch in _batches(numbers, cases):
                results = run_each(
                    built, [cases[i] for i in batch], timeout_seconds=PATIENCE_SECONDS
                )
                for i, result in zip(batch, results, strict=True):
                    outcomes[i] = _outcome(runs[i], cases[i].kernel, result)
        return outcomes

    def trace(self, layers: Sequence[Layer], seed: int) -> list[Traced]:
        traced: list[Traced] = [Traced((), "not traced")] * len(layers)
        cases = [self._case(LayerRun(layer, seed)) for layer in layers]
        for built, numbers in self._by_build(cases):
            traces = _traced(built, [cases[i] for i in numbers])
            for i, one in zip(numbers, traces, strict=True):
                traced[i] = one
        return traced

    def _case(self, run: LayerRun) -> Case:
        kernel = self._kernel(run.layer)
        if run.placement is None:
            return Case(kernel, run.seed)
        return Case(kernel, run.seed, _placement(kernel, run.layer, run.placement))

    def _kernel(self, layer: Layer) -> Kernel:
        key = repr((layer.operator, layer.attributes))
        if key not in self._kernels:
            kernel = reference_kernel(
                layer, flags=self.flags, order=self.loop_order, compiler=self.compiler
            )
            self._kernels[key] = for_target(kernel, self.target) if self.target else kernel
        return self._kernels[key]

    def _by_build(self, cases: Sequence[Case]) -> Iterator[tuple[Built, list[int]]]:
        """The numbers of the cases that one driver can serve."""
        groups: dict[tuple[object, ...], list[int]] = {}
        for number, case in enumerate(cases):
            code = case.kernel.code
            key: tuple[object, ...] = (code.files, code.flags, signature(case.kernel))
            groups.setdefault(key, []).append(number)
        for key, numbers in groups.items():
            if key not in self._built:
                self._built[key] = build(cases[numbers[0]].kernel)
            yield self._built[key], numbers


def _placement(kernel: Kernel, layer: Layer, placement: Placement) -> Placement:
    """Layers and kernels name their tensors in one order, but not always alike."""
    inputs = [tensor.name for tensor in layer.inputs]
    outputs = [tensor.name for tensor in layer.outputs]
    source = kernel.with_role(Role.INPUT)[inputs.index(placement.input)]
    target = kernel.with_role(Role.OUTPUT)[outputs.index(placement.output)]
    return Placement(source.name, target.name, placement.displacement_bytes)


def _outcome(run: LayerRun, kernel: Kernel, result: Result | DiagmemError) -> LayerOutcome:
    if isinstance(result, DiagmemError):
        return LayerOutcome({}, str(result))
    kept = {}
    for role, tensors in ((Role.INPUT, run.layer.inputs), (Role.OUTPUT, run.layer.outputs)):
        for tensor, buffer in zip(tensors, kernel.with_role(role), strict=True):
            if run.placement is None or tensor.name != run.placement.input:
                kept[tensor.name] = result.buffers[buffer.name]
    kept |= {b.name: result.buffers[b.name] for b in kernel.with_role(Role.WEIGHTS)}
    return LayerOutcome(kept)


def _batches(numbers: Sequence[int], cases: Sequence[Case]) -> Iterator[list[int]]:
    """As many at a time as memory and patience allow."""
    batch: list[int] = []
    size = 0
    for number in numbers:
        region = layout(cases[number]).region_bytes
        if batch and size + region > BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(number)
        size += region
    if batch:
        yield batch


def _traced(built: Built, cases: Sequence[Case]) -> list[Traced]:
    """One process for all of them, a window each."""
    with tempfile.TemporaryDirectory(prefix="diagmem-") as name:
        directory = Path(name)
        path = directory / "cases.dmt"
        watch = [
            buffer.name
            for role in (Role.INPUT, Role.OUTPUT)
            for buffer in cases[0].kernel.with_role(role)
        ]
        request = Request(
            command=driver_command(built, cases, directory), mode="summary", watch=watch
        )
        if built.target:
            request = on_target(request, built, cases, directory)
        recorded = record(request, path)
        with open_trace(recorded.path) as trace:
            traces = [Traced(window.pairs) for window in trace.overlaps(isolated=False)]
    if len(traces) < len(cases) or recorded.exit_code:
        why = "; ".join(recorded.warnings) or f"exit code {recorded.exit_code}"
        traces = traces[: len(cases) - 1]
        traces += [Traced((), f"the trace ended early: {why}")] * (len(cases) - len(traces))
    return traces
