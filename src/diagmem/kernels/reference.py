"""The bundled C kernel of a layer: which description, with which parameters."""

from __future__ import annotations

from diagmem.base.errors import DiagmemError
from diagmem.kernels.catalog import find
from diagmem.kernels.description import load
from diagmem.kernels.kernel import Kernel
from diagmem.kernels.layer_parameters import AXES, FAMILIES, MAX_PARTS, SCALES
from diagmem.ops.layer import Layer
from diagmem.ops.operator import REFERENCE


def reference_kernel(
    layer: Layer, *, flags: str | None = None, order: str = REFERENCE, compiler: str = ""
) -> Kernel:
    """The kernel whose inputs and outputs, in their order, are the layer's.

    ``flags`` replace those of the description, apart from the C standard; ``order``
    is the loop order that the kernel is to have, ``compiler`` another than ``cc``.

    Raises
    ------
    DiagmemError
        There is no C kernel for such a layer; see `why_none`.
    """
    reason = why_none(layer, order)
    if reason:
        raise DiagmemError(f"{layer.operator}: no C kernel: {reason}")
    name, parameters = FAMILIES[layer.operator](layer)
    if order == "two-columns":
        name = "conv_2d_two_columns"
    words = {key: _word(value) for key, value in parameters.items()}
    if flags is not None:
        words["flags"] = f"-std=c11 {flags}"
    if compiler:
        words["compiler"] = compiler
    return load(find(name), words)


def words_of(layer: Layer) -> dict[str, str]:
    """The layer in the words of the bundled descriptions: their parameters' names, with
    the layer's values, and ``operator`` and ``dtype``.

    Raises
    ------
    DiagmemError
        There are no words for such a layer; see `why_none`.
    """
    reason = why_none(layer)
    if reason:
        raise DiagmemError(f"{layer.operator}: {reason}")
    _, parameters = FAMILIES[layer.operator](layer)
    given = {"operator": layer.operator, "dtype": layer.inputs[0].dtype, **parameters}
    return {key: _word(value) for key, value in given.items()}


def why_none(layer: Layer, order: str = REFERENCE) -> str:
    """Why no C kernel computes this layer in this order; empty where one does."""
    if order != REFERENCE and (layer.operator, order, layer.inputs[0].dtype) not in _OTHER_ORDERS:
        return f"none of {layer.inputs[0].dtype} has the loop order {order}"
    if any(tensor.elements == 0 for tensor in (*layer.inputs, *layer.outputs)):
        return "a tensor is empty"
    tensors = (*layer.inputs, *layer.outputs)
    if max(len(tensor.shape) for tensor in tensors) > AXES:
        return f"more than {AXES} axes"
    if layer.operator == "BATCH_MATMUL" and max(len(t.shape) for t in tensors) > 4:
        return "more than 2 axes of batches"
    if max(len(layer.inputs), len(layer.outputs)) > MAX_PARTS:
        return f"more than {MAX_PARTS} tensors"
    return ""


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


SCALES |= {"DIV": 0.45, "SQUARED_DIFFERENCE": 0.12, "PRELU": 0.3}
"""What keeps the results of integers within -2 to 2."""


_OTHER_ORDERS = {("CONV_2D", "two-columns", "int8")}
