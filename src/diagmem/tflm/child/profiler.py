"""A profiler of ours, where TFLM's interpreter looks for one."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from diagmem.tflm.child.process import POINTER_BYTES, RefusedError, words, wrapper_of

_WRAPPER_WORDS = 4096
"""The interpreter's C++ object holds all operators of TFLM: some 14 kB."""
_GRAPH_WORDS = 8
"""Where in the interpreter's memory the graph begins is looked for in so many words."""
_PROFILER_WORD = 7
"""Of the graph: which word is the pointer to a profiler."""


_attached: set[int] = set()
"""Graphs that have their profiler; memory near an interpreter may lead to another's."""


def attach(runtime: Any, interpreter: Any, profiler: int) -> None:
    """Have the interpreter call the profiler at that address, before and after each
    operator."""
    graph, pointer = _graph(runtime, interpreter), ctypes.c_void_p(profiler)
    ctypes.memmove(graph + _PROFILER_WORD * POINTER_BYTES, ctypes.byref(pointer), POINTER_BYTES)
    _attached.add(graph)


def check_calls(calls: int, strange: int, expected: int) -> None:
    """Were the calls those of the model?  ``strange``: the first that was not the one
    expected there, from 1; 0: all were."""
    if strange or calls != expected:
        raise RefusedError(
            f"TFLM called {calls} operators, the model has {expected};"
            f" number {(strange or calls + 1) - 1} is the first that was not expected"
        )


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
            if graph in _attached:
                continue
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
