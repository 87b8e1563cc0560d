"""What a runtime picks a kernel by, beside shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from diagmem.tflite.facts import facts_of
from diagmem.tflite.graph import Model, read_model
from tests.tflite.build import Draft


def fully_connected(
    path: Path, *, scales: int = 1, bias: bool = True, constant: bool = True, dtype: str = "int8"
) -> Model:
    draft = Draft()
    source = draft.tensor((1, 5, 8), "int8", scale=[0.1])
    weights = draft.tensor(
        (6, 8), dtype, values=bytes(48) if constant else None, scale=[0.1] * scales, zero_point=[0]
    )
    inputs = [source, weights, draft.tensor((6,), "int32", values=[0] * 6) if bias else -1]
    made = draft.tensor((5, 6), "int8", scale=[0.1])
    draft.operator("FULLY_CONNECTED", inputs, [made], "FullyConnected")
    path.write_bytes(draft.io([source] if constant else [source, weights], [made]).file())
    return read_model(path)


def test_facts_of_a_fully_connected_layer(tmp_path: Path) -> None:
    model = fully_connected(tmp_path / "m.tflite")
    assert facts_of(model, model.operators[0]) == {
        "input_rank": "3",
        "output_rank": "2",
        "weights_dtype": "int8",
        "bias_dtype": "int32",
        "per_channel": "false",
        "constant_weights": "true",
        "filter_offset": "0",
    }


@pytest.mark.parametrize(
    ("words", "fact", "expected"),
    [
        ({"scales": 6}, "per_channel", "true"),
        ({"bias": False}, "bias_dtype", ""),
        ({"constant": False}, "constant_weights", "false"),
        ({"dtype": "int4"}, "weights_dtype", "int4"),
    ],
)
def test_a_fact(tmp_path: Path, words: dict[str, Any], fact: str, expected: str) -> None:
    model = fully_connected(tmp_path / "m.tflite", **words)
    assert facts_of(model, model.operators[0])[fact] == expected


def test_an_operator_without_a_filter(tmp_path: Path) -> None:
    draft = Draft()
    axis, source = draft.tensor((), "int32", values=[1]), draft.tensor((2, 4))
    made = [draft.tensor((2, 2)), draft.tensor((2, 2))]
    draft.operator("SPLIT", [axis, source], made, "Split", numSplits=2)
    path = tmp_path / "m.tflite"
    path.write_bytes(draft.io([source], made).file())
    model = read_model(path)
    assert facts_of(model, model.operators[0]) == {"input_rank": "2", "output_rank": "2"}
