"""``docs/formulas.md``: what it states holds.

Its formulas are held against the closed form on random layers.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from diagmem.ops import OPERATORS
from diagmem.ops.answer import answer
from diagmem.ops.draw import Draw
from diagmem.ops.elementwise import CONVERSIONS
from diagmem.ops.layer import Layer
from tests.ops.page_formulas import (
    ELSEWHERE,
    FORMULAS,
    Along,
    displacements,
    layers,
    three_places,
    window,
)

DOCS = Path(__file__).parents[2] / "docs"
SAMPLE = 200


def test_every_operator_is_spoken_of() -> None:
    assert set(FORMULAS) | ELSEWHERE == set(OPERATORS)
    page = (DOCS / "formulas.md").read_text(encoding="utf-8")
    assert [name for name in OPERATORS if f"`{name}`" not in page] == []


@pytest.mark.parametrize("operator", FORMULAS)
def test_formula(operator: str) -> None:
    tried = 0
    for layer in layers(operator, SAMPLE):
        stated = FORMULAS[operator](layer)
        if stated is None:
            continue
        tried += 1
        size = layer.outputs[0].element_bytes
        assert displacements(layer) == [elements * size for elements in stated], layer
    assert tried >= 10


def test_nearest_by_powers_of_two() -> None:
    operator = OPERATORS["RESIZE_NEAREST_NEIGHBOR"]
    for seed in range(SAMPLE):
        draw = Draw(f"nearest/{seed}")
        batches, height, width, channels = draw.picture()
        size = height * draw.one_of((1, 2, 4)), width * draw.one_of((1, 2, 8))
        picture = (batches, height, width, channels)
        layer = operator.of({"dtype": "int8", "input": picture, "size": size})
        more = layer.outputs[0].elements - layer.inputs[0].elements
        assert displacements(layer) == [more + channels]


@pytest.mark.parametrize("operator", CONVERSIONS)
def test_conversions_in_bytes(operator: str) -> None:
    for layer in layers(operator, SAMPLE):
        a, b = layer.inputs[0].element_bytes, layer.outputs[0].element_bytes
        assert displacements(layer) == [max(0, b - a) * (layer.inputs[0].elements - 1)]


@pytest.mark.parametrize("operator", ["CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D"])
def test_three_places_are_enough(operator: str) -> None:
    for layer in layers(operator, 400):
        if layer.attributes.get("dilation", (1, 1)) != (1, 1):
            continue
        for along in (0, 1):
            axis = Along.of(layer, along)
            if axis.first:
                for written, read in ((7, 3), (3, 7), (5, 5)):
                    assert three_places(layer, along, written, read) == axis.most(written, read)


def test_a_wrong_formula_is_seen() -> None:
    """That of a pool, for convolutions."""
    seen = [
        displacements(layer)
        == window(Layer("MAX_POOL_2D", layer.attributes, layer.inputs, layer.outputs))
        for layer in layers("CONV_2D", 100)
        if layer.outputs[0].element_bytes == 1
    ]
    assert 0 < seen.count(False) < len(seen), "it holds for one output channel"


def test_two_columns_never_ask_for_more() -> None:
    for layer in layers("CONV_2D", SAMPLE):
        other = answer(layer, order="two-columns")
        assert other.min_displacement_bytes <= answer(layer).min_displacement_bytes
