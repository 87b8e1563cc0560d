"""Plans in files: nothing else changes, and TFLM runs what comes out."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from diagmem.base.errors import DiagmemError
from diagmem.tflite import Model, lifetimes, read_model, zoo
from diagmem.tflite.flat import Span
from diagmem.tflite.write import (
    PROVENANCE_NAME,
    read_provenance,
    write_planned,
)
from tests.tflite.build import Draft, chain, parsed, small
from tests.tflite.run import run

NOWHERE = Span(0, 0)


def _apart(model: Model) -> list[int]:
    """A plan in which every tensor has its own place."""
    offsets, cursor = [-1] * len(model.tensors), 0
    for tensor in model.activations:
        offsets[tensor.index] = cursor
        cursor += -(-tensor.size_bytes // 16) * 16
    return offsets


def _differences(one: Any, other: Any, place: str = "model") -> list[str]:
    """Where two trees of the schema's objects differ."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return [] if np.array_equal(one, other) else [place]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [d for i, (a, b) in pairs for d in _differences(a, b, f"{place}[{i}]")]
    if hasattr(one, "__dict__") and type(one) is type(other):
        mine, others = vars(one), vars(other)
        return [d for key in mine for d in _differences(mine[key], others[key], f"{place}.{key}")]
    return [] if one == other else [place]


@pytest.mark.parametrize("name", zoo.names())
def test_the_schema_finds_the_same_graph_and_a_plan(name: str, tmp_path: Path) -> None:
    data, model = zoo.network_bytes(name), zoo.open_zoo(name)
    offsets, path = _apart(model), tmp_path / "planned.tflite"
    write_planned(model, offsets, path, {"planner": "apart", "ä": [1, 2.5]})
    planned = path.read_bytes()
    before, after = parsed(data), parsed(planned)
    names = [entry.name.decode() for entry in after.metadata]
    assert names == ["OfflineMemoryAllocation", "diagmem.plan"]
    words = after.buffers[after.metadata[0].buffer].data.tobytes()
    assert words == struct.pack(f"<{3 + len(offsets)}i", 1, 0, len(offsets), *offsets)
    assert _differences(before.buffers, after.buffers[: len(before.buffers)]) == []
    before.buffers = after.buffers = before.metadata = after.metadata = None
    assert _differences(before, after) == []
    again = read_model(path)
    assert [replace(tensor, data=NOWHERE) for tensor in again.tensors] == [
        replace(tensor, data=NOWHERE) for tensor in model.tensors
    ]
    assert again.operators == model.operators
    assert again.plan == tuple(offsets)
    assert read_provenance(again) == {"planner": "apart", "ä": [1, 2.5]}
    assert lifetimes(again) == lifetimes(model)
    assert planned.endswith(data)
    assert (len(planned) - len(data)) % 16 == 0


def test_differences_are_seen() -> None:
    """The comparison above can fail."""
    one, other = parsed(small().file()), parsed(small().file())
    other.subgraphs[0].operators[0].builtinOptions.strideW = 2
    assert _differences(one, other) == ["model.subgraphs[0].operators[0].builtinOptions.strideW"]


def test_contents_stay_aligned(tmp_path: Path) -> None:
    model = read_model(small().file())
    write_planned(model, _apart(model), tmp_path / "planned")
    planned = read_model(tmp_path / "planned")
    for tensor, moved in zip(model.tensors, planned.tensors, strict=True):
        assert (moved.data.start - tensor.data.start) % 16 == 0
    assert planned.metadata["OfflineMemoryAllocation"].start % 16 == 0


