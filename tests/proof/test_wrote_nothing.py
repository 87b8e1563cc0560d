"""A kernel that did nothing proves nothing, whatever its runs compare equal to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from diagmem.analysis.trace import open_trace
from diagmem.analysis.union import Source, merge
from diagmem.cli.main import main
from diagmem.kernels.kernel import Kernel
from diagmem.kernels.tracing import trace_kernel
from diagmem.proof.prove import prove

pytestmark = pytest.mark.usefixtures("valgrind_tool")

Writer = Callable[..., Kernel]

TOML = """\
function = "f"
source = "f.c"
argument = [
  { name = "x", role = "input",  dtype = "int8", shape = ["n"] },
  { name = "y", role = "output", dtype = "int8", shape = ["n"] },
  { name = "n", dtype = "int32", value = "n" },
]
[parameters]
n = 40
"""
NOTHING = "(void)x; (void)y; (void)n;"
READS = "int sum = 0; for (int i = 0; i < n; i++) sum += x[i]; seen = sum;"
KEEPS = "for (int i = 0; i < n; i++) ((volatile signed char *)y)[i] = y[i]; seen = x[0];"
SELDOM = "for (int i = 0; i < n; i++) if (x[1] > 80) y[i] = x[i];"
HALF = "for (int i = 0; i < n / 2; i++) y[i] = x[i];"


def made(written: Writer, body: str) -> Kernel:
    head = "int seen;\nvoid f(const signed char *x, signed char *y, int n)"
    return written(TOML, f_c=f"{head}\n{{ {body} }}\n")


@pytest.mark.parametrize("body", [NOTHING, READS, KEEPS])
@pytest.mark.parametrize("asked", [None, 0, 40])
def test_equal_bits_of_untouched_outputs_prove_nothing(
    written: Writer, body: str, asked: int | None
) -> None:
    proof = prove(made(written, body), displacement_bytes=asked)
    assert not proof.proven
    assert not proof.tight
    assert proof.traced_displacement_bytes is None
    assert proof.refused.startswith("the kernel wrote nothing: every run left y as it was filled")


def test_one_input_on_which_it_does_nothing_is_enough(written: Writer) -> None:
    """Of seeds 0 to 2 it is the second alone that has x[1] > 80."""
    proof = prove(made(written, SELDOM))
    assert not proof.proven
    assert "the kernel wrote nothing to y" in proof.refused


def test_a_part_that_is_written_can_be_proven(written: Writer) -> None:
    proof = prove(made(written, HALF))
    assert proof.proven
    assert proof.refused == ""


def test_what_is_printed(
    written: Writer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel = made(written, READS)
    assert main(["prove", kernel.file]) == 1
    out = capsys.readouterr().out
    assert out.startswith("f: x over y: not proven: the kernel wrote nothing")
    assert "displacement" not in out
    trace_kernel(kernel, tmp_path / "f.dmt", inputs=2)
    assert main(["overlap", str(tmp_path / "f.dmt")]) == 0
    out = capsys.readouterr().out
    assert "no overlap: the kernel wrote nothing to y" in out
    assert "D   =" not in out
    assert main(["overlap", "--json", str(tmp_path / "f.dmt")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["merged"][0]["refused"].startswith("the kernel wrote nothing")
    assert found["windows"][0]["pairs"][0]["safe_overlap_bytes"] == 0


def test_a_window_without_an_answer_refuses_all_of_them(written: Writer, tmp_path: Path) -> None:
    trace_kernel(made(written, SELDOM), tmp_path / "f.dmt", inputs=3)
    with open_trace(tmp_path / "f.dmt") as trace:
        windows = trace.overlaps()
    refused = [bool(window.pair("x", "y").refused) for window in windows]
    assert set(refused) == {True, False}
    [union] = merge((Source("f.dmt", window.index), window) for window in windows)
    assert union.refused
    assert union.safe_overlap_bytes == 0
