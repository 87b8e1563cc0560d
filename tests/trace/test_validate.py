"""Each invariant once kept and once broken, by name and place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diagmem.base.errors import DiagmemError
from diagmem.record.tool import Tool
from diagmem.trace import format as fmt
from diagmem.trace.format import BlockType
from diagmem.trace.invariants import INVARIANTS, LISTED
from diagmem.trace.validate import validate
from diagmem.trace.window import Buffer, Role
from tests.trace.breaches import BREACHES, Breach
from tests.trace.compose import compose
from tests.trace.surgery import ARENA, Surgery, random_window

ON_BYTES = {"block-checksum", "block-payload", "buffer-nesting"}
"""Broken in tests of their own below."""


@pytest.mark.parametrize("breach", BREACHES, ids=lambda b: b.edit.__name__)
def test_a_broken_invariant_is_named_and_placed(
    breach: Breach, events_trace: Path, summary_trace: Path, tmp_path: Path
) -> None:
    sample = summary_trace if breach.summary else events_trace
    assert validate(sample).broken == {}
    patient = Surgery.of(sample)
    place = breach.edit(patient)
    report = validate(patient.save(tmp_path / "broken.dmt", count_blocks=breach.count_blocks))
    assert set(report.broken) == {breach.invariant} | breach.along
    if "block" in place:
        place["byte"] = place.pop("block").at
    placed = [
        f
        for f in report.findings
        if f.invariant == breach.invariant
        and all(getattr(f, what) == value for what, value in place.items())
    ]
    assert placed, (place, report.findings)
    assert placed[0].found != placed[0].expected


def test_every_invariant_is_broken_by_some_test() -> None:
    assert {b.invariant for b in BREACHES} | ON_BYTES == set(INVARIANTS)


def test_a_flipped_bit_is_a_wrong_checksum(events_trace: Path) -> None:
    block = Surgery.of(events_trace).of_kind(BlockType.EVENTS)[1]
    data = bytearray(events_trace.read_bytes())
    data[block.at + fmt.BLOCK.itemsize + 20] ^= 1
    events_trace.write_bytes(data)
    report = validate(events_trace)
    assert report.broken == {"block-checksum": 1}
    assert report.findings[0].byte == block.at


def test_a_wrong_plain_size_is_a_wrong_payload(events_trace: Path) -> None:
    block = Surgery.of(events_trace).of_kind(BlockType.EVENTS)[1]
    data = bytearray(events_trace.read_bytes())
    head = np.frombuffer(data, fmt.BLOCK, 1, block.at).copy()
    stored = data[block.at + fmt.BLOCK.itemsize :][: int(head["stored_bytes"][0])]
    data[block.at : block.at + fmt.BLOCK.itemsize] = fmt.pack_block_header(
        BlockType.EVENTS, bytes(stored), 1 << 24, *block.windows
    )
    events_trace.write_bytes(data)
    report = validate(events_trace)
    assert report.broken == {"block-payload": 1}
    assert report.findings[0].byte == block.at
    assert str(1 << 24) in report.findings[0].expected


def test_buffers_that_share_some_bytes(tmp_path: Path) -> None:
    path = tmp_path / "t.dmt"
    sample = [random_window(1, ARENA, 50)]
    compose(path, sample)
    report = validate(path)
    assert report.broken == {"buffer-nesting": 1}
    assert (report.findings[0].record, report.findings[0].window) == (1, 0)
    assert "'x' and 'y'" in report.findings[0].found
    compose(path, sample, header={"overlapped": True})
    assert validate(path).valid


def test_everything_needs_no_buffer(tmp_path: Path) -> None:
    path = tmp_path / "t.dmt"
    wild = replace(random_window(1, [Buffer("x", Role.OTHER, 4096, 8)], 50), buffers=[])
    compose(path, [wild], everything=True)
    report = validate(path)
    assert (report.valid, report.events) == (True, 50)


def test_few_of_many_breaches_are_listed(events_trace: Path) -> None:
    patient = Surgery.of(events_trace)
    patient.change_records(
        lambda r: (
            r.update(buffers=[{**b, "address": 1} for b in r["buffers"]])
            if r["type"] == "window"
            else None
        )
    )
    report = validate(patient.save(events_trace))
    assert report.broken["event-buffer"] > LISTED
    assert sum(f.invariant == "event-buffer" for f in report.findings) == LISTED


def test_a_cut_trace_is_valid_as_far_as_it_goes(events_trace: Path, tmp_path: Path) -> None:
    data = events_trace.read_bytes()
    cut = tmp_path / "cut.dmt"
    for size in range(fmt.FILE_HEADER.size, len(data)):
        cut.write_bytes(data[:size])
        report = validate(cut)
        assert report.valid, (size, report.findings)
        assert report.cut
        assert report.mode in ("", "events")


def test_a_recording_that_was_cut_says_why(tmp_path: Path) -> None:
    path = tmp_path / "t.dmt"
    buffers = [Buffer("x", Role.INPUT, 4096, 64)]
    compose(
        path, [random_window(1, buffers, 9), random_window(2, buffers, 9, end=None)], cut="killed"
    )
    report = validate(path)
    assert (report.valid, report.cut, report.windows) == (True, "killed", 2)


@pytest.mark.parametrize("content", [b"", b"DIAG", b"PK\3\4" * 99, b"DIAGMEM\0\xff\0\0\0\0\0\0\0"])
def test_what_is_no_trace_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "t.dmt"
    path.write_bytes(content)
    with pytest.raises(DiagmemError, match=r"t\.dmt"):
        validate(path)


def test_traces_of_the_tool_are_valid(valgrind_tool: Tool, tmp_path: Path) -> None:
    from diagmem.cli.main import main

    for mode in ("events", "summary"):
        path = tmp_path / f"{mode}.dmt"
        assert main(["trace", "depthwise_conv_2d_f32", "--mode", mode, "-o", str(path)]) == 0
        report = validate(path)
        assert (report.broken, report.cut, report.mode) == ({}, "", mode)
        assert report.events > 1000
