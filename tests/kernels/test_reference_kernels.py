"""The bundled kernels' values against numpy, on shapes that are not square."""

from __future__ import annotations

import subprocess
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from diagmem.kernels.build import build
from diagmem.kernels.cases import Case
from diagmem.kernels.catalog import DIRECTORY, bundled, find
from diagmem.kernels.description import load, with_parameters
from diagmem.kernels.kernel import Kernel
from diagmem.kernels.native import run_native
from diagmem.proof.runs import Results, Runs
from diagmem.trace.window import Role

Array = npt.NDArray[Any]

SHAPES: list[dict[str, Any]] = [
    {},
    {"batches": 2, "in_h": 7, "in_w": 9, "in_c": 3, "filter_h": 2, "filter_w": 3},
    {"stride_h": 2, "stride_w": 3, "padding": "VALID", "in_h": 9, "in_w": 14},
    {"batches": 2, "stride_h": 3, "stride_w": 2, "in_h": 10, "in_w": 7, "filter_h": 4},
]
DILATED: list[dict[str, Any]] = [
    {"dilation_h": 2, "dilation_w": 3, "in_h": 9, "in_w": 11, "in_c": 3},
    {"dilation_h": 3, "dilation_w": 2, "in_h": 11, "in_w": 8, "stride_h": 2, "padding": "VALID"},
    {"dilation_h": 9, "dilation_w": 7, "in_h": 5, "in_w": 4, "batches": 2},
]


def called(name: str, **parameters: Any) -> tuple[Kernel, dict[str, Array]]:
    """All buffers after one call, in their shapes."""
    kernel = with_parameters(load(find(name)), **parameters)
    [result] = run_native(build(kernel), [Case(kernel, seed=5)])
    return kernel, {
        b.name: result.buffers[b.name].view(b.dtype.numpy).reshape(b.shape) for b in kernel.buffers
    }


