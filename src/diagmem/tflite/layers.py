"""From a model's operators to layers: what each reads and writes, in a planner's terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from diagmem.base.errors import DiagmemError
from diagmem.ops import OPERATORS
from diagmem.ops.attributes import show
from diagmem.ops.layer import Layer, Tensor, Value
from diagmem.tflite.elements import ModelOperator, ModelTensor
from diagmem.tflite.graph import Model
from diagmem.tflite.rules import RULES, Node, Reading


@dataclass(frozen=True, slots=True)
class LayerOf:
    """An operator as a layer, and which of the model's tensors its activations are.

    ``tensors`` goes from the layer's names to tensor numbers.  An input of the layer
    that is a constant of the model is not in it: nothing lies over it.  Nor is an
    operand that layers do not know, such as weights that another operator computes.
    """

    layer: Layer
    tensors: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class NoRule:
    """Why an operator has no layer: nothing is known of its order."""

    reason: str


def layer_of(model: Model, operator: ModelOperator) -> LayerOf | NoRule:
    """The operator as a layer whose shapes and types are those of the model's tensors."""
    rule = RULES.get(operator.name)
    if rule is None:
        return NoRule(f"{operator.name}: nothing is known of this operator")
    try:
        node = Node(model, operator)
        mapped = rule(node)
        layer = _layer(node, mapped)
        names = _names(node, mapped, layer)
    except DiagmemError as error:
        return NoRule(str(error))
    return LayerOf(layer, names)


def _layer(node: Node, mapped: Reading) -> Layer:
    operator = OPERATORS[mapped.like or node.operator.name]
    types: dict[str, Value] = {
        "dtype": node.tensor(mapped.operands[0]).dtype,
        "output_dtype": node.output().dtype,
    }
    given = dict(mapped.attributes)
    for attribute in operator.attributes:
        if attribute.name in types:
            given[attribute.name] = types[attribute.name]
            if types[attribute.name] not in attribute.words:
                raise node.fail(
                    f"{attribute.name} is {types[attribute.name]}, expected one of"
                    f" {', '.join(attribute.words)}"
                )
    return operator.of(given)


def _names(node: Node, mapped: Reading, layer: Layer) -> dict[str, int]:
    """The layer's activations by tensor number, if it is the layer that the model means."""
    operands = [node.tensor(position) for position in mapped.operands]
    made = [node.model.tensors[number] for number in node.operator.outputs]
    if len(layer.inputs) != len(operands) or len(layer.outputs) != len(made):
        raise node.fail(
            f"{len(operands)} inputs and {len(made)} outputs, expected {len(layer.inputs)} and"
            f" {len(layer.outputs)}"
        )
    for tensor, meant in zip(layer.inputs, operands, strict=True):
        _same(node, tensor, prod(tensor.shape), meant, prod(meant.shape))
    for tensor, meant in zip(layer.outputs, made, strict=True):
        kept = tuple(s for axis, s in enumerate(tensor.shape) if axis not in mapped.shrunk)
        _same(node, tensor, kept, meant, meant.shape)
    named = zip((*layer.inputs, *layer.outputs), (*operands, *made), strict=True)
    return {tensor.name: meant.index for tensor, meant in named if not meant.constant}


def _same(
    node: Node,
    tensor: Tensor,
    extent: int | tuple[int, ...],
    meant: ModelTensor,
    meant_extent: int | tuple[int, ...],
) -> None:
    if (extent, tensor.dtype) != (meant_extent, meant.dtype):
        raise node.fail(
            f"{tensor.name} is {show(meant.shape)} {meant.dtype}, expected {show(tensor.shape)}"
            f" {tensor.dtype}"
        )