@given(st.lists(st.booleans(), min_size=1, max_size=4), st.data())
def test_planning_again_replaces_and_does_not_grow(
    tmp_path_factory: pytest.TempPathFactory, sayings: list[bool], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("plans") / "model.tflite"
    original = small().file()
    path.write_bytes(original)
    for says in sayings:
        model = read_model(path)
        offsets = [-1] * len(model.tensors)
        for tensor in model.activations:
            offsets[tensor.index] = 4 * data.draw(st.integers(0, 1 << 20))
        provenance = {"text": data.draw(st.text())} if says else None
        write_planned(model, offsets, path, provenance)
        again = read_model(path)
        assert again.plan == tuple(offsets)
        assert read_provenance(again) == provenance
        assert path.read_bytes().endswith(original)
        fresh = path.with_name("fresh.tflite")
        write_planned(read_model(original), offsets, fresh, provenance)
        assert fresh.read_bytes() == path.read_bytes()


def test_a_plan_of_somebody_else_is_replaced_and_other_metadata_stay(tmp_path: Path) -> None:
    draft = small()
    draft.metadata("OfflineMemoryAllocation", struct.pack("<9i", 1, 0, 6, *[-1] * 6))
    draft.metadata("min_runtime_version", b"2.3.0")
    draft.metadata(PROVENANCE_NAME, b"{}")
    draft.model.signatureDefs = [schema.SignatureDefT()]
    model = read_model(draft.file())
    assert model.plan == (-1,) * 6
    for number in range(3):
        path = tmp_path / f"planned{number}"
        write_planned(model, _apart(model), path, {"a": number // 2})
        model = planned = read_model(path)
        names = ["min_runtime_version", "OfflineMemoryAllocation", PROVENANCE_NAME]
        assert list(planned.metadata) == names
        span = planned.metadata["min_runtime_version"]
        assert bytes(planned.data[span.start : span.end]) == b"2.3.0"
        assert len(parsed(path.read_bytes()).signatureDefs) == 1
        assert path.stat().st_size == (tmp_path / "planned0").stat().st_size


def test_a_model_without_what_can_be_left_out(tmp_path: Path) -> None:
    draft = Draft()
    first = draft.tensor((3,))
    model = read_model(draft.io([first], [first]).file())
    write_planned(model, [0], tmp_path / "planned")
    assert read_model(tmp_path / "planned").plan == (0,)


@pytest.mark.parametrize(
    ("offsets", "complaint"),
    [
        ([-1] * 5, "found 5 offsets, expected one for each of 6 tensors"),
        ([0, 0, -1, -1, -1, -1], r"tensor 1 \(t1\): found offset 0, expected -1, since"),
        ([-2, -1, -1, -1, -1, -1], r"tensor 0 \(picture\): found offset -2"),
        ([2, -1, -1, -1, -1, -1], "found offset 2, expected a multiple of 4 for float32"),
        ([2**31, -1, -1, -1, -1, -1], "found offset 2147483648, expected -1, or 0 to"),
    ],
)
def test_offsets_that_do_not_fit(offsets: list[int], complaint: str, tmp_path: Path) -> None:
    with pytest.raises(DiagmemError, match=complaint):
        write_planned(read_model(small().file()), offsets, tmp_path / "planned")
    assert list(tmp_path.iterdir()) == []


def test_data_outside_of_the_flatbuffer_is_refused(tmp_path: Path) -> None:
    draft = small()
    draft.model.buffers[1].data, draft.model.buffers[1].offset = None, 20
    draft.model.buffers[1].size = 72
    with pytest.raises(DiagmemError, match="buffer 1: found data outside"):
        write_planned(read_model(draft.file()), [-1] * 6, tmp_path / "planned")


def test_root_fields_that_nobody_knows_are_refused(tmp_path: Path) -> None:
    draft = small()
    draft.model.externalBufferGroups = [schema.ExternalBufferGroupT()]
    with pytest.raises(DiagmemError, match="field 8, expected none beyond 7"):
        write_planned(read_model(draft.file()), [-1] * 6, tmp_path / "planned")


def test_provenance_that_is_no_object(tmp_path: Path) -> None:
    for contents in (b"", b"\xff", b"[1]", b"{", b"[" * 100_000):
        draft = small()
        draft.metadata(PROVENANCE_NAME, contents)
        with pytest.raises(DiagmemError, match="found no JSON object"):
            read_provenance(read_model(draft.file()))
    with pytest.raises(DiagmemError, match="cannot be said in JSON"):
        write_planned(read_model(small().file()), [-1] * 6, tmp_path / "p", {"a": object()})


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((1, 0, 5, *[-1] * 5), "found 32 bytes, expected 36 for 6 tensors"),
        ((2, 0, 6, *[-1] * 6), "found version 2"),
        ((1, 1, 6, *[-1] * 6), "subgraph 1"),
        ((1, 0, 6, -7, *[-1] * 5), "tensor 0: found offset -7"),
    ],
)
def test_plans_that_tflm_would_not_take(words: tuple[int, ...], complaint: str) -> None:
    draft = small()
    draft.metadata("OfflineMemoryAllocation", struct.pack(f"<{len(words)}i", *words))
    with pytest.raises(DiagmemError, match=complaint):
        read_model(draft.file())


def test_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DiagmemError, match="cannot be written"):
        write_planned(read_model(small().file()), [-1] * 6, tmp_path / "none" / "planned")


def test_tflm_computes_the_same_and_obeys_the_plan(tmp_path: Path) -> None:
    data = small().file()
    model = read_model(data)
    picture = np.random.default_rng(3).uniform(-1, 1, (1, 5, 7, 3)).astype(np.float32)
    expected = run(data, picture)
    assert np.ptp(expected) > 0.1
    write_planned(model, _apart(model), tmp_path / "planned")
    found = run((tmp_path / "planned").read_bytes(), picture)
    assert found.tobytes() == expected.tobytes()
    # All in one place: whoever obeys that computes something else.
    here = [0 if t in model.activations else -1 for t in model.tensors]
    here[4] = 4
    write_planned(model, here, tmp_path / "wrong")
    found = run((tmp_path / "wrong").read_bytes(), picture)
    assert found.tobytes() != expected.tobytes()


def test_a_provenance_holds_for_its_offsets_only(tmp_path: Path) -> None:
    """Another tool replaces the plan and leaves what was said of the older one."""
    draft = chain(([0], [1]), ([1], [2]), tensors=3, inputs=[0], outputs=[2])
    path = tmp_path / "planned.tflite"
    write_planned(read_model(draft.file()), [0, 64, 128], path, {"proven": "3 runs"})
    assert read_provenance(read_model(path)) == {"proven": "3 runs"}
    old, new = (struct.pack("<6i", 1, 0, 3, *offsets) for offsets in ((0, 64, 128), (0, 64, 0)))
    path.write_bytes(path.read_bytes().replace(old, new))
    changed = read_model(path)
    assert changed.plan == (0, 64, 0)
    assert read_provenance(changed) is None
