"""The process in which TFLM runs: one case after another, each flushed when done.

    python -P session.py CASES RESULTS

It also runs under Valgrind, where Python is slow.  So it imports nothing of
diagmem, loads TFLM's runtime without the package around it, and gets from the
parent all that can be made there.  Both files are rows of pickles, as `runs` makes
and reads them: CASES a head and then the cases, RESULTS a sign that TFLM is loaded
and then a record for each case.  What TFLM prints goes to RESULTS.log, cleared before each case.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
from typing import Any, BinaryIO

# A BLAS that nobody calls would start its threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np

ARENA_ALIGN_BYTES = 16
INPUT, OUTPUT = 0, 1
"""`DiagmemRole` in diagmem.h."""
_POINTER = ctypes.sizeof(ctypes.c_void_p)
_WRAPPER_WORDS = 8


class RefusedError(Exception):
    """This case cannot be run; the next one may."""


def main(cases_file: str, results_file: str) -> None:
    log = os.open(results_file + ".log", os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_WRONLY)
    os.dup2(log, 2)
    with open(cases_file, "rb") as cases, open(results_file, "wb") as results:
        head = pickle.load(cases)
        runtime = _load(head["runtime"])
        requests = ctypes.CDLL(head["requests"])
        _write({"ready": True}, results)
        for _ in range(head["count"]):
            case = pickle.load(cases)
            os.ftruncate(log, 0)
            result = _run(runtime, requests, case)
            _write({**result, "printed": _text(results_file + ".log")}, results)


def _write(record: dict[str, Any], results: BinaryIO) -> None:
    pickle.dump(record, results)
    results.flush()


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def _load(path: str) -> Any:
    loader = ExtensionFileLoader("_runtime", path)
    spec = spec_from_loader("_runtime", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def _run(runtime: Any, requests: Any, case: dict[str, Any]) -> dict[str, Any]:
    windows = _Windows(requests, case)
    try:
        return {"refused": "", **_interpret(runtime, windows, case)}
    except (RefusedError, RuntimeError, ValueError) as error:
        # The windows of a trace are counted: this case has one, too.
        if not windows.opened:
            with windows.over({}):
                pass
        return {"refused": str(error)}


def _interpret(runtime: Any, windows: _Windows, case: dict[str, Any]) -> dict[str, Any]:
    if case["refused"]:
        raise RefusedError(case["refused"])
    model, arena_bytes = case["model"], case["arena_bytes"]
    interpreter = runtime.InterpreterWrapper(
        model, [], arena_bytes, 0, runtime.PythonInterpreterConfig.kAllocationRecording, 0
    )
    arena = _arena(interpreter, model)
    places = {name: arena + offset for name, offset in case["offsets"].items()}
    inputs = case["inputs"]
    arrays = [np.frombuffer(i["bytes"], i["dtype"]).reshape(i["shape"]) for i in inputs]
    # Of overlapping tensors the one written last is whole, and that is the input.
    for number in case["order"]:
        interpreter.SetInputTensor(arrays[number], number)
    _check_inputs(case, places)
    with windows.over(places):
        interpreter.Invoke()
    memory = {name: ctypes.string_at(places[name], size) for name, size in case["sizes"].items()}
    for number, name in enumerate(case["outputs"]):
        if interpreter.GetOutputTensor(number).tobytes() != memory[name]:
            raise RefusedError(f"tensor {name!r} does not lie where it was planned")
    return {"memory": memory}


def _arena(interpreter: Any, model: bytes) -> int:
    """Where the planned part of the arena begins.

    The interpreter's object holds, beside others, a pointer to the model and
    behind it one to the arena.
    """
    # A pybind11 instance is a Python object's head and then the C++ object's address.
    (instance,) = _words(id(interpreter) + object.__basicsize__, 1)
    words = _words(instance, _WRAPPER_WORDS)
    if id(model) not in words[:-1]:
        raise RefusedError("the arena of this build of tflite-micro cannot be found")
    return -(-words[words.index(id(model)) + 1] // ARENA_ALIGN_BYTES) * ARENA_ALIGN_BYTES


def _words(address: int, count: int) -> list[int]:
    data = ctypes.string_at(address, count * _POINTER)
    return [int(word) for word in np.frombuffer(data, np.uintp)]


def _check_inputs(case: dict[str, Any], places: dict[str, int]) -> None:
    """Every input's bytes are where it was planned, so the arena was found."""
    for given in case["inputs"]:
        if ctypes.string_at(places[given["name"]], len(given["bytes"])) != given["bytes"]:
            raise RefusedError(f"tensor {given['name']!r} does not lie where it was planned")


class _Windows:
    """The window of one case, and the buffers in it."""

    def __init__(self, requests: Any, case: dict[str, Any]) -> None:
        self._requests = requests
        self._case = case
        self.opened = False

    @contextmanager
    def over(self, places: dict[str, int]) -> Iterator[None]:
        requests, sizes = self._requests, self._case.get("sizes", {})
        for name, address in places.items():
            role = OUTPUT if name in self._case["outputs"] else INPUT
            requests.declare_buffer(
                name.encode(), role, ctypes.c_void_p(address), ctypes.c_size_t(sizes[name])
            )
        self.opened = True
        requests.begin_window(self._case["operator"].encode())
        try:
            yield
        finally:
            requests.end_window()
            for name in places:
                requests.forget_buffer(name.encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
