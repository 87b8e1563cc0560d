"""The paper's bound: never below the exact D where it claims anything, and unsafe as published."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import pytest

from diagmem.base.errors import DiagmemError
from diagmem.ops import OPERATORS, find_operator
from diagmem.ops.answer import answer
from diagmem.ops.draw import Draw
from diagmem.ops.layer import Layer, Value
from diagmem.ops.paper import LINES, bound, raw

CASES = 1000


def layers(operator: str, *, seed: int = 5, zeros: bool = False) -> list[Layer]:
    found = find_operator(operator)
    return [
        found.of(found.draw(Draw(f"{seed}/{operator}/{number}", zeros=zeros)))
        for number in range(CASES)
    ]


def published_displacement(layer: Layer) -> int:
    """D as published, in elements: rounded up, and nothing else."""
    return layer.outputs[0].elements - floor(raw(layer))


@pytest.mark.parametrize("operator", LINES)
def test_the_bound_is_safe(operator: str) -> None:
    claimed = partial = 0
    for layer in [*layers(operator), *layers(operator, seed=6, zeros=True)[: CASES // 3]]:
        published = bound(layer)
        assert published is not None
        needed = answer(layer).min_displacement_bytes
        assert needed <= published.min_displacement_bytes <= published.output_bytes, layer
        if published.refused:
            assert published.min_displacement_bytes == published.output_bytes
        else:
            claimed += 1
            partial += 0 < published.safe_overlap_bytes < published.input_bytes
    assert claimed > CASES // 2
    assert partial > CASES // 20


@pytest.mark.parametrize("operator", LINES)
def test_as_published_it_is_unsafe_beyond_its_region(operator: str) -> None:
    """So it is right to claim nothing there."""
    unsafe = []
    for layer in layers(operator):
        if 0 in layer.outputs[0].shape or layer.inputs[0].shape[0] != 1:
            continue
        cell = layer.outputs[0].element_bytes
        if published_displacement(layer) * cell < answer(layer).min_displacement_bytes:
            unsafe.append(layer)
    assert unsafe
    for layer in unsafe:
        published = bound(layer)
        assert published is not None
        assert "the line is not below the reads there" in published.refused


def test_one_layer_where_it_is_unsafe() -> None:
    layer = find_operator("CONV_2D").of(
        {
            "dtype": "int16",
            "input": (1, 5, 6, 1),
            "filter": (4, 2),
            "stride": (1, 4),
            "output_channels": 3,
        }
    )
    # Of 30 output elements 23 may lie over the input, it says; it is 22.
    assert raw(layer) == 23
    assert answer(layer, "algorithmic").min_displacement_bytes == 2 * (30 - 22)
    published = bound(layer)
    assert published is not None
    assert published.refused.startswith("S_w O_w = 8 is more than S_h I_w = 6")
    assert published.safe_overlap_bytes == 0


def test_exact_for_depthwise_convolutions_of_stride_1() -> None:
    for height, width, channels, rows, columns in (
        (12, 12, 8, 3, 3),
        (17, 9, 5, 3, 4),
        (9, 17, 5, 5, 2),
        (7, 30, 1, 3, 5),
        (31, 6, 3, 4, 3),
    ):
        layer = find_operator("DEPTHWISE_CONV_2D").of(
            {
                "dtype": "float32",
                "input": (1, height, width, channels),
                "filter": (rows, columns),
            }
        )
        published = bound(layer)
        assert published is not None
        assert published.min_displacement_bytes == answer(layer).min_displacement_bytes > 0


def test_known_values() -> None:
    """What was executed: 12x12x8, 3x3, SAME holds at 104 elements, not at 103."""
    for dtype, cell in (("int8", 1), ("float32", 4)):
        given: dict[str, Value] = {"dtype": dtype, "input": (1, 12, 12, 8), "filter": (3, 3)}
        depthwise = find_operator("DEPTHWISE_CONV_2D").of(given)
        pool = find_operator("MAX_POOL_2D").of(given)
        for layer in (depthwise, pool):
            for method in ("exact", "algorithmic"):
                assert answer(layer, method).min_displacement_bytes == 104 * cell
        assert answer(depthwise, "paper").min_displacement_bytes == 104 * cell
    # a = 12 / 12 and b = (12 - 12 - 12 - 1 - 1 + 1) * 8, both by hand.
    depthwise = find_operator("DEPTHWISE_CONV_2D").of(given)
    assert raw(depthwise) == 12 * 12 * 8 + (12 - 12 - 12 - 1 - 1 + 1) * 8 == Fraction(1048)


def test_batches_follow_each_other() -> None:
    """Each adds what its output is larger than its input."""
    one, three = (
        find_operator("CONV_2D").of(
            {
                "dtype": "int8",
                "input": (batches, 7, 5, 2),
                "filter": (3, 2),
                "output_channels": 3,
            }
        )
        for batches in (1, 3)
    )
    first, all_ = bound(one), bound(three)
    assert first is not None
    assert all_ is not None
    grown = all_.min_displacement_bytes - first.min_displacement_bytes
    assert grown == 2 * (7 * 5 * 3 - 7 * 5 * 2)
    assert answer(three).min_displacement_bytes <= all_.min_displacement_bytes


@pytest.mark.parametrize("operator", sorted(set(OPERATORS) - set(LINES)))
def test_other_operators_have_none(operator: str) -> None:
    found = find_operator(operator)
    words = dict(word.split("=", 1) for word in found.example.split())
    layer = found.layer(words)
    assert bound(layer) is None
    with pytest.raises(DiagmemError, match="the paper has no bound for it, only for CONV_2D"):
        answer(layer, "paper")
