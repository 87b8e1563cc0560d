"""The descriptions of CMSIS-NN's kernels, on stand-ins that have its interface.

The library itself is not here.  A stand-in computes what TFLite defines, from the
arguments and structures that the library takes, so a field in the wrong place shows.
"""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from diagmem.base.errors import DiagmemError
from diagmem.kernels.build import build
from diagmem.kernels.cases import Case
from diagmem.kernels.catalog import LIBRARIES, find
from diagmem.kernels.description import load
from diagmem.kernels.kernel import Kernel
from diagmem.kernels.library import Library, NoKernel
from diagmem.kernels.native import run_native
from diagmem.ops import find_operator
from diagmem.ops.layer import Value

CHECKOUT = Path(__file__).parent / "arm_interface"
WINDOW = {"in_h": "7", "in_w": "9", "in_c": "6", "filter_h": "2", "stride_w": "2"}
EDGES = {"padding": "EXPLICIT", "pad_top": "1", "pad_left": "2", "pad_right": "1"}
CASES = [
    ("cmsis_convolve_s8", "conv_2d_int8", {**WINDOW, "out_c": "5", "batches": "2"}),
    ("cmsis_convolve_s8", "conv_2d_int8", {**WINDOW, **EDGES, "dilation_h": "2"}),
    ("cmsis_convolve_s8", "conv_2d_int8", {"filter_h": "1", "filter_w": "1", "out_c": "4"}),
    ("cmsis_depthwise_conv_s8", "depthwise_conv_2d_int8", {**WINDOW, "multiplier": "3"}),
    ("cmsis_depthwise_conv_s8", "depthwise_conv_2d_int8", {**WINDOW, **EDGES}),
    ("cmsis_max_pool_s8", "max_pool_2d_int8", {**WINDOW, "batches": "2"}),
    ("cmsis_max_pool_s8", "max_pool_2d_int8", {**WINDOW, **EDGES}),
    ("cmsis_avgpool_s8", "average_pool_2d_int8", {**WINDOW, **EDGES}),
    ("cmsis_fully_connected_s8", "fully_connected_int8", {"depth": "17", "outputs": "9"}),
    (
        "cmsis_fully_connected_1x1_s8",
        "fully_connected_int8",
        {"batches": "3", "depth": "20", "outputs": "10"},
    ),
]
OLDER = {"depth": "17", "outputs": "9", "wrapper": "false"}
"""Words for a library that has no wrapper of its fully connected kernels yet."""


def described(name: str, parameters: dict[str, str] | None = None) -> Kernel:
    words = {"checkout": str(CHECKOUT), **(parameters or {})}
    return load(find(name), {**words, "flags": shlex.join(["-O1", f"-I{CHECKOUT / 'Include'}"])})


@pytest.mark.parametrize(("name", "reference", "parameters"), CASES)
def test_arguments_stand_where_the_library_takes_them(
    name: str, reference: str, parameters: dict[str, str]
) -> None:
    kernel, right = described(name, parameters), load(find(reference), parameters)
    case = Case(right, seed=3)
    expected = run_native(build(right), [case])[0].buffers["output"]
    contents = {
        buffer.name: case.before(buffer).tobytes()
        for buffer in right.buffers
        if kernel.buffer(buffer.name) and buffer.name != "output"
    }
    assert len(contents) >= 1
    found = run_native(build(kernel), [Case(kernel, 3, None, contents)])[0].buffers["output"]
    assert len(np.unique(expected)) > 10
    assert np.array_equal(found, expected)


def test_one_kernel_instead_of_the_wrapper() -> None:
    """`arm_convolve_s8` takes an argument more since CMSIS-NN 7."""
    wrapper = described("cmsis_convolve_s8", WINDOW)
    alone = described("cmsis_convolve_s8", {**WINDOW, "function": "arm_convolve_s8"})
    older = {**WINDOW, "function": "arm_convolve_s8", "upscale_dims": "false"}
    assert len(alone.arguments) == len(wrapper.arguments) + 1
    assert len(described("cmsis_convolve_s8", older).arguments) == len(wrapper.arguments)
    one, two = (run_native(build(k), [Case(k, 1)])[0].buffers["output"] for k in (wrapper, alone))
    assert np.array_equal(one, two)


def test_softmax_is_told_tflites_numbers() -> None:
    kernel = described("cmsis_softmax_s8")
    [case] = [Case(kernel, 0, None, {"input": bytes(66)})]
    found = run_native(build(kernel), [case])[0].buffers["output"].view(np.int8)
    # 0.01 * 2^26 = q * 2^20, q = 0.64; the radius is 31 * 2^26 / 2^20.
    shown = 1374389535 // (1 << 24) + 20 - 1984
    assert set(found.tolist()) == {-(-shown % 100)}


def test_a_sum_fills_its_range() -> None:
    kernel = described("cmsis_elementwise_add_s8", {"a2": "2", "b2": "2"})
    found = run_native(build(kernel), [Case(kernel, 0)])[0].buffers["output"].view(np.int8)
    assert found.size == 40
    assert len(np.unique(found)) > 20


