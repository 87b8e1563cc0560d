"""``diagmem heatmap``: what it prints and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from diagmem.cli.main import main
from diagmem.trace.window import Buffer, Role
from tests.trace.compose import SyntheticWindow, compose


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Eight loads, each followed by a store two elements ahead."""
    path = tmp_path / "copy.dmt"
    buffers = [Buffer("in", Role.INPUT, 0x1000, 32), Buffer("out", Role.OUTPUT, 0x2000, 32)]
    ahead = [min(i + 2, 7) for i in range(8)]
    address = [a for i in range(8) for a in (0x1000 + 4 * i, 0x2000 + 4 * ahead[i])]
    compose(path, [SyntheticWindow("copy", buffers, address, [4] * 16, [0, 1] * 8)])
    return path


def test_draws(trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "copy.png"
    assert main(["heatmap", str(trace), "-o", str(picture)]) == 0
    out, err = capsys.readouterr()
    first, second, limit, *notes = out.splitlines()
    assert first.startswith(f"{picture}: 1800 x ")
    assert first.endswith("pixels, window 0 of copy, 16 events")
    assert second == "  in over out: D = 8 B, O_s = 24 B"
    # The output's first bytes are never written: only the load is an access.
    assert limit == "  limit: tick 0, in, load: 4 B from byte 0"
    assert [note.partition(":")[2].strip()[:33] for note in notes] == [
        "out: bytes are stored to again; t",
        "overlap: 8 of the output's bytes ",
    ]
    assert err == "next: diagmem prove KERNEL   # runs the kernel truly overlapped\n"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_json(trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["heatmap", str(trace), "-o", str(tmp_path / "a.svg"), "--width-px", "1000"]
    words += ["--dpi", "100", "--title", "x", "--buffer", "out", "--input", "in", "--json"]
    assert main(words) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["width_px"] == 1000
    assert data["buffers"] == ["out"]
    assert data["left_out"] == ["in"]
    assert data["pair"]["input"] == "in"
    assert data["pair"]["safe_overlap_bytes"] == 24


def test_side_by_side(trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "both.png"
    words = ["heatmap", str(trace), str(trace), "-o", str(picture)]
    assert main(words) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith(f"{picture}: 2400 x ")
    assert out[0].endswith("pixels, 2 windows, 16 ticks across")
    assert out.count(f"{trace}: window 0 of copy, 16 events") == 2
    assert out.count("  in over out: D = 8 B, O_s = 24 B") == 2
    assert main([*words, "--force", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["ticks"], data["width_px"]) == (16, 2400)
    assert [p["trace"] for p in data["pictures"]] == [str(trace)] * 2
    assert data["pictures"][1]["limit"][0]["kind"] == "load"
    assert main([*words, "--force", "--window", "0", "--window", "0"]) == 0
    assert "4 windows, 16 ticks" in capsys.readouterr().out
    assert main([*words, "--force", "--window", "0", "--window", "1"]) == 2
    assert "there is no window 1" in capsys.readouterr().err
    assert main(["heatmap", str(trace), "-o", str(trace), "--force"]) == 2


def test_does_not_overwrite(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "a.pdf"
    picture.write_text("mine")
    assert main(["heatmap", str(trace), "-o", str(picture)]) == 2
    assert picture.read_text() == "mine"
    assert "exists already" in capsys.readouterr().err
    assert main(["heatmap", str(trace), "-o", str(picture), "--force"]) == 0
    assert picture.read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["-o", "a.gif"], "a.gif: the extension '.gif', expected .png, .svg or .pdf\n"),
        (["-o", "a"], "a: no extension, expected .png, .svg or .pdf\n"),
        (["-o", "no/a.png"], "no/a.png: there is no directory no\n"),
        (["-o", "a.png", "--window", "7"], "there is no window 7; it holds window 0\n"),
        (["-o", "a.png", "--buffer", "b"], "no buffer 'b' in the window; it has in, out\n"),
    ],
)
def test_wrong_calls(
    trace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    complaint: str,
) -> None:
    monkeypatch.chdir(trace.parent)
    assert main(["heatmap", str(trace), *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith(complaint)
    assert err.count("\n") == 1
    assert [p.name for p in trace.parent.iterdir()] == ["copy.dmt"]
