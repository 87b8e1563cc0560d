"""A network measured operator by operator, on kernels that descriptions name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from diagmem.arena import verify_plan
from diagmem.base.errors import DiagmemError
from diagmem.kernels.library import Library
from diagmem.networks import on_described
from diagmem.networks.measured import Measured, read_overlaps, write_overlaps
from diagmem.networks.on_described import measure_described
from diagmem.networks.operator_calls import moments
from diagmem.networks.planning import plan_network
from diagmem.tflite.graph import Model, read_model
from tests.tflite.build import Draft, small

pytestmark = [pytest.mark.xdist_group("described"), pytest.mark.usefixtures("valgrind_tool")]

RELU = """\
function = "relu"
source = "relu.c"
flags = ["-O1"]
operator = "{name}"
argument = [
  {{ name = "x", role = "input", dtype = "float32", shape = ["rows", "depth"] }},
  {{ name = "y", role = "output", dtype = "float32", shape = ["rows", "depth"] }},
  {{ name = "n", dtype = "int32", value = "rows * depth" }},
]
[parameters]
rows = 2
depth = 3
"""
CODE = """\
void relu(const float *x, float *y, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = x[i] > 0 ? x[i] : 0;
}
"""
BY_DISTANCE = """\
/* Another order where the buffers are near: what a trace apart cannot know. */
void relu(const float *x, float *y, int n)
{
    int near = (const char *)x - (char *)y < 4096 && (char *)y - (const char *)x < 4096;
    for (int i = 0; i < n; i++) {
        int at = near ? (i * 5 + 2) % n : i;
        y[at] = x[at] + x[(at + 7) % n];
    }
}
"""

SELDOM = """\
void relu(const float *x, float *y, int n)
{
    int near = (const char *)x - (char *)y < 4096 && (char *)y - (const char *)x < 4096;
    for (int k = 0; k < n; k++) {
        int i = near ? (k * 5 + 2) % n : n - 1 - k;
        float next = x[(i + 7) % n];
        y[i] = x[i] + (near && next > 0.99999f ? next : 0);
    }
}
"""

ARGMAX_TAIL = """\
void relu(const float *x, float *y, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        best = x[i] > x[best] ? i : best;
    for (int i = 0; i < n - 1; i++)
        y[i] = x[i] / 2;
    y[n - 1] = x[best];
}
"""


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("model") / "small.tflite"
    path.write_bytes(small().file())
    return read_model(path)


@pytest.fixture(scope="module")
def measured(model: Model, valgrind_tool: object) -> Measured:
    return measure_described(model, Library("c"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A library of one kernel, for softmax as far as the model knows."""
    (tmp_path / "relu.toml").write_text(RELU.format(name="SOFTMAX"))
    (tmp_path / "relu.c").write_text(CODE)
    return tmp_path


def test_the_reference_kernels_say_what_the_formulas_say(measured: Measured) -> None:
    names = [operator.operator for operator in measured.operators]
    assert names == ["DEPTHWISE_CONV_2D", "ADD", "SOFTMAX"]
    for operator in measured.operators:
        [pair] = operator.pairs
        assert pair.formula_says == "equal"
        assert pair.dies
        assert operator.events > 0
        assert operator.kernel
    assert all(pair.in_place for operator in measured.operators for pair in operator.pairs)
    assert measured.kernels["kernels"] == "described kernels, c"
    assert measured.kernels["target"] == "x86_64"
    assert "-O2" in measured.kernels["flags"]


def test_a_kernel_that_wrote_nothing_gets_no_overlap(model: Model, folder: Path) -> None:
    (folder / "relu.c").write_text("void relu(const float *x, float *y, int n) { }\n")
    measured = measure_described(model, Library(str(folder)))
    [pair] = measured.operators[2].pairs
    assert any(note.startswith("the kernel wrote nothing") for note in pair.notes)
    assert pair.safe_overlap_bytes == 0
    assert not pair.in_place
    assert measured.kernels["proven"].startswith("0 of 3 operators")


HALF = """\
/* The last rows are written by nobody. */
void relu(const float *x, float *y, int n)
{
    for (int i = 0; i < n / 3; i++)
        y[n / 3 - 1 - i] = x[i];
}
"""


