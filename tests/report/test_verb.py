"""`diagmem report`: what it says, and how it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from diagmem.cli.main import main
from diagmem.networks.measured import FORMAT, VERSION
from diagmem.networks.planning import plan_network, write_plan
from diagmem.tflite.zoo import open_zoo

NETWORK = "mobilenet_v1_0.25_128_int8"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net.tflite"
    write_plan(plan_network(open_zoo(NETWORK)), path)
    return path


def test_files_of_all_kinds_in_one_page(
    copy_trace: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = Path(__file__).resolve().parents[2] / "docs" / "results.json"
    target = tmp_path / "report.html"
    words = ["report", str(copy_trace), str(model), str(results), "-o", str(target), "--json"]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["bytes"] == target.stat().st_size
    assert [section["kind"] for section in told["sections"]] == ["kernel", "network", "results"]
    text = target.read_text(encoding="utf-8")
    assert f"diagmem report {copy_trace}" in text
    assert "<title>copy.dmt, net.tflite, results.json</title>" in text


def test_an_existing_page_is_kept_unless_told(copy_trace: Path, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.write_text("mine", encoding="utf-8")
    assert main(["report", str(copy_trace), "-o", str(target)]) == 2
    assert target.read_text(encoding="utf-8") == "mine"
    assert main(["report", str(copy_trace), "-o", str(target), "--force"]) == 0
    assert target.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_mistakes_get_one_line(
    copy_trace: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(model.read_bytes()[:100])
    other = tmp_path / "overlaps.json"
    entries = {"format": FORMAT, "version": VERSION, "model": {"graph_sha256": "0"}}
    other.write_text(json.dumps(entries), encoding="utf-8")
    for words, said in (
        ([str(tmp_path / "none")], "cannot be read: No such file"),
        ([str(tmp_path)], "cannot be read: Is a directory"),
        ([str(empty)], "is empty, expected a trace"),
        ([str(cut)], "cut.tflite"),
        ([str(copy_trace), "--window", "3"], "there is no window 3, expected 0 to 0"),
        ([str(model), "--overlaps", str(other)], "another graph than the models given"),
        ([str(model), "--overlaps", str(empty)], "cannot be read as overlaps"),
    ):
        assert main(["report", *words, "-o", str(tmp_path / "r.html")]) == 2, words
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
