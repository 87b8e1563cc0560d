"""Operators that no kernel was measured for: their tensors are kept apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from diagmem.networks.chosen import NO_KERNEL
from diagmem.networks.measured import FRONTIER_SAMPLES, MeasuredOperator, MeasuredPair
from diagmem.networks.operator_calls import Moment, OperatorCall, measured_operator
from diagmem.tflite.elements import ModelOperator
from diagmem.tflite.graph import Model


def operator_apart(model: Model, moment: Moment, why: str) -> MeasuredOperator:
    """The operator with none of its tensors over another, and why."""
    return replace(
        measured_operator(model, moment, OperatorCall({}, (), 0)),
        needed_bytes=sum(model.tensors[tensor].size_bytes for tensor in moment.alive),
        pairs=tuple(
            no_overlap(model, moment, source, target, why)
            for source, target in pairs_of(model, moment.operator)
        ),
    )


def pairs_of(model: Model, operator: ModelOperator) -> Iterator[tuple[int, int]]:
    """Every input and output that are in the arena, as tensor numbers."""
    there = {tensor.index for tensor in model.activations if tensor.size_bytes}
    for source in dict.fromkeys(operator.inputs):
        for target in dict.fromkeys(operator.outputs):
            if {source, target} <= there and target not in operator.inputs:
                yield source, target


def no_overlap(model: Model, moment: Moment, source: int, target: int, why: str) -> MeasuredPair:
    """An input and an output that are kept apart, and why."""
    sizes = model.tensors[source].size_bytes, model.tensors[target].size_bytes
    formula = moment.form.displacements.get((source, target))
    return MeasuredPair(
        input=source,
        output=target,
        dies=source in moment.dying,
        input_bytes=sizes[0],
        output_bytes=sizes[1],
        min_displacement_bytes=sizes[1],
        mirror_displacement_bytes=sizes[0],
        in_place=False,
        safe_overlap_bytes=0,
        formula_displacement_bytes=formula,
        formula_says=NO_KERNEL,
        notes=(why,),
        written=(sizes[1],) * FRONTIER_SAMPLES,
        needed=(0,) * FRONTIER_SAMPLES,
    )
