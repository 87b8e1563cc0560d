"""Models run so that what each operator puts out can be compared with another run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from diagmem.tflite.elements import ELEMENT_BYTES
from diagmem.tflite.graph import Model
from diagmem.tflm.child.job import ComparedJob, ComparedRun, WatchedCall
from diagmem.tflm.network import (
    NATIVE_SECONDS,
    Inputs,
    NetworkOutcome,
    network_job,
    outcome_of,
)
from diagmem.tflm.processes import child_process, run_natively

if TYPE_CHECKING:
    from diagmem.tflm.child.job import Mask

ComparedOutcome = NetworkOutcome[ComparedRun]


def run_compared(
    model: Model,
    inputs: Sequence[Inputs],
    calls: Sequence[WatchedCall],
    *,
    filled: frozenset[int] = frozenset(),
    masks: Sequence[Mapping[int, Mask]] = (),
) -> ComparedOutcome:
    """Run a model once for each set of inputs, and hash what its operators put out.

    Parameters
    ----------
    calls : for each operator the outputs to watch, each place's name ``t<tensor>``.
    filled : tensors that hold nothing needed before their operator runs.  If there are
        any, each inference runs twice, and masks are found.
    masks : otherwise, for each run the bytes that do not count; by default all do.

    Raises
    ------
    DiagmemError
        tflite-micro is not there.
    """
    comparison = ComparedJob(
        filled=filled,
        element_bytes={t.index: ELEMENT_BYTES[t.dtype] for t in model.activations},
        masks=[dict(mask) for mask in masks] or [{} for _ in inputs],
    )
    job = network_job(model, inputs, calls, None)._replace(comparison=comparison)
    with child_process("compared", [job]) as (command, results):
        how = run_natively(command, NATIVE_SECONDS)
        return outcome_of(results, how, len(inputs), ComparedRun)
