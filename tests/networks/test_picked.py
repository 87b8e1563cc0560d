"""A network on the kernels that the runtime calls for it, not on others of the operator."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from diagmem.base.errors import DiagmemError
from diagmem.cli.main import main
from diagmem.kernels.library import Library
from diagmem.networks.measured import Measured, read_overlaps, write_overlaps
from diagmem.networks.on_described import measure_described
from diagmem.networks.planning import plan_network
from diagmem.tflite.graph import Model, read_model
from tests.tflite.build import Draft

pytestmark = [pytest.mark.xdist_group("described"), pytest.mark.usefixtures("valgrind_tool")]

CHECKOUT = Path(__file__).parents[1] / "kernels" / "arm_interface"
ROWS, DEPTH = 12, 8


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def chain(path: Path, shape: tuple[int, ...], *, scales: int = 1) -> Model:
    """Two fully connected layers, one behind the other."""
    draft = Draft()
    tensors = [draft.tensor(shape, "int8", scale=[0.1]) for _ in range(3)]
    for source, made in pairwise(tensors):
        weights = draft.tensor(
            (DEPTH, DEPTH), "int8", values=bytes(DEPTH * DEPTH), scale=[0.1] * scales
        )
        bias = draft.tensor((DEPTH,), "int32", values=[0] * DEPTH)
        words = {"keepNumDims": len(shape) > 2}
        inputs = [source, weights, bias]
        draft.operator("FULLY_CONNECTED", inputs, [made], "FullyConnected", **words)
    path.write_bytes(draft.io([tensors[0]], [tensors[-1]]).file())
    return read_model(path)


def measured(model: Model) -> Measured:
    words = {"checkout": str(CHECKOUT), "flags": shlex.join(["-O1", f"-I{CHECKOUT / 'Include'}"])}
    return measure_described(model, Library("cmsis-nn", words), inputs=1)


def test_three_axes_go_to_the_convolution(tmp_path: Path) -> None:
    """Whose stand-in has pixels innermost, so nearly nothing may overlap; and TFLM requests
    8 bytes an output for scales of each channel."""
    model = chain(tmp_path / "m.tflite", (1, ROWS, DEPTH))
    found = measured(model)
    for operator in found.operators:
        assert operator.kernel == "cmsis_fully_connected_1x1_s8"
        assert operator.scratch_bytes == 8 * DEPTH
        [pair] = operator.pairs
        assert pair.min_displacement_bytes >= ROWS * DEPTH - DEPTH
    plan = plan_network(model, found)
    assert plan.plan.arena_bytes == 2 * ROWS * DEPTH + 8 * DEPTH


def test_two_axes_go_to_the_fully_connected_kernel(tmp_path: Path) -> None:
    found = measured(chain(tmp_path / "m.tflite", (ROWS, DEPTH)))
    for operator in found.operators:
        assert (operator.kernel, operator.scratch_bytes) == ("cmsis_fully_connected_s8", 0)
        assert operator.pairs[0].min_displacement_bytes < DEPTH


def test_scales_of_each_channel_need_no_scratch(tmp_path: Path) -> None:
    model = chain(tmp_path / "m.tflite", (1, ROWS, DEPTH), scales=DEPTH)
    assert [operator.scratch_bytes for operator in measured(model).operators] == [0, 0]


def test_overlaps_are_for_the_kernels_that_were_picked(tmp_path: Path) -> None:
    """The graph is the same; the kernels are not."""
    model = chain(tmp_path / "m.tflite", (ROWS, DEPTH))
    other = chain(tmp_path / "n.tflite", (ROWS, DEPTH), scales=DEPTH)
    found, path = measured(model), tmp_path / "o.json"
    write_overlaps(found, path)
    assert read_overlaps(path, model) == found
    with pytest.raises(DiagmemError, match=r"operator 0 .*per_channel=false .*expected .*=true"):
        read_overlaps(path, other)
    # Files of older versions say nothing of it.
    older = replace(found, operators=tuple(replace(o, facts="") for o in found.operators))
    write_overlaps(older, path)
    assert read_overlaps(path, other) == older


ADDS = """\
function = "relu"
source = "relu.c"
operator = "RELU"
other_compilers = "order if deep else ''"
requests = ["24", 0, "3 * elements"]
argument = [
  { name = "x", role = "input", dtype = "float32", shape = ["elements"] },
  { name = "y", role = "output", dtype = "float32", shape = ["elements"] },
]
[parameters]
elements = 4
order = "another has columns first"
[derived]
deep = "elements > 8"
"""


def test_a_plan_says_what_it_is_not_for_and_does_not_know(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "relu.toml").write_text(ADDS)
    (tmp_path / "relu.c").write_text(
        "void relu(const float *x, float *y) { for (int i = 0; i < 12; i++) y[i] = x[i]; }\n"
    )
    draft = Draft()
    tensors = [draft.tensor((3, 4)) for _ in range(4)]
    draft.operator("RELU", [tensors[0]], [tensors[1]])
    draft.operator("ABS", [tensors[1]], [tensors[2]])
    # TFLM requests none for a RESHAPE.
    draft.operator("RESHAPE", [tensors[2]], [tensors[3]])
    net, output = tmp_path / "m.tflite", tmp_path / "o.json"
    net.write_bytes(draft.io([tensors[0]], [tensors[3]]).file())
    assert main(["measure", str(net), "--kernels", str(tmp_path), "-o", str(output)]) == 0
    _, err = capsys.readouterr()
    model = read_model(net)
    measured = read_overlaps(output, model)
    compiler = measured.kernels["compiler"]
    differ = "another has columns first (1 x RELU)"
    assert f"compiled by {compiler}; other compilers differ: {differ}" in err
    assert [one.scratch_bytes for one in measured.operators] == [32 + 48, 0, 0]
    assert main(["plan", str(net), "--overlaps", str(output)]) == 0
    out, _ = capsys.readouterr()
    [line] = [line for line in out.splitlines() if "measured on" in line]
    assert f", x86_64, {compiler}, flags " in line
    assert f"\n  compilers    differ: {differ}\n" in out
    assert "\n  scratch      not known of operators without a kernel: 1 x ABS\n" in out
