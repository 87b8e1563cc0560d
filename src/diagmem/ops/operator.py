"""What an operator is to diagmem: attributes, tensors, and its loop nests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from diagmem.base.errors import DiagmemError
from diagmem.ops.attributes import Attribute, check_size, parse, show_all
from diagmem.ops.draw import Draw
from diagmem.ops.layer import Layer, Tensor, Value
from diagmem.ops.nest import Nest

REFERENCE = "reference"
"""The loop order of TFLite's reference kernels."""

Given = Mapping[str, Any]
"""Attribute values, each of the type that its `Attribute.kind` says."""


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator.

    Attributes
    ----------
    name : as TFLite spells it.
    example : attributes that show how they are written.
    tensors : inputs and outputs that follow from the attributes; raises
        DiagmemError for those that do not fit together.
    nest : the loop nest of the reference kernel.
    draw : random attributes, for checks; all that the kernels here can do.
    orders : loop nests of other kernels, by name, where they part from the
        reference: None for layers that they compute like it.
    """

    name: str
    example: str
    attributes: tuple[Attribute, ...]
    tensors: Callable[[str, Given], tuple[Sequence[Tensor], Sequence[Tensor]]]
    nest: Callable[[Layer], Nest]
    draw: Callable[[Draw], dict[str, Value]]
    orders: Mapping[str, Callable[[Layer], Nest | None]] = field(default_factory=dict)

    def layer(self, given: Mapping[str, str]) -> Layer:
        """The layer of attributes as a command line writes them.

        Raises
        ------
        DiagmemError
            An attribute is wrong or missing, or they do not fit together.
        """
        return self.of(parse(self.name, self.attributes, given))

    def of(self, attributes: Mapping[str, Value]) -> Layer:
        """The layer of attribute values; those left out have their defaults."""
        complete = {a.name: attributes.get(a.name, a.default) for a in self.attributes}
        inputs, outputs = self.tensors(self.name, complete)
        for tensor in (*inputs, *outputs):
            check_size(self.name, tensor.name, tensor.shape, tensor.element_bytes)
        known = {name: value for name, value in complete.items() if value is not None}
        return Layer(self.name, known, tuple(inputs), tuple(outputs))

    def loop_nest(self, layer: Layer, order: str = REFERENCE) -> Nest:
        """The loop nest of a layer as some kernel runs it.

        Raises
        ------
        DiagmemError
            No such order is known.
        """
        if order == REFERENCE:
            return self.nest(layer)
        if order not in self.orders:
            known = ", ".join([REFERENCE, *self.orders])
            raise DiagmemError(f"{self.name}: no loop order {order!r}, expected {known}")
        return self.orders[order](layer) or self.nest(layer)

    def words(self, layer: Layer) -> dict[str, str]:
        """The layer's attributes as `layer` reads them."""
        return show_all(layer.attributes, self.attributes)


def one_to_one(
    shape: Callable[[str, Given], tuple[int, ...]],
) -> Callable[[str, Given], tuple[list[Tensor], list[Tensor]]]:
    """Tensors of an operator with one input, given as ``input``, and one output of
    the same type, or of ``output_dtype``."""

    def tensors(name: str, given: Given) -> tuple[list[Tensor], list[Tensor]]:
        source = Tensor("input", given["input"], given["dtype"])
        made = given.get("output_dtype") or given["dtype"]
        return [source], [Tensor("output", shape(name, given), made)]

    return tensors


def need_rank(name: str, tensor: str, shape: Sequence[int], rank: int) -> None:
    if len(shape) != rank:
        raise DiagmemError(f"{name}: {tensor} has {len(shape)} axes, expected {rank}")


def need_axis(name: str, axis: int, rank: int) -> None:
    if not 0 <= axis < rank:
        raise DiagmemError(f"{name}: axis is {axis}, expected 0 to {rank - 1}")
