"""A planned model against the model itself, both run by stock TFLM."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diagmem.errors import DiagmemError
from diagmem.kernels.tflm.network import Arena, Call, Inputs, NetworkOutcome, Place, run_network
from diagmem.kernels.tflm.processes import kernels_name
from diagmem.model.graph import PLANNED_ONLINE, Model
from diagmem.model.write import read_provenance, write_planned
from diagmem.networks.apart import model_apart
from diagmem.networks.overlaps import Measured, identity
from diagmem.networks.provenance import measured_on, said
from diagmem.networks.structure import Structure, structure_of
from diagmem.shell import command


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a planned model computes what the model does.

    Attributes
    ----------
    structure : what the plan is by its offsets, whatever the values say.
    difference : the first one found in the values, in words; empty if there is none.
    runs : how many inputs both have been run on.
    operators : how many operators had all their outputs compared, too.
    all_operators : how many the model has.
    not_compared : why no operators' outputs were, in words; empty where they were, or
        where the model's own outputs differ already.
    arena, planned_arena : what TFLM reports of the model and of the planned one.
    predicted_bytes : the arena's head by the plan; None where the file does not say.
    provenance : how the plan was made, as the file says.
    """

    structure: Structure
    difference: str
    runs: int
    operators: int
    all_operators: int
    not_compared: str
    arena: Arena | None
    planned_arena: Arena | None
    predicted_bytes: int | None
    provenance: Mapping[str, Any]

    @property
    def identical(self) -> bool:
        """Bit by bit, and not by luck: the structure is safe, too."""
        return not self.difference and not self.structure.faults


def verify_network(
    model: Model,
    planned: Model,
    inputs: Sequence[Inputs],
    overlaps: str | Measured | None = None,
) -> Verdict:
    """Hold the plan against what may overlap, run both on all inputs, each in one
    interpreter, and compare every output's bits.

    Values can hide a plan that is not safe, so its structure is held against lifetimes,
    alignment and ``overlaps``, as `diagmem.networks.structure.structure_of` takes them.
    The outputs of all operators are compared as well, by their hashes, with those in an
    arena where nothing overlaps: a network's last operators can hide much.  Several
    inputs in a row also show whether a run leaves something behind that the next one
    trips over.

    Raises
    ------
    DiagmemError
        The two are not the same graph, there is no plan or a damaged one, or TFLM
        refuses the model itself.
    """
    if identity(model)["graph_sha256"] != identity(planned)["graph_sha256"]:
        raise DiagmemError(f"{planned.path}: is another graph than {model.path}")
    if planned.plan is None:
        raise DiagmemError(
            f"{planned.path}: found no plan, expected one;"
            f" {command('diagmem', 'plan', Path(model.path), '-o', 'FILE')}"
        )
    made = read_provenance(planned) or {}
    structure = structure_of(planned, made, overlaps)
    alone = run_network(model, inputs)
    if alone.refused:
        raise DiagmemError(f"{model.path}: TFLM refuses the model: {alone.refused}")
    watched = _placed(planned)
    hashed = run_network(planned, inputs, calls=_outputs(planned, watched), hashing=True)
    # Hashing leans on how TFLM lays its objects out; the plan is judged without it, too.
    together = run_network(planned, inputs) if hashed.refused else hashed
    difference = _difference(model, alone, together)
    inside = _Inside() if difference else _inside(model, watched, inputs, hashed)
    predicted = made.get("arena_bytes")
    return Verdict(
        structure=structure,
        difference=difference or inside.difference,
        runs=len(together.runs),
        operators=inside.operators,
        all_operators=len(model.operators),
        not_compared=inside.not_compared,
        arena=alone.arena,
        planned_arena=together.arena,
        predicted_bytes=predicted if isinstance(predicted, int) else None,
        provenance=made,
    )


