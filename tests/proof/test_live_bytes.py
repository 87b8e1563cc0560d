"""Tensors of which a part counts: a kernel that writes n of N bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from diagmem.analysis.trace import open_trace
from diagmem.base.errors import DiagmemError
from diagmem.kernels.cases import Case, layout
from diagmem.kernels.kernel import Kernel
from diagmem.kernels.tracing import trace_kernel
from diagmem.proof.prove import prove

pytestmark = pytest.mark.usefixtures("valgrind_tool")

Writer = Callable[..., Kernel]

TOML = """\
function = "f"
source = "f.c"
argument = [
  { name = "x", role = "input",  dtype = "int16", shape = ["padded"], live_bytes = "2 * n" },
  { name = "y", role = "output", dtype = "int16", shape = ["padded"], live_bytes = "2 * n" },
  { name = "n", dtype = "int32", value = "n" },
]
[parameters]
n = 6
padded = 21
"""
BACKWARDS = "for (int i = 0; i < n; i++) y[n - 1 - i] = x[i] / 2;"
"""y[5] is written while x[1] is still to be read: D = 5 elements."""


def made(written: Writer, body: str, toml: str = TOML) -> Kernel:
    return written(toml, f_c=f"void f(const short *x, short *y, int n)\n{{ {body} }}\n")


def test_only_these_bytes_count(written: Writer, tmp_path: Path) -> None:
    kernel = made(written, BACKWARDS)
    assert [buffer.size_bytes for buffer in kernel.buffers] == [12, 12]
    assert [buffer.allocated_bytes for buffer in kernel.buffers] == [42, 42]
    placed = layout(Case(kernel))
    assert placed.offsets["y"] - placed.offsets["x"] >= 42 + 1024
    proof = prove(kernel)
    assert proof.proven
    assert proof.tight
    assert proof.min_displacement_bytes == 10
    assert proof.displacements_possible == 6
    trace_kernel(kernel, tmp_path / "t.dmt")
    with open_trace(tmp_path / "t.dmt") as trace:
        [pair] = trace.overlaps()[0].pairs
        assert trace.header["live_bytes"] == {"x": 12, "y": 12}
    assert (pair.output_bytes, pair.min_displacement_bytes) == (12, 10)
    # Without it what is never written counts as needed.
    whole = TOML.replace(', live_bytes = "2 * n" },\n  { name = "n"', ' },\n  { name = "n"')
    assert prove(made(written, BACKWARDS, whole)).min_displacement_bytes == 42


@pytest.mark.parametrize("value", ["0", "7", "-1", "x[0]"])
@pytest.mark.parametrize("at", ["n", "n + 14"])
def test_what_is_behind_them_must_not_be_written(written: Writer, value: str, at: str) -> None:
    """Whatever lies there would be lost; no constant is what the memory held by chance."""
    with pytest.raises(
        DiagmemError, match=r'near "y": at byte (12|40), expected 0 to 11, its live'
    ):
        prove(made(written, f"{BACKWARDS} ((signed char *)y)[2 * ({at})] = {value};"))


def test_an_input_that_is_read_behind_them_is_found(written: Writer) -> None:
    proof = prove(made(written, BACKWARDS.replace("/ 2", "/ 2 + x[n + 3]")))
    assert not proof.proven or proof.min_displacement_bytes > 10


@pytest.mark.parametrize("bit", [1, 8])
def test_one_bit_read_behind_them_is_enough(written: Writer, bit: int) -> None:
    """What lies there differs in every bit from placement to placement."""
    kernel = made(written, f"for (int i = 0; i < n; i++) y[i] = x[i] / 2 + (x[n + 3] & {bit});")
    assert not prove(kernel).proven


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (
            '"2 * n"',
            "0",
            'argument.. 1 "x": "live_bytes": found 0, expected an integer from 1 to 42',
        ),
        ('"2 * n"', "43", "expected an integer from 1 to 42"),
        ('"2 * n"', "5", '"live_bytes" is 5, expected whole elements of int16'),
        ('"input"', '"scratch"', '"live_bytes" is for input, output, inout, found scratch'),
        ('dtype = "int32", ', 'dtype = "int32", live_bytes = 4, ', 'unknown key "live_bytes"'),
    ],
)
def test_mistakes(written: Writer, old: str, new: str, complaint: str) -> None:
    with pytest.raises(DiagmemError, match=complaint):
        made(written, BACKWARDS, TOML.replace(old, new, 1))
