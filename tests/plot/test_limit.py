"""The accesses that limit D are named: tick, bytes, place in the program."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from diagmem.analysis.trace import open_trace
from diagmem.plot.heatmap import draw
from diagmem.plot.limit import LimitingAccess, place_of
from diagmem.plot.pair import limit_texts
from diagmem.trace.composer import BLOCK_EVENTS, Mode
from diagmem.trace.window import Buffer, Role, Site
from tests.trace.compose import SyntheticWindow, compose

BUFFERS = [Buffer("in", Role.INPUT, 0x1000, 32), Buffer("out", Role.OUTPUT, 0x2000, 32)]
LOAD = Site("load", 4, 0x10, "f", "a.so", 0x10, "dir/kernel.c", 7)
STORE = Site("store", 4, 0x20, "f", "a.so", 0x20, "", 0)


def limit_of(
    path: Path, mode: Mode = "events", block_events: int = BLOCK_EVENTS
) -> tuple[LimitingAccess, ...]:
    """Of a kernel that is two elements ahead: two stores, then loads and stores in turn."""
    address = [0x2000, 0x2004]
    for i in range(8):
        address += [0x1000 + 4 * i, 0x2000 + 4 * min(i + 2, 7)]
    store = [a >= 0x2000 for a in address]
    window = SyntheticWindow("f", BUFFERS, address, 4, store, site=np.array(store, int))
    compose(path, [window], sites=[LOAD, STORE], mode=mode, block_events=block_events)
    with open_trace(path) as trace:
        return draw(trace, path.with_suffix(".png")).limit


def test_both_accesses_are_found(tmp_path: Path) -> None:
    path = tmp_path / "t.dmt"
    found = limit_of(path)
    with open_trace(path) as trace:
        (pair,) = trace.overlaps(0)[0].pairs
    limit = pair.limit
    assert limit is not None
    assert [(a.buffer, a.tick) for a in found] == [
        ("out", limit.output_tick),
        ("in", limit.input_tick),
    ]
    for access, byte in zip(found, (limit.output_offset, limit.input_offset), strict=True):
        assert access.offset <= byte < access.offset + access.size_bytes
    assert str(found[0]) == "store: 4 B from byte 4, f, a.so+0x20"
    assert str(found[1]) == "load: 4 B from byte 0, kernel.c:7"
    assert limit_texts(pair, found)[-2:] == [str(found[0]), str(found[1])]


@pytest.mark.parametrize("events", [1, 5, 16])
def test_wherever_blocks_end(tmp_path: Path, events: int) -> None:
    whole = limit_of(tmp_path / "t.dmt")
    assert limit_of(tmp_path / "u.dmt", block_events=events) == whole


def test_a_summary_has_none(tmp_path: Path) -> None:
    assert limit_of(tmp_path / "t.dmt", mode="summary") == ()


def test_a_byte_that_is_never_written_has_no_store(tmp_path: Path) -> None:
    """What was there before limits D: only the load is an access."""
    window = SyntheticWindow("f", BUFFERS, [0x1000, 0x2008], 4, [0, 1])
    compose(tmp_path / "t.dmt", [window])
    with open_trace(tmp_path / "t.dmt") as trace:
        picture = draw(trace, tmp_path / "t.png")
    assert [(a.buffer, a.tick, a.kind, a.where) for a in picture.limit] == [("in", 0, "load", "")]


@pytest.mark.parametrize(
    ("function", "object_", "expected"),
    [
        ("a::b::(anonymous namespace)::Eval(T*, U*)", "lib.so", "Eval, lib.so+0x30"),
        ("kernel", "", "kernel"),
        ("", "lib.so", "lib.so+0x30"),
        ("", "", ""),
        ("(odd", "", "(odd"),
    ],
)
def test_places(function: str, object_: str, expected: str) -> None:
    assert place_of(Site("load", 4, 0x30, function, object_, 0x30, "", 0)) == expected
