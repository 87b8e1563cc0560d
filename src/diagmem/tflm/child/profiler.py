"""A profiler of ours, where TFLM's interpreter looks for one."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

from diagmem.tflm.child.process import POINTER_BYTES, RefusedError, words, wrapper_of

_WRAPPER_WORDS = 4096
"""The interpreter's C++ object holds all operators of TFLM: some 14 kB."""
_GRAPH_WORDS = 8
"""Where in the interpreter's memory the graph begins is looked for in so many words."""
_PROFILER_WORD = 7
"""Of the graph: which word is the pointer to a profiler."""
_known: list[int] = []
"""Which word of an interpreter's object leads to its graph, once that is found: all are
objects of one class."""


def attach(runtime: Any, interpreter: Any, profiler: int) -> None:
    """Have the interpreter call the profiler at that address, before and after each
    operator."""
    graph, pointer = _graph(runtime, interpreter), ctypes.c_void_p(profiler)
    ctypes.memmove(graph + _PROFILER_WORD * POINTER_BYTES, ctypes.byref(pointer), POINTER_BYTES)


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

    It is known by its virtual table, and is part of an object that the interpreter's C++
    object points to.
    """
    table, start = _table(runtime.__file__), wrapper_of(interpreter)
    first, count = (_known[0], 1) if _known else (0, _WRAPPER_WORDS)
    for number, pointer in enumerate(words(start + first * POINTER_BYTES, count), first):
        held = words(pointer, _GRAPH_WORDS) if pointer % POINTER_BYTES == 0 else []
        if table in held:
            _known[:] = [number]
            graph = pointer + held.index(table) * POINTER_BYTES
            if words(graph + _PROFILER_WORD * POINTER_BYTES, 1) != [0]:
                raise RefusedError("the graph of this build of tflite-micro is laid out anew")
            return graph
    raise RefusedError("the graph of this build of tflite-micro cannot be found")


@cache
def _table(runtime_file: str) -> int:
    """Where objects of the graph's class point: behind the head of its virtual table, whose
    name the library exports."""
    library = ctypes.CDLL(runtime_file)
    try:
        table = ctypes.c_char.in_dll(library, "_ZTVN6tflite5micro21MicroInterpreterGraphE")
    except ValueError:
        raise RefusedError("this build of tflite-micro does not name its graph") from None
    return ctypes.addressof(table) + 2 * POINTER_BYTES
