"""Chrome trace events: well-formed, in order, and what the trace says."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagmem.analysis.trace import open_trace
from diagmem.base.errors import DiagmemError
from diagmem.base.text import printable
from diagmem.plot import perfetto
from diagmem.plot.perfetto import _most, export_perfetto
from diagmem.trace.window import Buffer, Role
from tests.trace.compose import SyntheticWindow, compose

MODES = ("events", "summary")


def tensor(number: int, role: Role) -> Buffer:
    return Buffer(f"t{number}", role, 0x1000 * (number + 1), 8 * (number + 1))


def network() -> list[SyntheticWindow]:
    """t0 -> t1; t1 -> t2 with weights t9; t1 and t2 -> t3; each reads, then writes."""
    windows = []
    for name, inputs, output in (("A", [0], 1), ("B", [1], 2), ("C", [1, 2], 3)):
        buffers = [tensor(i, Role.INPUT) for i in inputs] + [tensor(output, Role.OUTPUT)]
        address = [b.address + at for b in buffers for at in range(0, b.size_bytes, 4)]
        store = [b.role is Role.OUTPUT for b in buffers for _ in range(0, b.size_bytes, 4)]
        if name == "B":
            buffers.append(tensor(9, Role.WEIGHTS))
            address, store = [buffers[-1].address, *address], [False, *store]
        windows.append(SyntheticWindow(name, buffers, address, 4, store))
    return windows


def exported(
    path: Path, windows: Sequence[SyntheticWindow], chosen: Sequence[int] | None = None, **how: Any
) -> list[dict[str, Any]]:
    compose(path, windows, **how)
    out = path.with_suffix(".json")
    with open_trace(path) as trace:
        indices = [w.index for w in trace.windows] if chosen is None else chosen
        count = export_perfetto(trace, out, indices)
    events: list[dict[str, Any]] = json.loads(out.read_text())["traceEvents"]
    assert count == len(events)
    check_format(events)
    return events


def check_format(events: Sequence[dict[str, Any]]) -> None:
    """What "Trace Event Format" asks of the phases used here."""
    needs = {"M": {"args"}, "X": {"dur", "cat"}, "b": {"id", "cat"}, "e": {"id", "cat"}}
    needs["C"] = {"args"}
    opened: dict[tuple[str, int], tuple[str, int]] = {}
    latest = 0
    for event in events:
        missing = {"ph", "name", "ts", "pid", "tid"} | needs[event["ph"]] - event.keys()
        assert missing <= event.keys()
        assert isinstance(event["ts"], int)
        assert event["ts"] >= latest
        latest = event["ts"]
        key = (event.get("cat", ""), event.get("id", -1))
        match event["ph"]:
            case "X":
                assert event["dur"] >= 0
            case "b":
                assert key not in opened
                opened[key] = (event["name"], event["ts"])
            case "e":
                name, start = opened.pop(key)
                assert name == event["name"]
                assert start < event["ts"], "a slice has a length"
            case "C":
                assert all(isinstance(v, int) and v >= 0 for v in event["args"].values())
    assert not opened


def slices(events: Sequence[dict[str, Any]]) -> dict[str, list[tuple[int, int]]]:
    """Begin and end of each buffer's slices."""
    start = {e["id"]: e["ts"] for e in events if e["ph"] == "b"}
    found: dict[str, list[tuple[int, int]]] = {}
    for event in events:
        if event["ph"] == "e":
            found.setdefault(event["name"], []).append((start[event["id"]], event["ts"]))
    return found


def counter(events: Sequence[dict[str, Any]], name: str) -> list[tuple[int, int]]:
    return [(e["ts"], e["args"]["bytes"]) for e in events if e["name"] == name]


