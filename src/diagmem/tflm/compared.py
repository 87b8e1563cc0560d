"""Models run so that what each operator puts out can be compared with another run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diagmem.tflite.elements import ELEMENT_BYTES
from diagmem.tflite.graph import Model
from diagmem.tflm.child.job import WatchedCall
from diagmem.tflm.network import NATIVE_SECONDS, ArenaUse, Inputs, network_job, run_records
from diagmem.tflm.processes import run_natively

Mask = npt.NDArray[np.bool_]
"""A flag for each byte of a tensor."""


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """One inference; tensors by their numbers.

    Attributes
    ----------
    outputs : the model's, as they were in memory.
    hashes : of each watched tensor as its operator left it, without masked bytes.
    masks : bytes that the model does not determine: nobody wrote them, or they are copies
        of such bytes, or their element was computed from such.  Tensors that have none
        are left out.
    computed : of a mask, how many bytes of elements that were computed.
    """

    outputs: tuple[bytes, ...]
    hashes: Mapping[int, bytes]
    masks: Mapping[int, Mask]
    computed: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class ComparedOutcome:
    """``refused`` says why there are not as many runs as inputs; empty if there are."""

    arena: ArenaUse | None
    runs: tuple[ComparedRun, ...]
    refused: str


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
    given = [dict(mask) for mask in masks] or [{} for _ in inputs]
    sizes = {tensor.index: ELEMENT_BYTES[tensor.dtype] for tensor in model.activations}
    more = {"filled": filled, "masks": given, "element_bytes": sizes}
    with network_job(model, inputs, calls, "compared", more) as (command, results):
        how = run_natively(command, NATIVE_SECONDS)
        arena, records, refused = run_records(results, how, len(inputs))
    runs = tuple(
        ComparedRun(tuple(r["outputs"]), r["hashes"], r["masks"], r["computed"]) for r in records
    )
    return ComparedOutcome(arena, runs, refused)
