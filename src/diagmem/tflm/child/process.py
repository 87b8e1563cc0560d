"""What all child processes do: load TFLM, find its arena, write records of results.

    python -m diagmem.tflm.child.MODULE JOBS RESULTS

JOBS is a row of pickles: where TFLM's runtime is, then the jobs.  RESULTS is one of
records; the file is not there until TFLM is loaded.  What TFLM prints goes to a file of
that name with ``.log`` behind it.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
from typing import Any

# A BLAS that nobody calls would start its threads; TFLM's runtime imports numpy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from diagmem.tflm.child.job import Job, Record, Refused

ARENA_ALIGN_BYTES = 16
POINTER_BYTES = ctypes.sizeof(ctypes.c_void_p)
_WRAPPER_WORDS = 8


class RefusedError(Exception):
    """This case cannot be run; the next one may."""


class Log:
    """What TFLM prints, on standard error, since it was last cleared."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_WRONLY)
        os.dup2(self._file, 2)

    def clear(self) -> None:
        os.ftruncate(self._file, 0)

    def text(self) -> str:
        with open(self._path, encoding="utf-8", errors="replace") as file:
            return file.read()


def serve(records: Callable[[Any, bytes, Job, Log], Iterator[Record]]) -> None:
    """Do the jobs that the command line names: write the records that ``records`` makes of
    TFLM, the model, the job and what TFLM prints, each so that it survives whatever comes
    next; a job's last one may say why there are no more."""
    # Ctrl-C is for the parent to speak of.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    jobs_file, results_file = sys.argv[1:]
    log = Log(results_file + ".log")
    with open(jobs_file, "rb") as jobs:
        runtime = _load(pickle.load(jobs))
        with open(results_file, "wb") as results:
            while jobs.peek(1):
                for record in _answers(records, runtime, pickle.load(jobs), log):
                    pickle.dump(record, results)
                    results.flush()


def _answers(
    records: Callable[[Any, bytes, Job, Log], Iterator[Record]], runtime: Any, job: Job, log: Log
) -> Iterator[Record]:
    log.clear()
    try:
        yield from records(runtime, _model(job), job, log)
    except (RefusedError, RuntimeError, ValueError) as error:
        yield Refused(" ".join(f"{error} {log.text()}".split()))


def _model(job: Job) -> bytes:
    if isinstance(job.model, bytes):
        return job.model
    with open(job.model, "rb") as file:
        return file.read()


def _load(path: str) -> Any:
    """TFLM's extension module, without the package it is part of."""
    loader = ExtensionFileLoader("_runtime", path)
    spec = spec_from_loader("_runtime", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def interpret(runtime: Any, model: bytes, arena_bytes: int) -> Any:
    """An interpreter that can say how much of its arena it uses."""
    config = runtime.PythonInterpreterConfig.kAllocationRecording
    return runtime.InterpreterWrapper(model, [], arena_bytes, 0, config, 0)


def wrapper_of(interpreter: Any) -> int:
    """The address of the C++ object behind an interpreter.

    A pybind11 instance is a Python object's head and then that address.
    """
    return words(id(interpreter) + object.__basicsize__, 1)[0]


def arena_of(interpreter: Any, model: bytes) -> int:
    """Where the planned part of the arena begins.

    The C++ object holds, beside others, a pointer to the model and behind it one
    to the arena.
    """
    held = words(wrapper_of(interpreter), _WRAPPER_WORDS)
    if id(model) not in held[:-1]:
        raise RefusedError("the arena of this build of tflite-micro cannot be found")
    return -(-held[held.index(id(model)) + 1] // ARENA_ALIGN_BYTES) * ARENA_ALIGN_BYTES


def words(address: int, count: int) -> list[int]:
    """So many words of memory, as integers; fewer where not all of them can be read."""
    try:
        data = os.pread(_memory(), count * POINTER_BYTES, address)
    except (OSError, OverflowError):
        return []
    return list(memoryview(data[: len(data) // POINTER_BYTES * POINTER_BYTES]).cast("P"))


@cache
def _memory() -> int:
    """The process's own memory as a file: what cannot be read is an error, no crash."""
    return os.open("/proc/self/mem", os.O_RDONLY)


def check_place(name: str, address: int, data: bytes) -> None:
    """A tensor's bytes are where it was planned, so the arena was found."""
    if ctypes.string_at(address, len(data)) != data:
        raise RefusedError(f"tensor {name!r} does not lie where it was planned")
