"""What is composed reads back as what was given, by a naive reading of the rules."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagmem.base.errors import DiagmemError
from diagmem.record.tool import Tool
from diagmem.trace.composer import Composer, Mode
from diagmem.trace.events import EventReader
from diagmem.trace.format import BlockType
from diagmem.trace.reader import TraceFile, WindowRecord
from diagmem.trace.summary import read_summaries
from diagmem.trace.validate import validate
from diagmem.trace.window import Buffer, Role, Site
from tests.trace.compose import SyntheticWindow, compose
from tests.trace.surgery import Surgery


class Event(NamedTuple):
    address: int
    size: int
    store: bool
    thread: int


@dataclass(frozen=True)
class Sample:
    """A window as plain Python, and what of it the file must hold."""

    buffers: list[Buffer]
    events: list[Event]

    def window(self) -> SyntheticWindow:
        address, size, store, thread = (
            [event[i] for event in self.events] for i in range(len(Event._fields))
        )
        return SyntheticWindow("kernel", self.buffers, address, size, store, thread)

    def kept(self) -> list[Event]:
        """Each event once for each group of near buffers of which it touches one."""
        groups: list[list[Buffer]] = []
        for buffer in sorted(self.buffers, key=lambda b: b.address):
            if groups and buffer.address <= max(b.end for b in groups[-1]) + 64:
                groups[-1].append(buffer)
            else:
                groups.append([buffer])
        return [e for e in self.events for group in groups if any(touches(e, b) for b in group)]


def touches(event: Event, buffer: Buffer) -> bool:
    return event.address < buffer.end and event.address + event.size > buffer.address


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    """A few buffers apart, near, nested or huge, and events around their edges."""
    buffers = []
    address = draw(st.integers(100, 1 << 20))
    for i in range(draw(st.integers(0, 4))):
        size = draw(st.sampled_from([1, 3, 8, 40, 96, 1 << 30, (1 << 31) + 4]))
        buffers.append(Buffer(f"b{i}", Role.OTHER, address, size))
        if draw(st.booleans()):
            inner = draw(st.integers(1, size))
            at = address + draw(st.integers(0, size - inner))
            buffers.append(Buffer(f"in{i}", Role.INPUT, at, inner))
        address += size + draw(st.sampled_from([0, 1, 63, 64, 65, 66, 500]))
    edges = [b.address for b in buffers] + [b.end for b in buffers] or [1000]
    event = st.builds(
        lambda edge, off, size, store, thread: Event(max(edge + off, 0), size, store, thread),
        st.sampled_from(edges),
        st.integers(-80, 80),
        st.sampled_from([1, 2, 4, 8, 16, 32, 64, 65, 66, 67, 200, 1 << 20]),
        st.booleans(),
        st.sampled_from([1, 1, 1, 7]),
    )
    return Sample(draw(st.permutations(buffers)), draw(st.lists(event, max_size=40)))


def read_back(trace: TraceFile, record: WindowRecord) -> list[Event]:
    found: list[Event] = []
    for piece in EventReader(trace).events(record):
        assert piece.tick.tolist() == list(range(len(found), len(found) + len(piece)))
        columns = (piece.address, piece.size, piece.store, piece.thread)
        found += [Event(*row) for row in zip(*(c.tolist() for c in columns), strict=True)]
    return found


@given(st.lists(samples(), max_size=4), st.sampled_from([1, 2, 7, 1 << 20]))
def test_events_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, given_windows: list[Sample], block_events: int
) -> None:
    path = tmp_path_factory.mktemp("compose") / "t.dmt"
    compose(path, [s.window() for s in given_windows], block_events=block_events)
    trace = TraceFile(path)
    assert trace.complete
    assert len(trace.windows) == len(given_windows)
    for sample, record in zip(given_windows, trace.windows, strict=True):
        kept = sample.kept()
        assert read_back(trace, record) == kept
        window = record.window
        assert (window.events, window.stores) == (len(kept), sum(e.store for e in kept))
        assert window.loads == window.events - window.stores
        assert window.several_threads == (len({e.thread for e in kept}) > 1)
        assert sorted(window.buffers, key=repr) == sorted(sample.buffers, key=repr)
        check_accesses(trace, record, kept)
    trace.close()
    report = validate(path)
    assert set(report.broken) <= {"buffer-nesting"}


def check_accesses(trace: TraceFile, record: WindowRecord, kept: Sequence[Event]) -> None:
    """The accesses to each buffer are the events that touch it.

    One that touches several spans has a tick in each; it counts in the first of
    its ticks that lies in the buffer's span, so ticks are left out here.
    """
    reader = EventReader(trace)
    buffers = record.window.buffers
    found: list[list[tuple[int, int, bool]]] = [[] for _ in buffers]
    for i, piece in reader.accesses(record, buffers):
        columns = (piece.offset, piece.size, piece.store)
        found[i] += list(zip(*(c.tolist() for c in columns), strict=True))
    for buffer, got in zip(buffers, found, strict=True):
        spans_touched = {
            e: sum(e.address < high and e.address + e.size > low for low, high in record.spans)
            for e in kept
        }
        expected = [
            (e.address - buffer.address, e.size, e.store) for e in kept if touches(e, buffer)
        ]
        if all(count <= 1 for count in spans_touched.values()):
            assert got == expected
        else:
            assert set(got) == set(expected)


@given(st.lists(samples(), max_size=3))
def test_a_summary_is_that_of_the_events(
    tmp_path_factory: pytest.TempPathFactory, given_windows: list[Sample]
) -> None:
    path = tmp_path_factory.mktemp("compose") / "t.dmt"
    small = [
        replace(s, buffers=[b for b in s.buffers if b.size_bytes < 1000]) for s in given_windows
    ]
    compose(path, [s.window() for s in small], mode="summary")
    trace = TraceFile(path)
    for sample, record in zip(small, trace.windows, strict=True):
        kept = sample.kept()
        assert record.window.events == len(kept)
        for number, buffer in enumerate(record.window.buffers):
            check_cells(trace, record, number, buffer, kept)
    trace.close()
    assert set(validate(path).broken) <= {"buffer-nesting"}


def check_cells(
    trace: TraceFile, record: WindowRecord, number: int, buffer: Buffer, kept: Sequence[Event]
) -> None:
    summary = dict(read_summaries(trace, record.window.index)).get(number)
    assert summary is not None
    columns = [summary.first_load, summary.last_load, summary.first_store, summary.last_store]
    by_byte = [np.repeat(column, summary.cell_bytes).tolist() for column in columns]
    for byte in range(buffer.size_bytes):
        here = Buffer("byte", Role.OTHER, buffer.address + byte, 1)
        # Of an event with several ticks each span's own counts; see check_accesses.
        ticks = [
            [i + 1 for i, e in enumerate(kept) if e.store is store and touches(e, here)]
            for store in (False, True)
        ]
        expected = [f(t) if t else 0 for t in ticks for f in (min, max)]
        assert [column[byte] for column in by_byte] == expected


def test_blocks_hold_no_more_than_they_may(events_trace: Path) -> None:
    blocks = Surgery.of(events_trace).of_kind(BlockType.EVENTS)
    sizes = [int(np.frombuffer(b.raw, "<u4", 1)[0]) for b in blocks]
    assert len(sizes) > 2
    assert set(sizes[:-1]) == {32}


def test_it_sends_what_the_tool_sends(valgrind_tool: Tool, tmp_path: Path) -> None:
    """A recorded trace, taken apart into plain events and composed again, has
    the same blocks to the byte, and the same records."""
    from diagmem.cli.main import main

    modes: tuple[Mode, ...] = ("events", "summary")
    for mode in modes:
        recorded, again = tmp_path / f"{mode}.dmt", tmp_path / f"{mode}2.dmt"
        events = tmp_path / "events.dmt"
        call = ["trace", "depthwise_conv_2d_f32", "in_h=7", "in_w=5", "--force", "--mode", mode]
        assert main([*call, "-o", str(recorded)]) == 0
        trace = TraceFile(events)
        windows = [as_given(trace, record) for record in trace.windows]
        compose(again, windows, mode=mode, sites=trace.sites)
        trace.close()
        for kind in (BlockType.EVENTS, BlockType.SUMMARY):
            there, here = (Surgery.of(path).of_kind(kind) for path in (recorded, again))
            assert [b.raw for b in there] == [b.raw for b in here]
            assert bool(there) == (kind.name.lower() == mode)
        assert without_numbers(Surgery.of(recorded)) == without_numbers(Surgery.of(again))


def as_given(trace: TraceFile, record: WindowRecord) -> SyntheticWindow:
    pieces = list(EventReader(trace).events(record))
    address, size, store, thread, site = (
        np.concatenate([getattr(piece, name) for piece in pieces])
        for name in ("address", "size", "store", "thread", "site")
    )
    window = record.window
    return SyntheticWindow(
        window.function, window.buffers, address, size, store, thread, site, window.end
    )


def without_numbers(surgery: Surgery) -> list[str]:
    """All records but the header, without the tool's own numbers of sites, sorted:
    the tool sends those of a window's sites when it empties its buffer."""
    return sorted(
        json.dumps({k: v for k, v in record.items() if k != "site"}, sort_keys=True)
        for _, _, record in surgery.all_records()
        if record["type"] != "header"
    )


