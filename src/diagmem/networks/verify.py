"""A planned model against the model itself, both run by stock TFLM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diagmem.base.errors import DiagmemError
from diagmem.base.shell import command
from diagmem.networks.determined import difference, run_apart, undetermined, watched_calls
from diagmem.networks.measured import Measured, identity
from diagmem.networks.probes import weakness
from diagmem.networks.provenance import entry, measured_on
from diagmem.networks.structure import Structure, structure_of
from diagmem.tflite.graph import PLANNED_ONLINE, Model
from diagmem.tflite.write import read_provenance, write_planned
from diagmem.tflm.child.job import ArenaUse, ComparedRun
from diagmem.tflm.compared import ComparedOutcome, run_compared
from diagmem.tflm.network import Inputs, run_network
from diagmem.tflm.processes import kernels_name

_ITSELF = " in the model itself from where nothing overlaps"


@dataclass(frozen=True, slots=True)
class Unwritten:
    """Bytes of an operator's output that were not compared, since the model does not say
    what they are: no kernel wrote them.  Of several runs, the most.

    Attributes
    ----------
    computed_bytes : of these, how many a kernel computed from bytes that none wrote; the
        others are as they were found, or copies of such.
    """

    operator: int
    label: str
    tensor: int
    masked_bytes: int
    computed_bytes: int


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
    unwritten : bytes that were left out, by tensor.
    weak : why equal bits say little here, one line each.
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
    unwritten: tuple[Unwritten, ...]
    weak: tuple[str, ...]
    arena: ArenaUse | None
    planned_arena: ArenaUse | None
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
    arena where nothing overlaps: a network's last operators can hide much.  Bytes that the
    model does not determine there, because no kernel writes them, are left out.  Several
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
    apart = run_apart(model, inputs)
    masks = [] if apart.refused else [run.masks for run in apart.runs]
    watched = _placed(planned)
    compared = run_compared(planned, inputs, watched_calls(planned, watched), masks=masks)
    # Watching leans on how TFLM lays its objects out; the plan is judged without it, too.
    together = run_network(planned, inputs) if compared.refused else compared
    differences = (
        f"TFLM does not run the planned model: {together.refused}"
        if together.refused
        else undetermined(model, apart.runs)
        or difference(model, (alone if apart.refused else apart).runs, together.runs, masks)
        # Nothing is taken for right of what the model itself does: it may come with a plan.
        or ("" if apart.refused else difference(model, alone.runs, apart.runs, masks, _ITSELF))
    )
    inside = _Inside() if differences else _inside(model, watched, apart, compared)
    predicted = made.get("arena_bytes")
    return Verdict(
        structure=structure,
        difference=differences or inside.difference,
        runs=len(together.runs),
        operators=inside.operators,
        all_operators=len(model.operators),
        not_compared=inside.not_compared,
        unwritten=tuple(_unwritten(model, apart.runs)),
        weak=weakness(model, inputs, [run.outputs for run in alone.runs], apart.runs),
        arena=alone.arena,
        planned_arena=together.arena,
        predicted_bytes=predicted if isinstance(predicted, int) else None,
        provenance=made,
    )


@dataclass(frozen=True, slots=True)
class _Inside:
    """What comparing the operators' outputs showed; the fields are `Verdict`'s."""

    operators: int = 0
    difference: str = ""
    not_compared: str = ""


def _inside(
    model: Model, watched: frozenset[int], apart: ComparedOutcome, compared: ComparedOutcome
) -> _Inside:
    """The planned model's hashes against those where nothing overlaps."""
    if compared.refused:
        return _Inside(not_compared=f"with its calls watched TFLM says: {compared.refused}")
    if not any(watched.intersection(operator.outputs) for operator in model.operators):
        return _Inside(not_compared="the plan places none of them")
    if apart.refused:
        return _Inside(not_compared=f"where nothing overlaps TFLM says: {apart.refused}")
    whole = sum(
        bool(operator.outputs) and watched.issuperset(operator.outputs)
        for operator in model.operators
    )
    for number, (right, compared_run) in enumerate(zip(apart.runs, compared.runs, strict=True)):
        for operator in model.operators:
            outputs = watched.intersection(operator.outputs)
            if any(right.hashes[tensor] != compared_run.hashes[tensor] for tensor in outputs):
                return _Inside(whole, f"run {number}: {operator.label} puts out other bits")
    return _Inside(whole)


def _unwritten(model: Model, runs: Sequence[ComparedRun]) -> Iterator[Unwritten]:
    for operator in model.operators:
        for tensor in operator.outputs:
            masks = [int(run.masks[tensor].sum()) for run in runs if tensor in run.masks]
            if masks:
                computed = max(run.computed.get(tensor, 0) for run in runs)
                yield Unwritten(operator.index, operator.label, tensor, max(masks), computed)


def _placed(planned: Model) -> frozenset[int]:
    """The tensors of the arena whose place the plan says."""
    assert planned.plan is not None
    plan = planned.plan
    return frozenset(t.index for t in planned.activations if plan[t.index] != PLANNED_ONLINE)


def record_proof(planned: Model, verdict: Verdict) -> None:
    """Write into a planned model what has been seen to hold, and what limits it."""
    assert planned.plan is not None
    assert verdict.identical
    proven = f"{verdict.runs} runs bit-identical on {kernels_name()}"
    proven = "; ".join((proven, *verdict.weak))
    before = entry(verdict.provenance, "proven")
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
