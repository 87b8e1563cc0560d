"""Operators whose kernel works in place: where the output takes the input's place."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from diagmem.base.errors import DiagmemError
from diagmem.networks.measured import Measured
from diagmem.tflite.elements import ModelOperator
from diagmem.tflite.graph import Model, lifetimes


def destroys(model: Model, operator: ModelOperator, source: int, target: int) -> str:
    """Why a kernel with one buffer for both would destroy its input, which is needed
    yet, or could not put its output there; empty where neither is so."""
    lives = {life.tensor: life for life in lifetimes(model)}
    name = model.tensors[source].name
    if source not in lives or target not in lives:
        return f"{name} and its output are not both in the arena"
    if operator.inputs.count(source) != 1 or target in operator.inputs:
        return f"{name} is given twice"
    if source in model.outputs:
        return f"{name} is an output of the model"
    if lives[source].end > operator.index + 1:
        later = [o for o in model.operators[operator.index + 1 :] if source in o.inputs]
        return f"{name} is needed by {later[0].label}" if later else f"{name} is needed later"
    if lives[target].start != operator.index:
        return f"{model.tensors[target].name} is there before"
    if model.tensors[source].size_bytes != model.tensors[target].size_bytes:
        return f"{name} is of another size than its output"
    return ""


def in_place_of(
    model: Model, measured: Measured, pinned: Collection[int] = (), without: Collection[int] = ()
) -> Iterator[tuple[int, int]]:
    """The pairs (input, output) that must lie at one place.

    Parameters
    ----------
    pinned : tensors that keep their bytes.
    without : operators whose tensors must not overlap.

    Raises
    ------
    DiagmemError
        The kernel of one would destroy what is needed: there is no plan with it.
    """
    sources: set[int] = set()
    targets: set[int] = set()
    for measured_operator in measured.operators:
        operator = model.operators[measured_operator.index]
        for pair in measured_operator.pairs:
            if not pair.in_place_only:
                continue
            why = destroys(model, operator, pair.input, pair.output)
            if not why and {pair.input, pair.output} & set(pinned):
                why = f"{model.tensors[pair.input].name} or its output is to keep its bytes"
            if not why and operator.index in without:
                why = "run where the plan puts it, it computes other values"
            if not why and (pair.input in sources or pair.output in targets):
                why = f"{model.tensors[pair.input].name} or its output has two of them"
            sources.add(pair.input)
            targets.add(pair.output)
            if why:
                raise DiagmemError(
                    f"{model.path}: {operator.label}: no plan by the kernel"
                    f" {measured_operator.kernel or 'measured'}, which works in place: {why}"
                )
            yield pair.input, pair.output
