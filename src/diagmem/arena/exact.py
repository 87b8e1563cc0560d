"""The smallest arena, proven: constraint programming with OR-tools' CP-SAT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diagmem.arena.bound import lower_bound_units
from diagmem.arena.geometry import Geometry, Keep, geometry, make_plan
from diagmem.arena.heuristic import search
from diagmem.arena.problem import Options, Plan, Problem
from diagmem.errors import DiagmemError

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

WORKERS = 2


@dataclass(frozen=True, slots=True)
class Solution:
    """Offsets in units, the units that no plan can go below, and whether the offsets
    reach the least."""

    offsets: tuple[int, ...]
    bound: int
    proven: bool


def exact(problem: Problem, options: Options) -> Plan:
    """An optimal plan, or the best after ``time_limit_s`` with the bound reached.

    Raises
    ------
    DiagmemError
        If OR-tools is not installed.
    """
    require_ortools()
    shape = geometry(problem)
    bound = lower_bound_units(shape)
    found = solve(shape, search(shape, bound, options), bound, options)
    return make_plan(shape, found.offsets, found.bound, found.proven, "exact")


def require_ortools() -> None:
    try:
        import ortools.sat.python.cp_model  # noqa: F401
    except ImportError as error:
        raise DiagmemError(
            "the exact planner needs OR-tools; expected the extra: pip install 'diagmem[exact]'"
        ) from error


def solve(shape: Geometry, hint: Sequence[int], bound: int, options: Options) -> Solution:
    """No arena larger than that of ``hint``, a valid plan, none smaller than ``bound``.

    One integer per block, its offset; for each pair of lives that meet a choice of
    who lies above.  Searches are interleaved, so that a plan found within the time
    limit is the same in every run.
    """
    from ortools.sat.python import cp_model

    top = max((o + s for o, s in zip(hint, shape.sizes, strict=True)), default=0)
    model = cp_model.CpModel()
    arena = model.new_int_var(bound, top, "arena")
    offsets = [model.new_int_var(0, top - size, f"block {a}") for a, size in enumerate(shape.sizes)]
    for a, offset in enumerate(offsets):
        model.add(offset + shape.sizes[a] <= arena)
        model.add_hint(offset, hint[a])
        for keep in shape.keeps[a]:
            if keep.other < a:
                _keep_distance(model, offset, offsets[keep.other], keep)
    model.minimize(arena)

    solver = cp_model.CpSolver()
    solver.parameters.num_workers = WORKERS
    solver.parameters.interleave_search = True
    solver.parameters.random_seed = options.seed
    solver.parameters.max_time_in_seconds = options.time_limit_s
    status = solver.solve(model)
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        found = tuple(solver.value(offset) for offset in offsets)
        reached = max(bound, int(solver.best_objective_bound))
        return Solution(found, reached, status == cp_model.OPTIMAL)
    if status == cp_model.UNKNOWN:
        return Solution(tuple(hint), bound, False)
    raise AssertionError(f"CP-SAT says {solver.status_name(status)}, but the hint is a plan")


def _keep_distance(
    model: cp_model.CpModel, offset: cp_model.IntVar, other: cp_model.IntVar, keep: Keep
) -> None:
    above = model.new_bool_var("")
    model.add(offset - other >= keep.above).only_enforce_if(above)
    if not keep.in_place:
        model.add(offset - other <= -keep.below).only_enforce_if(~above)
        return
    below, level = model.new_bool_var(""), model.new_bool_var("")
    model.add(offset - other <= -keep.below).only_enforce_if(below)
    model.add(offset == other).only_enforce_if(level)
    model.add_exactly_one(above, below, level)
