"""Cases of one operator each: one after another, each flushed when done.

    python -m diagmem.tflm.child.one_operator CASES RESULTS

Both files are rows of pickles: CASES a head and then the cases, RESULTS as
`process` says, a record for each case.
"""

from __future__ import annotations

import ctypes
import pickle
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from diagmem.tflm.child.process import (
    Log,
    RefusedError,
    arena_of,
    check_place,
    interpret,
    load,
    write,
)

INPUT, OUTPUT = 0, 1
"""`DiagmemRole` in diagmem.h."""


def main(cases_file: str, results_file: str) -> None:
    log = Log(results_file + ".log")
    with open(cases_file, "rb") as cases, open(results_file, "wb") as results:
        head = pickle.load(cases)
        runtime = load(head["runtime"])
        requests = ctypes.CDLL(head["requests"])
        write({"ready": True}, results)
        for _ in range(head["count"]):
            case = pickle.load(cases)
            log.clear()
            result = _run(runtime, requests, case)
            write({**result, "printed": log.text()}, results)


def _run(runtime: Any, requests: Any, case: dict[str, Any]) -> dict[str, Any]:
    windows = _CaseWindow(requests, case)
    try:
        return {"refused": "", **_interpret(runtime, windows, case)}
    except (RefusedError, RuntimeError, ValueError) as error:
        # The windows of a trace are counted: this case has one, too.
        if not windows.opened:
            with windows.over({}):
                pass
        return {"refused": str(error)}


def _interpret(runtime: Any, windows: _CaseWindow, case: dict[str, Any]) -> dict[str, Any]:
    if case["refused"]:
        raise RefusedError(case["refused"])
    model, arena_bytes = case["model"], case["arena_bytes"]
    interpreter = interpret(runtime, model, arena_bytes)
    arena = arena_of(interpreter, model)
    places = {name: arena + offset for name, offset in case["offsets"].items()}
    inputs = case["inputs"]
    arrays = [np.frombuffer(i["bytes"], i["dtype"]).reshape(i["shape"]) for i in inputs]
    # Of overlapping tensors the one written last is whole, and that is the input.
    for number in case["order"]:
        interpreter.SetInputTensor(arrays[number], number)
    for given in inputs:
        check_place(given["name"], places[given["name"]], given["bytes"])
    with windows.over(places):
        interpreter.Invoke()
    memory = {name: ctypes.string_at(places[name], size) for name, size in case["sizes"].items()}
    for number, name in enumerate(case["outputs"]):
        check_place(name, places[name], interpreter.GetOutputTensor(number).tobytes())
    return {"memory": memory}


class _CaseWindow:
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
    # Ctrl-C is for the parent to speak of.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    main(*sys.argv[1:])