@pytest.mark.parametrize("mode", MODES)
def test_windows_lie_behind_each_other(tmp_path: Path, mode: str) -> None:
    events = exported(tmp_path / "n.dmt", network(), mode=mode)
    assert events[0]["args"]["name"] == "n.dmt"
    found = [(e["name"], e["ts"], e["dur"]) for e in events if e["ph"] == "X"]
    assert found == [("A", 0, 6), ("B", 6, 11), ("C", 17, 18)]
    args = next(e["args"] for e in events if e["name"] == "B")
    assert args["t1 over t2"] == "D = 0 B, O_s = 16 B"
    assert (args["loads"], args["stores"], args["end"]) == (5, 6, "returned")


@pytest.mark.parametrize("mode", MODES)
def test_a_tensor_lives_until_its_last_reader(tmp_path: Path, mode: str) -> None:
    found = slices(exported(tmp_path / "n.dmt", network(), mode=mode))
    assert found == {
        "t0": [(0, 2)],
        "t1": [(2, 21)],
        "t9": [(6, 7)],
        "t2": [(11, 27)],
        "t3": [(27, 35)],
    }


@pytest.mark.parametrize("mode", MODES)
def test_counters(tmp_path: Path, mode: str) -> None:
    events = exported(tmp_path / "n.dmt", network(), mode=mode)
    # t0 has 8 bytes, t1 16, t2 24, t3 32; weights do not count.
    live = [(0, 8), (2, 16), (11, 40), (21, 24), (27, 32), (35, 0)]
    assert counter(events, "live bytes") == live
    needed = counter(events, "needed bytes")
    at = dict(needed)
    # A: each load takes 4 bytes of t0 away, each store adds 4 of t1.
    assert needed[:5] == [(0, 8), (1, 4), (3, 8), (4, 12), (5, 16)]
    # B: t1 stays needed, as C reads it; t2 grows by 4 bytes a store.
    assert (at[11], at[16]) == (20, 40)
    assert needed[-1] == (35, 0)


def test_one_window_by_itself(tmp_path: Path) -> None:
    events = exported(tmp_path / "n.dmt", network(), [1])
    assert [(e["name"], e["ts"]) for e in events if e["ph"] == "X"] == [("B", 0)]
    assert slices(events)["t1"] == [(0, 5)], "nobody is known to read it later"


def test_an_input_filled_anew_is_not_carried_on(tmp_path: Path) -> None:
    """Three calls of one kernel on the same buffers."""
    windows = [network()[0] for _ in range(3)]
    found = slices(exported(tmp_path / "n.dmt", windows))
    assert found["t0"] == [(0, 2), (6, 8), (12, 14)]
    assert found["t1"] == [(2, 6), (8, 12), (14, 18)]


def test_scratch_counts_as_far_as_it_is_touched(tmp_path: Path) -> None:
    scratch = Buffer("scratch0", Role.SCRATCH, 0x1000, 1000)
    window = SyntheticWindow("f", [scratch], [0x1010, 0x1010, 0x1018, 0x1018], 4, [1, 0, 1, 0])
    events = exported(tmp_path / "n.dmt", [window])
    assert counter(events, "live bytes") == [(0, 12), (4, 0)]
    assert counter(events, "needed bytes") == [(0, 4), (4, 0)]


def test_what_two_buffers_share_is_alive_once(tmp_path: Path) -> None:
    a, b = Buffer("a", Role.INPUT, 0x1000, 8), Buffer("b", Role.OUTPUT, 0x1004, 8)
    address = [0x1000, 0x1004, 0x1004, 0x1008]
    events = exported(tmp_path / "n.dmt", [SyntheticWindow("f", [a, b], address, 4, [0, 0, 1, 1])])
    assert max(n for _, n in counter(events, "live bytes")) == 12


def test_empty_windows_and_no_windows(tmp_path: Path) -> None:
    none = SyntheticWindow("idle", [tensor(0, Role.INPUT)], [], [], [])
    events = exported(tmp_path / "n.dmt", [none, *network()[:1], none])
    assert [(e["ts"], e["dur"]) for e in events if e["ph"] == "X"] == [(0, 0), (0, 6), (6, 0)]
    assert [e["ph"] for e in exported(tmp_path / "e.dmt", [])] == ["M", "M"]