def test_scratch_follows_the_target() -> None:
    def scratch(name: str, target: str, **words: str) -> int:
        found = described(name, {"target": target, **words}).buffer("scratch")
        return found.size_bytes if found else 0

    # Two columns of 16 bits in fours; four columns of 8 bits in sixteens.
    assert scratch("cmsis_convolve_s8", "cortex-m4", in_c="3") == 2 * 2 * 28
    assert scratch("cmsis_convolve_s8", "cortex-m55", in_c="3") == 4 * 32
    assert scratch("cmsis_convolve_s8", "cortex-m55", filter_h="1", filter_w="1") == 0
    taps = {"in_c": "12", "filter_w": "5"}
    assert scratch("cmsis_depthwise_conv_s8", "cortex-m4", **taps) == 2 * 12 * 15
    assert scratch("cmsis_depthwise_conv_s8", "cortex-m3", **taps) == 0
    assert scratch("cmsis_depthwise_conv_s8", "cortex-m55", **taps) == 4 * 124 * 15
    assert scratch("cmsis_depthwise_conv_s8", "cortex-m4", in_c="12") == 0
    assert scratch("cmsis_avgpool_s8", "cortex-m7", in_c="12") == 4 * 12
    assert scratch("cmsis_avgpool_s8", "cortex-m55", in_c="12") == 0
    # A dilated filter of one tap is a convolution like any other.
    one = {"filter_h": "1", "filter_w": "1", "in_c": "3"}
    assert scratch("cmsis_convolve_s8", "cortex-m4", **one, dilation_h="2") == 2 * 2 * 4
    # With vectors one row is multiplied where it lies, but for its padded ends.
    row = {"in_h": "1", "filter_h": "1", "filter_w": "4", "in_c": "4"}
    assert scratch("cmsis_convolve_s8", "cortex-m55", **row) == (4 + 1) * 4
    assert scratch("cmsis_convolve_s8", "cortex-m55", **row, padding="VALID") == 4 * 4
    assert scratch("cmsis_convolve_s8", "cortex-m4", **row) == 2 * 2 * 16
    # One channel in: the filter turned around, and four columns unless it has one tap.
    single = {"in_c": "1", "multiplier": "3"}
    assert scratch("cmsis_depthwise_conv_s8", "cortex-m55", **single) == 3 * 9 + 4 * 16
    one = {**single, "filter_h": "1", "filter_w": "1"}
    assert scratch("cmsis_depthwise_conv_s8", "cortex-m55", **one) == 3


def test_requests_are_not_buffers() -> None:
    """What TFLM takes from the arena for its own arithmetic, or keeps for good."""

    def requests(name: str, target: str = "cortex-m55", **words: str) -> tuple[int, ...]:
        return described(name, {"target": target, "outputs": "9", **words}).requests

    assert requests("cmsis_fully_connected_1x1_s8") == (72,)
    assert requests("cmsis_fully_connected_1x1_s8", per_channel="true") == ()
    assert requests("cmsis_fully_connected_s8") == ()
    assert requests("cmsis_fully_connected_s8", optimized_for="size") == (36,)
    assert requests("cmsis_fully_connected_s8", constant_weights="false") == (36,)
    assert requests("cmsis_fully_connected_s8", "cortex-m4", optimized_for="size") == ()


def test_compilers_that_make_something_else_of_it() -> None:
    def said(name: str, target: str, **words: str) -> str:
        return described(name, {"target": target, **words}).other_compilers

    one = {"filter_h": "1", "filter_w": "1"}
    arm = "Arm Compiler 6 has pixels outermost, and 4 bytes of scratch an input channel"
    assert said("cmsis_convolve_s8", "cortex-m4", **one) == arm
    assert said("cmsis_fully_connected_1x1_s8", "cortex-m7") == arm
    for target in ("", "cortex-m3", "cortex-m55"):
        assert said("cmsis_convolve_s8", target, **one) == ""
    assert said("cmsis_convolve_s8", "cortex-m4") == ""
    assert said("cmsis_convolve_s8", "cortex-m4", **one, stride_w="2") == ""
    single = {"in_c": "1", "multiplier": "8"}
    assert "Arm Compiler 6" in said("cmsis_depthwise_conv_s8", "cortex-m55", **single)
    assert said("cmsis_depthwise_conv_s8", "cortex-m55", in_c="1", multiplier="9") == ""
    assert "gcc 12.0 to 12.2" in said("cmsis_softmax_s8", "cortex-m55")
    assert said("cmsis_softmax_s8", "cortex-m4") == ""


def test_scales_of_each_channel_differ() -> None:
    """Or a kernel that mixes channels up would compute the same."""
    for name in ("cmsis_fully_connected_s8", "cmsis_fully_connected_1x1_s8"):
        many, one = described(name, {"per_channel": "true"}), described(name)
        contents = {"input": bytes(range(24)) * 400, "filter": bytes(range(1, 161)) * 100}
        found = []
        for kernel in (many, one):
            given = {n: d[: s.size_bytes] for n, d in contents.items() if (s := kernel.buffer(n))}
            [run] = run_native(build(kernel), [Case(kernel, 0, None, given)])
            found.append(run.buffers["output"].tobytes())
        assert found[0] != found[1]


