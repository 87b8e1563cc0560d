"""Small models made by hand, through TFLite's own schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

Bytes = bytes | None


class Draft:
    """A model being put together: tensors and operators in the order they are added."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.graph = schema.SubGraphT()
        self.model.version = 3
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes = []
        self.model.subgraphs = [self.graph]
        self.graph.tensors, self.graph.operators = [], []
        self.graph.inputs, self.graph.outputs = [], []

    def tensor(
        self,
        shape: Sequence[int],
        dtype: str = "float32",
        *,
        values: Any = None,
        scale: Sequence[float] = (),
        zero_point: Sequence[int] = (),
        name: str = "",
        variable: bool = False,
        signature: Sequence[int] | None = None,
    ) -> int:
        tensor = schema.TensorT()
        number = len(self.graph.tensors)
        tensor.name = name or f"t{number}"
        tensor.shape, tensor.isVariable = list(shape), variable
        tensor.shapeSignature = None if signature is None else list(signature)
        tensor.type = getattr(schema.TensorType, dtype.upper())
        tensor.buffer = 0
        if values is not None:
            data = values if isinstance(values, bytes) else np.asarray(values, dtype).tobytes()
            tensor.buffer = self.buffer(data)
        if scale:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = list(scale)
            tensor.quantization.zeroPoint = list(zero_point or [0] * len(scale))
        self.graph.tensors.append(tensor)
        return number

    def buffer(self, data: bytes) -> int:
        made = schema.BufferT()
        made.data = np.frombuffer(data, np.uint8)
        self.model.buffers.append(made)
        return len(self.model.buffers) - 1

    def operator(
        self,
        name: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: str = "",
        **fields: Any,
    ) -> None:
        """``options``: the schema's name of the table without "Options"."""
        code = schema.OperatorCodeT()
        builtin, _, custom = name.partition(":")
        code.builtinCode = getattr(schema.BuiltinOperator, builtin)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.customCode, code.version = custom or None, 1
        self.model.operatorCodes.append(code)
        made = schema.OperatorT()
        made.opcodeIndex = len(self.model.operatorCodes) - 1
        made.inputs, made.outputs = list(inputs), list(outputs)
        if options:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, f"{options}Options")
            made.builtinOptions = getattr(schema, f"{options}OptionsT")()
            for field, value in fields.items():
                setattr(made.builtinOptions, field, value)
        self.graph.operators.append(made)

    def metadata(self, name: str, contents: bytes) -> None:
        entry = schema.MetadataT()
        entry.name, entry.buffer = name, self.buffer(contents)
        self.model.metadata = [*(self.model.metadata or []), entry]

    def io(self, inputs: Sequence[int], outputs: Sequence[int]) -> Draft:
        self.graph.inputs, self.graph.outputs = list(inputs), list(outputs)
        return self

    def file(self) -> bytes:
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def chain(
    *links: tuple[Sequence[int], Sequence[int]],
    tensors: int,
    inputs: Sequence[int],
    outputs: Sequence[int],
) -> Draft:
    """A graph of custom operators that nobody can run: (inputs, outputs) of each."""
    draft = Draft()
    for number in range(tensors):
        draft.tensor((number + 1, 3))
    for reads, writes in links:
        draft.operator("CUSTOM:link", reads, writes)
    return draft.io(inputs, outputs)


def small() -> Draft:
    """A model that TFLM runs: depthwise convolution, addition with itself, softmax."""
    random = np.random.default_rng(5)
    draft = Draft()
    source = draft.tensor((1, 5, 7, 3), name="picture")
    weights = draft.tensor((1, 3, 2, 3), values=random.uniform(-1, 1, (1, 3, 2, 3)))
    bias = draft.tensor((3,), values=random.uniform(-1, 1, 3))
    made = draft.tensor((1, 3, 7, 3), name="made")
    twice = draft.tensor((1, 3, 7, 3), name="twice")
    result = draft.tensor((1, 3, 7, 3), name="result")
    draft.operator(
        "DEPTHWISE_CONV_2D",
        [source, weights, bias],
        [made],
        "DepthwiseConv2D",
        strideH=2,
        strideW=1,
        depthMultiplier=1,
    )
    draft.operator("ADD", [made, made], [twice], "Add")
    draft.operator("SOFTMAX", [twice], [result], "Softmax", beta=1.0)
    return draft.io([source], [result])


def parsed(data: bytes) -> Any:
    """The file as TFLite's own schema reads it."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))


def words(enumeration: type) -> Mapping[int, str]:
    """Numbers of one of the schema's enumerations, by value."""
    return {v: k for k, v in vars(enumeration).items() if isinstance(v, int)}
