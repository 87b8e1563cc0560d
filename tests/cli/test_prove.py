"""``diagmem prove``: what it prints and how it ends."""

from __future__ import annotations

import json

import pytest

from diagmem.cli.main import main
from tests.cli.conftest import wrong_call

pytestmark = pytest.mark.usefixtures("build_cache")

KERNEL = ["prove", "depthwise_conv_2d_f32", "in_w=12"]


def test_proven(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*KERNEL, "--displacement", "416"]) == 0
    out, err = capsys.readouterr()
    first, *rest = out.splitlines()
    assert first == ("depthwise_conv_2d_f32: input over output at displacement 416 bytes: proven")
    assert rest[1].startswith("  tight: at 412 bytes 3")
    assert err.endswith(
        "\nnext: diagmem trace depthwise_conv_2d_f32 in_w=12 -o depthwise_conv_2d_f32.dmt\n"
    )


def test_not_proven(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*KERNEL, "--displacement", "412", "--inputs", "1"]) == 1
    out, err = capsys.readouterr()
    assert "412 bytes: NOT proven" in out
    assert 'bytes of "output" differ, first byte 416: ' in out
    assert "\nnext: diagmem prove depthwise_conv_2d_f32 in_w=12" in err


def test_notes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*KERNEL, "--displacement", "417", "--inputs", "1"]) in (0, 1)
    assert "note: 417 is not a multiple of an element (4 bytes)" in capsys.readouterr().out
    assert main([*KERNEL, "activation_low=5.0", "--displacement", "416"]) == 0
    assert 'warning: all elements of "output" are 5.0; damage may' in capsys.readouterr().out


def test_negative_displacement(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", "relu_int8", "--displacement", "-120"]) == 0
    assert "at displacement -120 bytes: proven" in capsys.readouterr().out


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*KERNEL, "--displacement", "416", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["kernel"] == data["function"] == "depthwise_conv_2d_f32"
    assert data["min_displacement_bytes"] == 416
    assert (data["proven"], data["tight"], data["inputs_tried"]) == (True, True, 3)
    [pair] = data["pairs"]
    assert (pair["input"], pair["output"]) == ("input", "output")
    assert pair["difference_below"]["buffer"] == "output"


def test_every_pair_from_one_trace(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", "add_f32"]) == 0
    out, err = capsys.readouterr()
    assert "input1 over output at displacement 0 bytes: proven" in out
    assert "input2 over output at displacement 0 bytes: proven" in out
    assert out.count("  tight: there is no smaller displacement than 0") == 2
    assert err.splitlines() == [
        "tracing add_f32 apart and overlapped, and running it overlapped",
        "next: diagmem trace add_f32 -o add_f32.dmt",
    ]
    assert main(["prove", "add_f32", "--input", "input2", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [p["input"] for p in data["pairs"]] == ["input2"]
    assert data["traced_displacement_bytes"] == data["min_displacement_bytes"] == 0
    assert data["proven"] is True


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["nosuch.toml"], "diagmem prove: nosuch.toml: there is no such kernel description\n"),
        (["relu_f32", "witdh=3"], '(did you mean "width"?)\n'),
        (["relu_f32", "--displacement", "999"], "expected -480 to 480\n"),
        (["add_f32", "--displacement", "0"], "expected one of: input1, input2\n"),
    ],
)
def test_wrong_calls(capsys: pytest.CaptureFixture[str], words: list[str], complaint: str) -> None:
    assert wrong_call(["prove"], words, capsys).endswith(complaint)
