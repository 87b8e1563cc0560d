"""What the tests of the verbs share: calls, networks, and a cache of builds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from diagmem.cli.main import main
from diagmem.tflite.zoo import network_bytes
from tests.tflite.build import small
from tests.tools import need_package

Capture = pytest.CaptureFixture[str]


def wrong_call(before: Sequence[str], words: Sequence[str], capsys: Capture) -> str:
    """The one line that a wrong call gets."""
    try:
        code = main([*before, *words])
    except SystemExit as stop:  # argparse's way out
        code = stop.code if isinstance(stop.code, int) else 0
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    return err


def json_of(
    before: Sequence[str], words: Sequence[str], capsys: Capture, code: int = 0
) -> dict[str, Any]:
    """What a call puts out with ``--json``."""
    assert main([*before, *words, "--json"]) == code
    data: dict[str, Any] = json.loads(capsys.readouterr().out)
    return data


@pytest.fixture
def tflm() -> None:
    need_package("tflite_micro", "tflite-micro")


@pytest.fixture
def small_net(tmp_path: Path) -> Path:
    """Three operators that TFLM runs at once."""
    path = tmp_path / "a net.tflite"
    path.write_bytes(small().file())
    return path


@pytest.fixture
def mobilenet(tmp_path: Path) -> Path:
    path = tmp_path / "a net.tflite"
    path.write_bytes(network_bytes("mobilenet_v1_0.25_128_int8"))
    return path
