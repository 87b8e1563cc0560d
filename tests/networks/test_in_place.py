"""Networks on kernels that work in place: their output lies where their input does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from diagmem.arena import PLANNERS, verify_plan
from diagmem.base.errors import DiagmemError
from diagmem.cli.main import main
from diagmem.kernels.library import Library
from diagmem.networks.measured import Measured, read_overlaps, write_overlaps
from diagmem.networks.on_described import measure_described
from diagmem.networks.placement_proof import proven_plan
from diagmem.networks.planning import NetworkPlan, plan_network
from diagmem.tflite.graph import Model, read_model
from tests.tflite.build import Draft

pytestmark = [pytest.mark.xdist_group("in_place"), pytest.mark.usefixtures("valgrind_tool")]

IN_PLACE = """\
function = "relu"
source = "relu.c"
operator = "RELU"
argument = [
  { name = "data", role = "inout", dtype = "float32", shape = ["elements"] },
  { name = "n", dtype = "int32", value = "elements" },
]
[parameters]
elements = 6
"""
APART = """\
function = "apart"
source = "relu.c"
operator = "RELU"
argument = [
  { name = "x", role = "input", dtype = "float32", shape = ["elements"] },
  { name = "y", role = "output", dtype = "float32", shape = ["elements"] },
  { name = "n", dtype = "int32", value = "elements" },
]
[parameters]
elements = 6
"""
CODE = """\
void relu(float *data, int n) { for (int i = 0; i < n; i++) if (data[i] < 0) data[i] = 0; }
void apart(const float *x, float *y, int n)
{ for (int i = 0; i < n; i++) y[n - 1 - i] = x[i] > 0 ? x[i] : 0; }
"""
SHAPE = (3, 7)
BYTES = 3 * 7 * 4


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "kernels"
    folder.mkdir()
    (folder / "relu.toml").write_text(IN_PLACE)
    (folder / "relu.c").write_text(CODE)
    return folder


def written(draft: Draft, path: Path) -> Model:
    path.write_bytes(draft.file())
    return read_model(path)


def chain(path: Path) -> Model:
    """Three RELU, one behind the other: 0 -> 1 -> 2 -> 3."""
    draft = Draft()
    t = [draft.tensor(SHAPE, name=f"t{number}") for number in range(4)]
    for source, target in pairwise(t):
        draft.operator("RELU", [source], [target])
    return written(draft.io([t[0]], [t[3]]), path)


def branch(path: Path) -> Model:
    """The first RELU's input is needed again by the ADD."""
    draft = Draft()
    a, b, c, d = (draft.tensor(SHAPE, name=name) for name in "abcd")
    draft.operator("RELU", [a], [b])
    draft.operator("RELU", [b], [c])
    draft.operator("ADD", [a, c], [d], "Add")
    return written(draft.io([a], [d]), path)


def same_place(plan: NetworkPlan, *tensors: int) -> bool:
    return len({plan.plan.offsets[tensor] for tensor in tensors}) == 1


@pytest.mark.parametrize("solver", PLANNERS)
def test_a_chain_is_planned_at_one_place(tmp_path: Path, folder: Path, solver: str) -> None:
    if solver == "exact":
        pytest.importorskip("ortools")
    model = chain(tmp_path / "m.tflite")
    measured = measure_described(model, Library(str(folder)))
    for operator in measured.operators:
        [pair] = operator.pairs
        assert pair.in_place_only
        assert pair.in_place
        assert pair.min_displacement_bytes == BYTES
    write_overlaps(measured, tmp_path / "o.json")
    again = read_overlaps(tmp_path / "o.json", model)
    assert again == measured
    plan = plan_network(model, again, solver=solver)
    assert same_place(plan, 0, 1, 2, 3)
    assert plan.plan.arena_bytes == 96  # 84, aligned to 16
    assert plan.baselines["largest-live-sum"] == 96
    assert [one.displacement_bytes for one in plan.shared] == [0, 0, 0]
    assert verify_plan(plan.problem, plan.plan) == []
    moved = replace(plan.plan, offsets={**plan.plan.offsets, 2: 96}, arena_bytes=192)
    assert "its operator works in place" in verify_plan(plan.problem, moved)[0]


def test_the_plan_is_run(tmp_path: Path, folder: Path) -> None:
    model = chain(tmp_path / "m.tflite")
    plan = proven_plan(model, measure_described(model, Library(str(folder))))
    assert plan.placement is not None
    assert plan.placement.operators == (0, 1, 2)


def test_other_overlaps_go_with_the_whole_place(tmp_path: Path, folder: Path) -> None:
    """An ADD in front and one behind lie over the place of the RELU between them."""
    draft = Draft()
    a, b, c, d = (draft.tensor(SHAPE, name=name) for name in "abcd")
    draft.operator("ADD", [a, a], [b], "Add")
    draft.operator("RELU", [b], [c])
    draft.operator("ADD", [c, c], [d], "Add")
    model = written(draft.io([a], [d]), tmp_path / "m.tflite")
    measured = measure_described(model, Library("c"))
    relu = measure_described(model, Library(str(folder))).operators[1]
    both = replace(measured, operators=(measured.operators[0], relu, measured.operators[2]))
    plan = plan_network(model, both)
    assert verify_plan(plan.problem, plan.plan) == []
    assert same_place(plan, b, c)
    assert plan.plan.arena_bytes == 96
    assert plan.plan.lower_bound_bytes == 96