@pytest.mark.parametrize("mode", MODES)
def test_a_cut_trace_as_far_as_it_goes(tmp_path: Path, mode: str) -> None:
    first, second, _ = network()
    cut = SyntheticWindow("B", second.buffers, second.address, 4, second.store, end=None)
    events = exported(tmp_path / "n.dmt", [first, cut], mode=mode, cut="killed")
    window = next(e for e in events if e["name"] == "B")
    assert window["args"]["end"] not in ("returned", "requested")
    assert window["dur"] == (11 if mode == "events" else 0)


@pytest.mark.parametrize("name", ["<b>&", '"}],', "\\", "\n\x00", "日本"])
def test_names_are_data(tmp_path: Path, name: str) -> None:
    buffers = [Buffer(name, Role.INPUT, 0x1000, 4)]
    events = exported(tmp_path / "n.dmt", [SyntheticWindow(name, buffers, [0x1000], 4, [0])])
    assert {e["name"] for e in events if e["ph"] in "Xbe"} == {printable(name)}


def test_many_windows_share_the_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perfetto, "SAMPLES", 100)
    events = exported(tmp_path / "n.dmt", [network()[0] for _ in range(50)])
    assert len(counter(events, "needed bytes")) <= 4 * 50 + 1
    assert max(n for _, n in counter(events, "needed bytes")) == 16, "the most is not lost"


def test_the_same_bytes_again_and_compressed(tmp_path: Path) -> None:
    compose(tmp_path / "n.dmt", network())
    names = ("a.json", "b.json", "a.json.gz", "b.json.gz")
    with open_trace(tmp_path / "n.dmt") as trace:
        for name in names:
            export_perfetto(trace, tmp_path / name, [0, 1, 2])
    plain, again, packed, packed_again = ((tmp_path / n).read_bytes() for n in names)
    assert plain == again
    assert packed == packed_again
    assert gzip.decompress(packed) == plain
    assert str(tmp_path).encode() not in plain


def test_refusals_leave_nothing(tmp_path: Path) -> None:
    compose(tmp_path / "n.dmt", network())
    with open_trace(tmp_path / "n.dmt") as trace:
        for name, windows, said in (
            ("a.txt", [0], "expected .json or .json.gz"),
            ("a.json", [3], "there is no window 3; it holds 3, from 0"),
            ("no/a.json", [0], "cannot be written"),
        ):
            with pytest.raises(DiagmemError, match=said):
                export_perfetto(trace, tmp_path / name, windows)
    assert [p.name for p in tmp_path.iterdir()] == ["n.dmt"]


def test_the_check_of_the_format_can_fail(tmp_path: Path) -> None:
    events = exported(tmp_path / "n.dmt", network())
    end = next(i for i, e in enumerate(events) if e["ph"] == "e")
    for broken in (events[:end] + events[end + 1 :], events[::-1], [{"ph": "X", "ts": 0}]):
        with pytest.raises((AssertionError, KeyError)):
            check_format(broken)


RANGES = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12)), max_size=8)


@given(RANGES, st.integers(1, 9))
def test_the_most_of_each_stretch(ranges: list[tuple[int, int]], samples: int) -> None:
    births = np.array([a for a, _ in ranges], np.int64)
    deaths = births + np.array([n for _, n in ranges], np.int64)
    weight = np.arange(1, len(ranges) + 1, dtype=np.int64)
    edges = np.unique(np.linspace(0, 42, samples + 1).astype(np.int64))
    alive = [int(weight[(births <= t) & (t < deaths)].sum()) for t in range(42)]
    expected = [max(alive[a:b]) for a, b in pairwise(edges)]
    assert _most(births, deaths, weight, edges).tolist() == expected
