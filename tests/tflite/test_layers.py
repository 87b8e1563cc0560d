"""Operators as layers: what a layer says as a model is read back as that layer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from diagmem.base.errors import DiagmemError
from diagmem.ops import OPERATORS
from diagmem.ops.draw import Draw
from diagmem.ops.layer import Layer
from diagmem.tflite import read_model, zoo
from diagmem.tflite.layers import LayerOf, NoRule, layer_of
from diagmem.tflite.rules import RULES
from diagmem.tflm.models import one_operator_model
from tests.tflite.build import Draft

DRAWS = 25


def _found(draft: Draft) -> LayerOf | NoRule:
    model = read_model(draft.file())
    return layer_of(model, model.operators[0])


def _layer(draft: Draft) -> Layer:
    found = _found(draft)
    assert isinstance(found, LayerOf), found.reason
    return found.layer


@pytest.mark.parametrize("name", zoo.names())
def test_every_operator_of_every_network_has_a_layer(name: str) -> None:
    model = zoo.open_zoo(name)
    for operator in model.operators:
        found = layer_of(model, operator)
        assert isinstance(found, LayerOf), found.reason
        tensors = {t.name: t for t in (*found.layer.inputs, *found.layer.outputs)}
        for key, number in found.tensors.items():
            assert tensors[key].size_bytes == model.tensors[number].size_bytes
        activations = [n for n in (*operator.inputs, *operator.outputs) if n >= 0]
        planned = {n for n in activations if model.tensors[n].planned}
        assert planned == set(found.tensors.values())


def test_no_operator_is_forgotten() -> None:
    assert set(RULES) - set(OPERATORS) == {"PADV2"}
    assert set(OPERATORS) <= set(RULES)


@pytest.mark.parametrize("name", OPERATORS)
def test_a_layer_goes_through_a_file(name: str) -> None:
    operator, draw = OPERATORS[name], Draw(7)
    compared = 0
    for _ in range(DRAWS):
        layer = operator.of(operator.draw(draw))
        try:
            data = one_operator_model(layer)
            model = read_model(data)
        except DiagmemError:
            continue  # TFLite has no word for it
        found = layer_of(model, model.operators[0])
        assert isinstance(found, LayerOf), found.reason
        assert found.layer.inputs == layer.inputs
        assert found.layer.outputs == layer.outputs
        names = [tensor.name for tensor in (*layer.inputs, *layer.outputs)]
        assert {key: model.tensors[n].name for key, n in found.tensors.items()} == {
            key: key for key in names
        }
        assert found.layer == layer
        compared += 1
    assert compared > DRAWS // 2


def test_a_constant_operand_is_an_input_of_the_layer_but_no_activation() -> None:
    draft = Draft()
    weights = draft.tensor((1, 1, 3), values=[1, 2, 3])
    source, out = draft.tensor((2, 5, 3)), draft.tensor((2, 5, 3))
    draft.operator("SUB", [weights, source], [out], "Sub")
    found = _found(draft.io([source], [out]))
    assert isinstance(found, LayerOf)
    assert found.layer.inputs[0].shape == (1, 1, 3)
    assert found.tensors == {"input2": source, "output": out}


def test_an_operand_given_twice() -> None:
    draft = Draft()
    source, out = draft.tensor((2, 5, 3)), draft.tensor((2, 5, 3))
    draft.operator("ADD", [source, source], [out], "Add")
    found = _found(draft.io([source], [out]))
    assert isinstance(found, LayerOf)
    assert found.tensors == {"input1": source, "input2": source, "output": out}


def _joined(axis: int) -> Draft:
    draft = Draft()
    first, second = draft.tensor((2, 5, 3)), draft.tensor((2, 1, 3))
    out = draft.tensor((2, 6, 3))
    draft.operator("CONCATENATION", [first, second], [out], "Concatenation", axis=axis)
    return draft.io([first, second], [out])


def test_axes_count_from_the_end() -> None:
    assert _layer(_joined(-2)) == _layer(_joined(1))
    assert isinstance(_found(_joined(-4)), NoRule)
    assert isinstance(_found(_joined(2)), NoRule)


def _sliced(
    out: tuple[int, ...], begin: list[int], end: list[int], strides: list[int], **masks: int
) -> Draft:
    draft = Draft()
    source = draft.tensor((2, 7, 5))
    constants = [draft.tensor((3,), "int32", values=v) for v in (begin, end, strides)]
    made = draft.tensor(out)
    draft.operator("STRIDED_SLICE", [source, *constants], [made], "StridedSlice", **masks)
    return draft.io([source], [made])


@pytest.mark.parametrize(
    ("masked", "plain"),
    [
        (
            _sliced((2, 3, 5), [9, 1, 9], [9, 4, 9], [1, 1, 1], beginMask=5, endMask=5),
            _sliced((2, 3, 5), [0, 1, 0], [2, 4, 5], [1, 1, 1]),
        ),
        (
            _sliced((2, 4, 5), [0, 3, 0], [2, 9, 5], [1, -2, 1], beginMask=2, endMask=2),
            _sliced((2, 4, 5), [0, 6, 0], [2, -8, 5], [1, -2, 1]),
        ),
        (
            _sliced((2, 3, 5), [0, 1, 0], [2, 3, 5], [1, 1, 1], offset=True),
            _sliced((2, 3, 5), [0, 1, 0], [2, 4, 5], [1, 1, 1]),
        ),
    ],
)
def test_masks_of_slices(masked: Draft, plain: Draft) -> None:
    assert _layer(masked) == _layer(plain)


def test_a_slice_that_drops_an_axis() -> None:
    layer = _layer(_sliced((2, 5), [0, -1, 0], [2, 0, 5], [1, 1, 1], shrinkAxisMask=2))
    assert layer.attributes["begin"] == (0, 6, 0)
    assert layer.outputs[0].shape == (2, 1, 5)
    beyond = _sliced((2, 5), [0, 7, 0], [2, 8, 5], [1, 1, 1], shrinkAxisMask=2)
    assert isinstance(_found(beyond), NoRule)


def test_a_slice_to_the_end() -> None:
    draft = Draft()
    source, out = draft.tensor((2, 7, 5)), draft.tensor((2, 4, 5))
    begin = draft.tensor((3,), "int64", values=[0, 3, 0])
    size = draft.tensor((3,), "int64", values=[-1, -1, 5])
    draft.operator("SLICE", [source, begin, size], [out], "Slice")
    assert _layer(draft.io([source], [out])).attributes["size"] == (2, 4, 5)


@pytest.mark.parametrize(("shape", "keep"), [((1, 2, 12), False), ((3, 1, 1, 8), False)])
def test_rows_of_any_shape_go_into_a_product(shape: tuple[int, ...], keep: bool) -> None:
    draft = Draft()
    source, weights = draft.tensor(shape), draft.tensor((5, 8), values=[0] * 40)
    out = draft.tensor((3, 5))
    options = {"keepNumDims": keep}
    draft.operator("FULLY_CONNECTED", [source, weights], [out], "FullyConnected", **options)
    assert _layer(draft.io([source], [out])).inputs[0].shape == (3, 8)


def test_a_squeeze_of_some_axes_copies_like_a_reshape() -> None:
    draft = Draft()
    source, out = draft.tensor((1, 7, 1, 5)), draft.tensor((7, 1, 5))
    draft.operator("SQUEEZE", [source], [out], "Squeeze", squeezeDims=[0])
    assert _layer(draft.io([source], [out])).operator == "RESHAPE"


def test_a_wrong_shape_is_caught() -> None:
    """The model says one shape, the attributes another: no rule, and both are named."""
    model = zoo.open_zoo("mobilenet_v1_0.25_128_f32")
    first = model.operators[0]
    wrong = replace(first, options={**first.options, "stride_h": 1})
    found = layer_of(model, wrong)
    assert isinstance(found, NoRule)
    assert "output is 1x64x64x8 float32, expected 1x128x64x8 float32" in found.reason


@pytest.mark.parametrize("option", ["stride_h", "stride_w", "padding", "dilation_h_factor"])
def test_options_that_are_missing_or_nought(option: str) -> None:
    model = zoo.open_zoo("mobilenet_v1_0.25_128_f32")
    first = model.operators[0]
    left = {name: value for name, value in first.options.items() if name != option}
    assert isinstance(layer_of(model, replace(first, options=left)), NoRule)
    if option != "padding":
        nought = {**first.options, option: 0}
        assert isinstance(layer_of(model, replace(first, options=nought)), NoRule)


def test_what_nobody_knows_has_a_reason() -> None:
    draft = Draft()
    source, out = draft.tensor((2, 3)), draft.tensor((2, 3))
    draft.operator("CUSTOM:mine", [source], [out])
    found = _found(draft.io([source], [out]))
    assert found == NoRule("CUSTOM:mine: nothing is known of this operator")
    draft = Draft()
    source, out = draft.tensor((2, 3), "int32"), draft.tensor((2, 3), "int32")
    draft.operator("RELU", [source], [out])
    found = _found(draft.io([source], [out]))
    assert isinstance(found, NoRule)
    assert "dtype is int32, expected one of float32, int8, int16" in found.reason


@pytest.mark.parametrize(
    ("axes", "known"), [([1, 2], True), ([2, 1], True), ([-3, -2], False), ([1, 2, 1], False)]
)
def test_a_mean_of_pictures_is_spelled_as_tflm_looks_for_it(axes: list[int], known: bool) -> None:
    """TFLM clears the output first unless the file says 1 and 2: nothing may overlap then."""
    draft = Draft()
    source, made = draft.tensor((1, 9, 8, 4)), draft.tensor((1, 1, 1, 4))
    listed = draft.tensor((len(axes),), "int32", values=axes)
    draft.operator("MEAN", [source, listed], [made], "Reducer", keepDims=True)
    draft.io([source], [made])
    assert isinstance(_found(draft), LayerOf if known else NoRule)
