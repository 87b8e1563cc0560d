"""``diagmem fit``: what it prints, its JSON, how it ends."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from diagmem.cli.main import main
from diagmem.networks.measured import write_overlaps
from diagmem.tflite.graph import read_model
from tests.cli.conftest import Capture, json_of, wrong_call
from tests.networks.by_formula import as_measured

fails = partial(wrong_call, [])

BOARDS = """\
name,sram_bytes,largest_block_bytes,flash_bytes,mine
roomy,200000,150000,2000000,x
banked,200000,90000,,x
tight,120000,120000,2000000,x
blocked,200000,60000,2000000,x
tiny,20000,20000,100000,x
"""
"""For a network of 64 KiB with overlap, 96 without, 128 unplanned, 36 of runtime."""


@pytest.fixture
def boards(tmp_path: Path) -> Path:
    path = tmp_path / "mine.csv"
    path.write_text(BOARDS, encoding="utf-8")
    return path


def test_verdicts(mobilenet: Path, boards: Path, capsys: Capture) -> None:
    assert main(["fit", str(mobilenet), "--boards", str(boards)]) == 0
    out, err = capsys.readouterr()
    verdicts = {line.split("  ")[0]: line for line in out.splitlines()}
    assert verdicts["roomy"].endswith("  fits")
    assert verdicts["banked"].endswith("  only with overlap; 8,304 B missing without")
    assert "only with overlap; " in verdicts["tight"]
    assert verdicts["blocked"].endswith("too little RAM: 5,552 B of RAM in one block missing")
    assert "B of RAM and " in verdicts["tiny"]
    assert out.endswith("\n1 fit without overlap, 2 only with overlap, 2 not\n")
    assert "by formula for the reference loop order, not measured on this board's" in out
    assert "next: diagmem measure " in err


def test_json(mobilenet: Path, boards: Path, capsys: Capture) -> None:
    options = ["--stack", "100", "--runtime", "200", "--code", "300"]
    models = [str(mobilenet), str(mobilenet)]
    data = json_of(["fit"], [*models, "--boards", str(boards), *options], capsys)
    first, second = data["models"]
    assert first == second
    assert first["model"] == str(mobilenet)
    assert first["arena_without_overlap_bytes"] == 98304
    assert (first["stack_bytes"], first["persistent_bytes"], first["code_bytes"]) == (100, 200, 300)
    assert [b["name"] for b in first["boards"]] == ["tiny", "tight", "banked", "blocked", "roomy"]
    for one in first["boards"]:
        assert one["ram_needed_bytes"] == first["arena_bytes"] + 300
        assert one["flash_needed_bytes"] == first["weights_bytes"] + 300
    assert first["boards"][2]["flash_bytes"] is None
    assert first["boards"][1]["verdict"] == "fits"
    assert not first["boards"][1]["fits_unplanned"]


def test_no_overlap_no_gain(mobilenet: Path, boards: Path, capsys: Capture) -> None:
    assert main(["fit", str(mobilenet), "--boards", str(boards), "--overlaps", "none"]) == 0
    out, err = capsys.readouterr()
    assert "only with overlap" not in out.replace(", 0 only with overlap", "")
    assert "measure" not in err


def test_exit_code_1_if_no_board_has_room(mobilenet: Path, boards: Path, capsys: Capture) -> None:
    words = ["fit", str(mobilenet), "--boards", str(boards), "--stack", "1000000"]
    assert main(words) == 1
    assert capsys.readouterr().out.endswith("\n0 fit without overlap, 0 only with overlap, 5 not\n")


def test_a_planned_model(mobilenet: Path, tmp_path: Path, capsys: Capture) -> None:
    planned = tmp_path / "planned.tflite"
    assert main(["plan", str(mobilenet), "-o", str(planned)]) == 0
    assert main(["fit", str(planned)]) == 0
    out = capsys.readouterr().out
    assert "the plan in the file, by diagmem " in out
    assert "proven: no" in out


def test_what_the_plan_was_measured_on(mobilenet: Path, tmp_path: Path, capsys: Capture) -> None:
    """The same of a plan that is made here and of the plan in a model."""
    overlaps, planned = tmp_path / "overlaps.json", tmp_path / "planned.tflite"
    measured = as_measured(read_model(mobilenet))
    write_overlaps(measured, overlaps)
    assert main(["plan", str(mobilenet), "--overlaps", str(overlaps), "-o", str(planned)]) == 0
    for words in ([str(mobilenet), "--overlaps", str(overlaps)], [str(planned)]):
        capsys.readouterr()
        assert main(["fit", *words]) == 0
        out = capsys.readouterr().out
        (line,) = [one for one in out.splitlines() if one.startswith("  overlaps ")]
        assert "  measured on none 1.0, paper, flags -O0: another board's kernels" in line
        assert line.endswith("; proven: no")
        assert main(["fit", *words, "--json"]) == 0
        (data,) = json.loads(capsys.readouterr().out)["models"]
        assert data["kernels"] == dict(measured.kernels)
        assert data["proven"] == "no"


def test_list(capsys: Capture, boards: Path) -> None:
    assert main(["fit", "--list"]) == 0
    out = capsys.readouterr().out
    assert "STM32F746NG" in out
    assert "external" in out
    assert main(["fit", "--list", "--json", "--boards", str(boards)]) == 0
    listed = json.loads(capsys.readouterr().out)["boards"]
    assert [board["name"] for board in listed] == ["tiny", "tight", "banked", "blocked", "roomy"]


def test_mistakes(mobilenet: Path, boards: Path, tmp_path: Path, capsys: Capture) -> None:
    assert "found no model" in fails(["fit"], capsys)
    assert "--list takes no models" in fails(["fit", "--list", str(mobilenet)], capsys)
    assert "--list takes no models" in fails(["fit", "--list", "--stack", "1"], capsys)
    assert "none.tflite: cannot be read" in fails(["fit", str(tmp_path / "none.tflite")], capsys)
    assert "--stack" in fails(["fit", str(mobilenet), "--stack", "-1"], capsys)
    said = fails(["fit", str(mobilenet), "--overlaps", "excat"], capsys)
    assert "excat: cannot be read as overlaps" in said
    boards.write_text(BOARDS.replace("120000", "120 KB", 1), encoding="utf-8")
    said = fails(["fit", str(mobilenet), "--boards", str(boards)], capsys)
    assert "mine.csv: line 4: column sram_bytes: found '120 KB', expected bytes" in said
