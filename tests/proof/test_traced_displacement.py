"""From a bundled kernel to a proven D, at every optimisation level.

The compiled kernel is traced with its buffers apart and overlapped, and run truly
overlapped: the bits must be equal from the traced D on, and one element less must
damage them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from diagmem.analysis.trace import open_trace
from diagmem.kernels.catalog import bundled, find
from diagmem.kernels.description import load
from diagmem.kernels.kernel import Kernel
from diagmem.kernels.tracing import trace_kernel
from diagmem.proof.prove import all_pairs, prove_pairs

pytestmark = pytest.mark.usefixtures("valgrind_tool")

SHAPES = {
    "depthwise_conv_2d": {"in_h": "9", "in_w": "7", "in_c": "3", "filter_h": "4", "filter_w": "3",
                          "stride_h": "2", "stride_w": "1", "multiplier": "2", "batches": "2"},
    "conv_2d": {"in_h": "7", "in_w": "9", "stride_h": "1", "stride_w": "2"},
    "max_pool_2d": {"in_h": "11", "in_w": "6", "stride_h": "2", "stride_w": "1"},
    "average_pool_2d": {"in_h": "6", "in_w": "11", "stride_h": "1", "stride_w": "2"},
}  # fmt: skip


def kernel(name: str, level: str) -> Kernel:
    family = name.rsplit("_", 1)[0]
    return load(find(name), {**SHAPES.get(family, {}), "flags": f"{level} -std=c11"})


LAYERS = [name for name in bundled() if name.endswith(("_f32", "_int8"))]
FAMILIES = {
    "convert": "vectors: far from each other the loads come in another order",
    **dict.fromkeys(
        ("concatenation", "reshape", "strided_slice", "resize_nearest"),
        "a copy's promise is weaker than what this library does",
    ),
    "reduce_max": "what is overwritten is rarely the largest",
}
"""Kernels of many operators whose D at -O3 is not the traced one, or not tight, and why."""


@pytest.mark.parametrize("name", sorted(set(bundled()) - set(LAYERS)))
def test_kernels_of_many_operators_are_proven(name: str) -> None:
    """At -O3 only: `diagmem check` has them at all levels and on many shapes."""
    described = kernel(name, "-O3")
    for proof in prove_pairs(described, all_pairs(described)):
        assert proof.proven, (name, proof)
        assert proof.traced_displacement_bytes is not None
        assert proof.min_displacement_bytes is not None
        assert proof.min_displacement_bytes >= proof.traced_displacement_bytes
        if name not in FAMILIES:
            assert proof.tight, (name, proof)
            assert proof.min_displacement_bytes == proof.traced_displacement_bytes


@pytest.mark.parametrize("level", ["-O0", "-O2", "-O3"])
@pytest.mark.parametrize("name", LAYERS)
def test_the_traced_displacement_is_safe_and_tight(name: str, level: str) -> None:
    described = kernel(name, level)
    for proof in prove_pairs(described, all_pairs(described)):
        assert proof.proven, (name, level, proof)
        assert proof.tight, (name, level, proof)
        assert proof.exhaustive
        assert proof.min_displacement_bytes == proof.traced_displacement_bytes
        assert proof.agrees
        assert not proof.saturated


@pytest.mark.parametrize("name", ["depthwise_conv_2d_f32", "conv_2d_int8", "softmax_f32"])
def test_a_summary_gives_the_same_overlaps(name: str, tmp_path: Path) -> None:
    described = kernel(name, "-O2")
    found = []
    for mode in ("events", "summary"):
        path = tmp_path / f"{mode}.dmt"
        trace_kernel(described, path, mode="summary" if mode == "summary" else "events")
        with open_trace(path) as trace:
            found.append(
                [
                    (p.min_displacement_bytes, p.mirror_displacement_bytes, p.exact, p.limit)
                    for p in trace.overlaps()[0].pairs
                ]
            )
    assert found[0] == found[1]
