"""A random model on its whole way: measured, planned, written, run by TFLM."""

from __future__ import annotations

from pathlib import Path

from diagmem.kernels.tflm.network import random_inputs
from diagmem.model.graph import Model, read_model
from diagmem.networks.measure import measure
from diagmem.networks.planning import NetworkPlan, plan_network, write_plan
from diagmem.networks.verify import verify_network
from tests.networks.random_models import random_model

SOLVERS = ("auto", "heuristic", "exact", "first-fit", "tflm-greedy")


def planned_and_run(seed: int, directory: Path) -> list[str]:
    """What is wrong by each solver and by measured and formula overlaps; empty texts
    where nothing is."""
    path = directory / "m.tflite"
    path.write_bytes(random_model(seed))
    model = read_model(path)
    measured = measure(model, random_inputs(model, seed))
    found = []
    for solver in SOLVERS:
        for pin_io in (False, True):
            plan = plan_network(model, measured, solver=solver, pin_io=pin_io)
            found.append(ran(model, plan, directory, f"{solver}, pin_io={pin_io}"))
    found.append(ran(model, plan_network(model, "exact"), directory, "exact formulas"))
    return found


def ran(model: Model, plan: NetworkPlan, directory: Path, what: str) -> str:
    """How a written plan differs from the model or from its own prediction."""
    output = directory / "planned.tflite"
    write_plan(plan, output)
    inputs = [random_inputs(model, number) for number in range(2)]
    verdict = verify_network(model, read_model(output), inputs)
    if not verdict.identical:
        return f"{what}: {verdict.difference}"
    assert verdict.planned_arena is not None
    head = verdict.planned_arena.head_bytes
    return "" if head == plan.plan.arena_bytes else f"{what}: head {head}, {plan.plan.arena_bytes}"
