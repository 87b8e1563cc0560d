"""Proof by execution: known displacements, and kernels that are not what they seem."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from diagmem.base.errors import DiagmemError
from diagmem.kernels.catalog import find
from diagmem.kernels.description import load, with_parameters
from diagmem.kernels.kernel import Kernel
from diagmem.proof.prove import prove
from diagmem.proof.runs import Results, Runs

Writer = Callable[..., Kernel]


def bundled(name: str, **parameters: Any) -> Kernel:
    return with_parameters(load(find(name)), **parameters)


@pytest.mark.parametrize(
    ("name", "parameters", "displacement"),
    [
        # One row, one pixel and one channel ahead: ((12 + 1) * 8) elements.
        ("depthwise_conv_2d_f32", {"in_w": 12}, 416),
        ("depthwise_conv_2d_int8", {"in_w": 12}, 104),
        ("max_pool_2d_int8", {"in_w": 12}, 104),
        ("max_pool_2d_f32", {"in_w": 12}, 416),
        ("depthwise_conv_2d_int8", {"in_w": 9, "in_c": 5, "batches": 2}, (9 + 1) * 5),
        ("depthwise_conv_2d_f32", {"filter_h": 1, "filter_w": 1}, 0),
        ("softmax_f32", {}, 0),
        ("relu_int8", {}, 0),
        # Output 8 of 10 is written before output 9 reads input 0 for the last time.
        ("fully_connected_int8", {"batches": 1}, 9),
    ],
)
def test_known_displacements(name: str, parameters: dict[str, Any], displacement: int) -> None:
    runs = Runs(Results(bundled(name, **parameters), range(3)))
    assert runs.at(displacement).holds
    if displacement:
        below = runs.at(displacement - runs.cell_bytes)
        assert not below.holds
        assert below.difference is not None
        assert below.difference.buffer == "output"


def test_not_tight() -> None:
    proof = prove(bundled("depthwise_conv_2d_int8", in_w=12), displacement_bytes=105, inputs=1)
    assert proof.proven
    assert not proof.tight
    assert proof.difference_below is None


def test_between_cells() -> None:
    proof = prove(bundled("relu_f32"), displacement_bytes=6)
    assert not proof.whole_cells
    assert proof.tight_displacement_bytes == 2


def test_input_below_output_is_the_mirror() -> None:
    """Forward copies with the input below destroy what they still have to read."""
    proof = prove(bundled("relu_int8"), displacement_bytes=-1)
    assert not proof.proven
    adjacent = prove(bundled("relu_int8"), displacement_bytes=-120)
    assert adjacent.proven
    assert adjacent.tight_displacement_bytes == -119
    assert adjacent.tight


def test_pairs() -> None:
    kernel = bundled("add_f32")
    with pytest.raises(DiagmemError, match="no choice among them, expected one of: input1, input2"):
        prove(kernel, displacement_bytes=0)
    with pytest.raises(DiagmemError, match='input is "input3", expected one of'):
        prove(kernel, displacement_bytes=0, pair=("input3", "output"))
    assert prove(kernel, displacement_bytes=0, pair=("input2", "output")).proven


TOML = """\
function = "f"
source = "f.c"
argument = [
  { name = "x", role = "input", dtype = "uint8", shape = ["n"] },
  { name = "w", role = "weights", dtype = "uint8", shape = ["n"] },
  { name = "y", role = "output", dtype = "uint8", shape = ["n"] },
  { name = "n", dtype = "int32", value = "n" },
]
[parameters]
n = 64
"""


def made(written: Writer, body: str) -> Kernel:
    head = "#include <stdint.h>\n#include <stdlib.h>\nstatic int calls;\n"
    signature = "void f(const uint8_t *x, uint8_t *w, uint8_t *y, int n)"
    return written(TOML, f_c=f"{head}{signature}\n{{ (void)w; calls++; {body} }}\n")


LOOP = "for (int i = 0; i < n; i++)"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (f"{LOOP} y[i] = 7;", 'all elements of "y" are 7'),
        (f"{LOOP} y[i] = x[i] & 1 ? x[i] : 255;", "at the ends of uint8"),
        (f"{LOOP} y[i] = (x[i] >> 1) + 3;", ""),
    ],
)
def test_saturation_is_told(written: Writer, body: str, why: str) -> None:
    proof = prove(made(written, body), displacement_bytes=0)
    assert proof.saturated == bool(why)
    assert why in proof.saturation


def test_kernel_with_a_memory_of_its_own(written: Writer) -> None:
    kernel = made(written, f"{LOOP} y[i] = x[i] + calls;")
    with pytest.raises(DiagmemError, match='gave two results for one input, in byte 0 of "y"'):
        prove(kernel, displacement_bytes=0)


def test_crash_under_overlap_is_a_no(written: Writer) -> None:
    kernel = made(written, f"if (x < y + n && y < x + n) abort(); {LOOP} y[i] = x[i] >> 1;")
    proof = prove(kernel, displacement_bytes=0)
    assert not proof.proven
    assert proof.stopped.endswith('function "f" was stopped by SIGABRT')
    apart = prove(kernel, displacement_bytes=64)
    assert apart.proven
    assert apart.tight
    assert "SIGABRT" in apart.stopped_below


def test_another_value_returned_under_overlap_is_a_no(written: Writer) -> None:
    """No description has to say which value is success."""
    code = "int f(const char *x, char *w, char *y, int n)\n{ int met = x < y + n && y < x + n;"
    code += f" (void)w; {LOOP} y[i] = x[i] / 2; return met ? -1 : 0; }}\n"
    kernel = written('returns = "int32"\n' + TOML.replace("uint8", "int8"), f_c=code)
    proof = prove(kernel, displacement_bytes=0)
    assert not proof.proven
    assert proof.stopped.endswith('function "f" returned -1, and 0 in another run')
    assert prove(kernel).min_displacement_bytes == 64


@pytest.mark.parametrize("unit", [4, 8, 16])
def test_stopped_at_odd_displacements(written: Writer, unit: int) -> None:
    """What a plan can use decides: D = 5 of the trace becomes the next multiple."""
    ahead = "for (int i = 0; i < 5; i++) y[i] = x[i] >> 1;"
    body = f"if ((uintptr_t)x % {unit}) abort(); {ahead}"
    body += "for (int i = 5; i < n; i++) y[i] = (x[i - 5] >> 1) + x[i];"
    proof = prove(made(written, body))
    assert proof.proven, proof
    assert proof.unit_bytes == unit
    assert proof.traced_displacement_bytes is not None
    assert proof.min_displacement_bytes == -(-proof.traced_displacement_bytes // unit) * unit
    assert proof.exhaustive
    assert proof.displacements_tried == 64 // unit
    assert f"only multiples of {unit} bytes can be used: at " in proof.why
    assert "was stopped by SIGABRT" in proof.why
    plain = prove(made(written, body.replace("abort()", "calls = 0")))
    assert (plain.unit_bytes, plain.proven) == (1, True)


def test_damaged_weights_are_seen(written: Writer) -> None:
    body = f"{LOOP} y[i] = x[i] >> 1; if (x < y + n && y < x + n) w[5] ^= 1;"
    proof = prove(made(written, body), displacement_bytes=0)
    assert not proof.proven
    assert proof.first_difference is not None
    assert (proof.first_difference.buffer, proof.first_difference.byte) == ("w", 5)
    assert proof.first_difference.differing_bytes == 1


def test_binary_that_looks_at_the_distance(written: Writer) -> None:
    """gcc -O3 reads x[0] once where the buffers are apart, and each time where they are not.

    Traced apart it has displacement 0, which is wrong.
    """
    code = "#include <stdint.h>\nvoid f(const uint8_t *x, uint8_t *w, uint8_t *y, int n)\n"
    code += "{ for (int i = 0; i < n; i++) y[i] = x[0] + w[i]; }\n"
    kernel = written('flags = ["-O3"]\n' + TOML, f_c=code)
    assert not prove(kernel, displacement_bytes=0).proven
    assert prove(kernel, displacement_bytes=63).tight


def test_output_never_written(written: Writer) -> None:
    """What was in the output before the call is its value, so nothing may lie there."""
    kernel = made(written, "for (int i = 0; i < n - 1; i++) y[i] = x[i] >> 1;")
    assert not prove(kernel, displacement_bytes=0).proven


def test_bad_numbers() -> None:
    with pytest.raises(DiagmemError, match="inputs is 0"):
        prove(bundled("relu_f32"), displacement_bytes=0, inputs=0)
    with pytest.raises(DiagmemError, match="displacement 481 bytes"):
        prove(bundled("relu_f32"), displacement_bytes=481)
