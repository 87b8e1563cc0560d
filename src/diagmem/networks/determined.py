"""What a model determines of its outputs, and whether two runs agree on that.

A kernel may leave bytes of its output as they were.  What is there then is up to the plan,
so it is no difference between two plans.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from diagmem.networks.apart import aliases, model_apart
from diagmem.networks.permissions import KEEPING
from diagmem.tflite.graph import Model
from diagmem.tflm.child.job import ComparedRun, NetworkRun, WatchedBuffer, WatchedCall
from diagmem.tflm.compared import ComparedOutcome, run_compared
from diagmem.tflm.network import Inputs

if TYPE_CHECKING:
    from diagmem.tflm.child.job import Mask


def run_apart(model: Model, inputs: Sequence[Inputs]) -> ComparedOutcome:
    """Where nothing overlaps, and every operator's outputs can be filled before it runs."""
    kept = {t for o in model.operators if o.name in KEEPING for t in o.outputs}
    whole = frozenset(tensor.index for tensor in model.activations)
    with tempfile.TemporaryDirectory(prefix="diagmem-") as directory:
        apart = model_apart(model, Path(directory))
        # An alias is its operator's input.
        filled = whole - kept - aliases(model).keys()
        return run_compared(apart, inputs, watched_calls(apart, whole), filled=filled)


def watched_calls(model: Model, watched: frozenset[int]) -> list[WatchedCall]:
    """Each operator's outputs, as far as they are watched."""
    assert model.plan is not None
    return [
        WatchedCall(
            operator.name.removeprefix("CUSTOM:"),
            tuple(
                WatchedBuffer(
                    f"t{t}", "output", "arena", model.plan[t], model.tensors[t].size_bytes
                )
                for t in operator.outputs
                if t in watched
            ),
        )
        for operator in model.operators
    ]


def difference(
    model: Model,
    alone: Sequence[NetworkRun | ComparedRun],
    other: Sequence[NetworkRun | ComparedRun],
    masks: Sequence[Mapping[int, Mask]],
    where: str = "",
) -> str:
    """The first bytes of the model's outputs that are others, in words."""
    for number, (right, output) in enumerate(zip(alone, other, strict=True)):
        for tensor, a, b in zip(model.outputs, right.outputs, output.outputs, strict=True):
            wrong = np.frombuffer(a, np.uint8) != np.frombuffer(b, np.uint8)
            if masks and tensor in masks[number]:
                wrong &= ~masks[number][tensor]
            if wrong.any():
                return (
                    f"run {number}: {np.count_nonzero(wrong):,} of {len(a):,} bytes of output"
                    f" {model.tensors[tensor].name!r} differ{where}, the first at"
                    f" {np.flatnonzero(wrong)[0]:,}"
                )
    return ""


def undetermined(model: Model, apart: Sequence[ComparedRun]) -> str:
    """Does the model put out what depends on bytes that no kernel wrote?"""
    for number, run in enumerate(apart):
        for tensor in model.outputs:
            if run.computed.get(tensor):
                return (
                    f"run {number}: {run.computed[tensor]:,} bytes of output"
                    f" {model.tensors[tensor].name!r} are computed from bytes that no kernel"
                    " wrote: the model itself does not say what they are"
                )
    return ""
