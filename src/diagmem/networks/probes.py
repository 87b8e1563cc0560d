"""Inputs that a plan is run on, and whether what came of them says much.

A kernel's damage shows only where it changes a value: a tensor that saturates, or is the
same whatever goes in, hides it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from diagmem.tflite.elements import ELEMENT_BYTES, ModelTensor
from diagmem.tflite.graph import Model
from diagmem.tflm.child.job import ComparedRun
from diagmem.tflm.inputs import generator
from diagmem.tflm.network import Array, Inputs, random_inputs

FLOAT_SCALES = (1.0, 8.0, 0.0625)
"""Of the values from -1 to 1 in one run after the other."""
EDGES, NARROW = 1, 2
"""Which of three runs has integers at the ends of their range, or close to zero."""
HARDLY = 0.02
"""Of an output's elements: fewer that vary than this are few.  In an int8 softmax of many
classes more do."""
LISTED = 3
CONSTANT = ("SHAPE", "RANK", "ZEROS_LIKE")
"""Operators whose outputs no value steers."""


def probe_inputs(model: Model, runs: int, seed: int) -> list[Inputs]:
    """Inputs for so many runs: in turn over the whole range, at its edges, and close to
    zero.  Floats never get large, or what follows would saturate."""
    return [
        [
            _spread(model.tensors[index], array, run, seed)
            for index, array in zip(model.inputs, random_inputs(model, seed + run), strict=True)
        ]
        for run in range(runs)
    ]


def _spread(tensor: ModelTensor, array: Array, run: int, seed: int) -> Array:
    turn = run % len(FLOAT_SCALES)
    if array.dtype.kind == "f":
        return (array * FLOAT_SCALES[turn]).astype(array.dtype)
    # Larger integers may be indices, which are small whatever their type holds.
    if array.dtype.kind not in "iu" or array.dtype.itemsize > 2 or turn == 0:
        return array
    limits = np.iinfo(array.dtype)
    if turn == EDGES:
        random = generator(f"{tensor.index} edges", seed + run)
        edges = random.choice([limits.min, limits.max], array.shape)
        kept = random.random(array.shape) < 0.5
        return np.where(kept, array, edges).astype(array.dtype)
    zero = tensor.zero_point[0] if len(tensor.zero_point) == 1 else 0
    close = zero + (array.astype(np.int64) - zero) // 16
    return np.clip(close, limits.min, limits.max).astype(array.dtype)


def weakness(
    model: Model,
    inputs: Sequence[Inputs],
    outputs: Sequence[Sequence[bytes]],
    runs: Sequence[ComparedRun],
) -> tuple[str, ...]:
    """Why equal bits say little, one line each.

    Parameters
    ----------
    outputs : of each run, the model's.
    runs : what operators put out where nothing overlaps; there may be none.
    """
    return (*_outputs_hardly_vary(model, inputs, outputs, runs), *_operators(model, inputs, runs))


def _outputs_hardly_vary(
    model: Model,
    inputs: Sequence[Inputs],
    outputs: Sequence[Sequence[bytes]],
    runs: Sequence[ComparedRun],
) -> Iterator[str]:
    several = _differ(inputs)
    masks = [run.masks for run in runs] or [{}]
    for position, number in enumerate(model.outputs):
        tensor = model.tensors[number]
        values = np.stack([_elements(tensor, given[position]) for given in outputs])
        written = ~np.logical_or.reduce([_masked(tensor, mask) for mask in masks])
        values = values[:, written]
        if not values.shape[1]:
            yield f"no kernel writes output {tensor.name!r}"
        elif several:
            varying = int((values != values[0]).any(axis=0).any(axis=1).sum())
            if varying < HARDLY * values.shape[1]:
                yield (
                    f"output {tensor.name!r} hardly varies: {varying:,} of {values.shape[1]:,}"
                    " elements differ between runs"
                )
        else:
            ((_, most),) = Counter(map(bytes, values[0])).most_common(1)
            if values.shape[1] > 1 and values.shape[1] - most < HARDLY * values.shape[1]:
                yield (
                    f"output {tensor.name!r} hardly varies: {most:,} of {values.shape[1]:,}"
                    " elements are the same"
                )


def _differ(inputs: Sequence[Inputs]) -> bool:
    """Did the runs have different inputs?"""
    return any(
        not np.array_equal(a, b)
        for given in inputs[1:]
        for a, b in zip(inputs[0], given, strict=True)
    )


def _elements(tensor: ModelTensor, data: bytes) -> np.ndarray[Any, Any]:
    """Bytes by element."""
    return np.frombuffer(data, np.uint8).reshape(-1, ELEMENT_BYTES[tensor.dtype])


def _masked(tensor: ModelTensor, masks: Mapping[int, Any]) -> np.ndarray[Any, Any]:
    """Which elements have bytes that do not count."""
    mask = masks.get(tensor.index, np.zeros(tensor.size_bytes, np.bool_))
    masked: np.ndarray[Any, Any] = mask.reshape(-1, ELEMENT_BYTES[tensor.dtype]).any(axis=1)
    return masked


def _operators(
    model: Model, inputs: Sequence[Inputs], runs: Sequence[ComparedRun]
) -> Iterator[str]:
    """Operators that put out the same in every run, though other values went in."""
    if not _differ(inputs) or not runs:
        return
    given, same = set(model.inputs), []
    for operator in model.operators:
        if operator.name in CONSTANT or given.isdisjoint(operator.inputs):
            continue
        given.update(operator.outputs)
        hashed = [t for t in operator.outputs if t in runs[0].hashes]
        if hashed and all(run.hashes[t] == runs[0].hashes[t] for run in runs for t in hashed):
            same.append(operator.label)
    if same:
        more = f" and {len(same) - LISTED} more put" if len(same) > LISTED else " puts"
        yield f"{', '.join(same[:LISTED])}{more} out the same in every run"
