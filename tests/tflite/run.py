"""A model on TFLM, in this process."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from diagmem.tflite import read_model

ARENA_BYTES = 1 << 22


def run(data: bytes, *inputs: npt.NDArray[Any], arena_bytes: int = ARENA_BYTES) -> npt.NDArray[Any]:
    """The first output of one inference."""
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(data, arena_size=arena_bytes)
    for number, values in enumerate(inputs):
        interpreter.set_input(values, number)
    interpreter.invoke()
    return np.array(interpreter.get_output(0))


def run_whole(
    data: bytes, *inputs: npt.NDArray[Any], arena_bytes: int = 1 << 28
) -> tuple[npt.NDArray[Any], dict[int, npt.NDArray[Any]]]:
    """The first output of one inference, and all that operators made, by tensor number."""
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(
        data,
        arena_size=arena_bytes,
        intrepreter_config=runtime.InterpreterConfig.kPreserveAllTensors,
    )
    for number, values in enumerate(inputs):
        interpreter.set_input(values, number)
    interpreter.invoke()
    made = {
        number: np.array(interpreter.GetTensor(number, 0)["tensor_data"])
        for operator in read_model(data).operators
        for number in operator.outputs
    }
    return np.array(interpreter.get_output(0)), made
