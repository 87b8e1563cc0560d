"""The smallest arena, proven: constraint programming with OR-tools' CP-SAT."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from diagmem.arena.bound import lower_bound_units
from diagmem.arena.geometry import Keep, geometry, make_plan
from diagmem.arena.heuristic import heuristic
from diagmem.arena.problem import Options, Plan, Problem
from diagmem.arena.together import joining
from diagmem.base.errors import DiagmemError
from diagmem.base.installing import package_command

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

WORKERS = 2


@joining
def exact(problem: Problem, options: Options) -> Plan:
    """An optimal plan, or the best after ``time_limit_s`` with the bound reached.

    Raises
    ------
    DiagmemError
        If OR-tools is not installed.
    """
    if not ortools_is_installed():
        raise DiagmemError(f"the exact planner needs OR-tools: {package_command('ortools')}")
    return improved(problem, heuristic(problem, options), options)


def ortools_is_installed() -> bool:
    return find_spec("ortools") is not None


def improved(problem: Problem, plan: Plan, options: Options) -> Plan:
    """A plan no larger than the given one, which must be valid.

    One integer per block, its offset; for each pair of lives that meet a choice of
    who lies above.  Searches are interleaved, so that a plan found within the time
    limit is the same in every run.
    """
    from ortools.sat.python import cp_model

    shape = geometry(problem)
    bound, top = lower_bound_units(shape), plan.arena_bytes // problem.align_bytes
    model = cp_model.CpModel()
    arena = model.new_int_var(bound, top, "arena")
    offsets = [model.new_int_var(0, top - size, f"block {a}") for a, size in enumerate(shape.sizes)]
    for a, block in enumerate(problem.blocks):
        model.add(offsets[a] + shape.sizes[a] <= arena)
        model.add_hint(offsets[a], plan.offsets[block.tensor] // problem.align_bytes)
        for keep in shape.keeps[a]:
            if keep.other < a:
                _keep_distance(model, offsets[a], offsets[keep.other], keep)
    model.minimize(arena)

    solver = cp_model.CpSolver()
    solver.parameters.num_workers = WORKERS
    solver.parameters.interleave_search = True
    solver.parameters.random_seed = options.seed
    solver.parameters.max_time_in_seconds = options.time_limit_s
    status = solver.solve(model)
    if status == cp_model.UNKNOWN:
        return replace(plan, solver="exact")
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        raise AssertionError(f"CP-SAT says {solver.status_name(status)}, but there is a plan")
    values = [solver.value(offset) for offset in offsets]
    reached = max(bound, int(solver.best_objective_bound))
    return make_plan(shape, values, reached, status == cp_model.OPTIMAL, "exact")


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
