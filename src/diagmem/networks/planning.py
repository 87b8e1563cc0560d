"""A network's arena: planned, compared with what plans without overlap need, verified."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diagmem import __version__
from diagmem.arena import (
    PLANNERS,
    Crowded,
    Options,
    Permission,
    Plan,
    Problem,
    blocking,
    largest_live_sum,
    verify_plan,
)
from diagmem.arena.baseline import first_fit, tflm_greedy, without_overlap
from diagmem.base.errors import DiagmemError
from diagmem.networks.in_place import in_place_of
from diagmem.networks.measured import LIMITS, SAMPLED, Measured, identity
from diagmem.networks.permissions import (
    ALIGN_BYTES,
    FORMULAS,
    permissions_of,
    pinned_of,
    problem_of,
    scratch_of,
)
from diagmem.networks.structure import PAIRS, PINNED, TOGETHER, recorded_pairs
from diagmem.tflite.graph import PLANNED_ONLINE, Model
from diagmem.tflite.write import write_planned

NO_OVERLAPS = "none"
SHOWN = 8
"""Operators that are listed one by one."""


@dataclass(frozen=True, slots=True)
class Shared:
    """An input and an output that lie over each other in a plan.

    ``limits`` : what that is not proven for, as `MeasuredPair.limits`.
    """

    permission: Permission
    displacement_bytes: int
    shared_bytes: int
    limits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlacementProof:
    """What running a plan's operators has shown, each with its tensors where they lie.

    Attributes
    ----------
    operators : those whose bits were right.
    inputs : on how many seeded inputs.
    not_run : why others could not be run, by operator number.
    withdrawn : why others were planned anew without overlap, by operator number.
    """

    operators: tuple[int, ...]
    inputs: int
    not_run: Mapping[int, str]
    withdrawn: Mapping[int, str]

    @property
    def in_words(self) -> str:
        """One line for the file."""
        for operator, why in self.not_run.items():
            more = f", and {len(self.not_run) - 1} more" if len(self.not_run) > 1 else ""
            return f"not at this placement: operator {operator}{more}: {why}"
        return (
            f"at this placement: {len(self.operators)} operators, all overlaps of each at once,"
            f" on {self.inputs} seeded inputs"
        )


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """Where a network's tensors lie, and what that saves.

    Attributes
    ----------
    baseline_plans : the arenas of planners that let nothing overlap, by their names.
    shared : pairs that do share bytes.
    overlaps : where the overlaps come from: none, exact, paper or measured.
    kernels : of measured overlaps, what they were measured on.
    placement : of overlaps measured on described kernels, what running them at this
        placement has shown; None where nobody did.
    """

    model: Model
    problem: Problem
    plan: Plan
    baseline_plans: Mapping[str, Plan]
    shared: tuple[Shared, ...]
    overlaps: str
    kernels: Mapping[str, str]
    placement: PlacementProof | None = None

    @property
    def baselines(self) -> dict[str, int]:
        """Arenas without overlap in bytes, by the planner's name, and what no planner can
        do without."""
        arenas = {name: plan.arena_bytes for name, plan in self.baseline_plans.items()}
        return {**arenas, "largest-live-sum": largest_live_sum(without_overlap(self.problem))}

    def saving_percent(self, baseline: str) -> float:
        whole = self.baselines[baseline]
        return 100 * (1 - self.plan.arena_bytes / whole) if whole else 0.0

    def in_the_way(self, arena_bytes: int) -> tuple[Crowded, ...]:
        """The operators that need more than an arena of that size; none if it fits."""
        return blocking(self.problem, self.plan, arena_bytes)

    @property
    def proven(self) -> str:
        """How the plan itself is proven, in words; beside it stands how its kernels are."""
        if self.placement is not None:
            return self.placement.in_words
        by_itself = "proven" in self.kernels
        return "not at this placement: diagmem plan runs it there" if by_itself else "no"

    def limits_of(self, shared: Shared) -> tuple[str, ...]:
        """What a pair is not proven for; a sample matters no more where the plan was run."""
        ran = self.placement is not None and shared.permission.operator in self.placement.operators
        return tuple(limit for limit in shared.limits if not (ran and limit.startswith(SAMPLED)))

    @property
    def limits(self) -> list[str]:
        """What the plan is not proven for, one line for each kind, with the operators."""
        kinds: dict[str, list[int]] = {}
        for shared in self.shared:
            for limit in self.limits_of(shared):
                of_kind = kinds.setdefault(next(filter(limit.startswith, LIMITS), limit), [])
                if shared.permission.operator not in of_kind:
                    of_kind.append(shared.permission.operator)
        return [f"{kind}: {_listed(operators)}" for kind, operators in kinds.items()]

    @property
    def provenance(self) -> dict[str, Any]:
        """What is written beside the plan: how it was made, and for which kernels."""
        entries: dict[str, Any] = {
            "made_by": f"diagmem {__version__}",
            "graph_sha256": identity(self.model)["graph_sha256"],
            "overlaps": self.overlaps,
            "kernels": dict(self.kernels),
            "solver": self.plan.solver,
            "optimal": self.plan.optimal,
            "align_bytes": self.problem.align_bytes,
            "arena_bytes": self.plan.arena_bytes,
            "overlapping_pairs": len(self.shared),
            "proven": self.proven,
            "limits": self.limits,
            PINNED: sorted(self.problem.pinned),
        }
        # Formulas can be asked again.
        if self.overlaps == "measured":
            entries[PAIRS] = recorded_pairs(pair.permission for pair in self.shared)
            entries[TOGETHER] = [list(pair) for pair in self.problem.in_place]
        return entries


def plan_network(
    model: Model,
    overlaps: str | Measured = "exact",
    *,
    solver: str = "auto",
    align_bytes: int = ALIGN_BYTES,
    pin_io: bool = False,
    options: Options | None = None,
    without: Collection[int] = (),
) -> NetworkPlan:
    """Place all tensors of a model; the plan has passed the verifier.

    Parameters
    ----------
    overlaps : ``exact`` or ``paper``: by that formula, for the loop order of TFLite's
        reference kernels; ``none``; or what `diagmem.networks.on_tflm.measure` found.
    solver : a name of `diagmem.arena.PLANNERS`.
    without : operators whose tensors must not overlap.

    Raises
    ------
    DiagmemError
        The model cannot be planned, the solver is not there, or (a fault of ours) the
        verifier rejects the plan.
    """
    permissions = (
        []
        if overlaps == NO_OVERLAPS
        else permissions_of(model, _known(overlaps), align_bytes=align_bytes)
    )
    measured = overlaps if isinstance(overlaps, Measured) else None
    pinned = pinned_of(model, pin_io=pin_io)
    in_place = list(in_place_of(model, measured, pinned, without)) if measured else []
    problem = problem_of(
        model,
        [p for p in permissions if p.operator not in without],
        align_bytes=align_bytes,
        pin_io=pin_io,
        scratch_bytes=scratch_of(measured) if measured else None,
        in_place=in_place,
    )
    given = options or Options()
    plan = PLANNERS[solver](problem, given)
    faults = verify_plan(problem, plan)
    if faults:
        raise DiagmemError(
            f"{model.path}: the plan of {plan.solver} is not safe, so it is not used; please report"
            f" this: {faults[0]}"
        )
    apart = without_overlap(problem)
    return NetworkPlan(
        model=model,
        problem=problem,
        plan=plan,
        baseline_plans={
            "tflm-greedy": tflm_greedy(apart, given),
            "first-fit": first_fit(apart, given),
        },
        shared=tuple(_shared(problem, plan, measured)),
        overlaps="measured" if measured else str(overlaps),
        kernels=measured.kernels if measured else {},
    )


def _known(overlaps: str | Measured) -> str | Measured:
    if isinstance(overlaps, str) and overlaps not in FORMULAS:
        raise DiagmemError(
            f"unknown overlaps {overlaps!r}, expected {', '.join((*FORMULAS, NO_OVERLAPS))} or"
            " measured ones"
        )
    return overlaps


def _listed(operators: Sequence[int]) -> str:
    more = f" and {len(operators) - SHOWN} more" if len(operators) > SHOWN else ""
    return f"operator{'s' * (len(operators) > 1)} {', '.join(map(str, operators[:SHOWN]))}{more}"


def _shared(problem: Problem, plan: Plan, measured: Measured | None) -> list[Shared]:
    pairs = {
        (operator.index, pair.input, pair.output): pair.limits
        for operator in (measured.operators if measured else ())
        for pair in operator.pairs
    }
    sizes = {block.tensor: block.size_bytes for block in problem.blocks}
    shared = []
    for permission in problem.permissions:
        source, target = plan.offsets[permission.input], plan.offsets[permission.output]
        low = max(source, target)
        high = min(source + sizes[permission.input], target + sizes[permission.output])
        if high > low:
            limits = pairs.get((permission.operator, permission.input, permission.output), ())
            shared.append(Shared(permission, source - target, high - low, limits))
    return shared


def write_plan(plan: NetworkPlan, output: Path) -> None:
    """Write the model with the plan in it, and how it was made."""
    offsets = [plan.plan.offsets.get(tensor.index, PLANNED_ONLINE) for tensor in plan.model.tensors]
    write_planned(plan.model, offsets, output, plan.provenance)
