"""Models, each once for each set of inputs; every operator's call can be a window.

For each job RESULTS has a record of the arena (a layer's has none), then one for each run.
"""

from __future__ import annotations

import ctypes
import re
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

from diagmem.tflm.child.job import ArenaUse, Job, NetworkRun, WatchedBuffer
from diagmem.tflm.child.process import (
    Log,
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


def records(runtime: Any, model: bytes, job: Job, log: Log) -> Iterator[ArenaUse | NetworkRun]:
    profiler = _Profiler(job) if job.calls else None
    try:
        if job.refused:
            raise RefusedError(job.refused)
        interpreter = interpret(runtime, model, job.arena_bytes)
        if not job.layer:
            yield allocated(interpreter, log)
        addresses = Addresses(interpreter, model, job)
        if profiler is not None:
            profiler.attach(runtime, interpreter, addresses)
        for arrays in job.runs:
            yield _run(interpreter, arrays, addresses, profiler, job)
    except Exception:
        if profiler is not None and job.layer:
            profiler.ensure_window()
        raise


def allocated(interpreter: Any, log: Log) -> ArenaUse:
    """Bytes of the arena as TFLM reports them."""
    interpreter.PrintAllocations()
    sizes = {part: int(size) for part, size in _ALLOCATED.findall(log.text())}
    log.clear()
    if len(sizes) != 3:
        raise RefusedError("TFLM does not say how much of its arena it uses")
    return ArenaUse(sizes["total"], sizes["head"], sizes["tail"])


def _run(
    interpreter: Any,
    arrays: list[Any],
    addresses: Addresses,
    profiler: _Profiler | None,
    job: Job,
) -> NetworkRun:
    give(interpreter, arrays, addresses, job)
    if profiler is not None:
        profiler.start()
    begin = time.perf_counter()
    interpreter.Invoke()
    seconds = time.perf_counter() - begin
    calls = profiler.finish() if profiler is not None else ()
    kept = {
        buffer.name: ctypes.string_at(addresses.of(buffer), buffer.size_bytes)
        for buffer in job.kept
    }
    return NetworkRun(taken(interpreter, addresses, job), seconds, calls, kept)


def give(interpreter: Any, arrays: list[Any], addresses: Addresses, job: Job) -> None:
    """Set the model's inputs; they must lie where they were planned."""
    for number, array in enumerate(arrays):
        interpreter.SetInputTensor(array, number)
    for number, tensor in enumerate(job.inputs):
        addresses.check(tensor, arrays[number].tobytes())


def taken(interpreter: Any, addresses: Addresses, job: Job) -> tuple[bytes, ...]:
    """The model's outputs; they must lie where they were planned."""
    outputs = []
    for number, tensor in enumerate(job.outputs):
        outputs.append(interpreter.GetOutputTensor(number).tobytes())
        addresses.check(tensor, outputs[-1])
    return tuple(outputs)


class Addresses:
    """Of tensors in the arena, where a plan says so, and of constants."""

    def __init__(self, interpreter: Any, model: bytes, job: Job) -> None:
        self._model = ctypes.cast(ctypes.c_char_p(model), ctypes.c_void_p).value or 0
        self._offsets = job.offsets
        self._arena = arena_of(interpreter, model) if self._offsets else 0

    def check(self, tensor: int, data: bytes) -> None:
        if tensor in self._offsets:
            check_place(f"{tensor}", self._arena + self._offsets[tensor], data)

    def of(self, buffer: WatchedBuffer) -> int:
        return {"arena": self._arena, "model": self._model}[buffer.where] + buffer.offset


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

    def __init__(self, job: Job) -> None:
        self._library = _library(job.profiler)
        self._job = job
        self._kept: list[Any] = []
        self._calls = (_CallStruct * len(job.calls))()
        self._struct = _ProfilerStruct(calls=self._calls, count=len(self._calls))

    def attach(self, runtime: Any, interpreter: Any, addresses: Addresses) -> None:
        for call, (name, buffers) in zip(self._calls, self._job.calls, strict=True):
            places = (_PlaceStruct * len(buffers))()
            for place, buffer in zip(places, buffers, strict=True):
                place.name, place.role = buffer.name.encode(), _ROLES[buffer.role]
                place.start, place.bytes = addresses.of(buffer), buffer.size_bytes
            self._kept.append(places)
            call.name, call.places, call.count = name.encode(), places, len(buffers)
        attach(runtime, interpreter, ctypes.addressof(self._struct))

    def start(self) -> None:
        self._library.start_profile(ctypes.byref(self._struct))

    def finish(self) -> tuple[float, ...]:
        """Seconds of each call."""
        check_calls(self._struct.next, self._struct.strange, len(self._calls))
        return tuple(call.nanoseconds / 1e9 for call in self._calls)

    def ensure_window(self) -> None:
        """Make an empty one, if there is none yet."""
        if self._struct.next == 0:
            self._library.empty_window(self._job.calls[0].name.encode())


@cache
def _library(path: str) -> Any:
    return ctypes.CDLL(path)


if __name__ == "__main__":
    serve(records)