X = [Buffer("x", Role.INPUT, 4096, 64)]
LOAD4 = Site("load", 4, 0x1234, "f", "lib.so", 0x34, "f.c", 7)


def test_sites_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "t.dmt"
    copy = replace(LOAD4, kind="syscall store", size_bytes=0)
    window = SyntheticWindow("f", X, [4096, 4100], [4, 60], [0, 1], site=[1, 0])
    compose(path, [window], sites=[copy, LOAD4])
    trace = TraceFile(path)
    (events,) = EventReader(trace).events(trace.windows[0])
    assert [trace.sites[i] for i in events.site] == [LOAD4, copy]
    assert events.size.tolist() == [4, 60]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"size": [4, 4, 4]}, "differ in length"),
        ({"size": [4, 0]}, "event 1 of window 0 has 0 bytes"),
        ({"address": [4096, -1]}, "event 1"),
        ({"address": [4096, 1 << 47]}, "event 1"),
        ({"site": [0, 1]}, "site 1"),
        ({"site": 0, "store": True}, "a store of 4 bytes, its site 0 a load of 4"),
        ({"site": 0, "size": 8}, "a load of 8 bytes, its site 0 a load of 4"),
    ],
)
def test_events_that_cannot_be_are_refused(
    tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    given_columns = {"address": [4096, 4100], "size": 4, "store": False, **columns}
    window = SyntheticWindow("f", X, **given_columns)
    with pytest.raises(DiagmemError, match=message):
        compose(tmp_path / "t.dmt", [window], sites=[LOAD4])


def test_what_an_error_leaves_is_marked_as_cut(tmp_path: Path) -> None:
    path = tmp_path / "t.dmt"

    def stopped() -> None:
        with Composer(path) as composer:
            composer.open_window("f", X)
            composer.add([4096], 4, True)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    trace = TraceFile(path)
    assert trace.cut == "KeyboardInterrupt"
    window = trace.windows[0].window
    assert (window.end, window.events, window.stores) == ("cut", 1, 1)


def test_wrong_calls_say_so(tmp_path: Path) -> None:
    path = tmp_path / "t.dmt"
    with pytest.raises(DiagmemError, match="blocks of 0 events"):
        Composer(path, block_events=0)
    with pytest.raises(DiagmemError, match="not with a summary"):
        Composer(path, mode="summary", everything=True)
    with pytest.raises(DiagmemError, match="cannot be written"):
        Composer(tmp_path / "nowhere" / "t.dmt")
    with Composer(path) as composer:
        with pytest.raises(DiagmemError, match="no window is open"):
            composer.add([0], 1, False)
        with pytest.raises(DiagmemError, match="no window is open"):
            composer.close_window()
        composer.open_window("f", X)
        with pytest.raises(DiagmemError, match="still open"):
            composer.open_window("f", X)
