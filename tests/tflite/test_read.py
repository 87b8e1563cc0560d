"""The reader against TFLite's own schema, and what it refuses."""

from __future__ import annotations

import re
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from diagmem.base.errors import DiagmemError
from diagmem.tflite import ABSENT, read_model, zoo
from diagmem.tflite.elements import ELEMENT_BYTES
from diagmem.tflite.schema import OPERATORS
from tests.tflite.build import Draft, chain, parsed, small, words


def _numbers(found: Any) -> tuple[int, ...]:
    return () if found is None else tuple(int(number) for number in found)


def _camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)


def _same_option(ours: object, theirs: Any) -> bool:
    if isinstance(ours, tuple):
        return ours == _numbers(theirs)
    if isinstance(ours, str):
        found = [
            words(kind).get(int(theirs))
            for kind in (schema.Padding, schema.ActivationFunctionType, schema.TensorType)
        ]
        return ours in found or ours.upper() in found
    return bool(ours == theirs)


@pytest.mark.parametrize("name", zoo.names())
def test_every_field_is_what_the_schema_reads(name: str) -> None:
    data = zoo.network_bytes(name)
    ours, theirs = read_model(data), parsed(data)
    (graph,) = theirs.subgraphs
    assert ours.inputs == _numbers(graph.inputs)
    assert ours.outputs == _numbers(graph.outputs)
    assert ours.description == theirs.description.decode()
    assert len(ours.tensors) == len(graph.tensors)
    for tensor, other in zip(ours.tensors, graph.tensors, strict=True):
        quantisation = other.quantization or schema.QuantizationParametersT()
        stored = theirs.buffers[other.buffer].data
        assert tensor.name == other.name.decode()
        assert tensor.shape == _numbers(other.shape)
        assert tensor.dtype == words(schema.TensorType)[other.type].lower()
        assert tensor.size_bytes == prod(tensor.shape) * np.dtype(tensor.dtype).itemsize
        assert tensor.variable == other.isVariable
        assert tensor.constant == (stored is not None and len(stored) > 0)
        assert bytes(ours.constant_data(tensor)) == (b"" if stored is None else stored.tobytes())
        assert tensor.scale == tuple(quantisation.scale if quantisation.scale is not None else ())
        assert tensor.zero_point == _numbers(quantisation.zeroPoint)
    assert len(ours.operators) == len(graph.operators)
    for operator, other in zip(ours.operators, graph.operators, strict=True):
        code = theirs.operatorCodes[other.opcodeIndex]
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        assert operator.name == words(schema.BuiltinOperator)[number]
        assert operator.version == code.version
        assert operator.inputs == _numbers(other.inputs)
        assert operator.outputs == _numbers(other.outputs)
        for option, value in operator.options.items():
            assert _same_option(value, getattr(other.builtinOptions, _camel(option))), option
        known = vars(other.builtinOptions) if other.builtinOptions else {}
        assert {_camel(option) for option in operator.options} == known.keys()


def test_the_names_are_those_of_the_schema() -> None:
    assert dict(enumerate(OPERATORS)) == words(schema.BuiltinOperator)
    types = {number: name.lower() for number, name in words(schema.TensorType).items()}
    assert dict(enumerate(ELEMENT_BYTES)) == types


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool", "complex64", "uint16", "float16"])
def test_sizes_are_those_of_numpy(dtype: str) -> None:
    draft = Draft()
    first = draft.tensor((2, 3, 5), dtype)
    model = read_model(draft.io([first], [first]).file())
    assert model.tensors[0].size_bytes == 30 * np.dtype(dtype).itemsize


def test_small_types_are_packed_in_constants_only() -> None:
    draft = Draft()
    draft.tensor((3, 5), "int4", values=bytes(8))
    source = draft.tensor((3, 5), "int4")
    model = read_model(draft.io([source], [source]).file())
    assert [tensor.size_bytes for tensor in model.tensors] == [8, 15]


def test_what_the_arena_does_not_hold_is_kept_apart() -> None:
    draft = Draft()
    source, out = draft.tensor((2, 3)), draft.tensor((2, 3))
    constant = draft.tensor((3,), values=[1, 2, 3])
    state = draft.tensor((4,), variable=True)
    handle = draft.tensor((), "resource")
    draft.tensor((9,))  # used by nobody
    draft.operator("CUSTOM:mine", [source, constant, state, ABSENT], [out])
    draft.operator("CUSTOM:handle", [], [handle])
    model = read_model(draft.io([source], [out]).file())
    assert [tensor.index for tensor in model.activations] == [source, out]
    assert model.operators[0].name == "CUSTOM:mine"
    assert model.operators[0].inputs[-1] == ABSENT
    assert model.tensors[handle].unplannable
    assert model.tensors[handle].size_bytes == 0


