"""Running cases: natively, or as a command for somebody else to run."""

from __future__ import annotations

import re
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from diagmem.base.children import bound
from diagmem.base.errors import DiagmemError
from diagmem.kernels.build import Built
from diagmem.kernels.cases import (
    Case,
    Result,
    complete_results,
    read_each,
    read_results,
    write_cases,
)
from diagmem.kernels.cortex_m import start_up
from diagmem.kernels.cortex_m.on_target import why_too_large
from diagmem.kernels.driver import signature
from diagmem.record.qemu import image_command

CASES_FILE = start_up.CASES_FILE
RESULTS_FILE = start_up.RESULTS_FILE


class KernelStoppedError(DiagmemError):
    """The kernel ended by a signal or did not end at all."""


def driver_command(built: Built, cases: Sequence[Case], workdir: Path) -> list[str]:
    """The command that runs the cases, one window each, in the order given.

    Writes the case file into ``workdir``, an existing directory.  The results
    will be in ``workdir / RESULTS_FILE``, for `read_results`.  For a target it is
    the image alone, which wants to run in ``workdir``.
    """
    if not cases:
        raise DiagmemError("no cases to run, expected at least one")
    for case in cases:
        if signature(case.kernel) != built.signature:
            raise DiagmemError(f"{case.kernel.file}: the case belongs to another build")
        reason = why_too_large(built.target, case) if built.target else ""
        if reason:
            raise DiagmemError(f"{case.kernel.file}: {reason}")
    write_cases(cases, workdir / CASES_FILE)
    if built.target:
        return [str(built.binary)]
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
        how = _run(built, cases, workdir, timeout_seconds)
        if how:
            raise KernelStoppedError(_stopped(cases, workdir, how))
        return read_results(cases, workdir / RESULTS_FILE)


def run_each(
    built: Built, cases: Sequence[Case], *, timeout_seconds: float = 600.0
) -> list[Result | DiagmemError]:
    """Run all cases, whatever becomes of them: results and errors in their order.

    A case that stops the process is one error, and the cases behind it are run
    in another process.
    """
    outcomes: list[Result | DiagmemError] = []
    while len(outcomes) < len(cases):
        left = cases[len(outcomes) :]
        with tempfile.TemporaryDirectory(prefix="diagmem-") as name:
            workdir = Path(name)
            how = _run(built, left, workdir, timeout_seconds)
            results = read_each(left, workdir / RESULTS_FILE)
            outcomes += results
            if len(results) < len(left):
                outcomes.append(KernelStoppedError(_named(left[0], how or "ended the program")))
    return outcomes


def _run(built: Built, cases: Sequence[Case], workdir: Path, timeout_seconds: float) -> str:
    """Run the driver; how it was stopped, empty where it was not."""
    command = driver_command(built, cases, workdir)
    if built.target:
        command = image_command(built.target, built.binary)
    try:
        done = subprocess.run(
            bound(command),
            stdin=subprocess.DEVNULL,
            # An image's own words come out of QEMU there.
            stdout=subprocess.PIPE if built.target else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=timeout_seconds,
            check=False,
            cwd=workdir if built.target else None,
        )
    except subprocess.TimeoutExpired:
        return f"took more than {timeout_seconds:g} s"
    fatal = re.search(rb"qemu: fatal: ([^\n]+)", done.stderr) if built.target else None
    if fatal:
        return f"was stopped by a fault ({fatal[1].decode(errors='replace')})"
    if done.returncode < 0:
        return f"was stopped by {_signal_name(-done.returncode)}"
    if built.target and done.returncode == start_up.FAULT_EXIT_CODE:
        return "was stopped by a fault"
    text = done.stdout if built.target else done.stderr
    if text.startswith(b"driver: "):
        reason = text.decode(errors="replace").splitlines()[0]
        raise DiagmemError(f"{cases[0].kernel.file}: {reason}")
    return ""


def _signal_name(number: int) -> str:
    return next((s.name for s in signal.Signals if s.value == number), f"signal {number}")


def _stopped(cases: Sequence[Case], workdir: Path, how: str) -> str:
    number = complete_results(cases, workdir / RESULTS_FILE)
    return f"{_named(cases[0], how)} in case {number + 1} of {len(cases)}"


def _named(case: Case, how: str) -> str:
    return f'{case.kernel.file}: function "{case.kernel.function}" {how}'
