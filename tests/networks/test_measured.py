"""The file of measured overlaps: what is written is read, and nothing else is."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diagmem.arena import Options
from diagmem.base.errors import DiagmemError
from diagmem.networks.measured import identity, read_overlaps, write_overlaps
from diagmem.networks.on_tflm import measure
from diagmem.networks.planning import plan_network
from diagmem.tflite.graph import Model, read_model
from diagmem.tflite.zoo import open_zoo
from diagmem.tflm.network import random_inputs
from tests.networks.by_formula import as_measured
from tests.networks.random_models import random_model
from tests.tflite.build import Draft, small

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def model() -> Model:
    return read_model(small().file(), "small.tflite")


@pytest.fixture
def written(model: Model, tmp_path: Path) -> Path:
    path = tmp_path / "overlaps.json"
    write_overlaps(as_measured(model), path)
    return path


@pytest.mark.parametrize("seed", range(6))
def test_what_is_written_is_read(seed: int, tmp_path: Path) -> None:
    model = read_model(random_model(seed))
    measured = as_measured(model)
    path = tmp_path / "overlaps.json"
    for _ in range(2):  # the second time over the first
        write_overlaps(measured, path)
    assert read_overlaps(path, model) == measured
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_as_measured_they_plan_as_the_formulas_do() -> None:
    model = open_zoo("mobilenet_v1_0.25_128_int8")
    by_file = plan_network(model, as_measured(model))
    by_formula = plan_network(model, "exact")
    assert by_file.plan == by_formula.plan
    assert by_file.provenance["kernels"]["kernels"] == "none 1.0"


def test_fields_of_later_versions_are_passed_over(model: Model, written: Path) -> None:
    data = json.loads(written.read_text())
    data["operators"][0]["later"] = data["operators"][0]["pairs"][0]["later"] = 1
    written.write_text(json.dumps(data))
    assert read_overlaps(written, model).operators == as_measured(model).operators


def test_identity_is_that_of_the_graph() -> None:
    """Neither weights nor names, but every shape, type, attribute and connection."""
    plain = identity(read_model(small().file()))["graph_sha256"]
    same, stride, swapped, output = small(), small(), small(), small()
    same.graph.tensors[0].name = "another"
    same.model.buffers[1].data = same.model.buffers[1].data[::-1]
    assert identity(read_model(same.file()))["graph_sha256"] == plain
    stride.graph.operators[0].builtinOptions.depthMultiplier = 3
    swapped.graph.operators[2].inputs = [3]
    output.graph.outputs = [5, 4]
    changed = {identity(read_model(d.file()))["graph_sha256"] for d in (stride, swapped, output)}
    assert len(changed | {plain}) == 4


def _set(*keys: str | int, to: Any) -> Change:
    def change(data: Any) -> None:
        for key in keys[:-1]:
            data = data[key]
        data[keys[-1]] = to

    return change


def _twice(data: dict[str, Any]) -> None:
    data["operators"][0]["pairs"] *= 2


KINDS: tuple[Any, ...] = (None, True, -1, 10**30, 0.5, "x", [], {}, [[]], [None], {"a": 1})
PAIR = ("operators", 0, "pairs", 0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_set("format", to="other"), "expected overlaps that diagmem measure wrote"),
        (_set("version", to=2), "is of version 2, this diagmem reads 1"),
        (_set("model", to=[1]), "found no usable"),
        (_set("model", "graph_sha256", to="0"), "another graph than small.tflite"),
        (_set("kernels", to=None), "found no usable"),
        (_set("kernels", "kernels", to="a\nb"), "found no usable kernels"),
        (_set("kernels", "kernels", to="\ud800"), "found no usable kernels"),
        (_set("operators", to={}), "found 0 operators, expected 3"),
        (_set("operators", 1, "index", to=0), "found 3 operators, expected 3"),
        (_set("operators", 1, "seconds", to="1"), "found no usable seconds"),
        (_set("operators", 1, "scratch_bytes", to=1 << 40), "expected 2,147,483,647 at most"),
        (_set("operators", 1, "pairs", to=3), "found no usable"),
        (_set(*PAIR, "input", to=5), "which are not its input and output"),
        (_set(*PAIR, "input_bytes", to=1), "found tensors of 1 and 252 bytes, expected 420"),
        (_set(*PAIR, "min_displacement_bytes", to=-1), "found no usable min_displacement_bytes"),
        (_set(*PAIR, "min_displacement_bytes", to=True), "found no usable min_displacement_bytes"),
        (_set(*PAIR, "min_displacement_bytes", to=0.5), "found no usable min_displacement_bytes"),
        (_set(*PAIR, "in_place", to=1), "found no usable in_place"),
        (_set(*PAIR, "notes", to=[1]), "found no usable notes"),
        (_set(*PAIR, "written", to=[0] * 32), "found no usable written"),
        (_set(*PAIR, "needed", to=["0"] * 33), "found no usable needed"),
        (_twice, "found a pair of tensors twice"),
    ],
)
def test_wrong_entries(change: Change, said: str, model: Model, written: Path) -> None:
    data = json.loads(written.read_text())
    change(data)
    written.write_text(json.dumps(data))
    with pytest.raises(DiagmemError, match=r"^[^\n]*overlaps\.json: ") as raised:
        read_overlaps(written, model)
    assert said in str(raised.value)


@pytest.mark.parametrize("text", ["", "[" * 100_000, "[]", "1", '{"format": ', "\x00", "9" * 5000])
def test_no_overlaps_at_all(text: str, model: Model, written: Path) -> None:
    written.write_text(text)
    with pytest.raises(DiagmemError, match="overlaps"):
        read_overlaps(written, model)
    written.write_bytes(b"\xff\xfe")
    with pytest.raises(DiagmemError, match="cannot be read as overlaps"):
        read_overlaps(written, model)


def test_mutated_files_are_refused_or_planned(model: Model, written: Path) -> None:
    whole, random_ = written.read_bytes(), random.Random(7)
    planned = 0
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(random_.randint(1, 3)):
            at = random_.randrange(len(data))
            data[at] = random_.choice(
                (random_.randrange(256), random_.choice(b'0123456789"-,[]{}'))
            )
        if random_.random() < 0.1:
            del data[random_.randrange(len(data)) :]
        written.write_bytes(data)
        with suppress(DiagmemError):
            measured = read_overlaps(written, model)
            plan_network(model, measured, solver="heuristic", options=Options(iterations=5))
            planned += 1
    assert planned > 3


def test_every_entry_of_every_kind(model: Model, written: Path) -> None:
    """Each value of the file, replaced by values of all kinds in turn."""
    whole = json.loads(written.read_text())
    for keys in _places(whole):
        for value in KINDS:
            data = copy.deepcopy(whole)
            _set(*keys, to=value)(data)
            written.write_text(json.dumps(data))
            with suppress(DiagmemError):
                measured = read_overlaps(written, model)
                plan_network(model, measured, solver="heuristic", options=Options(iterations=1))


def _places(data: Any, keys: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Of everything in it, but for all samples of a frontier only the first."""
    entries = list(data.items() if isinstance(data, dict) else enumerate(data))
    if isinstance(data, list) and len(data) > 3:
        entries = entries[:1]
    return [
        place
        for key, value in entries
        for place in (
            (*keys, key),
            *(_places(value, (*keys, key)) if isinstance(value, dict | list) else ()),
        )
    ]


