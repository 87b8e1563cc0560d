"""Models of one operator on TFLM: right results, overlapped too, and refusals as outcomes."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from diagmem.analysis.safe import Placement
from diagmem.analysis.trace import open_trace
from diagmem.ops import find_operator
from diagmem.ops.answer import answer
from diagmem.ops.layer import Layer
from tests.tools import missing

# Before the imports below, which need it.
if importlib.util.find_spec("tflite_micro") is None:
    missing("tflite-micro is not installed")

import flatbuffers
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from diagmem.tflm import models
from diagmem.tflm.inputs import input_values
from diagmem.tflm.layer_runs import TflmCase, TflmOutcome, run_layers, trace_layers
from diagmem.tflm.models import one_operator_model
from diagmem.tflm.recipes import Constant, recipe

Array = npt.NDArray[Any]

RELU = find_operator("RELU").of({"input": (2, 3, 5)})
DEPTHWISE = find_operator("DEPTHWISE_CONV_2D").of(
    {"dtype": "float32", "input": (1, 7, 5, 3), "filter": (3, 2), "stride": (1, 1)}
)
CONV = find_operator("CONV_2D").of(
    {
        "dtype": "float32",
        "input": (2, 6, 5, 3),
        "filter": (2, 3),
        "stride": (2, 1),
        "padding": "VALID",
        "output_channels": 4,
    }
)


def output(outcome: TflmOutcome, layer: Layer) -> Array:
    assert outcome.refused == ""
    target = layer.outputs[0]
    found: Array = np.frombuffer(outcome.outputs[target.name], target.dtype)
    return found.reshape(target.shape)


def constants(layer: Layer, seed: int) -> dict[str, Array]:
    operands = recipe(layer, seed).operands
    return {one.name: one.values for one in operands if isinstance(one, Constant)}


def conv_by_numpy(layer: Layer, seed: int) -> Array:
    values, weights = input_values(layer, seed)["input"], constants(layer, seed)
    made = np.zeros(layer.outputs[0].shape)
    rows, columns = weights["filter"].shape[1:3]
    for y in range(made.shape[1]):
        for x in range(made.shape[2]):
            window = values[:, 2 * y : 2 * y + rows, x : x + columns, :]
            made[:, y, x, :] = np.einsum("bhwc,ohwc->bo", window, weights["filter"])
    return made + weights["bias"]


def depthwise_by_numpy(layer: Layer, seed: int) -> Array:
    values, weights = input_values(layer, seed)["input"], constants(layer, seed)
    # SAME with 3x2 and stride 1: one row above and below, one column to the right.
    padded = np.pad(values, ((0, 0), (1, 1), (0, 1), (0, 0)))
    height, width = layer.outputs[0].shape[1:3]
    made = np.zeros(layer.outputs[0].shape)
    for fy in range(3):
        for fx in range(2):
            made += padded[:, fy : fy + height, fx : fx + width, :] * weights["filter"][0, fy, fx]
    return made + weights["bias"]


def test_results_are_right() -> None:
    """Against numpy, whatever the operator's loops are."""
    of = {name: find_operator(name) for name in ("TRANSPOSE", "MEAN", "PAD", "SUB", "SOFTMAX")}
    transpose = of["TRANSPOSE"].of({"input": (2, 3, 4), "perm": (2, 0, 1)})
    mean = of["MEAN"].of({"input": (2, 3, 5, 4), "axes": (1, 2), "keep_dims": True})
    pad = of["PAD"].of({"input": (2, 3), "paddings": (1, 0, 2, 1)})
    sub = of["SUB"].of({"input1": (2, 3, 4), "input2": (3, 1)})
    softmax = of["SOFTMAX"].of({"input": (3, 7)})
    layers = [RELU, CONV, DEPTHWISE, transpose, mean, pad, sub, softmax]
    relu_, conv, depthwise, *rest = run_layers([TflmCase(layer, seed=3) for layer in layers])

    def given(layer: Layer, name: str = "input") -> Array:
        return input_values(layer, 3)[name]

    np.testing.assert_array_equal(output(relu_, RELU), np.maximum(given(RELU), 0))
    np.testing.assert_allclose(output(conv, CONV), conv_by_numpy(CONV, 3), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        output(depthwise, DEPTHWISE), depthwise_by_numpy(DEPTHWISE, 3), rtol=1e-4, atol=1e-5
    )
    exponents = np.exp(given(softmax))
    expected = [
        given(transpose).transpose(2, 0, 1),
        given(mean).mean(axis=(1, 2), keepdims=True),
        np.pad(given(pad), ((1, 0), (2, 1))),
        given(sub, "input1") - given(sub, "input2"),
        exponents / exponents.sum(axis=1, keepdims=True),
    ]
    for layer, outcome, right in zip(layers[3:], rest, expected, strict=True):
        np.testing.assert_allclose(output(outcome, layer), right, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_overlapped_at_d_and_below(dtype: str) -> None:
    cases = []
    layers = [
        find_operator("DEPTHWISE_CONV_2D").of(
            {"dtype": dtype, "input": (1, 9, 6, 4), "filter": (3, 2)}
        ),
        find_operator("CONV_2D").of(
            {"dtype": dtype, "input": (1, 6, 9, 3), "filter": (2, 3), "output_channels": 4}
        ),
    ]
    for layer in layers:
        needed = answer(layer).min_displacement_bytes
        cell = layer.outputs[0].element_bytes
        assert needed > cell
        apart = TflmCase(layer, seed=1)
        cases += [apart] + [
            replace(apart, placement=Placement("input", "output", at))
            for at in (needed, needed - cell)
        ]
    outcomes = run_layers(cases)
    for number in range(0, len(cases), 3):
        apart_, at, below = outcomes[number : number + 3]
        assert apart_.refused == at.refused == below.refused == ""
        assert len(apart_.outputs["output"]) == cases[number].layer.outputs[0].size_bytes
        assert at.outputs == apart_.outputs
        assert below.outputs != apart_.outputs
        # The covered input is not to be compared; apart, it is as it was.
        assert at.inputs == {}
        assert apart_.inputs == {
            name: values.tobytes() for name, values in input_values(cases[number].layer, 1).items()
        }


def test_a_refusal_is_an_outcome() -> None:
    """No model, no such type, a distance that no element can have: the others run."""
    explicit = find_operator("CONV_2D").of(
        {"input": (1, 5, 4, 2), "filter": (2, 2), "padding": (1, 0, 1, 0), "output_channels": 2}
    )
    odd = TflmCase(RELU, placement=Placement("input", "output", 3))
    unknown = TflmCase(RELU, placement=Placement("inptu", "output", 4))
    cases = [TflmCase(RELU), TflmCase(explicit), odd, unknown, TflmCase(DEPTHWISE)]
    outcomes = run_layers(cases)
    assert [bool(one.refused) for one in outcomes] == [False, True, True, True, False]
    assert "no explicit padding" in outcomes[1].refused
    assert "expected a multiple of the elements' 4" in outcomes[2].refused
    assert "no tensor 'inptu'" in outcomes[3].refused
    assert all(one.outputs == {} and one.inputs == {} for one in outcomes[1:4])
    assert outcomes[4] == run_layers([TflmCase(DEPTHWISE)])[0]


def out_of_range(model: bytes) -> bytes:
    """The model with an output scale that TFLM's addition cannot reach."""
    changed = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model))
    graph = changed.subgraphs[0]
    graph.tensors[graph.outputs[0]].quantization.scale = [1e-30]
    builder = flatbuffers.Builder(1024)
    builder.Finish(changed.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_a_case_that_ends_the_process_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    deadly = find_operator("ADD").of({"dtype": "int8", "input1": (2, 3), "input2": (2, 3)})

    def made(layer: Layer, **given: Any) -> bytes:
        model = one_operator_model(layer, **given)
        return out_of_range(model) if layer is deadly else model

    monkeypatch.setattr(models, "one_operator_model", made)
    before, killed, after = run_layers([TflmCase(RELU), TflmCase(deadly), TflmCase(DEPTHWISE)])
    assert killed.refused.startswith("refused: stopped by SIGABRT")
    assert killed.outputs == {}
    assert [before] == run_layers([TflmCase(RELU)])
    assert [after] == run_layers([TflmCase(DEPTHWISE)])
    assert after.refused == ""


def test_traced_windows_stand_for_the_cases(tmp_path: Path, valgrind_tool: object) -> None:
    """Also the one that was refused: its window has no buffers."""
    explicit = find_operator("CONV_2D").of(
        {"input": (1, 5, 4, 2), "filter": (2, 2), "padding": (1, 0, 1, 0), "output_channels": 2}
    )
    path = tmp_path / "layers.dmt"
    layers = [DEPTHWISE, explicit, CONV]
    _, outcomes = trace_layers([TflmCase(layer) for layer in layers], path)
    assert [bool(one.refused) for one in outcomes] == [False, True, False]
    assert outcomes == run_layers([TflmCase(layer) for layer in layers])
    with open_trace(path) as trace:
        windows = trace.overlaps(isolated=False)
    assert [len(window.pairs) for window in windows] == [1, 0, 1]
    for layer, window in zip(layers, windows, strict=True):
        for pair in window.pairs:
            assert (pair.input_bytes, pair.output_bytes) == (
                layer.inputs[0].size_bytes,
                layer.outputs[0].size_bytes,
            )
            assert pair.min_displacement_bytes == answer(layer).min_displacement_bytes


def test_models_are_the_same_every_time() -> None:
    first = one_operator_model(CONV, seed=2)
    assert one_operator_model(CONV, seed=2) == first
    assert one_operator_model(CONV, seed=3) != first
