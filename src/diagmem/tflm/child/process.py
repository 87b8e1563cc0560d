"""What all child processes do: load TFLM, find its arena, write records of results.

A file of results is a row of pickles: a sign that TFLM is loaded, then the records.
What TFLM prints goes to a file of that name with ``.log`` behind it.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
from typing import Any, BinaryIO

# A BLAS that nobody calls would start its threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np

from diagmem.tflm.child.job import Job

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


Record = dict[str, Any]
"""What a run left behind, or why there was none: ``refused``, else empty."""


def serve(records: Callable[[Any, bytes, Job, Log], Iterator[Record]]) -> None:
    """Do the job that the command line names: write the records that ``records`` makes of
    TFLM, the model, the job and what TFLM prints; the last one may say why there are no
    more."""
    # Ctrl-C is for the parent to speak of.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    job_file, results_file = sys.argv[1:]
    log = Log(results_file + ".log")
    with open(job_file, "rb") as file:
        job: Job = pickle.load(file)
    with open(job.model, "rb") as file:
        model = file.read()
    with open(results_file, "wb") as results:
        runtime = load(job.runtime)
        write({"ready": True}, results)
        try:
            for record in records(runtime, model, job, log):
                write({"refused": "", **record}, results)
        except (RefusedError, RuntimeError, ValueError) as error:
            write({"refused": f"{error} {log.text()}"}, results)


def write(record: Record, results: BinaryIO) -> None:
    """Add a record, so that it survives whatever comes next."""
    pickle.dump(record, results)
    results.flush()


def load(path: str) -> Any:
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
    (address,) = words(id(interpreter) + object.__basicsize__, 1)
    return address


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
    """So many words of memory, as integers."""
    data = ctypes.string_at(address, count * POINTER_BYTES)
    return [int(word) for word in np.frombuffer(data, np.uintp)]


def check_place(name: str, address: int, data: bytes) -> None:
    """A tensor's bytes are where it was planned, so the arena was found."""
    if ctypes.string_at(address, len(data)) != data:
        raise RefusedError(f"tensor {name!r} does not lie where it was planned")
