"""Kernels that work in one buffer: described, traced, drawn, and what is left to prove."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from diagmem.analysis.overlap import IN_PLACE
from diagmem.analysis.trace import open_trace
from diagmem.base.errors import DiagmemError
from diagmem.cli.main import main
from diagmem.kernels.kernel import Kernel
from diagmem.kernels.tracing import trace_kernel
from diagmem.proof.prove import all_pairs, prove, prove_pairs
from diagmem.trace.window import Role

pytestmark = pytest.mark.usefixtures("valgrind_tool")

Writer = Callable[..., Kernel]

TOML = """\
function = "f"
source = "f.c"
argument = [
  { name = "data", role = "inout", dtype = "int8", shape = ["n", 3] },
  { name = "n", dtype = "int32", value = "3 * n" },
]
[parameters]
n = 11
"""
RELU = "for (int i = 0; i < n; i++) if (data[i] < 0) data[i] = 0;"
NOTHING = "(void)data; (void)n;"
BY_PLACE = "for (int i = 0; i < n; i++) data[i] = (data[i] >> 1) + ((uintptr_t)data % 64 == 48);"


def made(written: Writer, body: str) -> Kernel:
    head = "#include <stdint.h>\nvoid f(int8_t *data, int n)"
    return written(TOML, f_c=f"{head}\n{{ {body} }}\n")


@pytest.mark.parametrize("asked", [None, 0])
def test_it_is_proven_by_what_it_does_wherever_it_lies(written: Writer, asked: int | None) -> None:
    proof = prove(made(written, RELU), displacement_bytes=asked)
    assert proof.proven
    assert (proof.input, proof.output) == ("data", "data")
    assert proof.safe_overlap_bytes == 33
    assert IN_PLACE in proof.notes


def test_one_that_did_nothing_is_not(written: Writer) -> None:
    proof = prove(made(written, NOTHING))
    assert not proof.proven
    assert proof.refused.startswith("the kernel wrote nothing")


def test_one_that_looks_at_where_it_lies_is_not(written: Writer) -> None:
    proof = prove(made(written, BY_PLACE))
    assert not proof.proven
    assert proof.first_difference is not None
    assert proof.first_difference.buffer == "data"


def test_there_is_no_other_displacement(written: Writer) -> None:
    with pytest.raises(DiagmemError, match="displacement 3 bytes, expected none or 0: data is"):
        prove(made(written, RELU), displacement_bytes=3)


def test_other_inputs_and_outputs_keep_their_pairs(written: Writer) -> None:
    """Only what is both lies on itself; it is no input and no output for the others."""
    toml = TOML.replace(
        "argument = [\n",
        'argument = [\n  { name = "x", role = "input", dtype = "int8", shape = ["n", 3] },\n'
        '  { name = "y", role = "output", dtype = "int8", shape = ["n", 3] },\n',
    )
    code = (
        "void f(const signed char *x, signed char *y, signed char *data, int n)\n"
        "{ for (int i = 0; i < n; i++) { data[i] += x[i]; y[i] = x[i] / 2; } }\n"
    )
    kernel = written(toml, f_c=code)
    assert all_pairs(kernel) == [("x", "y"), ("data", "data")]
    proofs = prove_pairs(kernel, all_pairs(kernel))
    assert [proof.proven for proof in proofs] == [True, True]
    assert prove(kernel, pair=("data", "data")).proven


def test_what_is_printed_and_drawn(
    written: Writer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel, trace = made(written, RELU), tmp_path / "f.dmt"
    assert main(["prove", kernel.file]) == 0
    assert capsys.readouterr().out.startswith(f"f: data {IN_PLACE}: proven\n")
    trace_kernel(kernel, trace, inputs=2)
    assert main(["validate", str(trace)]) == 0
    with open_trace(trace) as opened:
        [buffer] = opened.windows[1].buffers
    assert buffer.role is Role.INOUT
    capsys.readouterr()
    assert main(["overlap", str(trace)]) == 0
    out = capsys.readouterr().out
    assert out.count("in place by construction") == 2
    assert "D   =" not in out
    assert main(["overlap", "--json", str(trace)]) == 0
    [union] = json.loads(capsys.readouterr().out)["merged"]
    assert union["in_place_by_construction"]
    assert (union["safe_overlap_bytes"], union["isolated_safe_displacements"]) == (0, [0])
    assert main(["heatmap", str(trace), "-o", str(tmp_path / "f.png")]) == 0
    assert "data: in place by construction" in capsys.readouterr().out
    assert main(["export", str(trace), "-o", str(tmp_path / "f.json")]) == 0
    assert main(["report", str(trace), "-o", str(tmp_path / "f.html")]) == 0
