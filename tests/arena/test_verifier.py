"""The verifier against the rules pair by pair, and plans that were broken on purpose."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from diagmem.arena import (
    PLANNERS,
    Block,
    Options,
    Permission,
    Plan,
    Problem,
    Step,
    verify_plan,
)
from tests.arena.rules import is_right
from tests.arena.strategies import problems

SHORT = Options(iterations=20)


def at(problem: Problem, offsets: dict[int, int]) -> Plan:
    """A plan with an arena that holds it."""
    arena = max((offsets[b.tensor] + b.size_bytes for b in problem.blocks), default=0)
    return Plan(offsets, arena, 0, False, "by hand")


def every_input_is_read(problem: Problem) -> bool:
    read = {t for step in problem.steps for t in step.reads}
    return all(b.tensor in read for b in problem.blocks if b.role == "input")


@settings(max_examples=150)
@given(problems(max_operators=4, max_size=6, max_blocks=5), st.data())
def test_agrees_with_the_rules_on_random_places(problem: Problem, data: st.DataObject) -> None:
    """The rules go by the blocks' lives, the verifier by values: an input that nobody
    reads may be written over, and only that differs."""
    assume(every_input_is_read(problem))
    places = st.integers(0, 6).map(lambda n: n * problem.align_bytes)
    offsets = {b.tensor: data.draw(places) for b in problem.blocks}
    assert (verify_plan(problem, at(problem, offsets)) == []) == is_right(problem, offsets)


@settings(max_examples=100)
@given(problems(), st.data())
def test_agrees_with_the_rules_on_a_plan_with_one_block_moved(
    problem: Problem, data: st.DataObject
) -> None:
    assume(every_input_is_read(problem))
    offsets = dict(PLANNERS["heuristic"](problem, SHORT).offsets)
    moved = data.draw(st.sampled_from(problem.blocks)).tensor
    steps = data.draw(st.integers(-3, 3))
    offsets[moved] = max(0, offsets[moved] + steps * problem.align_bytes)
    assert (verify_plan(problem, at(problem, offsets)) == []) == is_right(problem, offsets)


def convolution(displacement: int, align: int = 1) -> Problem:
    """An input of 20 bytes over an output of 30, then the output is read."""
    return Problem(
        (
            Block(0, "image", 20, 0, 1, "input"),
            Block(1, "features", 30, 0, 2, "activation"),
            Block(2, "scores", 5, 1, 2, "output"),
        ),
        (Permission(0, 0, 1, displacement, 18, False, "made up"),),
        (Step("CONV_2D", (0,), (1,)), Step("SOFTMAX", (1,), (2,))),
        align,
    )


@pytest.mark.parametrize("above", [0, 7, 8, 9, 29, 30])
def test_one_step_less_than_the_displacement_is_seen(above: int) -> None:
    plan = at(convolution(8), {0: above, 1: 0, 2: 30})
    assert (verify_plan(convolution(8), plan) == []) == (above >= 8)


@pytest.mark.parametrize("below", [0, 17, 18, 20])
def test_one_step_less_than_the_mirror_is_seen(below: int) -> None:
    plan = at(convolution(8), {0: 0, 1: below, 2: 60})
    assert (verify_plan(convolution(8), plan) == []) == (below >= 18)


def test_says_who_writes_over_whom() -> None:
    plan = at(convolution(8), {0: 4, 1: 0, 2: 29})
    assert verify_plan(convolution(8), plan) == [
        "operator 0 CONV_2D writes features (at 0): byte 4 of the arena, which holds image (at 4),"
        " at displacement 4: allowed from 8 up or -18 down",
        "operator 1 SOFTMAX writes scores (at 29): byte 29 of the arena, which holds features"
        " (at 0), at displacement -29: allowed none that is known",
    ]


@pytest.mark.parametrize(
    ("offsets", "arena", "said"),
    [
        ({0: 32, 1: 0}, 100, "scores has no place"),
        ({0: 32, 1: -4, 2: 60}, 100, "features lies at -4, before the arena"),
        ({0: 30, 1: 0, 2: 60}, 100, "image lies at 30, no multiple of 4"),
        ({0: 32, 1: 0, 2: 60}, 64, "scores ends at byte 65, behind the arena of 64"),
    ],
)
def test_misplaced(offsets: dict[int, int], arena: int, said: str) -> None:
    plan = Plan(offsets, arena, 0, False, "by hand")
    assert verify_plan(convolution(8, align=4), plan) == [said]


def test_a_pinned_tensor_is_nobody_elses() -> None:
    """Even where its value is not needed any more."""
    problem = convolution(8)
    image, *others = problem.blocks
    pinned = replace(
        problem,
        blocks=(replace(image, end=2), *others),
        permissions=(),
        pinned=frozenset({0}),
    )
    plan = at(pinned, {0: 30, 1: 0, 2: 32})
    assert verify_plan(pinned, plan) == [
        "scores lies over bytes [32, 37) of image, which is pinned"
    ]


def test_a_permission_does_not_hold_for_an_input_that_is_read_again() -> None:
    """`Problem` refuses that; the verifier sees it by itself."""
    problem = convolution(8)
    later = (problem.steps[0], Step("ADD", (0, 1), (2,)))
    object.__setattr__(problem, "steps", later)
    said = verify_plan(problem, at(problem, {0: 8, 1: 0, 2: 30}))
    assert said[0].startswith("operator 0 CONV_2D writes features")
    assert said[1].startswith("operator 1 ADD reads image")


def test_a_model_output_is_needed_to_the_end() -> None:
    """Also by nobody but the caller."""
    problem = Problem(
        (
            Block(0, "image", 20, 0, 2, "input"),
            Block(1, "features", 30, 0, 2, "output"),
            Block(2, "scores", 5, 1, 2, "output"),
        ),
        (),
        (Step("CONV_2D", (0,), (1,)), Step("SOFTMAX", (0,), (2,))),
    )
    assert verify_plan(problem, at(problem, {0: 32, 1: 0, 2: 16})) == [
        "operator 1 SOFTMAX writes scores (at 16): byte 16 of the arena, which holds features"
        " (at 0), and is needed later",
        "after the last operator reads features (at 0): byte 16 of the arena, which holds"
        " scores (at 16)",
    ]


def test_a_model_input_that_is_an_output_is_there_from_the_start_to_the_end() -> None:
    """Its role is that of an output, but no operator writes it."""
    problem = Problem(
        (
            Block(0, "image", 20, 0, 2, "output"),
            Block(1, "features", 30, 0, 2, "activation"),
            Block(2, "scores", 5, 1, 2, "output"),
        ),
        (),
        (Step("CONV_2D", (0,), (1,)), Step("SOFTMAX", (1,), (2,))),
    )
    assert verify_plan(problem, at(problem, {0: 0, 1: 32, 2: 64})) == []
    assert verify_plan(problem, at(problem, {0: 0, 1: 32, 2: 16})) == [
        "operator 1 SOFTMAX writes scores (at 16): byte 16 of the arena, which holds image (at 0),"
        " and is needed later",
        "after the last operator reads image (at 0): byte 16 of the arena, which holds scores"
        " (at 16)",
    ]


def test_what_was_never_written() -> None:
    problem = convolution(8)
    object.__setattr__(problem, "steps", problem.steps[1:])
    said = verify_plan(problem, at(problem, {0: 40, 1: 0, 2: 30}))
    assert said == [
        "operator 0 SOFTMAX reads features (at 0): byte 0 of the arena, which nothing was"
        " written to"
    ]


def test_a_large_network_takes_less_than_a_second() -> None:
    """600 operators, each of 1 MB to 1 MB, in 5 MB."""
    steps = tuple(Step(f"OP_{k}", (k,), (k + 1,)) for k in range(600))
    blocks = tuple(
        Block(t, f"t{t}", 1 << 20, max(t - 1, 0), min(t + 1, 600), "activation")
        for t in range(1, 601)
    )
    problem = Problem((Block(0, "in", 1 << 20, 0, 1, "input"), *blocks), (), steps)
    plan = at(problem, {t: (t % 5) << 20 for t in range(601)})
    began = time.process_time()
    assert verify_plan(problem, plan) == []
    assert time.process_time() - began < 1
