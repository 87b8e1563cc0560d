"""Overlaps as `measure` would find them, made from closed forms: quick, and on any graph."""

from __future__ import annotations

from collections.abc import Iterator

from diagmem.networks.formulas import ClosedForm, closed_forms
from diagmem.networks.measured import (
    FRONTIER_SAMPLES,
    Measured,
    MeasuredOperator,
    MeasuredPair,
    identity,
)
from diagmem.tflite.elements import ModelOperator
from diagmem.tflite.graph import Model, lifetimes


def as_measured(model: Model) -> Measured:
    end = {life.tensor: life.end for life in lifetimes(model)}
    return Measured(
        model=identity(model),
        kernels={"kernels": "none 1.0", "target": "paper", "flags": "-O0"},
        about={"inputs": "none at all", "seconds": 0.5},
        operators=tuple(
            MeasuredOperator(
                index=operator.index,
                operator=operator.name,
                seconds=0.25,
                events=1 << 40,
                scratch_bytes=0,
                weights_read_bytes=7,
                live_bytes=9,
                needed_bytes=8,
                pairs=tuple(_pairs(model, operator, form, end)),
            )
            for operator, form in zip(model.operators, closed_forms(model), strict=True)
        ),
    )


def _pairs(
    model: Model, operator: ModelOperator, form: ClosedForm, end: dict[int, int]
) -> Iterator[MeasuredPair]:
    for (source, target), needed in form.displacements.items():
        sizes = model.tensors[source].size_bytes, model.tensors[target].size_bytes
        yield MeasuredPair(
            input=source,
            output=target,
            dies=end[source] == operator.index + 1,
            input_bytes=sizes[0],
            output_bytes=sizes[1],
            min_displacement_bytes=needed,
            mirror_displacement_bytes=sizes[0],
            in_place=needed == 0,
            safe_overlap_bytes=min(max(sizes[1] - needed, 0), sizes[0]),
            formula_displacement_bytes=needed,
            formula_says="equal",
            notes=("a note",),
            written=tuple(range(FRONTIER_SAMPLES)),
            needed=(0,) * FRONTIER_SAMPLES,
        )
