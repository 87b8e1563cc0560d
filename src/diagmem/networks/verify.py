"""A planned model against the model itself, both run by stock TFLM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from diagmem.errors import DiagmemError
from diagmem.kernels.tflm.network import Arena, Inputs, NetworkOutcome, run_network
from diagmem.kernels.tflm.processes import kernels_name
from diagmem.model.graph import PLANNED_ONLINE, Model
from diagmem.model.write import read_provenance, write_planned
from diagmem.networks.overlaps import identity
from diagmem.networks.planning import said


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a planned model computes what the model does.

    Attributes
    ----------
    difference : the first one found, in words; empty if there is none.
    runs : how many inputs both have been run on.
    arena, planned_arena : what TFLM reports of the model and of the planned one.
    predicted_bytes : the arena's head by the plan; None where the file does not say.
    provenance : how the plan was made, as the file says.
    """

    difference: str
    runs: int
    arena: Arena | None
    planned_arena: Arena | None
    predicted_bytes: int | None
    provenance: Mapping[str, Any]

    @property
    def identical(self) -> bool:
        return not self.difference


def verify_network(model: Model, planned: Model, inputs: Sequence[Inputs]) -> Verdict:
    """Run both on all inputs, each in one interpreter, and compare every output's bits.

    Several inputs in a row also show whether a run leaves something behind that the
    next one trips over.

    Raises
    ------
    DiagmemError
        The two are not the same graph, there is no plan, or TFLM refuses the model
        itself.
    """
    if identity(model)["graph_sha256"] != identity(planned)["graph_sha256"]:
        raise DiagmemError(f"{planned.path}: is another graph than {model.path}")
    if planned.plan is None:
        raise DiagmemError(
            f"{planned.path}: found no plan, expected one; diagmem plan {model.path} -o FILE"
        )
    apart = run_network(model, inputs)
    if apart.refused:
        raise DiagmemError(f"{model.path}: TFLM refuses the model: {apart.refused}")
    together = run_network(planned, inputs)
    made = read_provenance(planned) or {}
    predicted = made.get("arena_bytes")
    return Verdict(
        difference=_difference(model, apart, together),
        runs=len(together.runs),
        arena=apart.arena,
        planned_arena=together.arena,
        predicted_bytes=predicted if isinstance(predicted, int) else None,
        provenance=made,
    )


def _difference(model: Model, apart: NetworkOutcome, together: NetworkOutcome) -> str:
    if together.refused:
        return f"TFLM does not run the planned model: {together.refused}"
    for number, (right, seen) in enumerate(zip(apart.runs, together.runs, strict=True)):
        for tensor, a, b in zip(model.outputs, right.outputs, seen.outputs, strict=True):
            if a != b:
                wrong = [i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y]
                return (
                    f"run {number}: {len(wrong):,} of {len(a):,} bytes of output"
                    f" {model.tensors[tensor].name!r} differ, the first at {wrong[0]:,}"
                )
    return ""


def record_proof(planned: Model, verdict: Verdict) -> None:
    """Write into a planned model what has been seen to hold."""
    assert planned.plan is not None
    proven = f"{verdict.runs} runs bit-identical on {kernels_name()}"
    write_planned(planned, planned.plan, planned.path, {**verdict.provenance, "proven": proven})


def kernels_differ(provenance: Mapping[str, Any]) -> str:
    """Why a plan may not hold on the kernels that are here; empty where it was made
    for them."""
    kernels = provenance.get("kernels")
    meant = ""
    if isinstance(kernels, Mapping) and "kernels" in kernels:
        meant = said(kernels, "kernels")
    here = kernels_name()
    if meant == here:
        return ""
    if not meant:
        return f"the plan was measured on no kernels; here it runs on {here}"
    return f"the plan was measured on {meant}; here it runs on {here}"


def unplanned(planned: Model) -> int:
    """How many tensors of the arena the plan leaves to the runtime."""
    assert planned.plan is not None
    return sum(planned.plan[t.index] == PLANNED_ONLINE for t in planned.activations)
