"""A whole model, once for each set of inputs; every operator's call can be a window.

    python -m diagmem.kernels.tflm.child.network JOB RESULTS

JOB is a pickle; RESULTS is as `process` says: a record of the arena, then one for
each run.
"""

from __future__ import annotations

import ctypes
import pickle
import re
import sys
import time
from typing import Any

import numpy as np

from diagmem.kernels.tflm.child.process import (
    POINTER_BYTES,
    Log,
    RefusedError,
    arena_of,
    check_place,
    interpret,
    load,
    words,
    wrapper_of,
    write,
)

_WRAPPER_WORDS = 4096
"""The interpreter's C++ object holds all operators of TFLM: some 14 kB."""
_GRAPH_WORDS = 8
"""Where in the interpreter's memory the graph begins is looked for in so many words."""
_PROFILER_WORD = 7
"""Of the graph: which word is the pointer to a profiler."""
_ALLOCATED = re.compile(r"Arena allocation (total|head|tail) (\d+) bytes")


def main(job_file: str, results_file: str) -> None:
    log = Log(results_file + ".log")
    with open(job_file, "rb") as file:
        job = pickle.load(file)
    with open(job["model"], "rb") as file:
        model = file.read()
    with open(results_file, "wb") as results:
        runtime = load(job["runtime"])
        write({"ready": True}, results)
        try:
            interpreter = interpret(runtime, model, job["arena_bytes"])
            write({"refused": "", **_allocated(interpreter, log)}, results)
            places = _Places(interpreter, model, job)
            profiler = _Profiler(job, runtime, interpreter, places) if job["calls"] else None
            for arrays in job["runs"]:
                write(_run(interpreter, arrays, places, profiler, job), results)
        except (RefusedError, RuntimeError, ValueError) as error:
            write({"refused": f"{error} {log.text()}"}, results)


def _allocated(interpreter: Any, log: Log) -> dict[str, int]:
    """Bytes of the arena as TFLM reports them: total, head and tail."""
    interpreter.PrintAllocations()
    found = {f"arena_{part}_bytes": int(size) for part, size in _ALLOCATED.findall(log.text())}
    log.clear()
    if len(found) != 3:
        raise RefusedError("TFLM does not say how much of its arena it uses")
    return found


def _run(
    interpreter: Any,
    arrays: list[Any],
    places: _Places,
    profiler: _Profiler | None,
    job: dict[str, Any],
) -> dict[str, Any]:
    for number, array in enumerate(arrays):
        interpreter.SetInputTensor(array, number)
    for number, tensor in enumerate(job["inputs"]):
        places.check(tensor, arrays[number].tobytes())
    if profiler is not None:
        profiler.start()
    begin = time.perf_counter()
    interpreter.Invoke()
    seconds = time.perf_counter() - begin
    calls = profiler.finish() if profiler is not None else {}
    outputs = []
    for number, tensor in enumerate(job["outputs"]):
        outputs.append(interpreter.GetOutputTensor(number).tobytes())
        places.check(tensor, outputs[-1])
    return {"refused": "", "outputs": outputs, "seconds": seconds, **calls}


class _Places:
    """Addresses: of tensors in the arena, where a plan says so, and of constants."""

    def __init__(self, interpreter: Any, model: bytes, job: dict[str, Any]) -> None:
        self._model = ctypes.cast(ctypes.c_char_p(model), ctypes.c_void_p).value or 0
        self._offsets: dict[int, int] = job["offsets"]
        self._arena = arena_of(interpreter, model) if self._offsets else 0

    def check(self, tensor: int, data: bytes) -> None:
        if tensor in self._offsets:
            check_place(f"{tensor}", self._arena + self._offsets[tensor], data)

    def address(self, where: str, offset: int) -> int:
        return {"arena": self._arena, "model": self._model}[where] + offset


class _Place(ctypes.Structure):
    """``struct place`` of profiler.c."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("role", ctypes.c_int32),
        ("start", ctypes.c_void_p),
        ("bytes", ctypes.c_size_t),
    )


class _Call(ctypes.Structure):
    """``struct operator_call``."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("places", ctypes.POINTER(_Place)),
        ("count", ctypes.c_size_t),
        ("nanoseconds", ctypes.c_uint64),
        ("hash", ctypes.c_uint64),
    )


