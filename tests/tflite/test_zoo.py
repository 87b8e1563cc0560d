"""The networks: what they are, and that they run once they have weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from diagmem.base.errors import DiagmemError
from diagmem.ops import OPERATORS
from diagmem.ops.draw import Draw
from diagmem.tflite import Model, lifetimes, read_model, zoo
from diagmem.tflite.fill import fill
from diagmem.tflite.forward import activated, passed_on, weighted
from diagmem.tflite.write import write_planned
from diagmem.tflm.models import one_operator_model
from tests.tflite.build import Draft, chain, small
from tests.tflite.run import run, run_whole

RUN = ("mobilenet_v1_0.25_128_f32", "mobilenet_v1_0.25_128_int8", "mobilenet_v2_0.35_224_int8")
MAX_SATURATED = 0.01


def _picture(model: Model, seed: int) -> npt.NDArray[np.float32 | np.int8]:
    (number,) = model.inputs
    tensor = model.tensors[number]
    values = np.random.default_rng(seed).uniform(-1, 1, tensor.shape)
    if tensor.dtype == "float32":
        return values.astype(np.float32)
    return np.clip(np.rint(values / tensor.scale[0] + tensor.zero_point[0]), -128, 127).astype(
        np.int8
    )


@pytest.mark.parametrize("name", zoo.names())
def test_facts(name: str) -> None:
    model, network = zoo.open_zoo(name), zoo.NETWORKS[name]
    (source,), (result,) = model.inputs, model.outputs
    size = network.input_size
    assert model.tensors[source].shape == (1, size, size, 3)
    assert model.tensors[source].dtype == network.dtype
    assert model.tensors[result].shape[-1] in (1000, 1001)
    assert model.operators[-1].name == "SOFTMAX"
    assert model.plan is None


def test_the_eleven_of_the_paper() -> None:
    assert len(set(zoo.PAPER)) == 11
    assert set(zoo.PAPER) <= set(zoo.names())


def test_an_unknown_network() -> None:
    with pytest.raises(DiagmemError, match="no network 'lenet', expected one of mobilenet"):
        zoo.open_zoo("lenet")


@pytest.mark.parametrize("name", RUN)
def test_it_runs_and_its_values_spread(name: str) -> None:
    data = zoo.filled(name, 1)
    model = read_model(data)
    outputs = []
    for seed in (11, 12):
        result, values = run_whole(data, _picture(model, seed))
        outputs.append(result)
        for operator in model.operators[:-1]:
            made, tensor = values[operator.outputs[0]], model.tensors[operator.outputs[0]]
            assert np.isfinite(made).all()
            assert made.std() > (2 if tensor.dtype == "int8" else 0.05), operator.label
            if tensor.dtype == "int8":
                # What is rectified has its zeros at the lowest integer.
                ends = [127] if tensor.zero_point[0] == -128 else [-128, 127]
                assert np.isin(made, ends).mean() < MAX_SATURATED, operator.label
    assert len(np.unique(outputs[0])) > 5
    assert np.any(outputs[0] != outputs[1])


def test_scales_of_activations_are_kept_but_for_the_logits() -> None:
    before = zoo.open_zoo(RUN[1])
    after = read_model(zoo.filled(RUN[1], 1))
    changed = [
        t.index
        for t, u in zip(before.activations, after.activations, strict=True)
        if (t.scale, t.zero_point) != (u.scale, u.zero_point)
    ]
    logits = [operator.outputs[0] for operator in before.operators[-3:-1]]
    assert changed == logits
    assert lifetimes(after) == lifetimes(before)


def test_a_seed_is_all_that_weights_hang_on() -> None:
    first = zoo.filled(RUN[0], 3)
    assert first == zoo.filled(RUN[0], 3)
    assert first != zoo.filled(RUN[0], 4)


def test_a_planned_network_computes_the_same(tmp_path: Path) -> None:
    zoo.write_filled(RUN[2], tmp_path / "filled.tflite", 1)
    model = read_model(tmp_path / "filled.tflite")
    offsets, cursor = [-1] * len(model.tensors), 0
    for tensor in model.activations:
        offsets[tensor.index] = cursor
        cursor += -(-tensor.size_bytes // 16) * 16
    write_planned(model, offsets, tmp_path / "planned.tflite", {"planner": "apart"})
    picture = _picture(model, 5)
    outputs = [
        run((tmp_path / name).read_bytes(), picture, arena_bytes=1 << 26)
        for name in ("filled.tflite", "planned.tflite")
    ]
    assert outputs[0].tobytes() == outputs[1].tobytes()


@pytest.mark.parametrize(
    "name",
    ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "AVERAGE_POOL_2D", "MAX_POOL_2D"],
)
def test_numpy_computes_what_tflm_does(name: str) -> None:
    operator, draw = OPERATORS[name], Draw(3)
    compared = 0
    while compared < 10:
        layer = operator.of({**operator.draw(draw), "dtype": "float32"})
        try:
            data = one_operator_model(layer, seed=compared)
        except DiagmemError:
            continue  # TFLite has no explicit paddings
        model = read_model(data)
        node = model.operators[0]
        shape = model.tensors[node.inputs[0]].shape
        values = np.random.default_rng(compared).uniform(-1, 1, shape).astype(np.float32)
        constants = [
            np.frombuffer(model.constant_data(tensor), np.float32).reshape(tensor.shape)
            for tensor in (model.tensors[number] for number in node.inputs[1:])
        ]
        if constants:
            found = weighted(model, node, values, constants[0]) + constants[1]
        else:
            found = passed_on(model, node, [values])
        expected = run(data, values)
        np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-5)
        compared += 1


def test_activations() -> None:
    values = np.array([-1, 3, 9], np.float32)
    assert activated(values, "RELU").tolist() == [0, 3, 9]
    assert activated(values, "RELU6").tolist() == [0, 3, 6]
    assert activated(values, "NONE").tolist() == [-1, 3, 9]


def test_what_cannot_be_filled_is_refused() -> None:
    draft = small()
    draft.operator("TANH", [5], [draft.tensor((1, 3, 7, 3))])
    with pytest.raises(DiagmemError, match=r"operator 3 \(TANH\).*not computed here"):
        fill(draft.file(), 0)


def test_what_is_no_network_is_refused() -> None:
    draft = Draft()
    first = draft.tensor((3,))
    with pytest.raises(DiagmemError, match="found float32 of 1 axes"):
        fill(draft.io([first], [first]).file(), 0)
    two = chain(([0], [1, 2]), tensors=3, inputs=[0], outputs=[1])
    with pytest.raises(DiagmemError, match="found 2 outputs, expected 1"):
        fill(two.file(), 0)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DiagmemError, match="cannot be written"):
        zoo.write_filled(RUN[0], tmp_path / "none" / "x.tflite")
