"""One DEPTHWISE_CONV_2D run by stock TensorFlow Lite Micro, from Python.

The kernel is the one in the ``tflite-micro`` wheel; diagmem watches it inside
this very process.  The README shows the command; `tensor_place` below says
where the places in it come from.

    python examples/tflm_depthwise.py [HEIGHT WIDTH CHANNELS]
"""

from __future__ import annotations

import sys

import flatbuffers
import numpy as np
from tflite_micro.python.tflite_micro import runtime
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

INPUT, FILTER, BIAS, OUTPUT = range(4)
FILTER_SIZE = 3


def tensor_place(index: int, size_bytes: int) -> str:
    """Where tensor `index` lies when TFLM calls an operator's Eval(context, node).

    TfLiteContext is argument 0.  Its first member is the MicroContext (0), which
    keeps the interpreter's graph (56), which keeps one allocation record per
    subgraph (32), whose second member is the array of TfLiteEvalTensor (8), of
    24 bytes each, the data pointer first.  True of the wheel that
    ``pyproject.toml`` pins, on amd64.
    """
    return f"arg:0->0->56->32->8->{24 * index},bytes:{size_bytes}"


def depthwise_model(height: int, width: int, channels: int) -> bytes:
    """A float model of one 3x3 depthwise convolution, stride 1, SAME."""
    rng = np.random.default_rng(0)
    model = schema.ModelT()
    model.version = 3
    model.operatorCodes = [schema.OperatorCodeT()]
    model.operatorCodes[0].builtinCode = schema.BuiltinOperator.DEPTHWISE_CONV_2D
    model.operatorCodes[0].deprecatedBuiltinCode = schema.BuiltinOperator.DEPTHWISE_CONV_2D
    model.buffers = []
    graph = schema.SubGraphT()
    graph.tensors = []
    shapes = {
        INPUT: (1, height, width, channels),
        FILTER: (1, FILTER_SIZE, FILTER_SIZE, channels),
        BIAS: (channels,),
        OUTPUT: (1, height, width, channels),
    }
    for index, shape in shapes.items():
        buffer = schema.BufferT()
        if index in (FILTER, BIAS):
            values = rng.uniform(-1, 1, shape).astype(np.float32)
            buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        model.buffers.append(buffer)
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = list(shape), schema.TensorType.FLOAT32, index
        graph.tensors.append(tensor)
    options = schema.DepthwiseConv2DOptionsT()
    options.padding, options.depthMultiplier = schema.Padding.SAME, 1
    options.strideH = options.strideW = 1
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [INPUT, FILTER, BIAS], [OUTPUT]
    operator.builtinOptionsType = schema.BuiltinOptions.DepthwiseConv2DOptions
    operator.builtinOptions = options
    graph.operators, graph.inputs, graph.outputs = [operator], [INPUT], [OUTPUT]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def main() -> None:
    height, width, channels = (int(a) for a in sys.argv[1:] or (12, 12, 8))
    model = depthwise_model(height, width, channels)
    arena_bytes = 3 * 4 * height * width * channels + 20_000
    interpreter = runtime.Interpreter.from_bytes(model, arena_size=arena_bytes)
    values = np.random.default_rng(1).uniform(-1, 1, (1, height, width, channels))
    interpreter.set_input(values.astype(np.float32), 0)
    interpreter.invoke()
    print("sum of the output:", float(interpreter.get_output(0).sum()))


if __name__ == "__main__":
    main()