def test_older_libraries_without_the_wrapper() -> None:
    kernel = described("cmsis_fully_connected_s8", OLDER)
    assert kernel.function == "arm_fully_connected_s8"
    newer = described("cmsis_fully_connected_s8", {**OLDER, "wrapper": "true"})
    one, two = (run_native(build(k), [Case(k, 1)])[0].buffers["output"] for k in (kernel, newer))
    assert np.array_equal(one, two)
    with pytest.raises(DiagmemError, match="is not meant for such"):
        described("cmsis_fully_connected_s8", {**OLDER, "per_channel": "true"})


@pytest.mark.parametrize("name", ["convolve", "depthwise_conv", "fully_connected"])
def test_without_a_bias(name: str) -> None:
    kernel = described(f"cmsis_{name}_s8", {"bias_dtype": ""})
    assert kernel.buffer("bias") is None
    assert run_native(build(kernel), [Case(kernel)])[0].buffers["output"].size


@pytest.mark.parametrize("path", sorted(LIBRARIES["cmsis-nn"].glob("*.toml")), ids=lambda p: p.stem)
def test_without_a_checkout(path: Path) -> None:
    with pytest.raises(DiagmemError, match="checkout is not set, expected checkout=FOLDER"):
        load(path)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DiagmemError, match=r"there is no file .*arm_softmax_s8\.c"):
        load(find("cmsis_softmax_s8"), {"checkout": str(tmp_path)})


def test_a_relative_folder_is_seen_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CHECKOUT.parent)
    kernel = load(find("cmsis_max_pool_s8"), {"checkout": CHECKOUT.name})
    assert kernel.code.files[0] == CHECKOUT / "Source/PoolingFunctions/arm_max_pool_s8.c"


LAYERS: dict[str, dict[str, Value]] = {
    "CONV_2D": {"dtype": "int8", "input": (1, 7, 9, 3), "filter": (3, 2), "output_channels": 4},
    "DEPTHWISE_CONV_2D": {"dtype": "int8", "input": (1, 7, 9, 3), "filter": (3, 2)},
    "MAX_POOL_2D": {"dtype": "int8", "input": (1, 7, 9, 3), "filter": (3, 2)},
    "ADD": {"dtype": "int8", "input1": (2, 3, 4), "input2": (2, 3, 4)},
}


@pytest.mark.parametrize("operator", LAYERS)
def test_the_library_has_the_layer(operator: str) -> None:
    library = Library("cmsis-nn", {"checkout": str(CHECKOUT)})
    kernel = library.kernel(find_operator(operator).of(LAYERS[operator]))
    assert isinstance(kernel, Kernel)
    assert kernel.operator == operator


def test_the_library_has_no_broadcasting_and_no_floats() -> None:
    library = Library("cmsis-nn", {"checkout": str(CHECKOUT)})
    add = find_operator("ADD").of({"dtype": "int8", "input1": (2, 3, 4), "input2": (1, 3, 4)})
    found = library.kernel(add)
    assert isinstance(found, NoKernel)
    assert found.reason.startswith("cmsis_elementwise_add_s8.toml is for layers where a0 == b0 and")
    floats = {**LAYERS["MAX_POOL_2D"], "dtype": "float32"}
    found = library.kernel(find_operator("MAX_POOL_2D").of(floats))
    assert isinstance(found, NoKernel)
    assert "has inputs" in found.reason


@pytest.mark.parametrize("name", ["ch[1]", "a*b", "what?"])
def test_a_folder_whose_name_looks_like_a_pattern(tmp_path: Path, name: str) -> None:
    shutil.copytree(CHECKOUT, tmp_path / name)
    kernel = load(find("cmsis_max_pool_s8"), {"checkout": str(tmp_path / name)})
    assert [file.parent.parent.parent.name for file in kernel.code.files] == [name]


def test_a_pattern_matches_files_and_no_folders(tmp_path: Path) -> None:
    (tmp_path / "k.c").write_text("void f(char *x, char *y) { *y = *x; }\n")
    (tmp_path / "k_folder.c").mkdir()
    text = (
        'function = "f"\nsource = "k*.c"\nargument = ['
        '{ name = "x", role = "input", dtype = "int8", shape = [1] },'
        '{ name = "y", role = "output", dtype = "int8", shape = [1] }]\n'
    )
    (tmp_path / "f.toml").write_text(text)
    assert [file.name for file in load(tmp_path / "f.toml").code.files] == ["k.c"]
    (tmp_path / "f.toml").write_text(text.replace("k*.c", "f.toml"))
    with pytest.raises(DiagmemError, match=r"makes no object of f\.toml|f\.toml does not compile"):
        build(load(tmp_path / "f.toml"))
