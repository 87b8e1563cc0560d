"""What is known of one kernel: built once, run apart once, traced apart once."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Self

from diagmem.analysis.overlap import ONLY_IN_PLACE, Overlap
from diagmem.analysis.safe import Placement
from diagmem.analysis.trace import Trace, open_trace
from diagmem.analysis.window_overlaps import WindowOverlaps
from diagmem.kernels.build import build
from diagmem.kernels.kernel import Kernel
from diagmem.kernels.tracing import trace_kernel
from diagmem.proof.runs import Results, Runs


class Evidence:
    """A kernel on seeded inputs, for as long as the context is open.

    The traces have a window for each seed, and events of the kernel's tensors alone:
    nothing else can lie over anything.

    Raises
    ------
    DiagmemError
        The kernel cannot be built or run apart, or two runs apart differ; from what is
        traced, also where it cannot be.
    """

    def __init__(self, kernel: Kernel, seeds: range) -> None:
        self.kernel = kernel
        self.seeds = seeds
        self.built = build(kernel)
        # Running is quicker than tracing, and refuses what cannot be run at all.
        self.results = Results(kernel, seeds, built=self.built)
        self._runs: dict[tuple[str, str] | None, Runs] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def runs(self, pair: tuple[str, str]) -> Runs:
        """Runs of the kernel with that pair overlapped."""
        if pair not in self._runs:
            self._runs[pair] = Runs(self.results, pair)
        return self._runs[pair]

    @cached_property
    def trace(self) -> Trace:
        """The trace apart."""
        return self._open.enter_context(self._traced("apart.dmt", None))

    def overlaps(self, pair: tuple[str, str]) -> Sequence[Overlap]:
        """What each window of the trace apart says of a pair, but that a trace tries little:
        here displacements are run."""
        overlaps = [window.pair(*pair) for window in self._windows]
        return [
            replace(overlap, notes=tuple(n for n in overlap.notes if n != ONLY_IN_PLACE))
            for overlap in overlaps
        ]

    def trace_at(self, placement: Placement) -> Trace:
        """A trace of the kernel truly overlapped, to be closed by the caller.

        Raises
        ------
        KernelDidNotFinishError
            It crashed there.
        """
        return self._traced("overlapped.dmt", placement)

    @cached_property
    def _windows(self) -> Sequence[WindowOverlaps]:
        return self.trace.overlaps(isolated=False)

    @cached_property
    def _directory(self) -> Path:
        return Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="diagmem-")))

    def _traced(self, name: str, placement: Placement | None) -> Trace:
        recorded = trace_kernel(
            self.kernel,
            self._directory / name,
            built=self.built,
            watch=[buffer.name for buffer in self.kernel.tensors],
            seed=self.seeds.start,
            inputs=len(self.seeds),
            placement=placement,
        )
        return open_trace(recorded.path)
