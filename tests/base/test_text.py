"""Names out of files reach no terminal as commands and no spreadsheet as formulas."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagmem.base.text import cell, printable, printable_lines
from diagmem.cli.main import main
from diagmem.trace.window import Buffer, Role, Site
from tests.trace.compose import SyntheticWindow, compose

ESCAPE = (
    "\x1b[31mRED\x1b]0;pwn\x07</script><script>alert(1)</script>\n=cmd|' /C calc'!A0\u202e$\\frac{"
)
FORMULA = '=HYPERLINK("http://x")$'


@given(st.text())
def test_any_text_is_printable_then(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)
    assert printable_lines(text).count("\n") == text.count("\n")
    assert not cell(text).startswith(("=", "+", "-", "@"))
    if text.isprintable():
        assert printable(text) == text


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "t.dmt"
    x, y = Buffer(ESCAPE, Role.INPUT, 4096, 64), Buffer(FORMULA, Role.OUTPUT, 8192, 64)
    sites = [
        Site("load", 1, 0, ESCAPE, ESCAPE, 0, "@SUM(A1)", 3),
        Site("store", 1, 0, "+1", "", 0, "", 0),
    ]
    at = np.arange(64)
    compose(
        path,
        [
            SyntheticWindow(
                ESCAPE,
                [x, y],
                np.concatenate([x.address + at, y.address + at]),
                np.ones(128),
                np.repeat([False, True], 64),
                site=np.repeat([0, 1], 64),
                missing=[(ESCAPE, ESCAPE)],
            )
        ],
        sites=sites,
        header={"kernel": ESCAPE, "imported": ESCAPE},
    )
    return path


def harmless(text: str) -> bool:
    return all(c.isprintable() or c == "\n" for c in text)


def test_what_is_printed_is_text(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = [
        ["info", str(trace)],
        ["overlap", str(trace)],
        ["overlap", str(trace), "--json"],
        ["validate", str(trace)],
        ["heatmap", str(trace), "-o", str(tmp_path / "p.svg")],
        ["heatmap", str(trace), "-o", str(tmp_path / "q.svg"), "--input", "none"],
        ["report", str(trace), "-o", str(tmp_path / "r.html")],
        ["export", str(trace), "-o", str(tmp_path / "t.json")],
    ]
    for words in calls:
        assert main(words) in (0, 2), words
        out, err = capsys.readouterr()
        assert harmless(out), words
        assert harmless(err), words
        if words[0] != "report":
            assert "RED" in out + err or words[0] in ("validate", "export")
    json.loads((tmp_path / "t.json").read_text())
    page = (tmp_path / "r.html").read_text()
    assert "<script>alert" not in page


def test_no_cell_of_an_export_is_a_formula(trace: Path, tmp_path: Path) -> None:
    assert main(["export", str(trace), "-o", str(tmp_path / "t.csv")]) == 0
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    assert len(rows) == 128
    assert rows[-1]["buffer"] == "'" + FORMULA
    assert {row["function"] for row in rows} == {printable(ESCAPE), "'+1"}
    assert {row["file"] for row in rows} == {"'@SUM(A1)", ""}
    for row in rows:
        assert not any(value.startswith(("=", "+", "@")) for value in row.values())
        assert all(value.isprintable() for value in row.values())
