"""``diagmem check``: what it prints, how it ends, and that it can fail."""

from __future__ import annotations

import csv
import importlib.util
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from diagmem.base.installing import package_command
from diagmem.check import judge as judge_module
from diagmem.check.judge import Finding
from diagmem.check.results import COLUMNS
from diagmem.cli.main import main
from diagmem.ops.analytical import Exact, exact
from diagmem.ops.layer import Layer
from diagmem.ops.nest import Nest
from tests.cli.conftest import Capture, json_of, wrong_call
from tests.tools import need_package

pytestmark = [
    # One process builds each kernel once for all of these.
    pytest.mark.xdist_group("check"),
    # Every check traces.
    pytest.mark.usefixtures("build_cache", "valgrind_tool"),
]

checked = partial(json_of, [])
fails = partial(wrong_call, [])

FEW = "check --kernels c --cases 2 --seed 5 --op DEPTHWISE_CONV_2D --op TRANSPOSE".split()


def test_c_kernels_agree_and_run_overlapped(capsys: Capture) -> None:
    operators = ["CONV_2D", "DEQUANTIZE", "CONCATENATION", "SOFTMAX"]
    words = [word for name in operators for word in ("--op", name)]
    data = checked(["check", "--kernels", "c", "--cases", "3", "--seed", "2", *words], capsys)
    assert [one["operator"] for one in data["operators"]] == operators
    for one in data["operators"]:
        assert one["kernels"] == "c"
        assert one["cases"] == one["equal"] == one["overlapped_equal"] == 3, one
        assert (one["looser"], one["unsafe"], one["refused"]) == (0, 0, 0)
    assert data["operators"][0]["tight"] == 3
    for case in data["cases"]:
        assert case["exact"] == case["algorithmic"] == case["traced"] == case["displacement"]


def test_another_loop_order(capsys: Capture) -> None:
    words = "check --kernels two-columns --cases 8 --seed 1 --op CONV_2D".split()
    data = checked(words, capsys)
    [one] = data["operators"]
    assert one["cases"] == one["equal"] == one["overlapped_equal"]
    assert one["cases"] > 0
    assert {case["order"] for case in data["cases"] if not case["refused"]} == {"two-columns"}