def patches(x: Array, kernel: Kernel, fill: float) -> Array:
    """``[batch, out_h, out_w, filter_h, filter_w, channel]`` with padding of ``fill``.

    TFLite's rule, written down a second time and padded for real.
    """
    p = dict(kernel.parameters)
    axes = []
    for axis, size in (("h", x.shape[1]), ("w", x.shape[2])):
        stride, taps = int(p[f"stride_{axis}"]), int(p[f"filter_{axis}"])
        dilation = int(p.get(f"dilation_{axis}", 1))
        reach = dilation * (taps - 1) + 1
        same = p["padding"] == "SAME"
        out = -(-size // stride) if same else (size - reach) // stride + 1
        total = max(0, (out - 1) * stride + reach - size) if same else 0
        axes.append((out, stride, taps, dilation, total // 2, total - total // 2))
    (oh, sh, fh, dh, top, bottom), (ow, sw, fw, dw, left, right) = axes
    # Beyond what is needed nothing is read, so plenty of padding does no harm.
    padded = np.pad(
        x.astype(np.float64 if x.dtype.kind == "f" else np.int64),
        ((0, 0), (top, bottom + fh * dh), (left, right + fw * dw), (0, 0)),
        constant_values=fill,
    )
    rows = np.arange(oh)[:, None] * sh + np.arange(fh) * dh
    columns = np.arange(ow)[:, None] * sw + np.arange(fw) * dw
    return padded[:, rows[:, None, :, None], columns[None, :, None, :], :]


def requantized(x: Array, real: Array | float) -> Array:
    """Rounded half up, from exact rationals as far as doubles are exact."""
    return np.floor(x * np.asarray(real, np.longdouble) + np.longdouble(0.5)).astype(np.int64)


def real_scale(buffers: dict[str, Array]) -> Array:
    shift = buffers["shift"].astype(np.float64) - 31
    return buffers["scale"].astype(np.longdouble) * np.exp2(shift.astype(np.longdouble))


@pytest.mark.parametrize("shape", SHAPES + DILATED + [{"multiplier": 2, "in_c": 3}])
def test_depthwise_conv_2d(shape: dict[str, Any]) -> None:
    kernel, b = called("depthwise_conv_2d_f32", **shape)
    taps = np.repeat(patches(b["input"], kernel, 0), int(kernel.parameters["multiplier"]), axis=-1)
    expected = np.einsum("byxijc,ijc->byxc", taps, b["filter"].astype(float)) + b["bias"]
    np.testing.assert_allclose(b["output"], expected, rtol=1e-5, atol=1e-5)

    kernel, b = called("depthwise_conv_2d_int8", **shape)
    p = kernel.parameters
    taps = np.repeat(patches(b["input"] + np.int64(3), kernel, 0), int(p["multiplier"]), axis=-1)
    sums = np.einsum("byxijc,ijc->byxc", taps, b["filter"].astype(np.int64)) + b["bias"]
    expected = np.clip(requantized(sums, real_scale(b)) - 5, -128, 127)
    np.testing.assert_array_equal(b["output"], expected)


@pytest.mark.parametrize("shape", SHAPES + DILATED + [{"out_c": 2, "in_c": 7}])
def test_conv_2d(shape: dict[str, Any]) -> None:
    kernel, b = called("conv_2d_f32", **shape)
    taps = patches(b["input"], kernel, 0)
    expected = np.einsum("byxijc,oijc->byxo", taps, b["filter"].astype(float)) + b["bias"]
    np.testing.assert_allclose(b["output"], expected, rtol=1e-5, atol=1e-5)

    kernel, b = called("conv_2d_int8", **shape)
    taps = patches(b["input"] + np.int64(3), kernel, 0)
    sums = np.einsum("byxijc,oijc->byxo", taps, b["filter"].astype(np.int64)) + b["bias"]
    expected = np.clip(requantized(sums, real_scale(b)) - 5, -128, 127)
    np.testing.assert_array_equal(b["output"], expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_pools(shape: dict[str, Any]) -> None:
    kernel, b = called("max_pool_2d_f32", **shape)
    np.testing.assert_array_equal(
        b["output"], patches(b["input"], kernel, -np.inf).max(axis=(3, 4))
    )
    kernel, b = called("max_pool_2d_int8", **shape)
    np.testing.assert_array_equal(b["output"], patches(b["input"], kernel, -999).max(axis=(3, 4)))

    kernel, b = called("average_pool_2d_f32", **shape)
    count = patches(np.ones_like(b["input"]), kernel, 0).sum(axis=(3, 4))
    expected = patches(b["input"], kernel, 0).sum(axis=(3, 4)) / count
    np.testing.assert_allclose(b["output"], expected, rtol=1e-5, atol=1e-6)

    kernel, b = called("average_pool_2d_int8", **shape)
    sums = patches(b["input"], kernel, 0).sum(axis=(3, 4))
    away = np.sign(sums) * ((2 * np.abs(sums) + count) // (2 * count))
    np.testing.assert_array_equal(b["output"], away.astype(np.int64))


def test_elementwise() -> None:
    _, b = called("relu_f32", batches=2, channels=3)
    np.testing.assert_array_equal(b["output"], np.maximum(b["input"], 0))
    _, b = called("relu_int8", batches=2, channels=3)
    scaled = requantized(b["input"].astype(np.int64) + 5, 1.5) - 100
    np.testing.assert_array_equal(b["output"], np.clip(scaled, -100, 127))
    _, b = called("add_f32", height=7)
    np.testing.assert_array_equal(b["output"], b["input1"] + b["input2"])


def test_add_int8() -> None:
    """Within one step of the real sum; the three roundings stay below that."""
    _, b = called("add_int8", batches=2, height=7, width=9)
    real = (b["input1"] + 3.0) * 0.5 + (b["input2"] - 4.0) * 0.4
    assert np.abs(b["output"] - (real + 2)).max() <= 0.5001


def test_fully_connected() -> None:
    _, b = called("fully_connected_f32", batches=3)
    expected = b["input"].astype(float) @ b["filter"].T.astype(float) + b["bias"]
    np.testing.assert_allclose(b["output"], expected, rtol=1e-5, atol=1e-5)
    kernel, b = called("fully_connected_int8", batches=3, filter_offset=2)
    sums = (b["input"] + np.int64(3)) @ (b["filter"] + np.int64(2)).T + b["bias"]
    scale = float(kernel.parameters["real_scale"])
    expected = np.clip(requantized(sums, scale) - 5, -128, 127)
    # The multiplier has 31 bits, so a sum next to a half may fall to its other side.
    assert np.abs(b["output"] - expected).max() <= 1
    assert np.mean(b["output"] != expected) < 0.02


def test_softmax() -> None:
    _, b = called("softmax_f32", beta=1.5)
    powers = np.exp(1.5 * b["input"].astype(float))
    np.testing.assert_allclose(b["output"], powers / powers.sum(1, keepdims=True), rtol=1e-5)
    _, b = called("softmax_int8")
    powers = np.exp(0.01 * b["input"].astype(float))
    share = powers / powers.sum(1, keepdims=True)
    assert np.abs(b["output"] - (share * 256 - 128)).max() <= 0.5001


MOVES = (
    "CONCATENATION PACK UNPACK SPLIT RESHAPE PAD MIRROR_PAD STRIDED_SLICE TRANSPOSE"
    " SPACE_TO_DEPTH DEPTH_TO_SPACE RESIZE_NEAREST_NEIGHBOR REDUCE_MAX RELU"
).split()


@pytest.mark.parametrize("name", bundled())
def test_bundled_kernels_are_fit_for_proofs(name: str) -> None:
    """Described, unsaturated, and in range with their inputs apart."""
    kernel = load(find(name))
    assert kernel.description
    # Kernels of one name each; a family's function and operator follow its parameters.
    if "operator" not in kernel.parameters and "dtype" not in kernel.parameters:
        assert kernel.operator.removesuffix("_2D") in name.upper()
        assert kernel.function in (name, "mean_of_picture_float32")
    source = kernel.with_role(Role.INPUT)[0]
    target = kernel.with_role(Role.OUTPUT)[0]
    runs = Runs(Results(kernel, range(3)), (source.name, target.name))
    assert runs.at(target.size_bytes).holds
    # Where elements are only moved, those at the ends of the type were there before.
    assert not runs.saturation or kernel.operator in MOVES


@pytest.mark.parametrize("source", sorted(path.name for path in DIRECTORY.glob("*.c")))
def test_sources_are_clean(source: str) -> None:
    assert "SPDX-License-Identifier: BSD-3-Clause" in (DIRECTORY / source).read_text()
    flags = ["-std=c11", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
    command = ["cc", *flags, "-O2", "-fsyntax-only", source]
    subprocess.run(command, cwd=DIRECTORY, check=True)
