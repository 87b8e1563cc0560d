"""A TFLite model of a single operator, made on the fly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flatbuffers
import numpy as np
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from diagmem.base.errors import DiagmemError
from diagmem.ops.layer import Layer, Tensor
from diagmem.tflm.quantisation import Quantisation, activation_quantisations
from diagmem.tflm.recipes import Constant, recipe, tensor_type

PLAN_NAME = "OfflineMemoryAllocation"
PLANNED_ONLINE = -1
_NO_DATA = 0
"""The buffer that every activation names: it is empty."""


def one_operator_model(
    layer: Layer, *, seed: int = 0, offsets: Mapping[str, int] | None = None
) -> bytes:
    """The layer as a ``.tflite`` file; ``seed`` makes its weights.

    ``offsets`` are the places of activations from the start of the arena, in
    bytes, for TFLM to take as they are; it plans what they do not name.

    Raises
    ------
    DiagmemError
        TFLite cannot express the layer.
    """
    draft = _ModelDraft()
    quantisations = activation_quantisations(layer)
    for tensor in (*layer.inputs, *layer.outputs):
        draft.activation(tensor, quantisations.get(tensor.name))
    made = recipe(layer, seed)
    operands = [
        draft.constant(operand) if isinstance(operand, Constant) else draft.index[operand]
        for operand in made.operands
    ]
    draft.operator(layer, operands, made.options)
    if offsets is not None:
        draft.plan(layer, offsets)
    return draft.file()


class _ModelDraft:
    """A model being put together."""

    def __init__(self) -> None:
        self.index: dict[str, int] = {}
        self._graph = schema.SubGraphT()
        self._graph.tensors = []
        self._model = schema.ModelT()
        self._model.version = 3
        self._model.buffers = [schema.BufferT()]
        self._model.subgraphs = [self._graph]

    def activation(self, tensor: Tensor, quantisation: Quantisation | None) -> None:
        self._tensor(tensor.name, tensor.shape, tensor.dtype, _NO_DATA, quantisation)

    def constant(self, constant: Constant) -> int:
        values = constant.values
        buffer = self._buffer(values)
        return self._tensor(
            constant.name, values.shape, values.dtype.name, buffer, constant.quantisation
        )

    def operator(self, layer: Layer, operands: list[int], options: Any) -> None:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, layer.operator)
        # Readers of both fields take the larger; this one is a byte.
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        # TFLM does not look at versions.
        code.version = 1
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs = 0, operands
        operator.outputs = [self.index[tensor.name] for tensor in layer.outputs]
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            operator.builtinOptions = options
        self._model.operatorCodes = [code]
        self._graph.operators = [operator]
        self._graph.inputs = [self.index[tensor.name] for tensor in layer.inputs]
        self._graph.outputs = operator.outputs

    def plan(self, layer: Layer, offsets: Mapping[str, int]) -> None:
        unknown = sorted(set(offsets) - {t.name for t in (*layer.inputs, *layer.outputs)})
        if unknown or min(offsets.values(), default=0) < 0:
            raise DiagmemError(
                f"{layer.operator}: offsets {dict(offsets)}, expected none below 0 and no names"
                " but the layer's tensors"
            )
        count = len(self._graph.tensors)
        words = np.full(3 + count, PLANNED_ONLINE, np.int32)
        words[:3] = 1, 0, count
        for name, offset in offsets.items():
            words[3 + self.index[name]] = offset
        metadata = schema.MetadataT()
        metadata.name, metadata.buffer = PLAN_NAME, self._buffer(words)
        self._model.metadata = [metadata]

    def file(self) -> bytes:
        builder = flatbuffers.Builder(1024)
        builder.Finish(self._model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _buffer(self, values: np.ndarray[Any, Any]) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        return len(self._model.buffers) - 1

    def _tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: str,
        buffer: int,
        quantisation: Quantisation | None,
    ) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, list(shape), buffer
        tensor.type = tensor_type(dtype)
        if quantisation is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = list(quantisation.scales)
            tensor.quantization.zeroPoint = [quantisation.zero_point] * len(quantisation.scales)
            tensor.quantization.quantizedDimension = quantisation.axis
        self._graph.tensors.append(tensor)
        self.index[name] = len(self._graph.tensors) - 1
        return self.index[name]
