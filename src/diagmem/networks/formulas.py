"""What the operators of a network may overlap by formula."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from diagmem.base.errors import DiagmemError
from diagmem.ops import find_operator
from diagmem.ops.analytical import exact
from diagmem.ops.paper import bound
from diagmem.tflite.elements import ModelOperator
from diagmem.tflite.graph import Model
from diagmem.tflite.layers import NoRule, layer_of


@dataclass(frozen=True, slots=True)
class ClosedForm:
    """D in bytes by the numbers of an input and an output tensor.

    An input that is given twice has the larger of both.  ``why_none`` says why an
    operator has no formula, empty where it has one.
    """

    displacements: Mapping[tuple[int, int], int]
    why_none: str = ""


def closed_forms(model: Model, method: str = "exact") -> Iterator[ClosedForm]:
    """For each operator the exact closed form, or what the paper's bound claims."""
    for operator in model.operators:
        yield _closed_form(model, operator, method)


def _closed_form(model: Model, operator: ModelOperator, method: str) -> ClosedForm:
    mapped = layer_of(model, operator)
    if isinstance(mapped, NoRule):
        return ClosedForm({}, mapped.reason)
    layer = mapped.layer
    if method == "paper":
        published = bound(layer)
        if published is None:
            return ClosedForm({}, "the paper has no bound for it")
        if published.refused:
            return ClosedForm({}, published.refused)
        figures = [(published.input, published.output, published.min_displacement_bytes)]
    else:
        try:
            nest = find_operator(layer.operator).loop_nest(layer)
        except DiagmemError as error:
            return ClosedForm({}, str(error))
        figures = [(f.input, f.output, f.min_displacement_bytes) for f in exact(layer, nest)]
    largest: dict[tuple[int, int], int] = {}
    for source, target, needed in figures:
        if source in mapped.tensors:
            pair = mapped.tensors[source], mapped.tensors[target]
            largest[pair] = max(largest.get(pair, 0), needed)
    return ClosedForm(largest)