def _difference(model: Model, alone: NetworkOutcome, together: NetworkOutcome) -> str:
    if together.refused:
        return f"TFLM does not run the planned model: {together.refused}"
    for number, (right, seen) in enumerate(zip(alone.runs, together.runs, strict=True)):
        for tensor, a, b in zip(model.outputs, right.outputs, seen.outputs, strict=True):
            if a != b:
                wrong = [i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y]
                return (
                    f"run {number}: {len(wrong):,} of {len(a):,} bytes of output"
                    f" {model.tensors[tensor].name!r} differ, the first at {wrong[0]:,}"
                )
    return ""


@dataclass(frozen=True, slots=True)
class _Inside:
    """What comparing the operators' outputs showed; the fields are `Verdict`'s."""

    operators: int = 0
    difference: str = ""
    not_compared: str = ""


def _inside(
    model: Model, watched: frozenset[int], inputs: Sequence[Inputs], hashed: NetworkOutcome
) -> _Inside:
    """The planned model's hashes against those where nothing overlaps."""
    if hashed.refused:
        return _Inside(not_compared=f"with its calls watched TFLM says: {hashed.refused}")
    if not any(watched.intersection(operator.outputs) for operator in model.operators):
        return _Inside(not_compared="the plan places none of them")
    apart = _run_apart(model, watched, inputs)
    if apart.refused:
        return _Inside(not_compared=f"where nothing overlaps TFLM says: {apart.refused}")
    compared = sum(
        bool(operator.outputs) and watched.issuperset(operator.outputs)
        for operator in model.operators
    )
    for number, (right, seen) in enumerate(zip(apart.runs, hashed.runs, strict=True)):
        pairs = zip(model.operators, right.call_hashes, seen.call_hashes, strict=True)
        for operator, a, b in pairs:
            if a != b:
                return _Inside(compared, f"run {number}: {operator.label} puts out other bits")
    return _Inside(compared)


def _run_apart(model: Model, watched: frozenset[int], inputs: Sequence[Inputs]) -> NetworkOutcome:
    with tempfile.TemporaryDirectory(prefix="diagmem-") as directory:
        apart = model_apart(model, Path(directory))
        return run_network(apart, inputs, calls=_outputs(apart, watched), hashing=True)


def _placed(planned: Model) -> frozenset[int]:
    """The tensors of the arena whose place the plan says."""
    assert planned.plan is not None
    plan = planned.plan
    return frozenset(t.index for t in planned.activations if plan[t.index] != PLANNED_ONLINE)


def _outputs(model: Model, watched: frozenset[int]) -> list[Call]:
    """Each operator's outputs, as far as they are watched."""
    assert model.plan is not None
    return [
        Call(
            operator.name.removeprefix("CUSTOM:"),
            tuple(
                Place(f"t{t}", "output", "arena", model.plan[t], model.tensors[t].size_bytes)
                for t in operator.outputs
                if t in watched
            ),
        )
        for operator in model.operators
    ]


def record_proof(planned: Model, verdict: Verdict) -> None:
    """Write into a planned model what has been seen to hold."""
    assert planned.plan is not None
    assert verdict.identical
    proven = f"{verdict.runs} runs bit-identical on {kernels_name()}"
    before = said(verdict.provenance, "proven")
    # What other kernels have shown is not undone by what these did.
    if before.startswith(("at this placement", "not at this placement")):
        proven = f"{proven}; before: {before}"
    write_planned(planned, planned.plan, planned.path, {**verdict.provenance, "proven": proven})


def kernels_differ(provenance: Mapping[str, Any]) -> str:
    """Why a plan may not hold on the kernels that are here; empty where it was made
    for them."""
    meant = measured_on(provenance).get("kernels", "")
    here = kernels_name()
    if meant == here:
        return ""
    if not meant:
        return f"the plan was measured on no kernels; here it runs on {here}"
    return f"the plan was measured on {meant}; here it runs on {here}"


def unplanned(planned: Model) -> int:
    """How many tensors of the arena the plan leaves to the runtime."""
    return len(planned.activations) - len(_placed(planned))
