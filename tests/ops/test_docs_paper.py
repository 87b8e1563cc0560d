"""The paper's bound as ``docs/formulas.md`` tells it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import floor
from pathlib import Path
from random import Random

import pytest

from diagmem.ops import OPERATORS
from diagmem.ops.layer import Layer, Value
from diagmem.ops.paper import bound, raw
from tests.ops.page_formulas import displacements, window

DOCS = Path(__file__).parents[2] / "docs"


@dataclass(slots=True)
class Tally:
    """Layers inside and outside of the bound's region, and what it said of them."""

    inside: int = 0
    unsafe_inside: int = 0
    equal_inside: int = 0
    outside: int = 0
    unsafe_outside: int = 0
    given_away: Fraction = Fraction(0)
    """Overlap that it misses inside, each as a part of the output, summed up."""


def pictures(operator: str, cases: int) -> list[Layer]:
    """Windows over one picture, of 1 to 40 rows and columns."""
    random, found = Random(f"paper/{operator}"), OPERATORS[operator]
    made = []
    for _ in range(cases):
        height, width, channels, more = (random.randint(1, most) for most in (40, 40, 8, 8))
        taps = random.randint(1, min(7, height)), random.randint(1, min(7, width))
        given: dict[str, Value] = {
            "input": (1, height, width, channels),
            "filter": taps,
            "stride": (random.randint(1, 4), random.randint(1, 4)),
            "padding": random.choice(["SAME", "VALID"]),
            "dtype": "int8",
        }
        if operator == "CONV_2D":
            given["output_channels"] = more
        if operator == "DEPTHWISE_CONV_2D":
            given["depth_multiplier"] = random.randint(1, 2)
        made.append(found.of(given))
    return made


def tally(operator: str, cases: int) -> Tally:
    """The published O_s, rounded down and clamped, against the exact one."""
    found = Tally()
    for layer in pictures(operator, cases):
        source, target = layer.inputs[0].elements, layer.outputs[0].elements
        published = min(max(floor(raw(layer)), 0), source, target)
        (needed,) = window(layer) or [0]
        safe = min(max(target - needed, 0), source)
        mended = bound(layer)
        assert mended is not None
        if mended.refused:
            found.outside += 1
            found.unsafe_outside += published > safe
        else:
            found.inside += 1
            found.unsafe_inside += published > safe
            found.equal_inside += published == safe
            found.given_away += Fraction(safe - published, target)
    return found


PAPER_CASES = 5000


@pytest.mark.parametrize("operator", ["CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D"])
def test_the_papers_bound_as_the_page_tells_it(operator: str) -> None:
    found = tally(operator, PAPER_CASES)
    assert found.unsafe_inside == 0
    mean = float(100 * found.given_away / found.inside)
    row = (
        f"| `{operator}` | {found.inside:,} | {found.unsafe_inside} | {found.equal_inside:,} |"
        f" {mean:.1f} % | {found.outside:,} | {found.unsafe_outside:,} |"
    )
    assert row in (DOCS / "formulas.md").read_text(encoding="utf-8")


def test_the_papers_bound_on_two_layers() -> None:
    beyond = OPERATORS["CONV_2D"].layer(
        {"input": "1x5x9x3", "filter": "4x1", "stride": "1x4", "padding": "VALID"}
        | {"output_channels": "3", "dtype": "int8"}
    )
    assert raw(beyond) == Fraction(52, 3)
    large = OPERATORS["DEPTHWISE_CONV_2D"].layer(
        {"input": "1x112x112x32", "filter": "3x3", "stride": "2x2"}
    )
    published = bound(large)
    assert published is not None
    assert published.min_displacement_bytes == 3616
    assert displacements(large) == [0]
    assert published.output_bytes == 401_408
