"""``diagmem info`` says what is in a trace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from diagmem.cli.info import ROWS
from diagmem.cli.main import main
from diagmem.trace.format import VERSION
from diagmem.trace.window import Buffer, Role
from tests.trace.compose import SyntheticWindow, compose

BUFFERS = [Buffer("x", Role.INPUT, 4096, 64), Buffer("y", Role.OUTPUT, 8192, 32)]


def window(function: str = "conv", *, end: str | None = "returned") -> SyntheticWindow:
    """Three loads of x, two stores to y."""
    return SyntheticWindow(
        function,
        BUFFERS,
        [4096, 4100, 8192, 4104, 8196],
        4,
        [0, 0, 1, 0, 1],
        end=end,
        missing=[("bias", "no memory is mapped there")],
    )


def info(path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert main(["info", str(path), *options]) == 0
    out, err = capsys.readouterr()
    assert err.startswith("next: diagmem ")
    return out


def as_json(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found = json.loads(info(path, capsys, "--json"))
    assert isinstance(found, dict)
    return found


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "t.dmt"
    header = {"command": ["./prog", "a b"], "valgrind": "3.19.0", "platform": "amd64-linux"}
    compose(path, [window(), window("other")], header={**header, "kernel": "conv.toml"})
    return path


def test_json_counts_what_is_there(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(trace, capsys)
    size = trace.stat().st_size
    expected = {"events": 10, "loads": 6, "stores": 4, "bytes_on_disk": size, "complete": True}
    assert {key: found[key] for key in expected} == expected
    assert found["bytes_per_event"] == size / 10
    assert (found["version"], found["mode"], found["cut"]) == (VERSION, "events", "")
    assert found["header"]["kernel"] == "conv.toml"
    assert found["buffers"] == [
        {"name": "x", "role": "input", "size_bytes": 64, "windows": 2},
        {"name": "y", "role": "output", "size_bytes": 32, "windows": 2},
    ]
    assert [w["function"] for w in found["windows"]] == ["conv", "other"]
    first = found["windows"][0]
    assert (first["events"], first["loads"], first["stores"], first["end"]) == (5, 3, 2, "returned")
    assert first["buffers"][1] == {
        "name": "y",
        "role": "output",
        "address": 8192,
        "size_bytes": 32,
    }
    assert first["missing"] == [{"name": "bias", "reason": "no memory is mapped there"}]


def test_people_see_the_same(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = info(trace, capsys)
    for words in (
        "complete",
        "./prog 'a b'",
        "valgrind 3.19.0, amd64-linux",
        "conv.toml",
        "10: 6 loads, 4 stores",
        "sites        2: unknown code (2)",
        "buffer 'bias' was missing in 2 windows: no memory is mapped there",
    ):
        assert words in out
    lines = [line.split() for line in out.split("\n")]
    assert "0 conv 1 5 3 2 returned".split() in lines
    assert "y output 32 2".split() in lines


def test_a_cut_trace_is_counted_by_its_blocks(
    trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = trace.read_bytes()
    compose(trace, [window(), window(end=None)], block_events=5)
    whole = trace.read_bytes()
    trace.write_bytes(whole[:-40])
    found = as_json(trace, capsys)
    assert not found["complete"]
    assert "cut inside the END block" in found["cut"]
    assert (found["events"], found["loads"], found["stores"]) == (10, 6, 4)
    assert [w["end"] for w in found["windows"]] == ["returned", "cut"]
    assert "cut: the file is cut inside" in info(trace, capsys)

    trace.write_bytes(data[: len(data) // 4])
    assert as_json(trace, capsys)["events"] == 0


def test_a_summary_counts_the_same(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compose(trace, [window()], mode="summary")
    found = as_json(trace, capsys)
    assert (found["mode"], found["events"], found["loads"], found["stores"]) == (
        *("summary", 5, 3, 2),
    )


def test_many_windows_are_abridged(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compose(trace, [window(f"f{i}") for i in range(1000)])
    out = info(trace, capsys)
    assert "... and 980 more windows (all: --json)" in out
    assert sum(line.rstrip().endswith("returned") for line in out.split("\n")) == ROWS
    lines = out.split("\n")
    middle = next(i for i, line in enumerate(lines) if "980 more" in line)
    assert (lines[middle - 1].split()[0], lines[middle + 1].split()[0]) == ("9", "990")
    assert len(as_json(trace, capsys)["windows"]) == 1000


def test_no_windows(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compose(trace, [])
    assert "no windows" in info(trace, capsys)
    assert as_json(trace, capsys)["bytes_per_event"] is None


def test_no_trace_is_a_wrong_call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.dmt"
    path.write_text("nothing", encoding="utf-8")
    for name in (path, tmp_path / "not-there.dmt", tmp_path):
        assert main(["info", str(name)]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith(f"diagmem info: {name}: ")