def test_a_part_of_a_tensor_that_counts(model: Model, folder: Path) -> None:
    """D of the part, beside the whole tensors; unproven, the whole ones are apart."""
    toml = (folder / "relu.toml").read_text()
    for name in ('"x"', '"y"'):
        toml = toml.replace(
            f"name = {name},", f'name = {name}, live_bytes = "rows * depth // 3 * 4",'
        )
    (folder / "relu.toml").write_text(toml)
    (folder / "relu.c").write_text(HALF)
    [pair] = measure_described(model, Library(str(folder))).operators[2].pairs
    assert (pair.input_bytes, pair.output_bytes) == (252, 252)
    assert pair.min_displacement_bytes == (63 // 3 - 1) * 4
    assert pair.mirror_displacement_bytes == 252
    assert pair.safe_overlap_bytes == 252 - 80
    (folder / "relu.c").write_text(ARGMAX_TAIL.replace("int best", "n /= 3;\n    int best"))
    [pair] = measure_described(model, Library(str(folder))).operators[2].pairs
    assert (pair.min_displacement_bytes, pair.safe_overlap_bytes) == (252, 0)


def test_what_was_measured_is_planned(measured: Measured, model: Model, tmp_path: Path) -> None:
    write_overlaps(measured, tmp_path / "o.json")
    again = read_overlaps(tmp_path / "o.json", model)
    assert again == measured
    plan = plan_network(model, again)
    assert verify_plan(plan.problem, plan.plan) == []
    apart = plan_network(model, measure_described_without(measured))
    assert plan.plan.arena_bytes < apart.plan.arena_bytes


def measure_described_without(measured: Measured) -> Measured:
    """The same with no pair allowed to overlap."""
    operators = [
        replace(
            operator,
            pairs=tuple(
                replace(
                    pair,
                    min_displacement_bytes=pair.output_bytes,
                    mirror_displacement_bytes=pair.input_bytes,
                    in_place=False,
                )
                for pair in operator.pairs
            ),
        )
        for operator in measured.operators
    ]
    return replace(measured, operators=tuple(operators))


def test_an_operator_without_a_description_gets_no_overlap(model: Model, folder: Path) -> None:
    found = measure_described(model, Library(str(folder)))
    first, second, third = (operator.pairs[0] for operator in found.operators)
    for pair in (first, second):
        assert pair.safe_overlap_bytes == 0
        assert pair.min_displacement_bytes == pair.output_bytes
        assert not pair.in_place
        assert "no kernel: " in pair.notes[0]
    assert third.min_displacement_bytes == 0
    assert third.in_place
    assert [operator.kernel for operator in found.operators] == ["", "", "relu"]
    needed = [(operator.needed_bytes, operator.live_bytes) for operator in found.operators]
    assert needed[0][0] == needed[0][1]
    assert needed[2][0] < needed[2][1]


def test_what_an_overlapped_run_refutes_gets_no_overlap(model: Model, folder: Path) -> None:
    """Apart this kernel looks safe in its last rows; near, it goes another way."""
    (folder / "relu.c").write_text(BY_DISTANCE)
    found = measure_described(model, Library(str(folder)))
    [pair] = found.operators[2].pairs
    assert pair.safe_overlap_bytes == 0 or pair.min_displacement_bytes > 7 * 4
    assert not pair.in_place


def test_in_place_is_proven_like_any_other_displacement(model: Model, folder: Path) -> None:
    """Far apart it copies backwards, which in place would do; near, it reads what it has
    written already, and seldom shows it."""
    (folder / "relu.c").write_text(SELDOM)
    found = measure_described(model, Library(str(folder)))
    [pair] = found.operators[2].pairs
    assert pair.min_displacement_bytes > 0
    assert not pair.in_place


def test_a_kernel_that_its_data_steer_gets_no_overlap(model: Model, folder: Path) -> None:
    """D differs between the inputs tried, so nobody knows what the next one needs."""
    (folder / "relu.c").write_text(ARGMAX_TAIL)
    found = measure_described(model, Library(str(folder)))
    [pair] = found.operators[2].pairs
    assert pair.safe_overlap_bytes == 0
    assert pair.min_displacement_bytes == pair.output_bytes
    assert not pair.in_place
    assert any(note.startswith("the kernel is data-dependent: D is") for note in pair.notes)
    assert "no overlap: D differs between inputs, and others may need more" in pair.notes


def test_equal_layers_are_measured_once(
    model: Model, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: dict[str, on_described._Shown] = {}
    library = Library(str(folder))
    for moment in list(moments(model))[2:] * 2:
        on_described._operator(model, moment, library, "", 1, known)
    assert len(known) == 1


def test_a_kernel_that_does_not_compile_names_the_operator(model: Model, folder: Path) -> None:
    (folder / "relu.c").write_text("void relu(")
    with pytest.raises(DiagmemError, match=r"small\.tflite: .*SOFTMAX.*relu\.c does not compile"):
        measure_described(model, Library(str(folder)))


def test_a_library_without_any_of_its_operators(model: Model, folder: Path) -> None:
    (folder / "relu.toml").write_text(RELU.format(name="SOFTMX"))
    with pytest.raises(DiagmemError, match=r"has a kernel for none of 3 operators: .*has DEPTH"):
        measure_described(model, Library(str(folder)))


def test_a_filter_of_another_type_has_another_kernel(tmp_path: Path) -> None:
    draft = Draft()
    source, result = draft.tensor((1, 4, 5, 2), "int8"), draft.tensor((1, 4, 5, 3), "int8")
    weights = draft.tensor((3, 1, 1, 2), "int4", values=bytes(3))
    bias = draft.tensor((3,), "int32", values=[0, 0, 0])
    draft.operator("CONV_2D", [source, weights, bias], [result], "Conv2D", strideH=1, strideW=1)
    path = tmp_path / "m.tflite"
    path.write_bytes(draft.io([source], [result]).file())
    with pytest.raises(DiagmemError, match="takes int8 as filter, here it is int4"):
        measure_described(read_model(path), Library("c"))
