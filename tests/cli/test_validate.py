"""``diagmem validate``: exit codes, and what is said of a broken file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from diagmem.cli.main import main
from diagmem.trace.format import VERSION
from diagmem.trace.invariants import INVARIANTS
from diagmem.trace.window import Buffer, Role
from tests.trace.compose import SyntheticWindow, compose


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "t.dmt"
    buffers = [Buffer("x", Role.INPUT, 4096, 64)]
    compose(path, [SyntheticWindow("f", buffers, [4096, 4100], 4, False)])
    return path


def test_a_valid_trace(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(trace)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{trace}: valid\n")
    assert f"format {VERSION}; 3 blocks, 1 window, 2 events" in out
    assert err == f"next: diagmem info {trace}\n"


def test_a_broken_trace(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray(trace.read_bytes())
    data[60] ^= 1
    data[12] = 1
    trace.write_bytes(data)
    assert main(["validate", str(trace)]) == 1
    out, err = capsys.readouterr()
    assert "NOT valid" in out
    assert f"block-checksum: {INVARIANTS['block-checksum']}" in out
    assert "  byte 16: found a checksum of 0x" in out
    assert "  byte 0: found a reserved field of 1, expected 0" in out
    assert "docs/trace-format.md" in err

    assert main(["validate", str(trace), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["broken"] == {"block-checksum": 1, "file-header": 1}
    assert [(f["invariant"], f["byte"]) for f in report["findings"]] == [
        ("file-header", 0),
        ("block-checksum", 16),
    ]


def test_a_cut_trace_is_valid_but_cut(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace.write_bytes(trace.read_bytes()[:-1])
    assert main(["validate", str(trace)]) == 0
    assert "valid, but cut: the file is cut inside the END block" in capsys.readouterr().out
    assert main(["validate", str(trace), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["valid"], report["complete"]) == (True, False)


def test_no_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (tmp_path, tmp_path / "none.dmt"):
        assert main(["validate", str(path)]) == 2
        assert capsys.readouterr().err.startswith(f"diagmem validate: {path}: ")
    assert main(["validate"]) == 2
    assert "expected a trace file" in capsys.readouterr().err


def test_the_list_of_invariants(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--list"]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == list(INVARIANTS)
    assert main(["validate", "--list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == INVARIANTS


def pair_of_traces(directory: Path, *, store_at: int = 9) -> tuple[str, str]:
    """A summary, and the events of a run that may differ from it in one store."""
    summary, events = directory / "s.dmt", directory / "e.dmt"
    for path, mode, start, store in (
        (summary, "summary", 4096, 9),
        (events, "events", 8192, store_at),
    ):
        buffers = [Buffer("x", Role.INPUT, start, 16), Buffer("y", Role.OUTPUT, start + 512, 16)]
        window = SyntheticWindow(
            "f", buffers, [start, start + 4, start + 512 + store], [4, 2, 1], [False, False, True]
        )
        compose(path, [window], mode="summary" if mode == "summary" else "events")
    return str(summary), str(events)


def test_a_summary_against_events(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary, events = pair_of_traces(tmp_path)
    assert main(["validate", summary, "--against", events]) == 0
    assert f"{summary} is what the events of {events} add up to\n" in capsys.readouterr().err
    summary, events = pair_of_traces(tmp_path, store_at=10)
    assert main(["validate", summary, "--against", events, "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["valid"] is True
    assert report["miscounts"] == [
        "window 0, y[9]: the tick of its first store is 2, by the events never"
    ]


@pytest.mark.parametrize("mode", ["events", "summary"])
def test_modes_that_do_not_fit(
    mode: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary, events = pair_of_traces(tmp_path)
    both = events if mode == "events" else summary
    assert main(["validate", both, "--against", both]) == 2
    other = "summary" if mode == "events" else "events"
    assert f"a trace of {mode}, expected one of {other}" in capsys.readouterr().err


def test_sizes_and_windows_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary, events = pair_of_traces(tmp_path)
    longer = [Buffer("x", Role.INPUT, 4096, 20)]
    one = SyntheticWindow("f", longer, [4096], 4, False)
    compose(Path(events), [one, one])
    assert main(["validate", summary, "--against", events]) == 1
    out = capsys.readouterr().out
    assert "window 1: the number of windows is 1, by the events 2" in out
    assert "window 0: events is 3, by the events 1" in out
    assert "window 0, x: its size is 16, by the events 20" in out
    assert "window 0, y: the buffer is there, by the events not there" in out
