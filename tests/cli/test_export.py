"""``diagmem export``: files, options and refusals."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pandas as pd
import pytest

from diagmem.cli.main import main
from diagmem.trace.window import Buffer, Role
from tests.trace.compose import SyntheticWindow, compose

BUFFERS = [Buffer("x", Role.INPUT, 4096, 64)]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "t.dmt"
    windows = [SyntheticWindow("f", BUFFERS, [4096 + i] * (i + 1), 4, False) for i in range(3)]
    compose(path, windows)
    return path


@pytest.mark.parametrize("ending", ["parquet", "csv", "csv.gz"])
def test_all_windows_or_one(
    ending: str, trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / f"t.{ending}"
    read = pd.read_parquet if ending == "parquet" else pd.read_csv
    assert main(["export", str(trace), "-o", str(out)]) == 0
    assert read(out).window.tolist() == [0, 1, 1, 2, 2, 2]
    said = capsys.readouterr()
    assert said.out == ""
    assert f"{out}: 6 rows, " in said.err
    assert main(["export", str(trace), "-o", str(out)]) == 2
    assert "--force" in capsys.readouterr().err
    assert main(["export", str(trace), "-o", str(out), "--force", "--window", "1"]) == 0
    assert read(out).window.tolist() == [1, 1]


def test_refusals(trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "t.csv")
    for call, message in (
        ([str(trace), "-o", out, "--window", "3"], "no window 3; it holds windows 0 to 2"),
        ([str(tmp_path / "none.dmt"), "-o", out], "cannot read"),
        (
            [str(trace), "-o", str(tmp_path / "t.txt")],
            "expected .parquet, .csv, .csv.gz, .json or .json.gz",
        ),
        ([str(trace), "-o", out, "--format", "perfetto"], "expected .json or .json.gz"),
        ([str(trace), "-o", out, "--format", "parquet"], "says the format; expected .parquet"),
        ([str(trace), "-o", str(tmp_path / "no" / "t.csv")], "there is no directory"),
    ):
        assert main(["export", *call]) == 2
        assert message in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.dmt"]


@pytest.mark.parametrize("words", [[], ["--format", "perfetto"]])
def test_for_viewers_of_time_lines(
    words: list[str], trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "t.json.gz"
    assert main(["export", str(trace), "-o", str(out), *words, "--window", "1"]) == 0
    events = json.loads(gzip.decompress(out.read_bytes()))["traceEvents"]
    assert [(e["name"], e["dur"]) for e in events if e["ph"] == "X"] == [("f", 2)]
    said = capsys.readouterr()
    assert said.out == ""
    assert f"{out}: {len(events)} trace events, " in said.err
    assert "ui.perfetto.dev" in said.err
    assert main(["export", str(trace), "-o", str(out), "--force", "--window", "3"]) == 2
    assert "there is no window 3" in capsys.readouterr().err


def test_a_cut_trace_is_exported_as_far_as_it_goes(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace.write_bytes(trace.read_bytes()[:-1])
    out = tmp_path / "t.csv"
    assert main(["export", str(trace), "-o", str(out)]) == 0
    assert "not complete: the file is cut" in capsys.readouterr().err
    assert len(pd.read_csv(out)) == 6
