"""``-o``: endings that say another format, and standard output."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from diagmem.cli.main import main
from diagmem.networks.measured import Measured
from diagmem.tflite.graph import read_model
from diagmem.trace.window import Buffer, Role
from tests.cli.conftest import Capture, wrong_call
from tests.trace.compose import SyntheticWindow, compose

BUFFERS = (Buffer("x", Role.INPUT, 0x1000, 64), Buffer("y", Role.OUTPUT, 0x2000, 64))
PLACES = "--input x=address:0x1000,bytes:64"
CONV = "CONV_2D input=1x7x5x3 filter=3x2 output_channels=4 dtype=int8"


@pytest.fixture
def trace(tmp_path: Path) -> str:
    path = tmp_path / "t.dmt"
    compose(path, [SyntheticWindow("copy", BUFFERS, [0x1000, 0x2000], [8, 8], [False, True])])
    return str(path)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs without a folder do not end up in the checkout."""
    monkeypatch.chdir(tmp_path)


def words_of(call: str, trace: str, net: Path) -> list[str]:
    return [{"TRACE": trace, "NET": str(net)}.get(word, word) for word in call.split()]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("trace relu_f32 -o new.png", ".dmt"),
        ("trace -o new.csv -- true", ".dmt"),
        (f"import TRACE {PLACES} -o new.JSON", ".dmt"),
        ("heatmap TRACE -o new.dmt", ".png, .svg or .pdf"),
        (f"formula {CONV} -o new.html", ".png, .svg or .pdf"),
        ("check -o new.csv.gz", ".csv"),
        ("zoo write resnet50_v2_f32 -o new.dmt", ".tflite"),
        ("measure NET -o new.tflite", ".json"),
        ("measure NET --trace new.json", ".dmt"),
        ("plan NET -o new.json", ".tflite"),
        ("plan NET --diagram new.json", ".png, .svg or .pdf"),
        ("report TRACE -o r.pdf", ".html or .htm"),
        ("export TRACE -o new.dmt", ".parquet, .csv, .csv.gz, .json or .json.gz"),
    ],
)
@pytest.mark.usefixtures("elsewhere")
def test_endings_of_another_format(
    call: str, expected: str, trace: str, small_net: Path, capsys: Capture
) -> None:
    said = wrong_call([], words_of(call, trace, small_net), capsys)
    assert said.rstrip().endswith(f"expected {expected}")


def test_an_ending_of_ones_own(trace: str, tmp_path: Path, capsys: Capture) -> None:
    page = tmp_path / "page"
    assert main(["report", trace, "-o", str(page)]) == 0
    assert page.read_text().startswith("<!")
    capsys.readouterr()


@pytest.mark.parametrize(
    "call",
    [
        "trace relu_f32 -o -",
        f"import TRACE {PLACES} -o -",
        "heatmap TRACE -o -",
        f"formula {CONV} -o -",
        "zoo write resnet50_v2_f32 -o -",
        "measure NET --trace -",
        "measure NET -o - --json",
        "plan NET -o -",
        "plan NET --profile -",
        "report TRACE -o - --json",
        "check -o - --json",
        "export TRACE -o -",
        "export TRACE -o - --format parquet",
    ],
)
@pytest.mark.usefixtures("elsewhere")
def test_what_does_not_go_to_standard_output(
    call: str, trace: str, small_net: Path, capsys: Capture
) -> None:
    assert "expected" in wrong_call([], words_of(call, trace, small_net), capsys)
    assert not Path("-").exists()


def test_text_to_standard_output(
    trace: str, small_net: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file and nothing else, as ``-o FILE`` writes it; what is said goes to people."""
    kernels = {"kernels": "none", "target": "none"}
    model = read_model(small_net)
    nothing = Measured(model={}, kernels=kernels, about={}, operators=())
    monkeypatch.setattr("diagmem.networks.on_tflm.measure", lambda *_, **__: nothing)
    monkeypatch.setattr("diagmem.check.sweep.check", lambda *_, **__: [])
    for call, name in (
        ("export TRACE --format csv -o", "t.csv"),
        ("export TRACE --format perfetto -o", "t.json"),
        ("check -o", "r.csv"),
        ("report TRACE -o", "r.html"),
        ("measure NET -o", "o.json"),
    ):
        words = words_of(call, trace, small_net)
        path = tmp_path / name
        assert main([*words, str(path)]) == 0
        capsys.readouterr()
        assert main([*words, "-"]) == 0
        out, err = capsys.readouterr()
        assert out == path.read_bytes().decode().replace(f"-o {path}", "-o -")
        assert "next: " not in err
    assert model.operators
    table = pd.read_csv(tmp_path / "t.csv")
    assert len(table) == 2
    assert json.loads((tmp_path / "o.json").read_text())["operators"] == []