def test_overlaps_that_cannot_be_written(model: Model, tmp_path: Path) -> None:
    with pytest.raises(DiagmemError, match="cannot be written: No such file or directory"):
        write_overlaps(as_measured(model), tmp_path / "nowhere" / "overlaps.json")


def test_an_overlap_of_a_tensor_that_lives_on_is_no_permission() -> None:
    """Whatever a file says of an input that is read again, it stays whole."""
    model = read_model(small().io([0], [5, 3]).file())
    measured = as_measured(model)
    (pair,) = measured.operators[1].pairs
    assert (pair.input, pair.dies) == (3, False)
    claimed = replace(measured.operators[1], pairs=(replace(pair, dies=True, in_place=True),))
    operators = (measured.operators[0], claimed, measured.operators[2])
    found = plan_network(model, replace(measured, operators=operators))
    assert [p.operator for p in found.problem.permissions] == [0, 2]


def test_copies_are_noted_where_they_were_made(tflm: None) -> None:
    """CONCATENATION copies by memcpy, ABS does not."""
    draft = Draft()
    sources = [draft.tensor((8, 16)) for _ in range(2)]
    wide, last = draft.tensor((8, 32)), draft.tensor((8, 32))
    made = draft.tensor((8, 16))
    draft.operator("ABS", [sources[0]], [made])
    draft.operator("CONCATENATION", [made, sources[1]], [wide], "Concatenation", axis=1)
    draft.operator("ABS", [wide], [last])
    model = read_model(draft.io(sources, [last]).file(), "joined.tflite")
    measured = measure(model, random_inputs(model, 0))
    copies = [
        sum("counts as what it promises" in note for pair in o.pairs for note in pair.notes)
        for o in measured.operators
    ]
    assert copies == [0, 2, 0]


def custom(options: bytes) -> Model:
    draft = Draft()
    source, made = draft.tensor((4,)), draft.tensor((4,))
    draft.operator("CUSTOM:mine", [source], [made])
    draft.graph.operators[-1].customOptions = np.frombuffer(options, np.uint8)
    return read_model(draft.io([source], [made]).file())


def test_other_options_of_a_custom_operator_are_another_graph() -> None:
    """Only its kernel can read them."""
    hashes = {identity(custom(options))["graph_sha256"] for options in (b"", b"\1", b"\2")}
    assert len(hashes) == 3


def filter_of(scales: int) -> Model:
    draft = Draft()
    source = draft.tensor((1, 8), "int8", scale=[0.1])
    rows = draft.tensor((4, 8), "int8", scale=[0.1] * scales, values=np.ones((4, 8)))
    made = draft.tensor((1, 4), "int8", scale=[0.1])
    draft.operator("FULLY_CONNECTED", [source, rows], [made], "FullyConnected")
    return read_model(draft.io([source], [made]).file())


def test_overlaps_of_the_wheels_kernels_are_for_those_it_picks(tflm: None, tmp_path: Path) -> None:
    """A filter with a scale for each row has another kernel, in the same graph."""
    path = tmp_path / "overlaps.json"
    write_overlaps(measure(filter_of(1), random_inputs(filter_of(1), 0)), path)
    assert read_overlaps(path, filter_of(1)).operators
    with pytest.raises(DiagmemError, match=r"per_channel=false .*expected .*per_channel=true"):
        read_overlaps(path, filter_of(4))