class _ProfilerStruct(ctypes.Structure):
    """``struct profiler``."""

    _fields_ = (
        ("methods", ctypes.c_void_p),
        ("calls", ctypes.POINTER(_Call)),
        ("count", ctypes.c_size_t),
        ("next", ctypes.c_size_t),
        ("strange", ctypes.c_size_t),
        ("hashing", ctypes.c_size_t),
        ("began", ctypes.c_uint64),
    )


class _Profiler:
    """Our profiler, where the interpreter looks for one."""

    def __init__(
        self, job: dict[str, Any], runtime: Any, interpreter: Any, places: _Places
    ) -> None:
        self._library = ctypes.CDLL(job["profiler"])
        self._kept = []
        calls = (_Call * len(job["calls"]))()
        for call, (name, tensors) in zip(calls, job["calls"], strict=True):
            listed = (_Place * len(tensors))()
            for place, (buffer, role, where, offset, size) in zip(listed, tensors, strict=True):
                place.name, place.role, place.bytes = buffer.encode(), role, size
                place.start = places.address(where, offset)
            self._kept.append(listed)
            call.name, call.places, call.count = name.encode(), listed, len(tensors)
        self._calls = calls
        self._struct = _ProfilerStruct(calls=calls, count=len(calls), hashing=job["hashing"])
        pointer = ctypes.c_void_p(ctypes.addressof(self._struct))
        ctypes.memmove(
            _graph(runtime, interpreter) + _PROFILER_WORD * POINTER_BYTES,
            ctypes.byref(pointer),
            POINTER_BYTES,
        )

    def start(self) -> None:
        self._library.start_profile(ctypes.byref(self._struct))

    def finish(self) -> dict[str, list[Any]]:
        """Seconds of each call, and the hash of what it put out."""
        seen, strange = self._struct.next, self._struct.strange
        if strange or seen != len(self._calls):
            raise RefusedError(
                f"TFLM called {seen} operators, the model has {len(self._calls)};"
                f" number {(strange or seen + 1) - 1} is the first that was not expected"
            )
        return {
            "call_seconds": [call.nanoseconds / 1e9 for call in self._calls],
            "call_hashes": [call.hash for call in self._calls],
        }


def _graph(runtime: Any, interpreter: Any) -> int:
    """The address of the interpreter's graph, which holds the profiler.

    It is known by its virtual table, whose name the library exports, and is part of
    an object that the interpreter's C++ object points to.
    """
    library = ctypes.CDLL(runtime.__file__)
    try:
        table = ctypes.c_char.in_dll(library, "_ZTVN6tflite5micro21MicroInterpreterGraphE")
    except ValueError:
        raise RefusedError("this build of tflite-micro does not name its graph") from None
    wanted = ctypes.addressof(table) + 2 * POINTER_BYTES
    readable = _readable()
    start = wrapper_of(interpreter)
    for pointer in words(start, min(_WRAPPER_WORDS, readable.room(start) // POINTER_BYTES)):
        if readable.room(pointer) < _GRAPH_WORDS * 2 * POINTER_BYTES or pointer % POINTER_BYTES:
            continue
        held = words(pointer, _GRAPH_WORDS)
        if wanted in held:
            graph = pointer + held.index(wanted) * POINTER_BYTES
            if words(graph + _PROFILER_WORD * POINTER_BYTES, 1) != [0]:
                raise RefusedError("the graph of this build of tflite-micro is laid out anew")
            return graph
    raise RefusedError("the graph of this build of tflite-micro cannot be found")


class _Readable:
    """Memory that can be read."""

    def __init__(self, spans: list[tuple[int, int]]) -> None:
        self._start = np.array([start for start, _ in spans], np.uint64)
        self._end = np.array([end for _, end in spans], np.uint64)

    def room(self, address: int) -> int:
        """How many bytes there are from an address on."""
        if not 0 <= address < 1 << 64:
            return 0
        at = int(np.searchsorted(self._start, np.uint64(address), side="right")) - 1
        return max(int(self._end[at]) - address, 0) if at >= 0 else 0


def _readable() -> _Readable:
    spans = []
    with open("/proc/self/maps", encoding="utf-8") as file:
        for line in file:
            span, access = line.split()[:2]
            if access.startswith("rw"):
                start, end = span.split("-")
                spans.append((int(start, 16), int(end, 16)))
    return _Readable(sorted(spans))


if __name__ == "__main__":
    main(*sys.argv[1:])