def test_table_file_and_replay(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "the results.csv"
    assert main([*FEW, "-o", str(path)]) == 0
    out, err = capsys.readouterr()
    head, *rows = out.splitlines()
    assert head.split()[:8] == (
        "operator kernels cases equal looser unsafe overlapped tight".split()
    )
    assert [row.split()[:7] for row in rows] == [
        ["DEPTHWISE_CONV_2D", "c", "2", "2", "0", "0", "2"],
        ["TRANSPOSE", "c", "2", "2", "0", "0", "2"],
    ]
    assert err == f"next: diagmem check --replay '{path}:1'   # one case in full\n"

    with path.open(newline="") as file:
        written = list(csv.DictReader(file))
    assert list(written[0]) == COLUMNS
    assert len(written) == 4
    for number in (2, 3):
        data = checked(["check", "--replay", f"{path}:{number}"], capsys)
        [case] = data["cases"]
        row = written[number - 1]
        shown = {name: "" if case[name] is None else str(case[name]) for name in COLUMNS}
        assert shown == row
    assert main(["check", "--replay", f"{path}:2"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"DEPTHWISE_CONV_2D {written[1]['attributes']}\n")
    assert f"    traced       D = {int(written[1]['traced']):,} B\n" in out
    assert "the formula is equal" in out

    before = path.read_bytes()
    assert "exists already; give --force" in fails([*FEW, "-o", str(path)], capsys)
    assert path.read_bytes() == before
    assert main([*FEW, "-o", str(path), "--force"]) == 0
    assert path.read_bytes() == before


def test_the_number_of_processes_changes_nothing(capsys: Capture) -> None:
    assert checked([*FEW, "--jobs", "1"], capsys) == checked([*FEW, "--jobs", "3"], capsys)


def test_an_operator_named_twice_is_checked_once(capsys: Capture) -> None:
    words = "check --kernels c,c --cases 1 --op RELU --op relu".split()
    assert [one["cases"] for one in checked(words, capsys)["operators"]] == [1]


def test_default_kernels_that_are_not_installed_are_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main("check --cases 1 --op RELU".split()) == 0
    out, err = capsys.readouterr()
    assert [row.split()[:2] for row in out.splitlines()[1:]] == [["RELU", "c"]]
    assert err.startswith("left out: tflm: tflite-micro is not installed")
    said = fails("check --cases 1 --op RELU --kernels tflm".split(), capsys)
    assert package_command("tflite-micro") in said


def test_tflm_agrees_and_runs_overlapped(capsys: Capture) -> None:
    need_package("tflite_micro", "tflite-micro")
    words = "check --kernels tflm --cases 3 --seed 2 --op DEPTHWISE_CONV_2D --op ADD".split()
    data = checked(words, capsys)
    for one in data["operators"]:
        assert one["kernels"] == "tflm"
        assert one["cases"] + one["refused"] >= 3
        assert one["cases"] == one["overlapped_equal"] > 0
        assert one["unsafe"] == 0


# It can fail.


def test_a_formula_one_element_too_small_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def too_small(layer: Layer, nest: Nest) -> list[Exact]:
        cell = layer.outputs[0].element_bytes
        return [
            replace(one, min_displacement_bytes=max(one.min_displacement_bytes - cell, 0))
            for one in exact(layer, nest)
        ]

    path = tmp_path / "results.csv"
    with monkeypatch.context() as patch:
        patch.setattr(judge_module, "exact", too_small)
        data = checked([*FEW, "-o", str(path)], capsys, code=1)
        assert any(one["unsafe"] > 0 for one in data["operators"])
        unsafe = [case for case in data["cases"] if case["unsafe"]]
        assert all(case["exact"] < case["traced"] == case["displacement"] for case in unsafe)
        row = 1 + data["cases"].index(unsafe[0])
        assert main(["check", "--replay", f"{path}:{row}"]) == 1
        assert "the formula is unsafe" in capsys.readouterr().out
    # The same case is right again with the right formula.
    assert main(["check", "--replay", f"{path}:{row}"]) == 0


def test_a_run_below_its_displacement_is_found(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    right = judge_module._figures

    def one_less(*args: Any) -> list[Finding]:
        layer = args[1].layer
        return [
            replace(one, displacement=max(one.displacement - layer.outputs[0].element_bytes, 0))
            for one in right(*args)
        ]

    monkeypatch.setattr(judge_module, "_figures", one_less)
    data = checked(FEW, capsys, code=1)
    differ = [case for case in data["cases"] if not case["overlapped_equal"]]
    assert differ
    assert all(case["displacement"] < case["traced"] for case in differ)
    assert all(case["equal"] and not case["unsafe"] for case in differ)


# Mistakes.


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--op CONV_2", 'did you mean "CONV_2D"'),
        ("--kernels gcc", "unknown kernels 'gcc', expected c, c-O0"),
        ("--kernels c,,tflm", "unknown kernels ''"),
        ("--kernels c-O9 --op RELU", "unknown kernels 'c-O9'"),
        ("--cases 0", "argument --cases"),
        ("--jobs 0", "argument --jobs"),
        ("--seed -1", "argument --seed"),
        ("--replay results.csv", "expected FILE.csv:ROW"),
        ("--replay no-such-file.csv:1", "cannot be read as results"),
        ("-o no-such-folder/results.csv", "there is no directory no-such-folder"),
        ("stray", "unrecognized arguments"),
    ],
)
def test_mistakes(words: str, said: str, capsys: Capture) -> None:
    assert said in fails(["check", *words.split()], capsys)


def test_a_file_that_is_not_ours(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "other.csv"
    path.write_text("name,size\nx,3\n")
    said = fails(["check", "--replay", f"{path}:1"], capsys)
    assert f"{path}: row 1: no usable operator, kernels, attributes, seed" in said
    path.write_text("operator,kernels,attributes,seed\nRELU,gcc,input=2x3,0\n")
    assert "unknown kernels 'gcc'" in fails(["check", "--replay", f"{path}:1"], capsys)
