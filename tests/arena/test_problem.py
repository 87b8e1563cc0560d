"""A problem refuses what contradicts itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from diagmem.arena import Block, Permission, Plan, Problem, Step, blocking

A = Block(0, "a", 20, 0, 1, "input")
B = Block(1, "b", 30, 0, 2, "activation")
C = Block(2, "c", 10, 1, 3, "activation")
D = Block(3, "d", 5, 2, 3, "output")
STEPS = (Step("CONV_2D", (0,), (1,)), Step("RELU", (1,), (2,)), Step("SOFTMAX", (2,), (3,)))
AB = Permission(0, 0, 1, 8, None, False, "made up")
BC = Permission(1, 1, 2, 0, None, True, "made up")
GOOD = Problem((A, B, C, D), (AB, BC), STEPS)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"align_bytes": 0}, "alignment of 0 bytes"),
        ({"blocks": (A, B, C, D, A)}, "the same tensor number"),
        ({"blocks": (replace(A, size_bytes=-1), B, C, D)}, "a: a size of -1 bytes"),
        ({"blocks": (replace(A, end=0), B, C, D)}, r"a: lives in operators \[0, 0\)"),
        ({"blocks": (A, B, C, replace(D, end=4))}, r"expected some of \[0, 3\)"),
        ({"blocks": (A, B, C)}, "operator 2 SOFTMAX: no block for tensor 3"),
        ({"blocks": (A, B, replace(C, end=2), D)}, "SOFTMAX: uses c, which lives in"),
        ({"pinned": frozenset({7})}, "tensor 7 is pinned"),
        ({"pinned": frozenset({0})}, "a is pinned but lives in"),
        ({"permissions": (AB, AB)}, "two permissions"),
        ({"permissions": (replace(AB, operator=3),)}, "expected an operator"),
        ({"permissions": (replace(AB, operator=1),)}, "does not read the one"),
        ({"permissions": (replace(AB, min_displacement_bytes=-1),)}, "a negative"),
        ({"permissions": (replace(AB, mirror_displacement_bytes=-1),)}, "a negative"),
        ({"blocks": (replace(A, end=2), B, C, D)}, "the input lives on to operator 2"),
        ({"blocks": (A, B, replace(C, first=0), D)}, "the output lives from operator 0"),
        ({"blocks": (A, replace(B, role="output"), C, D)}, "is a model output"),
        (
            {"steps": (Step("X", (0, 1), (1,)), *STEPS[1:])},
            "also writes the input or reads the output",
        ),
    ],
)
def test_refuses(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(GOOD, **changes)


def test_nobody_may_lie_over_a_pinned_input() -> None:
    alone = Problem((replace(A, end=1), replace(B, end=1)), (AB,), STEPS[:1])
    with pytest.raises(ValueError, match="one of the two is pinned"):
        replace(alone, pinned=frozenset({0}))


def test_who_is_in_the_way() -> None:
    """The operators whose blocks end above the limit, with all that is alive there."""
    plan = Plan({0: 8, 1: 0, 2: 32, 3: 0}, 42, 0, False, "by hand")
    assert blocking(GOOD, plan, 42) == ()
    assert [(c.operator, c.name, c.top_bytes, c.blocks) for c in blocking(GOOD, plan, 30)] == [
        (1, "RELU", 42, (C, B)),
        (2, "SOFTMAX", 42, (C, D)),
    ]