def test_a_batch_of_unknown_size_is_one_and_others_are_refused() -> None:
    draft = Draft()
    first = draft.tensor((1, 4), signature=(-1, 4))
    assert read_model(draft.io([first], [first]).file()).tensors[0].shape == (1, 4)
    draft = Draft()
    first = draft.tensor((1, 1), signature=(1, -1), name="words")
    with pytest.raises(DiagmemError, match=r"tensor 0 \(words\).*axis 1 of unknown size"):
        read_model(draft.io([first], [first]).file())
    draft = Draft()
    first = draft.tensor((-1, 4), name="words")
    with pytest.raises(DiagmemError, match=r"tensor 0 \(words\).*axis 0 of unknown size"):
        read_model(draft.io([first], [first]).file())


def _two_graphs() -> bytes:
    draft = small()
    draft.model.subgraphs = [draft.graph, schema.SubGraphT()]
    return draft.file()


def _wrong_version() -> bytes:
    draft = small()
    draft.model.version = 4
    return draft.file()


def _control_flow() -> bytes:
    draft = Draft()
    first = draft.tensor((1,), "bool")
    draft.operator("WHILE", [first], [], "While")
    return draft.io([first], [first]).file()


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "0 bytes in all"),
        (b"abc", "3 bytes in all|bytes 4 to 8"),
        (b"not a model at all", "expected 'TFL3'"),
        (_two_graphs(), "2 subgraphs, expected one"),
        (_wrong_version(), "schema version 4, expected 3"),
        (_control_flow(), r"operator 0 \(WHILE\): found control flow"),
        (
            chain(([1], [2]), tensors=3, inputs=[0], outputs=[2]).file(),
            r"operator 0 \(CUSTOM:link\): found tensor 1 \(t1\) read",
        ),
        (
            chain(([0], [1]), ([1], [1]), tensors=2, inputs=[0], outputs=[1]).file(),
            r"operator 1 .*tensor 1 \(t1\) written again",
        ),
        (
            chain(([0], [0]), tensors=2, inputs=[0], outputs=[0]).file(),
            r"operator 0 .*tensor 0 \(t0\) written again",
        ),
        (
            chain(([0], [1, 1]), tensors=2, inputs=[0], outputs=[1]).file(),
            r"operator 0 .*tensor 1 \(t1\) written again",
        ),
        (
            chain(([0], [1]), tensors=3, inputs=[0], outputs=[2]).file(),
            r"outputs: found tensor 2 \(t2\) given out",
        ),
        (
            chain(([0], [7]), tensors=2, inputs=[0], outputs=[0]).file(),
            "an output 7, expected one of 2 tensors",
        ),
        (
            chain(([-2], [1]), tensors=2, inputs=[0], outputs=[0]).file(),
            "an input -2, expected one of 2 tensors",
        ),
        (
            chain(([0], [-1]), tensors=2, inputs=[0], outputs=[0]).file(),
            "an output -1, expected one of 2 tensors",
        ),
    ],
)
def test_what_is_not_planned_is_refused_in_one_line(data: bytes, complaint: str) -> None:
    with pytest.raises(DiagmemError, match=complaint) as caught:
        read_model(data, "net.tflite")
    assert str(caught.value).startswith("net.tflite: ")
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path, complaint in ((tmp_path / "none", "cannot be read"), (tmp_path, "cannot be read")):
        with pytest.raises(DiagmemError, match=complaint):
            read_model(path)
    empty = tmp_path / "empty"
    empty.touch()
    with pytest.raises(DiagmemError, match="is empty"):
        read_model(empty)


def test_a_file_on_disk_is_what_its_bytes_are(tmp_path: Path) -> None:
    path = tmp_path / "small.tflite"
    path.write_bytes(small().file())
    on_disk = read_model(path)
    assert on_disk.path == str(path)
    assert on_disk.tensors == read_model(small().file()).tensors


def test_names_cannot_break_a_line() -> None:
    draft = Draft()
    first = draft.tensor((-1,), name="a\nb\x1b[31m")
    with pytest.raises(DiagmemError) as caught:
        read_model(draft.io([first], [first]).file())
    assert str(caught.value).isprintable()
