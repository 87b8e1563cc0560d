"""What a network needs of a micro-controller, and whether it is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from diagmem.base.errors import DiagmemError
from diagmem.boards.board import Board
from diagmem.boards.runtime import persistent_bytes
from diagmem.networks.measured import Measured, identity
from diagmem.networks.permissions import ALIGN_BYTES, FORMULAS
from diagmem.networks.planning import NO_OVERLAPS, NetworkPlan, plan_network
from diagmem.networks.provenance import in_words, limits, measured_on, printable
from diagmem.networks.structure import structure_of
from diagmem.tflite.graph import PLANNED_ONLINE, Model
from diagmem.tflite.write import read_provenance

STACK_BYTES = 8 << 10
CODE_BYTES = 100 << 10

Verdict = Literal["fits", "only with overlap", "too little RAM", "too little flash"]


@dataclass(frozen=True, slots=True)
class Needs:
    """What a network asks of a board, in bytes.

    Attributes
    ----------
    arena_bytes : by the plan that is judged.
    arena_without_overlap_bytes : by the best plan in which no two tensors overlap.
    arena_unplanned_bytes : as TFLM's own planner places the tensors.
    persistent_bytes : what the runtime keeps in RAM besides.
    weights_bytes : of the whole model file, with weights that it leaves out.
    overlaps : where the plan's overlaps come from, as `provenance` says in words.
    kernels : what they were measured on: set and version, target, flags; empty if on
        nothing.
    proven : how the plan was, before.
    limits : what it is not proven for, a line each.
    """

    model: str
    arena_bytes: int
    arena_without_overlap_bytes: int
    arena_unplanned_bytes: int
    persistent_bytes: int
    stack_bytes: int
    weights_bytes: int
    code_bytes: int
    overlaps: str
    provenance: str
    kernels: Mapping[str, str] = field(default_factory=dict)
    proven: str = "no"
    limits: Sequence[str] = ()

    @property
    def ram_bytes(self) -> int:
        return self._ram(self.arena_bytes)

    @property
    def ram_without_overlap_bytes(self) -> int:
        return self._ram(self.arena_without_overlap_bytes)

    @property
    def flash_bytes(self) -> int:
        return self.weights_bytes + self.code_bytes

    def ram_missing_bytes(self, board: Board, arena_bytes: int) -> int:
        """What the board lacks for an arena of that size; 0 if it has room.

        The arena has to lie in one block; stack and runtime may lie in others.
        """
        whole = self._ram(arena_bytes) - board.sram_bytes
        return max(whole, arena_bytes - board.largest_block_bytes, 0)

    def _ram(self, arena_bytes: int) -> int:
        return arena_bytes + self.persistent_bytes + self.stack_bytes


@dataclass(frozen=True, slots=True)
class Fit:
    """A network on a board.

    Attributes
    ----------
    ram_missing_bytes : with the plan that is judged.
    ram_missing_without_overlap_bytes : with the best plan without overlap.
    flash_missing_bytes : 0 where the flash is external.
    fits_unplanned : there is room for the plan that TFLM makes by itself.
    """

    board: Board
    verdict: Verdict
    ram_missing_bytes: int
    ram_missing_without_overlap_bytes: int
    flash_missing_bytes: int
    fits_unplanned: bool


def judge(needs: Needs, board: Board) -> Fit:
    """Does the board have room, and would it without overlap?"""
    lacking = needs.ram_missing_bytes(board, needs.arena_bytes)
    apart = needs.ram_missing_bytes(board, needs.arena_without_overlap_bytes)
    flash = 0 if board.flash_bytes is None else max(needs.flash_bytes - board.flash_bytes, 0)
    unplanned = needs.ram_missing_bytes(board, needs.arena_unplanned_bytes)
    verdict: Verdict = "fits"
    if lacking:
        verdict = "too little RAM"
    elif flash:
        verdict = "too little flash"
    elif apart:
        verdict = "only with overlap"
    return Fit(board, verdict, lacking, apart, flash, not unplanned and not flash)


def needs_of(
    model: Model,
    overlaps: str | Measured | None = None,
    *,
    stack_bytes: int = STACK_BYTES,
    code_bytes: int = CODE_BYTES,
    runtime_bytes: int | None = None,
) -> Needs:
    """Plan the model without and with overlap, and add up what else it needs.

    Parameters
    ----------
    overlaps : as `plan_network` takes them.  None: a plan of ours that the model
        carries is taken as it is; a model without one is planned by ``exact``.
    runtime_bytes : what the runtime keeps in RAM, where that is known better than
        `persistent_bytes` estimates it.

    Raises
    ------
    DiagmemError
        The model cannot be planned, or the plan in it is another graph's.
    """
    carried = _carried(model) if overlaps is None else None
    used = "exact" if overlaps is None else overlaps
    apart = plan_network(model, _apart(used))
    without = apart.plan.arena_bytes
    judged = carried or _planned_here(plan_network(model, used), without)
    return Needs(
        model=model.path,
        arena_bytes=judged.arena_bytes,
        arena_without_overlap_bytes=without,
        arena_unplanned_bytes=apart.baselines["tflm-greedy"],
        persistent_bytes=persistent_bytes(model) if runtime_bytes is None else runtime_bytes,
        stack_bytes=stack_bytes,
        weights_bytes=_weights_bytes(model),
        code_bytes=code_bytes,
        overlaps=judged.overlaps,
        provenance=judged.in_words,
        kernels=judged.kernels,
        proven=judged.proven,
        limits=judged.limits,
    )


def _apart(overlaps: str | Measured) -> str | Measured:
    """No overlaps but those of kernels that work in place, and the scratch memory that was
    measured with them."""
    if not isinstance(overlaps, Measured):
        return NO_OVERLAPS
    return replace(
        overlaps,
        operators=tuple(
            replace(operator, pairs=tuple(pair for pair in operator.pairs if pair.in_place_only))
            for operator in overlaps.operators
        ),
    )


@dataclass(frozen=True, slots=True)
class _Judged:
    """The plan that is judged: its arena, and how it was made."""

    arena_bytes: int
    overlaps: str
    kernels: Mapping[str, str]
    made: str
    proven: str
    limits: Sequence[str]

    @property
    def in_words(self) -> str:
        limits = [f"limited by {limit}" for limit in self.limits]
        return "; ".join(
            (_source(self.overlaps, self.kernels), self.made, f"proven: {self.proven}", *limits)
        )


def _planned_here(plan: NetworkPlan, without: int) -> _Judged:
    # A search that gave up early may miss what the plan without overlap shows.
    arena = min(plan.plan.arena_bytes, without)
    return _Judged(arena, plan.overlaps, plan.kernels, "planned here", plan.proven, plan.limits)


def _carried(model: Model) -> _Judged | None:
    """A plan that diagmem has put into the model, if it has."""
    made = read_provenance(model)
    if model.plan is None or made is None:
        return None
    if made.get("graph_sha256") != identity(model)["graph_sha256"]:
        raise DiagmemError(
            f"{model.path}: metadata diagmem.plan: found a plan for another graph, expected one"
            f" for this; plan it anew, or give --overlaps"
        )
    faults = structure_of(model, made).faults
    if faults:
        raise DiagmemError(
            f"{model.path}: the plan in it is not safe: {faults[0]}; plan it anew, or give"
            " --overlaps"
        )
    return _Judged(
        arena_bytes=_carried_arena(model, model.plan, made),
        overlaps=printable(made.get("overlaps", "unknown")),
        kernels=measured_on(made),
        made=f"the plan in the file, by {printable(made.get('made_by', 'diagmem'))}",
        proven=printable(made.get("proven", "no")),
        limits=limits(made),
    )


def _carried_arena(model: Model, plan: Sequence[int], made: Mapping[str, Any]) -> int:
    ends = [0]
    for tensor in model.activations:
        if plan[tensor.index] == PLANNED_ONLINE:
            raise DiagmemError(
                f"{model.path}: tensor {tensor.index} ({tensor.name[:60]}): found no place in the"
                " plan, expected one for each tensor; plan it anew, or give --overlaps"
            )
        ends.append(plan[tensor.index] + tensor.size_bytes)
    arena = -(-max(ends) // ALIGN_BYTES) * ALIGN_BYTES
    stated = made.get("arena_bytes")
    # What is stated may hold scratch memory above the tensors.
    if isinstance(stated, int) and not isinstance(stated, bool):
        arena = max(arena, stated)
    return arena


def _source(overlaps: str, kernels: Mapping[str, str]) -> str:
    if overlaps == NO_OVERLAPS:
        return "none: no two tensors overlap"
    if overlaps in FORMULAS:
        return (
            "by formula for the reference loop order, not measured on this board's kernels:"
            " diagmem measure"
        )
    return f"measured on {in_words(kernels)}: another board's kernels may need more"


def _weights_bytes(model: Model) -> int:
    """The file's size; weights that a graph leaves out count as their shapes say."""
    constants = (tensor for tensor in model.tensors if tensor.constant)
    left_out = sum(max(t.size_bytes - t.data.size_bytes, 0) for t in constants)
    return len(model.data) + left_out
