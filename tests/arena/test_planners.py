"""Every planner on random problems: verified, and against all plans where few blocks are."""

from __future__ import annotations

import re
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagmem.arena import (
    PLANNERS,
    Block,
    Options,
    Permission,
    Plan,
    Problem,
    Step,
    largest_live_sum,
    lower_bound,
    verify_plan,
)
from diagmem.arena.baseline import without_overlap
from diagmem.arena.exact import improved
from diagmem.base.errors import DiagmemError
from diagmem.base.installing import package_command
from tests.arena.rules import is_right, smallest_arena
from tests.arena.strategies import problems

SHORT = Options(iterations=40, time_limit_s=20)
BASELINES = ("tflm-greedy", "first-fit")
FAST = ("heuristic", *BASELINES)


def top(problem: Problem, plan: Plan) -> int:
    """Where the highest block ends, rounded up to the alignment."""
    end = max(plan.offsets[b.tensor] + b.size_bytes for b in problem.blocks)
    return -(-end // problem.align_bytes) * problem.align_bytes


def check(problem: Problem, plan: Plan) -> None:
    assert verify_plan(problem, plan) == []
    assert is_right(problem, plan.offsets)
    assert plan.arena_bytes == top(problem, plan)
    assert plan.lower_bound_bytes <= plan.arena_bytes
    assert plan.optimal == (plan.lower_bound_bytes == plan.arena_bytes)


@settings(max_examples=80)
@given(problems(), st.integers(0, 3), st.sampled_from([0, 1, 30]))
def test_quick_planners_make_plans_that_the_verifier_accepts(
    problem: Problem, seed: int, iterations: int
) -> None:
    options = Options(iterations=iterations, seed=seed)
    for name in FAST:
        check(problem, PLANNERS[name](problem, options))


@settings(max_examples=25)
@given(problems(max_size=40), st.integers(0, 2))
def test_exact_is_verified_and_no_worse(problem: Problem, seed: int) -> None:
    options = replace(SHORT, seed=seed)
    plan = PLANNERS["exact"](problem, options)
    check(problem, plan)
    assert plan.optimal
    assert lower_bound(problem) <= plan.lower_bound_bytes
    # From a poor plan, so that the solver cannot lean on the heuristic's.
    alone = improved(problem, PLANNERS["first-fit"](problem, options), options)
    check(problem, alone)
    assert alone.arena_bytes == plan.arena_bytes
    for name in FAST:
        assert plan.arena_bytes <= PLANNERS[name](problem, options).arena_bytes


@settings(max_examples=60)
@given(problems(max_operators=3, max_size=5, max_blocks=4))
def test_exact_and_bound_against_all_plans(problem: Problem) -> None:
    best = smallest_arena(problem)
    assert lower_bound(problem) <= best
    alone = improved(problem, PLANNERS["first-fit"](problem, SHORT), SHORT)
    check(problem, alone)
    assert alone.arena_bytes == best
    assert best <= PLANNERS["heuristic"](problem, SHORT).arena_bytes
    apart = without_overlap(problem)
    assert lower_bound(apart) == largest_live_sum(problem) <= smallest_arena(apart)


@settings(max_examples=60)
@given(problems())
def test_overlap_never_costs_anything(problem: Problem) -> None:
    apart = without_overlap(problem)
    assert lower_bound(problem) <= lower_bound(apart)
    assert PLANNERS["tflm-greedy"](problem, SHORT) == PLANNERS["tflm-greedy"](apart, SHORT)


@settings(max_examples=60)
@given(problems())
def test_tflm_greedy_takes_the_largest_first_and_the_lowest_gap(problem: Problem) -> None:
    """The later defined of two equals first; sizes and offsets in whole alignments."""
    align = problem.align_bytes
    sizes = {b.tensor: -(-b.size_bytes // align) for b in problem.blocks}
    placed: dict[int, int] = {}
    last_first = reversed(problem.blocks)
    for block in sorted(last_first, key=lambda b: sizes[b.tensor], reverse=True):
        beside = {
            cell
            for other in problem.blocks
            if other.tensor in placed and other.first < block.end and block.first < other.end
            for cell in range(placed[other.tensor], placed[other.tensor] + sizes[other.tensor])
        }
        at = 0
        while beside & set(range(at, at + sizes[block.tensor])):
            at += 1
        placed[block.tensor] = at
    plan = PLANNERS["tflm-greedy"](problem, SHORT)
    assert plan.offsets == {t: at * align for t, at in placed.items()}


@settings(max_examples=20)
@given(problems(max_size=40))
def test_same_problem_same_plan(problem: Problem) -> None:
    for name in ("heuristic", "exact"):
        assert PLANNERS[name](problem, SHORT) == PLANNERS[name](problem, SHORT)


def chain(sizes: list[int], displacement: int, align: int = 1) -> Problem:
    """One operator after the other, each output may slide under its input."""
    n = len(sizes) - 1
    blocks = [
        Block(
            t,
            f"t{t}",
            size,
            max(t - 1, 0),
            min(t + 1, n),
            "input" if t == 0 else "output" if t == n else "activation",
        )
        for t, size in enumerate(sizes)
    ]
    return Problem(
        tuple(blocks),
        tuple(Permission(k, k, k + 1, displacement, None, False, "made up") for k in range(n)),
        tuple(Step(f"OP_{k}", (k,), (k + 1,)) for k in range(n)),
        align,
    )


def test_a_chain_slides_down_as_long_as_it_must() -> None:
    """Three of 100 bytes in a row need 2 × 10 more than one; the last lies beside."""
    problem = chain([100, 100, 100, 20], 10)
    assert lower_bound(problem) == 110
    for name in ("heuristic", "exact", "auto"):
        plan = PLANNERS[name](problem, SHORT)
        check(problem, plan)
        assert plan.arena_bytes == 120
    assert PLANNERS["exact"](problem, SHORT).lower_bound_bytes == 120
    assert PLANNERS["auto"](problem, SHORT).optimal
    assert PLANNERS["tflm-greedy"](problem, SHORT).arena_bytes == 200


@pytest.mark.parametrize(("align", "arena"), [(1, 107), (4, 112), (16, 128)])
def test_a_displacement_is_rounded_up_to_the_alignment(align: int, arena: int) -> None:
    """97 bytes at 10, 12 or 16."""
    problem = chain([97, 100], 10, align)
    plan = PLANNERS["heuristic"](problem, SHORT)
    check(problem, plan)
    assert plan.optimal
    assert plan.arena_bytes == arena


@pytest.mark.parametrize(
    ("above", "mirror", "in_place", "arena"),
    [
        (25, None, False, 45),
        (30, None, False, 50),
        (1000, None, False, 50),
        (25, 8, False, 38),
        (25, 8, True, 30),
        (0, None, False, 30),
    ],
)
def test_20_bytes_over_30(above: int, mirror: int | None, in_place: bool, arena: int) -> None:
    """Above at D, below at the mirror's, at the very same place, or apart."""
    allowed = Permission(0, 0, 1, above, mirror, in_place, "made up")
    problem = replace(chain([20, 30], 0), permissions=(allowed,))
    assert lower_bound(problem) == arena
    for name in ("heuristic", "exact"):
        assert PLANNERS[name](problem, SHORT).arena_bytes == arena


def test_several_inputs_over_one_output() -> None:
    """A concatenation: of two inputs over one output only one can lie in front."""
    blocks = (
        Block(0, "a", 40, 0, 1, "input"),
        Block(1, "b", 60, 0, 1, "input"),
        Block(2, "out", 100, 0, 1, "output"),
    )
    both = tuple(Permission(0, t, 2, 30, None, False, "made up") for t in (0, 1))
    problem = Problem(blocks, both, (Step("CONCATENATION", (0, 1), (2,)),), 1)
    assert lower_bound(problem) == 130
    for name in ("heuristic", "exact"):
        plan = PLANNERS[name](problem, SHORT)
        check(problem, plan)
        assert plan.arena_bytes == 130


def test_nothing_to_place() -> None:
    empty = Problem((), (), ())
    for planner in PLANNERS.values():
        assert planner(empty, SHORT).arena_bytes == 0


def test_without_ortools(monkeypatch: pytest.MonkeyPatch) -> None:
    """`exact` says how to get it; `auto` does without."""
    monkeypatch.setitem(sys.modules, "ortools", None)
    problem = chain([100, 100, 100, 20], 10)
    with pytest.raises(DiagmemError, match=re.escape(package_command("ortools"))):
        PLANNERS["exact"](problem, SHORT)
    assert PLANNERS["auto"](problem, SHORT).solver == "heuristic"
