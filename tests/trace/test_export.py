"""Tables of events hold what the events say; the naive way agrees row by row."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from diagmem.base.errors import DiagmemError
from diagmem.trace import export as module
from diagmem.trace.events import EventReader
from diagmem.trace.export import export, to_frame
from diagmem.trace.reader import TraceFile, WindowRecord
from diagmem.trace.summary import read_summaries
from diagmem.trace.window import Buffer, Role, Site
from tests.tools import need_package
from tests.trace.compose import SyntheticWindow, compose

COLUMNS = "tick thread kind address size buffer offset function file line".split()


def naive_rows(trace: TraceFile, record: WindowRecord) -> list[tuple[Any, ...]]:
    rows = []
    for piece in EventReader(trace).events(record):
        for i in range(len(piece)):
            address, size = int(piece.address[i]), int(piece.size[i])
            site = trace.sites[piece.site[i]]
            touched = [
                b for b in record.window.buffers if address < b.end and address + size > b.address
            ]
            inner = min(touched, key=lambda b: b.size_bytes, default=None)
            rows.append(
                (
                    int(piece.tick[i]),
                    int(piece.thread[i]),
                    site.kind,
                    address,
                    size,
                    inner.name if inner else None,
                    address - inner.address if inner else None,
                    site.function or None,
                    site.file or None,
                    site.line,
                )
            )
    return rows


def plain(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    return [
        tuple(None if pd.isna(value) else value for value in row)
        for row in frame.itertuples(index=False, name=None)
    ]


def test_a_frame_has_a_row_for_each_event(events_trace: Path) -> None:
    trace = TraceFile(events_trace)
    for record in trace.windows:
        frame = to_frame(trace, record)
        assert list(frame.columns) == COLUMNS
        assert plain(frame) == naive_rows(trace, record)
        assert {str(frame[c].dtype) for c in ("kind", "buffer", "function", "file")} == {"category"}
        assert str(frame["offset"].dtype) == "Int64"
    trace.close()


SITES = [
    Site("load", 4, 0x10, "f", "lib.so", 0x10, "f.c", 3),
    Site("syscall store", 0, 0, "", "", 0, "", 0),
]


@pytest.fixture
def with_sites(tmp_path: Path) -> Path:
    """Events outside all buffers, sites with places and without."""
    path = tmp_path / "sites.dmt"
    buffers = [Buffer("x", Role.INPUT, 4096, 64)]
    window = SyntheticWindow(
        "f", buffers, [4096, 1 << 30, 4090], [4, 4, 99], [0, 0, 1], site=[0, 0, 1]
    )
    empty = SyntheticWindow("g", [], [], [], [])
    compose(path, [window, empty], sites=SITES, everything=True)
    return path


def test_what_is_unknown_is_missing(with_sites: Path) -> None:
    trace = TraceFile(with_sites)
    frame = to_frame(trace, trace.windows[0])
    assert plain(frame) == [
        (0, 1, "load", 4096, 4, "x", 0, "f", "f.c", 3),
        (1, 1, "load", 1 << 30, 4, None, None, "f", "f.c", 3),
        (2, 1, "syscall store", 4090, 99, "x", -6, None, None, 0),
    ]
    none = to_frame(trace, trace.windows[1])
    assert (list(none.columns), len(none)) == (COLUMNS, 0)
    trace.close()


@pytest.mark.parametrize("batch", [1, 50, 1 << 20])
def test_parquet_and_csv_hold_all_windows(
    batch: int, events_trace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_package("pyarrow", "pyarrow")
    monkeypatch.setattr(module, "BATCH_ROWS", batch)
    trace = TraceFile(events_trace)
    expected = [
        (record.window.index, *row) for record in trace.windows for row in naive_rows(trace, record)
    ]
    for name in ("t.parquet", "t.csv", "t.csv.gz"):
        path = tmp_path / name
        assert export(trace, path, trace.windows) == len(expected)
        frame = pd.read_parquet(path) if name.endswith("parquet") else pd.read_csv(path)
        assert list(frame.columns) == ["window", *COLUMNS]
        assert plain(frame) == expected
    trace.close()
    assert [p.name for p in tmp_path.iterdir() if "part" in p.name] == []


def test_the_same_rows_give_the_same_bytes(events_trace: Path, tmp_path: Path) -> None:
    need_package("pyarrow", "pyarrow")
    trace = TraceFile(events_trace)
    for ending in (".parquet", ".csv.gz"):
        one, two = tmp_path / f"one{ending}", tmp_path / f"two{ending}"
        export(trace, one, trace.windows)
        export(trace, two, trace.windows)
        assert one.read_bytes() == two.read_bytes()
    assert gzip.decompress((tmp_path / "one.csv.gz").read_bytes()).startswith(b"window,tick,")
    trace.close()


def test_a_summary_gives_a_row_per_cell(summary_trace: Path, tmp_path: Path) -> None:
    trace = TraceFile(summary_trace)
    path = tmp_path / "t.csv"
    rows = export(trace, path, trace.windows)
    frame = pd.read_csv(path)
    assert len(frame) == rows
    assert list(frame.columns) == [
        *("window", "buffer", "offset", "bytes"),
        *("first_load", "last_load", "first_store", "last_store"),
    ]
    for record in trace.windows:
        for number, buffer in enumerate(record.window.buffers):
            here = frame[(frame.window == record.window.index) & (frame.buffer == buffer.name)]
            summary = dict(read_summaries(trace, record.window.index)).get(number)
            assert summary is not None
            assert here["bytes"].sum() == buffer.size_bytes
            assert here.offset.tolist() == list(range(0, buffer.size_bytes, summary.cell_bytes))
            for name in ("first_load", "last_load", "first_store", "last_store"):
                ticks = here[name].fillna(-1).to_numpy(np.int64)
                assert (ticks == getattr(summary, name) - 1).all()
    trace.close()


def test_an_empty_table_has_its_columns(tmp_path: Path, with_sites: Path) -> None:
    need_package("pyarrow", "pyarrow")
    trace = TraceFile(with_sites)
    for name, read in (("t.csv", pd.read_csv), ("t.parquet", pd.read_parquet)):
        path = tmp_path / name
        assert export(trace, path, trace.windows[1:]) == 0
        frame = read(path)
        assert (list(frame.columns), len(frame)) == (["window", *COLUMNS], 0)
    trace.close()


def test_an_unknown_ending_is_refused(events_trace: Path, tmp_path: Path) -> None:
    trace = TraceFile(events_trace)
    with pytest.raises(DiagmemError, match=r"t\.xlsx: .*expected \.parquet, \.csv or \.csv\.gz"):
        export(trace, tmp_path / "t.xlsx", trace.windows)
    trace.close()


def test_without_pyarrow_the_command_is_named(
    events_trace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    trace = TraceFile(events_trace)
    with pytest.raises(DiagmemError, match="Parquet needs pyarrow: ") as error:
        export(trace, tmp_path / "t.parquet", trace.windows)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "t.parquet").exists()
    trace.close()


def test_what_fails_leaves_nothing(
    events_trace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write_all", fail)
    trace = TraceFile(events_trace)
    with pytest.raises(DiagmemError, match="No space left"):
        export(trace, tmp_path / "t.csv", trace.windows)
    trace.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["events.dmt"]


def test_the_smallest_buffer_counts_whatever_the_order(tmp_path: Path) -> None:
    path = tmp_path / "t.dmt"
    outer = Buffer("outer", Role.ARENA, 4096, 64)
    inner = replace(outer, name="inner", address=4100, size_bytes=8)
    compose(path, [SyntheticWindow("f", [inner, outer], [4096, 4098, 4104, 4108], 4, False)])
    trace = TraceFile(path)
    frame = to_frame(trace, trace.windows[0])
    trace.close()
    assert frame.buffer.tolist() == ["outer", "inner", "inner", "outer"]
    assert frame.offset.tolist() == [0, -2, 4, 12]
