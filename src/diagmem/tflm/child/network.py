"""A whole model, once for each set of inputs; every operator's call can be a window.

    python -m diagmem.tflm.child.network JOB RESULTS

JOB is a pickle; RESULTS is as `process` says: a record of the arena, then one for
each run.
"""

from __future__ import annotations

import ctypes
import re
import time
from collections.abc import Iterator
from typing import Any

from diagmem.tflm.child.job import Job
from diagmem.tflm.child.process import (
    Log,
    Record,
    RefusedError,
    arena_of,
    check_place,
    interpret,
    serve,
)
from diagmem.tflm.child.profiler import attach, check_calls

_ROLES = {"input": 0, "output": 1, "weights": 2, "scratch": 3}
"""`DiagmemRole` in diagmem.h."""
_ALLOCATED = re.compile(r"Arena allocation (total|head|tail) (\d+) bytes")


def records(runtime: Any, model: bytes, job: Job, log: Log) -> Iterator[Record]:
    interpreter = interpret(runtime, model, job.arena_bytes)
    yield allocated(interpreter, log)
    places = Addresses(interpreter, model, job)
    profiler = _Profiler(job, runtime, interpreter, places) if job.calls else None
    for arrays in job.runs:
        yield _run(interpreter, arrays, places, profiler, job)


def allocated(interpreter: Any, log: Log) -> dict[str, int]:
    """Bytes of the arena as TFLM reports them: total, head and tail."""
    interpreter.PrintAllocations()
    parts = {f"arena_{part}_bytes": int(size) for part, size in _ALLOCATED.findall(log.text())}
    log.clear()
    if len(parts) != 3:
        raise RefusedError("TFLM does not say how much of its arena it uses")
    return parts


def _run(
    interpreter: Any,
    arrays: list[Any],
    places: Addresses,
    profiler: _Profiler | None,
    job: Job,
) -> Record:
    give(interpreter, arrays, places, job)
    if profiler is not None:
        profiler.start()
    begin = time.perf_counter()
    interpreter.Invoke()
    seconds = time.perf_counter() - begin
    calls = profiler.finish() if profiler is not None else {}
    outputs = taken(interpreter, places, job)
    return {"outputs": outputs, "seconds": seconds, **calls}


def give(interpreter: Any, arrays: list[Any], places: Addresses, job: Job) -> None:
    """Set the model's inputs; they must lie where they were planned."""
    for number, array in enumerate(arrays):
        interpreter.SetInputTensor(array, number)
    for number, tensor in enumerate(job.inputs):
        places.check(tensor, arrays[number].tobytes())


def taken(interpreter: Any, places: Addresses, job: Job) -> list[bytes]:
    """The model's outputs; they must lie where they were planned."""
    outputs = []
    for number, tensor in enumerate(job.outputs):
        outputs.append(interpreter.GetOutputTensor(number).tobytes())
        places.check(tensor, outputs[-1])
    return outputs


class Addresses:
    """Addresses: of tensors in the arena, where a plan says so, and of constants."""

    def __init__(self, interpreter: Any, model: bytes, job: Job) -> None:
        self._model = ctypes.cast(ctypes.c_char_p(model), ctypes.c_void_p).value or 0
        self._offsets = job.offsets
        self._arena = arena_of(interpreter, model) if self._offsets else 0

    def check(self, tensor: int, data: bytes) -> None:
        if tensor in self._offsets:
            check_place(f"{tensor}", self._arena + self._offsets[tensor], data)

    def address(self, where: str, offset: int) -> int:
        return {"arena": self._arena, "model": self._model}[where] + offset


class _PlaceStruct(ctypes.Structure):
    """``struct place`` of profiler.c."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("role", ctypes.c_int32),
        ("start", ctypes.c_void_p),
        ("bytes", ctypes.c_size_t),
    )


class _CallStruct(ctypes.Structure):
    """``struct operator_call``."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("places", ctypes.POINTER(_PlaceStruct)),
        ("count", ctypes.c_size_t),
        ("nanoseconds", ctypes.c_uint64),
    )


class _ProfilerStruct(ctypes.Structure):
    """``struct profiler``."""

    _fields_ = (
        ("methods", ctypes.c_void_p),
        ("calls", ctypes.POINTER(_CallStruct)),
        ("count", ctypes.c_size_t),
        ("next", ctypes.c_size_t),
        ("strange", ctypes.c_size_t),
        ("began", ctypes.c_uint64),
    )


class _Profiler:
    """Our profiler, where the interpreter looks for one."""

    def __init__(self, job: Job, runtime: Any, interpreter: Any, places: Addresses) -> None:
        self._library = ctypes.CDLL(job.profiler)
        self._kept = []
        calls = (_CallStruct * len(job.calls))()
        for call, (name, tensors) in zip(calls, job.calls, strict=True):
            listed = (_PlaceStruct * len(tensors))()
            for place, (buffer, role, where, offset, size) in zip(listed, tensors, strict=True):
                place.name, place.role, place.bytes = buffer.encode(), _ROLES[role], size
                place.start = places.address(where, offset)
            self._kept.append(listed)
            call.name, call.places, call.count = name.encode(), listed, len(tensors)
        self._calls = calls
        self._struct = _ProfilerStruct(calls=calls, count=len(calls))
        attach(runtime, interpreter, ctypes.addressof(self._struct))

    def start(self) -> None:
        self._library.start_profile(ctypes.byref(self._struct))

    def finish(self) -> dict[str, list[Any]]:
        """Seconds of each call."""
        check_calls(self._struct.next, self._struct.strange, len(self._calls))
        return {"call_seconds": [call.nanoseconds / 1e9 for call in self._calls]}


if __name__ == "__main__":
    serve(records)
