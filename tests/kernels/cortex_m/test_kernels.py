"""Described kernels on a Cortex-M: the same D as on this machine, and proven there."""

from __future__ import annotations

from pathlib import Path

import pytest

from diagmem.analysis.trace import open_trace
from diagmem.base.errors import DiagmemError
from diagmem.cli.main import main
from diagmem.kernels.catalog import find
from diagmem.kernels.cortex_m.on_target import for_target
from diagmem.kernels.description import load
from diagmem.kernels.kernel import Kernel
from diagmem.kernels.tracing import trace_kernel
from diagmem.proof.prove import all_pairs, prove_pairs
from diagmem.record.targets import TARGETS
from tests.kernels.cortex_m.conftest import CORTEX_M, need

CORTEX_M_TARGETS = list(TARGETS)
CONV = {"in_h": "7", "in_w": "9", "in_c": "3", "stride_h": "1", "stride_w": "2"}
SHAPES = {
    "conv_2d_f32": CONV,
    "conv_2d_int8": CONV,
    "depthwise_conv_2d_f32": {"in_h": "9", "in_w": "7", "in_c": "3", "stride_h": "2"},
    "depthwise_conv_2d_int8": {"in_h": "6", "in_w": "11", "in_c": "2", "stride_w": "2"},
    "max_pool_2d_int8": {"in_h": "11", "in_w": "6", "in_c": "3"},
    "average_pool_2d_f32": {"in_h": "5", "in_w": "8", "in_c": "3"},
    "add_f32": {},
}

BAD = """
function = "bad"
source = "bad.c"
flags = ["-O2"]
argument = [
  { name = "x", role = "input", dtype = "uint8", shape = [8] },
  { name = "y", role = "output", dtype = "uint8", shape = [8] },
]
"""


def described(name: str, parameters: dict[str, str] | None = None) -> Kernel:
    need(*CORTEX_M)
    shape = SHAPES[name] if parameters is None else parameters
    return load(find(name), {**shape, "flags": "-O2 -std=c11"})


def displacements(kernel: Kernel, trace: Path) -> list[int | None]:
    trace_kernel(kernel, trace)
    with open_trace(trace) as opened:
        return [p.min_displacement_bytes for p in opened.overlaps()[0].pairs]


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.usefixtures("valgrind_tool")
def test_the_same_loops_have_the_same_displacement(name: str, tmp_path: Path) -> None:
    kernel = described(name)
    here = displacements(kernel, tmp_path / "here.dmt")
    there = displacements(for_target(kernel, "cortex-m4"), tmp_path / "there.dmt")
    assert here == there


@pytest.mark.parametrize("target", ["cortex-m3", "cortex-m7", "cortex-m55"])
def test_other_cores_give_it_too(target: str, tmp_path: Path) -> None:
    kernel = described("conv_2d_int8")
    expected = displacements(for_target(kernel, "cortex-m4"), tmp_path / "m4.dmt")
    assert displacements(for_target(kernel, target), tmp_path / "t.dmt") == expected


@pytest.mark.usefixtures("valgrind_tool")
def test_two_columns_at_a_time_differ_on_both(tmp_path: Path) -> None:
    shape = {"in_h": "7", "in_w": "9"}
    one, two = (described(name, shape) for name in ("conv_2d_int8", "conv_2d_two_columns"))
    found = [
        displacements(kernel, tmp_path / f"{number}.dmt")
        for number, kernel in enumerate(
            (one, two, for_target(one, "cortex-m4"), for_target(two, "cortex-m4"))
        )
    ]
    assert found[:2] == found[2:]
    assert found[0] != found[1]


@pytest.mark.parametrize("target", CORTEX_M_TARGETS)
@pytest.mark.parametrize("name", ["conv_2d_int8", "depthwise_conv_2d_f32"])
def test_the_bits_hold_at_it_and_not_below(name: str, target: str) -> None:
    kernel = for_target(described(name), target)
    for proof in prove_pairs(kernel, all_pairs(kernel)):
        assert proof.proven, (name, target, proof)
        assert proof.tight, (name, target, proof)
        assert proof.min_displacement_bytes == proof.traced_displacement_bytes


def test_many_windows_of_a_kernel_are_valid(tmp_path: Path) -> None:
    kernel = for_target(described("conv_2d_int8"), "cortex-m4")
    trace_kernel(kernel, tmp_path / "t.dmt", inputs=3)
    assert main(["validate", str(tmp_path / "t.dmt")]) == 0


def test_a_kernel_that_faults(tmp_path: Path) -> None:
    (tmp_path / "bad.c").write_text(
        "void bad(const unsigned char *x, unsigned char *y){ y[0] = x[0]; __builtin_trap(); }\n"
    )
    (tmp_path / "bad.toml").write_text(BAD)
    need(*CORTEX_M)
    kernel = for_target(load(tmp_path / "bad.toml", {}), "cortex-m4")
    with pytest.raises(DiagmemError, match=r"bad: .*the image faulted in bad") as caught:
        trace_kernel(kernel, tmp_path / "t.dmt")
    assert "\n" not in str(caught.value)


