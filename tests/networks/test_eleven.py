"""The eleven networks by exact formulas, against figures that were there before the code."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from diagmem.arena import PLANNERS, Options, Step, verify_plan
from diagmem.arena.baseline import first_fit
from diagmem.networks.permissions import permissions_of, problem_of
from diagmem.networks.planning import plan_network
from diagmem.tflite.zoo import PAPER, open_zoo
from tests.tools import need_package

# Largest live sum, TFLM's greedy planner, optimum with all operators overlapping: KiB.
TABLE = {
    "mobilenet_v1_1.0_224_f32": (4704, 4704, 3136.1),
    "mobilenet_v1_1.0_224_int8": (1176, 1176, 784.0),
    "mobilenet_v1_0.25_224_f32": (1176, 1568, 784.0),
    "mobilenet_v1_0.25_128_int8": (96, 128, 64.0),
    "mobilenet_v2_0.35_224_f32": (2940, 2940, 2352.0),
    "mobilenet_v2_1.0_224_f32": (5880, 5880, 4704.1),
    "inception_v4_f32": (8732.9, 8732.9, 7400.6),
    "inception_resnet_v2_f32": (8103.4, 8103.4, 5476.3),
    "nasnet_mobile_f32": (5187.3, 5187.3, 3647.1),
    "densenet121_f32": (8232, 10584, 5488.5),
    "resnet50_v2_f32": (9408, 12544, 6272.3),
}
NEAR_KIB = 0.06
"""The table has one decimal place."""
PAGE = Path(__file__).resolve().parents[2] / "docs" / "planning.md"


def page(name: str) -> list[str]:
    """The network's row in docs/planning.md: without overlap the bound and TFLM's greedy
    planner, with overlap the bound, the heuristic's and the exact planner's plan."""
    (row,) = re.findall(rf"^\| {re.escape(name)} \|(.*)\|$", PAGE.read_text("utf-8"), re.M)
    return [cell.strip() for cell in row.split("|")]


def shown(size_bytes: int) -> str:
    return f"{size_bytes / 1024:.1f}"


def test_the_table_is_of_all() -> None:
    assert set(TABLE) == set(PAPER)


@pytest.mark.parametrize("name", TABLE)
def test_the_heuristic_reaches_the_optimum(name: str) -> None:
    live, greedy, optimum = TABLE[name]
    found = plan_network(open_zoo(name), "exact", solver="heuristic")
    assert found.baselines["largest-live-sum"] / 1024 == pytest.approx(live, abs=NEAR_KIB)
    assert found.baselines["tflm-greedy"] / 1024 == pytest.approx(greedy, abs=NEAR_KIB)
    assert found.plan.arena_bytes / 1024 <= optimum + NEAR_KIB
    assert verify_plan(found.problem, found.plan) == []
    assert page(name)[:4] == [
        shown(found.baselines["largest-live-sum"]),
        shown(found.baselines["tflm-greedy"]),
        shown(found.plan.lower_bound_bytes),
        shown(found.plan.arena_bytes),
    ]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name == "inception_resnet_v2_f32" else ())
        for name in TABLE
    ],
)
def test_the_optimum_is_proven(name: str) -> None:
    need_package("ortools", "OR-tools")
    found = plan_network(open_zoo(name), "exact", solver="auto")
    assert found.plan.optimal
    assert found.plan.arena_bytes / 1024 <= TABLE[name][2] + NEAR_KIB
    assert page(name)[4] == shown(found.plan.arena_bytes)


@pytest.mark.parametrize(
    ("name", "percent"),
    [("mobilenet_v1_1.0_224_f32", 33.3), ("mobilenet_v2_1.0_224_f32", 20.0)],
)
def test_savings_against_the_largest_live_sum(name: str, percent: float) -> None:
    found = plan_network(open_zoo(name), "exact")
    assert found.saving_percent("largest-live-sum") == pytest.approx(percent, abs=0.05)


def test_inception_resnet_against_first_fit_on_intermediate_tensors() -> None:
    graph = open_zoo("inception_resnet_v2_f32")
    problem = problem_of(graph, permissions_of(graph, "exact"))
    io = {*graph.inputs, *graph.outputs}
    inner = replace(
        problem,
        blocks=tuple(b for b in problem.blocks if b.tensor not in io),
        permissions=tuple(p for p in problem.permissions if not {p.input, p.output} & io),
        steps=tuple(
            Step(s.name, tuple(set(s.reads) - io), tuple(set(s.writes) - io)) for s in problem.steps
        ),
    )
    ours = PLANNERS["heuristic"](inner, Options()).arena_bytes
    assert 1 - ours / first_fit(inner, Options()).arena_bytes >= 0.345


def test_pinned_inputs_and_outputs_are_apart_from_everything() -> None:
    found = plan_network(open_zoo("mobilenet_v1_0.25_128_int8"), "exact", pin_io=True)
    pinned = found.problem.pinned
    assert pinned == {*found.model.inputs, *found.model.outputs}
    spans = {
        b.tensor: (found.plan.offsets[b.tensor], found.plan.offsets[b.tensor] + b.size_bytes)
        for b in found.problem.blocks
    }
    for tensor in pinned:
        start, end = spans[tensor]
        others = [span for other, span in spans.items() if other != tensor]
        assert all(e <= start or s >= end for s, e in others)
