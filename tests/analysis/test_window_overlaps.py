"""Windows of a trace: large buffers, many buffers, and many windows that are alike."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from diagmem.analysis import window_overlaps
from diagmem.analysis.liveness import BufferLiveness
from diagmem.analysis.overlap import ONLY_IN_PLACE
from diagmem.analysis.trace import open_trace
from diagmem.base import memory
from diagmem.base.errors import DiagmemError
from diagmem.cli.main import main
from diagmem.trace import format as fmt
from diagmem.trace import writer
from diagmem.trace.composer import Mode
from diagmem.trace.validate import validate
from diagmem.trace.window import Buffer, Role
from tests.trace.compose import SyntheticWindow, compose

GIB = 1 << 30


def pair(size: int, at: int = 0x1000) -> list[Buffer]:
    """An input and an output some way apart."""
    return [Buffer("x", Role.INPUT, at, size), Buffer("y", Role.OUTPUT, at + 2 * size, size)]


def big(path: Path, size: int, step: int) -> Path:
    """Byte by byte at every ``step``, and the last: loaded from x, stored to y."""
    x, y = pair(size)
    at = np.append(np.arange(0, size, step), size - 1)
    address = np.column_stack([x.address + at, y.address + at]).ravel()
    n = len(address)
    compose(path, [SyntheticWindow("kern", [x, y], address, np.ones(n), np.arange(n) % 2)])
    return path


def test_what_nothing_touched_takes_no_memory(tmp_path: Path) -> None:
    path = big(tmp_path / "big.dmt", 5 * GIB, 1 << 28)
    with open_trace(path) as trace:
        (found,) = trace.overlaps()
    of = found.pair("x", "y")
    # The last byte that is never written lies below the last one: its old value is needed.
    assert of.min_displacement_bytes == 5 * GIB - 1
    # y[0] is stored before the last byte of x is loaded.
    assert of.mirror_displacement_bytes == 5 * GIB
    assert of.isolated_safe_displacements == ()
    assert of.limit is not None
    assert (of.limit.input_offset, of.limit.output_offset) == (0, 5 * GIB - 2)


def test_small_buffers_in_runs_answer_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = big(tmp_path / "small.dmt", 5000, 700)
    with open_trace(path) as trace:
        dense = trace.overlaps(isolated=False)
        monkeypatch.setattr(window_overlaps, "SPARSE_CELLS", 0)
        monkeypatch.setattr(window_overlaps, "CELLS_PER_EVENT", 1)
        assert trace.overlaps(isolated=False) == dense


@pytest.mark.parametrize("verb", ["heatmap", "report"])
def test_a_picture_that_needs_all_cells_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    path = big(tmp_path / "big.dmt", 1 << 44, 1 << 40)
    output = tmp_path / ("p.png" if verb == "heatmap" else "r.html")
    assert main([verb, str(path), "-o", str(output)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "GiB of memory" in said
    assert str(path) in said


def test_memory_is_asked_for_before_it_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = big(tmp_path / "t.dmt", 1 << 16, 1)
    monkeypatch.setattr(memory, "available_bytes", lambda: 1 << 20)
    with open_trace(path) as trace, pytest.raises(DiagmemError, match=r"window 0: .* memory"):
        trace.overlaps()


def alike(path: Path, n: int, mode: Mode = "events") -> Path:
    """Windows of one kernel wherever its buffers lie, every hundredth another."""
    windows = []
    for i in range(n):
        x, y = pair(32, 0x1000 + 0x100 * (i % 3))
        at = np.arange(0, 32, 4)
        at = at[::-1] if i % 100 == 7 else at
        address = np.column_stack([x.address + at, y.address + at]).ravel()
        windows.append(SyntheticWindow("kern", [x, y], address, np.full(16, 4), np.arange(16) % 2))
    compose(path, windows, mode=mode)
    return path


@pytest.mark.parametrize("mode", ["events", "summary"])
def test_windows_that_are_alike_are_answered_once(
    tmp_path: Path, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = alike(tmp_path / "t.dmt", 250, mode)
    with open_trace(path) as trace:
        # One window at a time, nothing is known yet.
        alone = tuple(trace.overlaps(i)[0] for i in range(250))
        calls: list[int] = []
        liveness = trace._windows.liveness

        def counted(record: object, **how: bool) -> tuple[BufferLiveness, ...]:
            calls.append(1)
            return liveness(record, **how)  # type: ignore[arg-type]  # passed on as it came

        monkeypatch.setattr(trace._windows, "liveness", counted)
        assert trace.overlaps() == alone
    assert len(calls) <= 4
    assert {w.pairs[0].min_displacement_bytes for w in alone} == {0, 32}


def seconds(path: Path) -> float:
    with open_trace(path) as trace:
        begin = time.process_time()
        trace.overlaps()
        return time.process_time() - begin


def test_time_follows_the_number_of_buffers(tmp_path: Path) -> None:
    """Twice and four times the buffers, apart and in one span."""

    def made(n: int, gap: int) -> Path:
        buffers = [Buffer(f"w{i}", Role.WEIGHTS, 0x1000 + i * gap, 64) for i in range(n)]
        end = 0x1000 + n * gap
        buffers += [Buffer("x", Role.INPUT, end, 64), Buffer("y", Role.OUTPUT, end + gap, 64)]
        address = np.concatenate([np.arange(b.address, b.end, 4) for b in buffers])
        store = np.concatenate([np.full(16, b.name == "y") for b in buffers])
        path = tmp_path / f"{n}-{gap}.dmt"
        compose(path, [SyntheticWindow("k", buffers, address, np.full(len(address), 4), store)])
        return path

    for gap in (64, 256):
        few, many = (min(seconds(made(n, gap)) for _ in range(3)) for n in (500, 2000))
        assert many < 8 * few + 0.05


def test_progress_counts_each_event_once(tmp_path: Path) -> None:
    with open_trace(alike(tmp_path / "t.dmt", 30)) as trace:
        counts: list[int] = []
        trace.report_progress(counts.append)
        trace.overlaps()
    assert sum(counts) == 30 * 16


def test_records_without_events_fill_blocks_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block of META has a limit, and there may be any number of windows before an event."""
    monkeypatch.setattr(writer, "META_BYTES", 1000)
    path = tmp_path / "t.dmt"
    none = np.empty(0, np.int64)
    compose(path, [SyntheticWindow("k", pair(32), none, none, none) for _ in range(100)])
    report = validate(path)
    assert report.valid
    assert report.blocks > 10
    with open_trace(path) as trace:
        assert len(trace.windows) == len(trace.overlaps()) == 100


def test_a_record_that_no_reader_takes_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fmt, "MAX_RECORD_BYTES", 1000)
    buffers = [Buffer("b" * 500 + str(i), Role.OTHER, 4096 + i, 1) for i in range(2)]
    window = SyntheticWindow("k", buffers, [], [], [])
    with pytest.raises(DiagmemError, match="a window of"):
        compose(tmp_path / "t.dmt", [window])


def test_many_pairs_share_the_time_for_isolated_displacements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = alike(tmp_path / "t.dmt", 8)
    with open_trace(path) as trace:
        assert not any(ONLY_IN_PLACE in p.notes for w in trace.overlaps() for p in w.pairs)
        monkeypatch.setattr(window_overlaps, "ISOLATED_TOGETHER", 8 * 1000)
        (backwards,) = trace.overlaps(7)
        assert ONLY_IN_PLACE not in backwards.pairs[0].notes
        together = trace.overlaps()[7].pairs[0]
    assert ONLY_IN_PLACE in together.notes
    assert together.min_displacement_bytes == backwards.pairs[0].min_displacement_bytes
