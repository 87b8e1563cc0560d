"""The parent's side of the processes in which TFLM runs."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from diagmem.base.children import bound
from diagmem.base.errors import DiagmemError
from diagmem.base.installing import package_command
from diagmem.tflm.child.job import Job, Record

PACKAGE = "tflite-micro"
TIMEOUT_SECONDS = 600.0


def kernels_name() -> str:
    """Which kernels these are: the wheel and its version."""
    runtime_file()
    return f"{PACKAGE} {version(PACKAGE)}"


@cache
def runtime_file() -> Path:
    """The wheel's extension module; found without importing what is around it.

    Raises
    ------
    DiagmemError
        The wheel is not installed.
    """
    spec = find_spec("tflite_micro")
    if spec is None or spec.origin is None:
        raise DiagmemError(f"tflite-micro is not installed: {package_command('tflite-micro')}")
    return Path(spec.origin).parent / "python" / "tflite_micro" / "_runtime.so"


@contextmanager
def child_process(name: str, jobs: Iterable[Job]) -> Iterator[tuple[list[str], Path]]:
    """The command by which a module of `diagmem.tflm.child` does the jobs, and where its
    records will be."""
    with tempfile.TemporaryDirectory(prefix="diagmem-") as directory:
        path, results = Path(directory, "jobs"), Path(directory, "results")
        with path.open("wb") as file:
            pickle.dump(str(runtime_file()), file)
            for job in jobs:
                pickle.dump(job, file)
        # -P: the current folder would hide modules of the same names.
        module = f"diagmem.tflm.child.{name}"
        yield [sys.executable, "-P", "-m", module, str(path), str(results)], results


def run_natively(command: Sequence[str], timeout_seconds: float) -> str:
    """Run it to its end; how that was, empty if as it should be."""
    try:
        done = subprocess.run(
            bound(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"took more than {timeout_seconds:g} s"
    return how_ended(done.returncode)


def how_ended(exit_code: int) -> str:
    if exit_code < 0:
        return f"stopped by {signal.Signals(-exit_code).name}"
    return f"ended with exit code {exit_code}" if exit_code else ""


def read_records(results: Path) -> list[Record]:
    """All records that a file of results holds whole."""
    records: list[Record] = []
    if results.is_file():
        with results.open("rb") as file, suppress(EOFError, pickle.UnpicklingError):
            while True:
                records.append(pickle.load(file))
    return records


def last_words(how: str, results: Path) -> str:
    """How a child ended, and what TFLM printed last."""
    log = results.with_name(results.name + ".log")
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    printed = " ".join(text.split())[:300]
    return "; ".join(words for words in (how, printed) if words) or "no reason given"
