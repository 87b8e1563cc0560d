"""``diagmem zoo``: what it lists and writes, and what it says of a mistake."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from diagmem.cli.main import main
from diagmem.networks.planning import plan_network
from diagmem.tflite.graph import read_model
from diagmem.tflite.zoo import NETWORKS, PAPER, filled, network_bytes
from tests.cli.conftest import Capture, wrong_call

fails = partial(wrong_call, ["zoo"])
NAME = "mobilenet_v1_0.25_128_int8"


def test_list(capsys: Capture) -> None:
    assert main(["zoo", "list"]) == 0
    out, err = capsys.readouterr()
    head, *rows = out.splitlines()
    assert head.split() == ["operators", "largest", "live", "sum"]
    assert [row.split()[0] for row in rows] == list(NETWORKS)
    assert [row.split()[0] for row in rows if "*" in row] == [n for n in NETWORKS if n in PAPER]
    assert err.endswith("next: diagmem zoo write NAME -o net.tflite\n")


def test_list_as_json(capsys: Capture) -> None:
    assert main(["zoo", "list", "--json"]) == 0
    listed = {row["name"]: row for row in json.loads(capsys.readouterr().out)["networks"]}
    assert list(listed) == list(NETWORKS)
    assert listed[NAME] == {
        "name": NAME,
        "architecture": "MobileNet v1, width 0.25 (arXiv 1704.04861)",
        "dtype": "int8",
        "operators": 31,
        "largest_live_sum_bytes": 98304,
        "of_the_paper": True,
    }
    graph = read_model(network_bytes("densenet121_f32"))
    live = plan_network(graph, "none", solver="tflm-greedy").baselines["largest-live-sum"]
    assert abs(listed["densenet121_f32"]["largest_live_sum_bytes"] - live) < 16 * 10


def test_write(tmp_path: Path, capsys: Capture) -> None:
    one, other, third = (tmp_path / f"{n}.tflite" for n in "abc")
    assert main(["zoo", "write", NAME, "-o", str(one), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "name": NAME,
        "path": str(one),
        "bytes": one.stat().st_size,
        "graph": False,
    }
    assert main(["zoo", "write", NAME, "-o", str(other), "--seed", "0"]) == 0
    assert main(["zoo", "write", NAME, "-o", str(third), "--seed", "1"]) == 0
    assert one.read_bytes() == other.read_bytes() == filled(NAME)
    assert third.read_bytes() == filled(NAME, 1) != one.read_bytes()
    assert f"next: diagmem measure {third} -o overlaps.json\n" in capsys.readouterr().err


def test_write_a_graph(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["zoo", "write", "resnet50_v2_f32", "--graph"]
    assert main(words) == 0
    written = tmp_path / "resnet50_v2_f32.tflite"
    assert written.read_bytes() == network_bytes("resnet50_v2_f32")
    assert "next: diagmem plan resnet50_v2_f32.tflite\n" in capsys.readouterr().err
    assert "exists already; give --force" in fails(words[1:], capsys)
    written.write_text("older")
    assert main([*words, "--force"]) == 0
    assert written.read_bytes() == network_bytes("resnet50_v2_f32")


def test_mistakes(tmp_path: Path, capsys: Capture) -> None:
    output = str(tmp_path / "a.tflite")
    assert "arguments are required" in fails([], capsys)
    assert "invalid choice: 'show'" in fails(["show"], capsys)
    assert "which one? diagmem zoo list names them" in fails(["write"], capsys)
    assert "no network 'resnet', expected one of mobilenet_v1" in fails(
        ["write", "resnet", "-o", output], capsys
    )
    assert not Path(output).exists()
    for words in ([NAME], ["--seed", "0"], ["--graph"], ["-o", output], ["--force"]):
        assert "zoo list takes neither" in fails(["list", *words], capsys)
    assert "argument --seed" in fails(["write", NAME, "--seed", "-1"], capsys)
    assert "--seed is of weights" in fails(["write", NAME, "--graph", "--seed", "0"], capsys)
    assert "is a directory" in fails(["write", NAME, "-o", str(tmp_path)], capsys)
    assert "there is no directory" in fails(["write", NAME, "-o", f"{output}/b"], capsys)
