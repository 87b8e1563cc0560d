"""A model on TFLM, in this process."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

ARENA_BYTES = 1 << 22


def run(data: bytes, *inputs: npt.NDArray[Any], arena_bytes: int = ARENA_BYTES) -> npt.NDArray[Any]:
    """The first output of one inference."""
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(data, arena_size=arena_bytes)
    for number, values in enumerate(inputs):
        interpreter.set_input(values, number)
    interpreter.invoke()
    return np.array(interpreter.get_output(0))
