"""A model on its whole way: measured, planned, written, run by TFLM."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from diagmem.arena import PLANNERS
from diagmem.networks.on_tflm import measure
from diagmem.networks.planning import NetworkPlan, plan_network, write_plan
from diagmem.networks.verify import verify_network
from diagmem.tflite.graph import Model, read_model
from diagmem.tflm.child.job import ArenaUse
from diagmem.tflm.network import random_inputs

FORMULAS = ("exact", "paper")


def planned_and_run(
    data: bytes, directory: Path, solvers: Sequence[str] = tuple(PLANNERS)
) -> list[str]:
    """What is wrong by each solver, by measured overlaps and by formulas; empty texts
    where nothing is."""
    path = directory / "m.tflite"
    path.write_bytes(data)
    model = read_model(path)
    measured = measure(model, random_inputs(model, 7))
    found = [
        f"operator {operator.index} {operator.operator}: the formula is unsafe"
        for operator in measured.operators
        for pair in operator.pairs
        if pair.formula_says == "unsafe"
    ]
    plans = {
        f"{solver}, pin_io={pin_io}": plan_network(model, measured, solver=solver, pin_io=pin_io)
        for solver in solvers
        for pin_io in (False, True)
    }
    plans |= {f"{formula} formulas": plan_network(model, formula) for formula in FORMULAS}
    # Solvers often agree, and what has been run need not be run again.
    different = {tuple(sorted(plan.plan.offsets.items())): what for what, plan in plans.items()}
    # MEAN asks for scratch even where its kernel then leaves it alone.
    scratch = any(o.scratch_bytes or o.operator == "MEAN" for o in measured.operators)
    found += [ran(model, plans[what], directory, what, scratch) for what in different.values()]
    return found


def ran(model: Model, plan: NetworkPlan, directory: Path, what: str, scratch: bool) -> str:
    """How a written plan differs from the model or from its own prediction."""
    output = directory / "planned.tflite"
    write_plan(plan, output)
    inputs = [random_inputs(model, number) for number in range(2)]
    verdict = verify_network(model, read_model(output), inputs)
    if not verdict.identical:
        return f"{what}: {verdict.difference}"
    assert verdict.planned_arena is not None
    return _prediction(plan, verdict.planned_arena, what, scratch)


def _prediction(plan: NetworkPlan, arena: ArenaUse, what: str, scratch: bool) -> str:
    """With scratch the head is at least the plan's tensors: TFLM places scratch itself,
    in gaps or on top, and takes more of it than kernels touch."""
    blocks = plan.problem.blocks
    top = max(plan.plan.offsets[b.tensor] + b.size_bytes for b in blocks if b.role != "scratch")
    head, planned = arena.head_bytes, plan.plan.arena_bytes
    right = head >= top if scratch else head == planned
    return "" if right else f"{what}: head {head}, planned {planned}"