BEFORE = """
function = "late"
source = "late.c"
flags = ["-O2"]
argument = [
  { name = "x", role = "input", dtype = "int8", shape = [24] },
  { name = "y", role = "output", dtype = "int8", shape = [24] },
]
[[before]]
function = "set_scratch"
argument = [{ name = "memory", role = "scratch", dtype = "int8", shape = [24] }]
"""
LATE = """
static signed char *memory;
void set_scratch(signed char *m) { memory = m; }
void late(const signed char *x, signed char *y)
{
    if (!memory) return;
    for (int i = 0; i < 24; i++) memory[i] = x[23 - i];
    for (int i = 0; i < 24; i++) y[i] = memory[i];
}
"""


def late(folder: Path, toml: str, code: str) -> Kernel:
    need(*CORTEX_M)
    (folder / "late.toml").write_text(toml)
    (folder / "late.c").write_text(code)
    return for_target(load(folder / "late.toml", {}), "cortex-m4")


def test_a_function_is_called_before_the_window(tmp_path: Path) -> None:
    [proof] = prove_pairs(late(tmp_path, BEFORE, LATE), [("x", "y")])
    assert proof.proven
    assert proof.min_displacement_bytes == 0
    [proof] = prove_pairs(late(tmp_path, BEFORE.partition("[[before]]")[0], LATE), [("x", "y")])
    assert proof.refused.startswith("the kernel wrote nothing")


def test_a_function_before_it_that_calls_the_kernel(tmp_path: Path) -> None:
    """Its window would be taken for the kernel's."""
    body = "void set_scratch(signed char *m) { memory = m; late(m, m); }"
    declared = "void late(const signed char *x, signed char *y);\n"
    code = declared + LATE.replace("void set_scratch(signed char *m) { memory = m; }", body)
    kernel = late(
        tmp_path, BEFORE, code.replace("void late(const", "__attribute__((noipa)) void late(const")
    )
    with pytest.raises(DiagmemError, match='"late" was called 4 times, expected 2'):
        trace_kernel(kernel, tmp_path / "t.dmt", inputs=2)


def test_a_kernel_that_works_in_place(tmp_path: Path) -> None:
    toml = BEFORE.partition("argument")[0] + (
        'argument = [{ name = "d", role = "inout", dtype = "int16", shape = [9, 5] }]\n'
    )
    code = "void late(short *d) { for (int i = 0; i < 45; i++) if (d[i] < 0) d[i] = 0; }\n"
    kernel = late(tmp_path, toml, code)
    [proof] = prove_pairs(kernel, [("d", "d")])
    assert proof.proven
    trace_kernel(kernel, tmp_path / "t.dmt")
    assert main(["validate", str(tmp_path / "t.dmt")]) == 0
    with open_trace(tmp_path / "t.dmt") as trace:
        [pair] = trace.overlaps()[0].pairs
    assert pair.by_construction


def test_buffers_larger_than_the_board(tmp_path: Path) -> None:
    parameters = {"height": "1200", "width": "1200"}
    kernel = for_target(described("add_f32", parameters), "cortex-m4")
    with pytest.raises(
        DiagmemError, match=r"the buffers take \d+ bytes, expected at most 16777216"
    ):
        trace_kernel(kernel, tmp_path / "t.dmt")


def test_a_target_that_is_not_there() -> None:
    with pytest.raises(DiagmemError, match="'cortex-m9': expected one of cortex-m3"):
        for_target(described("add_f32"), "cortex-m9")


WORDS = """
function = "ahead"
source = "ahead.c"
flags = ["-O2"]
argument = [
  { name = "x", role = "input", dtype = "uint8", shape = [160] },
  { name = "y", role = "output", dtype = "uint8", shape = [160] },
]
"""
AHEAD = """
#include <stdint.h>
/* Four words at once: LDM and STM, which fault at odd addresses. */
typedef struct { uint32_t w[4]; } words;
void ahead(const uint8_t *x, uint8_t *y)
{
    const words *in = (const words *)x;
    words *out = (words *)y;
    words before = in[0];
    for (int i = 0; i < 9; i++) {
        words next = in[i];
        out[i] = in[i + 1];
        before.w[i & 3] ^= next.w[1];
    }
    out[9] = before;
}
"""


def test_several_words_at_once_fault_at_odd_displacements(tmp_path: Path) -> None:
    """Those that a plan can use hold, and they are what counts."""
    need(*CORTEX_M)
    (tmp_path / "ahead.c").write_text(AHEAD)
    (tmp_path / "ahead.toml").write_text(WORDS)
    kernel = for_target(load(tmp_path / "ahead.toml"), "cortex-m4")
    [proof] = prove_pairs(kernel, all_pairs(kernel))
    assert proof.proven, proof
    assert proof.unit_bytes == 4
    assert proof.min_displacement_bytes < 32
    assert "was stopped by a fault" in proof.why
