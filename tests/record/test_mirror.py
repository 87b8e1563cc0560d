"""Nothing missed, nothing invented: the mirror over real programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from diagmem.cli.main import main
from diagmem.kernels.catalog import bundled

from .conftest import compile_c

pytestmark = pytest.mark.usefixtures("valgrind_tool")


@pytest.mark.parametrize("name", [n for n in bundled() if n.endswith("int8")])
def test_bundled_kernels(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["flags=-O3"] if "pool" not in name else ["flags=-O0"]
    assert main(["trace", "--mirror", name, *words, "-o", str(tmp_path / "t.dmt")]) == 0
    assert "mirror: " in (err := capsys.readouterr().err)
    assert " recorded stores" in err


@pytest.mark.parametrize("function", ["window", ""])
def test_every_kind_of_access(
    function: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """x87, vectors, masked ones, atomics and failed swaps, the processor's state."""
    program = compile_c("accesses.c", tmp_path / "p", "-fno-strict-aliasing")
    window = ["--function", function] if function else ["--whole-program"]
    words = ["--mirror", *window, "--input", "area=symbol:area", "-o", str(tmp_path / "t.dmt")]
    assert main(["trace", *words, "--", str(program)]) == 0
    assert " recorded stores" in capsys.readouterr().err


@pytest.mark.parametrize("case", ["handler", "made code", "calls", "thread", "omp 1"])
def test_awkward_programs(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = compile_c("awkward.c", tmp_path / "p", "-pthread", "-ldl")
    places = ["--input", "in=symbol:in", "--output", "out=symbol:out"]
    words = ["--mirror", "--function", "kernel", *places, "-o", str(tmp_path / "t.dmt")]
    assert main(["trace", *words, "--", str(program), case]) == 0
    assert "the contents of 2 buffers agree" in capsys.readouterr().err


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "--mirror", "relu_f32", "--json", "-o", str(tmp_path / "t.dmt")]) == 0
    mirror = json.loads(capsys.readouterr().out)["mirror"]
    assert mirror == {"windows": 1, "loads": 120, "stores": 120, "closed": 2, "mismatches": []}


def test_a_summary_has_no_mirror(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["trace", "--mirror", "--mode", "summary", "relu_f32", "-o", str(tmp_path / "t.dmt")]
    assert main(words) == 2
    assert "--mirror goes with --mode events" in capsys.readouterr().err