def test_an_input_that_is_needed_has_another_kernel_or_none(tmp_path: Path, folder: Path) -> None:
    model = branch(tmp_path / "m.tflite")
    measured = measure_described(model, Library(str(folder)))
    first, second, _ = measured.operators
    assert first.kernel == ""
    [pair] = first.pairs
    assert not pair.in_place
    assert not pair.in_place_only
    assert "relu.toml works in place and would destroy its input: a is needed by" in pair.notes[0]
    assert second.kernel == "relu"
    plan = plan_network(model, measured)
    assert same_place(plan, 1, 2)
    assert not same_place(plan, 0, 1)
    # Of several descriptions the next that fits is taken.
    (folder / "relu_apart.toml").write_text(APART)
    measured = measure_described(model, Library(str(folder)))
    assert [operator.kernel for operator in measured.operators] == ["relu_apart", "relu", ""]


@pytest.mark.parametrize("output", [True, False])
def test_what_is_an_output_or_given_twice_is_not_destroyed(
    tmp_path: Path, folder: Path, output: bool
) -> None:
    draft = Draft()
    a, b, c = (draft.tensor(SHAPE, name=name) for name in "abc")
    if output:
        draft.operator("RELU", [a], [b])
        draft.operator("RELU", [b], [c])
        model = written(draft.io([a], [b, c]), tmp_path / "m.tflite")
        number, why = 1, "b is an output of the model"
    else:
        draft.operator("ADD", [a, a], [b], "Add")
        model = written(draft.io([a], [b]), tmp_path / "m.tflite")
        (folder / "add.toml").write_text(
            IN_PLACE.replace("RELU", "ADD")
            .replace(
                "argument = [",
                'argument = [\n  { name = "x", role = "input", dtype = "float32",'
                ' shape = ["a3 * a4"] },',
            )
            .replace('["elements"]', '["b3 * b4"]')
            .replace('"elements"', '"b3 * b4"')
            .replace("elements = 6", "a3 = 2\na4 = 3\nb3 = 2\nb4 = 3")
            .replace('"relu"', '"add"')
        )
        (folder / "relu.c").write_text(
            CODE + "void add(const float *x, float *d, int n)"
            "{ for (int i = 0; i < n; i++) d[i] += x[i]; }\n"
        )
        number, why = 0, "a is given twice"
    try:
        notes = measure_described(model, Library(str(folder))).operators[number].pairs[0].notes
    except DiagmemError as error:
        notes = (str(error),)
    assert f"would destroy its input: {why}" in notes[0]


def refused(model: Model, measured: Measured, *, pin_io: bool = False) -> str:
    with pytest.raises(DiagmemError) as caught:
        plan_network(model, measured, pin_io=pin_io)
    return str(caught.value)


def test_a_plan_that_would_destroy_is_refused(tmp_path: Path, folder: Path) -> None:
    model = chain(tmp_path / "m.tflite")
    measured = measure_described(model, Library(str(folder)))
    said = refused(model, measured, pin_io=True)
    assert "no plan by the kernel relu, which works in place: t0 or its output is to keep" in said
    with pytest.raises(DiagmemError, match="it computes other values"):
        plan_network(model, measured, without={1: ""})
    # A file that says so of an input that is needed.
    other = branch(tmp_path / "other.tflite")
    forged = measure_described(other, Library(str(folder)))
    first = forged.operators[0]
    pairs = tuple(replace(pair, in_place_only=True, in_place=True) for pair in first.pairs)
    forged = replace(forged, operators=(replace(first, pairs=pairs), *forged.operators[1:]))
    assert "a is needed by" in refused(other, forged)


def test_a_forged_file_is_refused_or_planned(tmp_path: Path, folder: Path) -> None:
    """One tensor at one place with two others, and a place that is not in place."""
    draft = Draft()
    a, b, c = (draft.tensor(SHAPE, name=name) for name in "abc")
    rows = draft.tensor((6, 7), name="rows")
    draft.operator("SPLIT", [draft.tensor((), "int32", values=0), rows], [a, b], "Split")
    draft.operator("ADD", [a, b], [c], "Add")
    model = written(draft.io([rows], [c]), tmp_path / "m.tflite")
    measured = measure_described(model, Library("c"))
    split, add = measured.operators
    pairs = tuple(replace(pair, in_place_only=True, in_place=False) for pair in add.pairs)
    forged = replace(measured, operators=(split, replace(add, pairs=pairs)))
    assert "b or its output has two of them" in refused(model, forged)
    forged = replace(measured, operators=(split, replace(add, pairs=pairs[:1])))
    assert same_place(plan_network(model, forged), a, c)


def test_a_kernel_that_did_nothing_is_none(tmp_path: Path, folder: Path) -> None:
    (folder / "relu.c").write_text("void relu(float *data, int n) { }\n")
    model = chain(tmp_path / "m.tflite")
    said = "relu is not proven: the kernel wrote nothing: every run left data as it was filled"
    with pytest.raises(DiagmemError, match=said):
        measure_described(model, Library(str(folder)))


def test_command_line(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chain(tmp_path / "m.tflite")
    model, overlaps, planned = (str(tmp_path / n) for n in ("m.tflite", "o.json", "p.tflite"))
    assert main(["measure", model, "--kernels", str(folder), "-o", overlaps]) == 0
    assert main(["plan", model, "--overlaps", overlaps, "-o", planned]) == 0
    capsys.readouterr()
    assert main(["fit", model, "--overlaps", overlaps, "--json"]) in (0, 1)
    [found] = json.loads(capsys.readouterr().out)["models"]
    assert found["arena_bytes"] == found["arena_without_overlap_bytes"] == 96
    assert main(["plan", model, "--overlaps", overlaps, "--pin-io"]) == 2
    assert "works in place" in capsys.readouterr().err
