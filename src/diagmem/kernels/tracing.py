"""Described kernels under the tool: from a description to a trace and its D."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from diagmem.analysis.safe import Placement
from diagmem.base.errors import DiagmemError
from diagmem.kernels.build import Built, build
from diagmem.kernels.cases import Case, Together, read_results
from diagmem.kernels.cortex_m.on_target import on_target
from diagmem.kernels.kernel import Kernel
from diagmem.kernels.native import RESULTS_FILE, driver_command
from diagmem.record.recorder import record
from diagmem.record.request import Mode, ProgramStoppedError, Recorded, Request
from diagmem.record.run import exit_text


class KernelDidNotFinishError(DiagmemError):
    """The traced kernel crashed or gave up; ``kept`` is its trace, cut, if there is one."""

    def __init__(self, why: str, kept: Path | None = None) -> None:
        super().__init__(why)
        self.kept = kept


def trace_kernel(
    kernel: Kernel,
    output: Path,
    *,
    built: Built | None = None,
    mode: Mode = "events",
    watch: Sequence[str] = (),
    seed: int = 0,
    inputs: int = 1,
    placement: Placement | Together | None = None,
    every_load: bool = False,
    raw_copies: bool = False,
    values: Path | None = None,
    time_limit_seconds: float | None = None,
    keep_when_interrupted: bool = False,
    progress: bool = False,
) -> Recorded:
    """Call a described kernel under the tool and write its trace.

    ``built`` is the kernel's build where there is one already.  ``seed`` chooses the
    buffers' contents; with several ``inputs`` there is a window for each seed from it on.
    ``placement`` overlaps two buffers, which otherwise lie apart; ``watch`` names the buffers
    to record, empty: all; ``values`` is where the values moved go, for
    `diagmem.trace.mirror`.  A kernel
    for another processor (`diagmem.kernels.cortex_m`) runs in QEMU.

    Raises
    ------
    DiagmemError
        If the kernel does not compile, crashes or writes outside its buffers.
    """
    built = built or build(kernel)
    cases = [Case(kernel, seed=s, placement=placement) for s in range(seed, seed + inputs)]
    with tempfile.TemporaryDirectory(prefix="diagmem-") as directory:
        request = Request(
            command=driver_command(built, cases, Path(directory)),
            mode=mode,
            watch=watch,
            every_load=every_load,
            raw_copies=raw_copies,
            values=values,
            about={**_about(kernel, built.compiler, seed), **_overlapped(placement)},
            time_limit_seconds=time_limit_seconds,
            keep_when_interrupted=keep_when_interrupted,
        )
        if built.target:
            request = on_target(request, built, cases, Path(directory))
        judge = partial(_judged, cases, Path(directory) / RESULTS_FILE)
        try:
            recorded = record(request, output, progress=progress, judge=judge)
        except ProgramStoppedError as error:
            if not built.target:
                raise
            raise KernelDidNotFinishError(f"{kernel.name}: {error.why}", error.kept) from None
    if recorded.exit_code and recorded.windows <= len(cases):
        raise KernelDidNotFinishError(_crash(kernel, recorded), recorded.path)
    if recorded.wrong:
        aside = f" (its trace is in {recorded.path})" if recorded.path != output else ""
        raise DiagmemError(recorded.wrong + aside)
    return recorded


def _judged(cases: Sequence[Case], results: Path, exit_code: int, windows: int) -> str:
    """What is wrong with a run of a kernel, or empty."""
    kernel = cases[0].kernel
    if windows > len(cases):
        return (
            f'{kernel.file}: "{kernel.function}" was called {windows} times, expected'
            f' {len(cases)}: does a function of "before" call it, too?'
        )
    if exit_code:
        return f"the program ended with {exit_text(exit_code)}"
    # Overlapped, a kernel may well do damage: that is for others to judge.
    if cases[0].placement is None:
        try:
            read_results(cases, results)
        except DiagmemError as error:
            return str(error)
    return ""


def _crash(kernel: Kernel, recorded: Recorded) -> str:
    line = f"{kernel.name}: the traced kernel did not finish: " + "; ".join(recorded.warnings)
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
        **_live(kernel),
    }


def _live(kernel: Kernel) -> dict[str, object]:
    """Buffers of which a part counts: the trace has no more of them."""
    part = {b.name: b.live_bytes for b in kernel.buffers if b.live_bytes is not None}
    return {"live_bytes": part} if part else {}


def _overlapped(placement: Placement | Together | None) -> dict[str, object]:
    if placement is None:
        return {}
    if isinstance(placement, Together):
        return {"overlapped": True, "offsets": dict(placement.offsets)}
    return {
        "overlapped": True,
        "displacement_bytes": {
            "input": placement.input,
            "output": placement.output,
            "bytes": placement.displacement_bytes,
        },
    }
