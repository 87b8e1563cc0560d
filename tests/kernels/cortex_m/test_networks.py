"""A network's operators measured on kernels compiled for a Cortex-M."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from diagmem.cli.main import main
from diagmem.kernels.library import Library
from diagmem.networks.on_described import measure_described
from diagmem.tflite.graph import read_model
from tests.kernels.cortex_m.conftest import CORTEX_M, need
from tests.tflite.build import Draft, small


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "small.tflite"
    path.write_bytes(small().file())
    return path


def test_measured_and_planned(
    net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need(*CORTEX_M)
    output, plan = tmp_path / "o.json", tmp_path / "planned.tflite"
    words = ["--kernels", "c", "--target", "cortex-m4", "-o", str(output)]
    assert main(["measure", str(net), *words]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{net}: 3 operators on described kernels, c, cortex-m4; sizes in bytes")
    assert err.endswith(f"next: diagmem plan {net} --overlaps {output} -o planned.tflite\n")
    data = json.loads(output.read_text())
    assert data["kernels"]["target"] == "cortex-m4"
    assert "-mcpu=cortex-m4" in data["kernels"]["flags"]
    assert "QEMU" in data["kernels"]["measured_by"]
    assert "arm-none-eabi-gcc" in data["kernels"]["compiler"]
    assert [p["formula_says"] for o in data["operators"] for p in o["pairs"]] == ["equal"] * 3
    assert main(["plan", str(net), "--overlaps", str(output), "-o", str(plan)]) == 0
    out = capsys.readouterr().out
    assert "cortex-m4" in out
    assert "  proven       at this placement: 3 operators, all overlaps of each at once" in out
    assert plan.is_file()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--target", "cortex-m4"], "--target cortex-m4: expected with --kernels"),
        (["flags=-O3"], "flags=-O3: expected with --kernels"),
        (["--kernels", "c", "--weights"], "--weights goes with TFLM's kernels"),
        (["--kernels", "c", "--inputs", "x.npz"], "--inputs goes with TFLM's kernels"),
        (["--kernels", ""], "--kernels: an empty name, expected a folder"),
        (["--kernels", "", "--target", "cortex-m4"], "--kernels: an empty name, expected a folder"),
        (["--kernels", "none"], "none: no such folder, expected a folder of kernel descriptions"),
        (["--kernels", "c", "in_h=3"], "in_h=: no description in c has such a parameter"),
        (["--kernels", "cmsis-nn"], "checkout is not set, expected checkout=FOLDER"),
    ],
)
def test_wrong_calls(
    net: Path, words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["measure", str(net), *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert expected in err
    assert err.count("\n") == 1


def test_a_tensor_too_large_for_the_board(tmp_path: Path) -> None:
    """Gets no overlap; the others are measured all the same."""
    need(*CORTEX_M)
    draft = Draft()
    small_one, large = (1, 4, 5, 2), (1, 1500, 1500, 1)
    tensors = [draft.tensor(shape) for shape in (small_one, small_one, large, large)]
    draft.operator("ABS", [tensors[0]], [tensors[1]])
    draft.operator("ABS", [tensors[2]], [tensors[3]])
    path = tmp_path / "m.tflite"
    path.write_bytes(draft.io([tensors[0], tensors[2]], [tensors[1], tensors[3]]).file())
    found = measure_described(read_model(path), Library("c"), target="cortex-m4")
    [first], [second] = (operator.pairs for operator in found.operators)
    assert first.min_displacement_bytes == 0
    assert second.safe_overlap_bytes == 0
    assert "expected at most 16777216 on cortex-m4" in second.notes[0]
