"""Described kernels under the tool: from a description to a trace and its D."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path

from diagmem.api import open_trace
from diagmem.errors import DiagmemError
from diagmem.kernels.build import build
from diagmem.kernels.cases import Case, Placement, read_results
from diagmem.kernels.model import Kernel
from diagmem.kernels.run import RESULTS_FILE, driver_command
from diagmem.record.recorder import Mode, Recorded, Request, record


class KernelDidNotFinishError(DiagmemError):
    """The traced kernel crashed or gave up; its trace is there, and cut."""


def trace_kernel(
    kernel: Kernel,
    output: Path,
    *,
    mode: Mode = "events",
    watch: Sequence[str] = (),
    seed: int = 0,
    placement: Placement | None = None,
    every_load: bool = False,
    raw_copies: bool = False,
    progress: bool = False,
) -> Recorded:
    """Call a described kernel once under the tool and write its trace.

    ``seed`` chooses the buffers' contents; ``placement`` overlaps two buffers,
    which otherwise lie apart; ``watch`` names the buffers to record, empty: all.

    Raises
    ------
    DiagmemError
        If the kernel does not compile, crashes or writes outside its buffers.
    """
    built = build(kernel)
    case = Case(kernel, seed=seed, placement=placement)
    with tempfile.TemporaryDirectory(prefix="diagmem-") as directory:
        request = Request(
            command=driver_command(built, [case], Path(directory)),
            mode=mode,
            watch=watch,
            every_load=every_load,
            raw_copies=raw_copies,
            about=_about(kernel, built.compiler, seed),
        )
        recorded = record(request, output, progress=progress)
        if recorded.exit_code:
            raise KernelDidNotFinishError(_crash(kernel, recorded))
        read_results([case], Path(directory) / RESULTS_FILE)
    return recorded


def _crash(kernel: Kernel, recorded: Recorded) -> str:
    line = f"{kernel.name}: the kernel did not finish under Valgrind: " + "; ".join(
        recorded.warnings
    )
    if recorded.exit_code == -signal.SIGILL:
        line += " (Valgrind knows no AVX-512; try flags with -mno-avx512f)"
    return line


def _about(kernel: Kernel, compiler: str, seed: int) -> dict[str, object]:
    """The trace's header: how to make it again, without this machine's paths."""
    return {
        "command": ["diagmem", "trace", kernel.name],
        "kernel": kernel.name,
        "parameters": dict(kernel.parameters),
        "flags": list(kernel.code.flags),
        "compiler": compiler,
        "seed": seed,
    }


def trace_displacements(kernel: Kernel, *, seed: int = 0) -> list[tuple[str, str, int]]:
    """Input, output and traced D in bytes, for each pair of a kernel's buffers."""
    with tempfile.TemporaryDirectory(prefix="diagmem-") as directory:
        path = Path(directory) / "trace.dmt"
        # Event mode: exact even for a kernel that stores to its input.
        trace_kernel(kernel, path, seed=seed)
        with open_trace(path) as trace:
            return [
                (pair.input, pair.output, pair.min_displacement_bytes)
                for window in trace.overlaps()
                for pair in window.pairs
            ]
