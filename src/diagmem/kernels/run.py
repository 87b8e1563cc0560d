"""Running cases: natively, or as a command for somebody else to run."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from diagmem.errors import DiagmemError
from diagmem.kernels.build import Built
from diagmem.kernels.cases import (
    Case,
    Result,
    complete_results,
    read_results,
    write_cases,
)
from diagmem.kernels.driver import signature

CASES_FILE = "cases.bin"
RESULTS_FILE = "results.bin"


class KernelStoppedError(DiagmemError):
    """The kernel ended by a signal or did not end at all."""


def driver_command(built: Built, cases: Sequence[Case], workdir: Path) -> list[str]:
    """The command that runs the cases, one window each, in the order given.

    Writes the case file into ``workdir``, an existing directory.  The results
    will be in ``workdir / RESULTS_FILE``, for `read_results`.
    """
    if not cases:
        raise DiagmemError("no cases to run, expected at least one")
    for case in cases:
        if signature(case.kernel) != built.signature:
            raise DiagmemError(f"{case.kernel.file}: the case belongs to another build")
    write_cases(cases, workdir / CASES_FILE)
    return [str(built.binary), str(workdir / CASES_FILE), str(workdir / RESULTS_FILE)]


def run_native(
    built: Built, cases: Sequence[Case], *, timeout_seconds: float = 600.0
) -> list[Result]:
    """Run all cases in one process; one result per case, in the same order.

    Raises
    ------
    KernelStoppedError
        A signal ended the kernel, or it ran out of time.
    DiagmemError
        The kernel wrote outside of its buffers, returned an error or ended the
        program.
    """
    with tempfile.TemporaryDirectory(prefix="diagmem-") as name:
        workdir = Path(name)
        command = driver_command(built, cases, workdir)
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise KernelStoppedError(
                _stopped(cases, workdir, f"took more than {timeout_seconds:g} s")
            ) from error
        if done.returncode < 0:
            how = f"was stopped by {_signal_name(-done.returncode)}"
            raise KernelStoppedError(_stopped(cases, workdir, how))
        if done.stderr.startswith(b"driver: "):
            reason = done.stderr.decode(errors="replace").splitlines()[0]
            raise DiagmemError(f"{cases[0].kernel.file}: {reason}")
        return read_results(cases, workdir / RESULTS_FILE)


def _signal_name(number: int) -> str:
    return next((s.name for s in signal.Signals if s.value == number), f"signal {number}")


def _stopped(cases: Sequence[Case], workdir: Path, how: str) -> str:
    number = complete_results(cases, workdir / RESULTS_FILE)
    kernel = cases[0].kernel
    return f'{kernel.file}: function "{kernel.function}" {how} in case {number + 1} of {len(cases)}'
