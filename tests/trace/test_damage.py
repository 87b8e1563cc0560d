"""A file that is cut, damaged or no trace at all never ends in anything but a
`DiagmemError`, and what lies before a cut can be read."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from diagmem.base.errors import DiagmemError
from diagmem.trace import format as fmt
from diagmem.trace.events import EventReader, Events
from diagmem.trace.format import BlockType, TraceError
from diagmem.trace.reader import TraceFile
from diagmem.trace.summary import read_summaries
from diagmem.trace.validate import validate
from diagmem.trace.window import Buffer, Role
from tests.memory import bounded_memory
from tests.trace.compose import compose
from tests.trace.surgery import Surgery, random_window

BUFFERS = [Buffer("x", Role.INPUT, 4096, 64), Buffer("y", Role.OUTPUT, 1 << 40, 640)]


def read_all(path: Path) -> list[list[Events]]:
    """Open a trace and decode all that it holds."""
    trace = TraceFile(path)
    try:
        reader = EventReader(trace)
        found = []
        for record in trace.windows:
            found.append(list(reader.events(record)) if trace.mode == "events" else [])
            if trace.mode == "summary":
                for number in range(len(record.window.buffers)):
                    dict(read_summaries(trace, record.window.index)).get(number)
            elif record.window.buffers:
                list(reader.accesses(record, record.window.buffers))
                reader.alignments(record, record.window.buffers)
        return found
    finally:
        trace.close()


def survive(path: Path) -> bool:
    """Read and validate; True if the file could be read.  Errors name the file."""
    said = []
    for use in (read_all, validate):
        try:
            with bounded_memory():
                use(path)
        except DiagmemError as error:
            said.append((use, str(error)))
    assert all(str(path) in message for _, message in said)
    return read_all not in [use for use, _ in said]


def addresses(windows: list[list[Events]]) -> list[list[int]]:
    return [[a for piece in pieces for a in piece.address.tolist()] for pieces in windows]


def test_cut_at_any_byte_it_opens_up_to_there(events_trace: Path, tmp_path: Path) -> None:
    data = events_trace.read_bytes()
    whole = addresses(read_all(events_trace))
    counts = []
    for size in range(len(data)):
        path = tmp_path / "cut.dmt"
        path.write_bytes(data[:size])
        if size < fmt.FILE_HEADER.size:
            with pytest.raises(TraceError, match="not a diagmem trace"):
                TraceFile(path)
            continue
        trace = TraceFile(path)
        assert not trace.complete
        assert "cut" in trace.cut or "end mark" in trace.cut
        windows = [record.window for record in trace.windows]
        trace.close()
        read = addresses(read_all(path))
        for events, window, expected in zip(read, windows, whole, strict=False):
            assert events == expected[: len(events)]
            assert window.events == len(events) == window.loads + window.stores
            assert window.complete == (len(events) == len(expected))
        counts.append(sum(map(len, read)))
    assert counts == sorted(counts)
    assert counts[0] == 0
    assert counts[-1] == sum(map(len, whole))


def test_a_cut_summary_keeps_the_windows_that_ended(summary_trace: Path, tmp_path: Path) -> None:
    data = summary_trace.read_bytes()
    for size in range(fmt.FILE_HEADER.size, len(data)):
        path = tmp_path / "cut.dmt"
        path.write_bytes(data[:size])
        trace = TraceFile(path)
        for record in trace.windows:
            window = record.window
            for number in range(len(window.buffers)):
                there = dict(read_summaries(trace, window.index)).get(number)
                assert there is not None or not window.complete
        trace.close()


def test_a_window_that_promises_lost_events_is_cut(tmp_path: Path) -> None:
    """The end record comes before the last block, so killing the recorder can
    leave a window that looks whole: it must not be taken for proof."""
    path = tmp_path / "t.dmt"
    compose(path, [random_window(1, BUFFERS, 60)], block_events=32)
    patient = Surgery.of(path)
    patient.blocks.remove(patient.of_kind(BlockType.EVENTS)[-1])
    patient.blocks.remove(patient.of_kind(BlockType.END)[0])
    patient.save(path)
    trace = TraceFile(path)
    window = trace.windows[0].window
    assert (window.end, window.events, window.complete) == ("cut", 32, False)
    trace.close()
    assert validate(path).valid


def test_any_changed_bytes_are_survived(
    events_trace: Path, summary_trace: Path, tmp_path: Path
) -> None:
    path = tmp_path / "t.dmt"

    @given(
        original=st.sampled_from([events_trace.read_bytes(), summary_trace.read_bytes()]),
        places=st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1, max_size=4),
    )
    def check(original: bytes, places: list[tuple[int, int]]) -> None:
        content = bytearray(original)
        for at, value in places:
            content[at % len(content)] = value
        path.write_bytes(content)
        assert survive(path) or bytes(content) != original

    check()


@pytest.mark.parametrize(
    "kind", [BlockType.META, BlockType.EVENTS, BlockType.SUMMARY, BlockType.END]
)
def test_changed_payloads_under_right_checksums_are_survived(
    kind: BlockType, events_trace: Path, summary_trace: Path, tmp_path: Path
) -> None:
    rng = random.Random(kind)
    path = tmp_path / "t.dmt"
    source = summary_trace if kind is BlockType.SUMMARY else events_trace
    for _ in range(400):
        patient = Surgery.of(source)
        block = rng.choice(patient.of_kind(kind))
        raw = bytearray(block.raw)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(min(len(raw), rng.choice([24, 80, 1 << 20])))
            raw[at] = rng.choice([rng.randrange(256), 0, 255, ord("9"), ord("-"), ord("[")])
        block.raw = bytes(raw[: rng.choice([len(raw), len(raw), rng.randrange(len(raw))])])
        survive(patient.save(path, count_blocks=kind is not BlockType.END))


NASTY = [
    b"",
    b"[" * 100_000,
    b"9" * 10_000,
    b"null",
    b"[]",
    b"\xff\xfe",
    b'{"type":[]}',
    b'{"type":"window"}',
    b'{"type":"window end","index":1e999}',
    b'{"type":"class","class":0,"site":-1,"span":0}',
    b'{"type":"site","site":0,"kind":"load","size":1e3,"pc":0}',
    b'{"type":"site","site":0,"kind":"load","size":99999999999999999999,"pc":0}',
]


@pytest.mark.parametrize("line", NASTY, ids=lambda line: repr(line[:40]))
def test_nasty_records_are_survived(line: bytes, events_trace: Path, tmp_path: Path) -> None:
    patient = Surgery.of(events_trace)
    meta = patient.of_kind(BlockType.META)[0]
    meta.raw += b"\n" + line
    assert not survive(patient.save(tmp_path / "t.dmt"))


def test_records_and_fields_of_later_writers_pass(events_trace: Path) -> None:
    patient = Surgery.of(events_trace)
    meta = patient.of_kind(BlockType.META)[0]
    meta.records = [*({**r, "new": [1]} for r in meta.records), {"type": "new", "x": None}]
    assert survive(patient.save(events_trace))
    assert validate(events_trace).valid


def frame_that_states(content: bytes, states: int) -> bytes:
    """A zstd frame whose header claims another size of its content."""
    stored = zstandard.ZstdCompressor().compress(content)
    assert zstandard.frame_content_size(stored) == len(content)
    # Magic, descriptor for an 8-byte size in a single segment, the size.
    body = stored[zstandard.get_frame_parameters(stored).window_size and 0 :]
    header = 4 + 1 + {0: 1, 1: 2, 2: 4, 3: 8}[body[4] >> 6]
    return stored[:4] + bytes([0xE0]) + struct.pack("<Q", states) + stored[header:]


@pytest.mark.parametrize(
    ("raw_bytes", "states"),
    [
        (1 << 39, None),
        (1 << 39, 1 << 39),
        ((1 << 40) + 1, None),
        (1 << 63, 1 << 63),
        (100, 1 << 39),
        (100, 100),
        (1 << 21, 1 << 21),
    ],
)
def test_a_size_that_is_not_there_is_not_allocated(
    raw_bytes: int, states: int | None, tmp_path: Path
) -> None:
    content = b'{"type":"header"}'
    stored = (
        zstandard.ZstdCompressor(write_content_size=False).compress(content)
        if states is None
        else frame_that_states(content, states)
    )
    path = tmp_path / "t.dmt"
    head = fmt.FILE_HEADER.pack(fmt.MAGIC, fmt.VERSION, 0)
    path.write_bytes(head + fmt.pack_block_header(BlockType.META, stored, raw_bytes, 0, 0) + stored)
    with bounded_memory(), pytest.raises(TraceError, match="block at byte 16"):
        TraceFile(path)


def test_the_forged_frame_is_one(tmp_path: Path) -> None:
    content = b"abc" * 50
    stored = frame_that_states(content, len(content))
    assert zstandard.ZstdDecompressor().decompress(stored) == content


def test_bytes_behind_a_frame_are_refused(events_trace: Path, tmp_path: Path) -> None:
    content = b'{"type":"header"}'
    stored = zstandard.ZstdCompressor().compress(content) + b"more"
    head = fmt.FILE_HEADER.pack(fmt.MAGIC, fmt.VERSION, 0)
    path = tmp_path / "t.dmt"
    path.write_bytes(
        head + fmt.pack_block_header(BlockType.META, stored, len(content), 0, 0) + stored
    )
    with pytest.raises(TraceError, match="unused data"):
        TraceFile(path)


@pytest.mark.parametrize("version", [0, fmt.VERSION + 1, 0xFFFFFFFF])
def test_a_version_it_does_not_know_is_refused_by_number(version: int, tmp_path: Path) -> None:
    path = tmp_path / "t.dmt"
    path.write_bytes(fmt.FILE_HEADER.pack(fmt.MAGIC, version, 0))
    with pytest.raises(TraceError, match=rf"version {version}\D.* 1 to {fmt.VERSION}") as error:
        TraceFile(path)
    assert ("newer diagmem" in str(error.value)) == (version > fmt.VERSION)


def no_file(path: Path) -> None:
    pass


def a_directory(path: Path) -> None:
    path.mkdir()


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("DIAGMEM, but not quite", encoding="utf-8")


@pytest.mark.parametrize("make", [no_file, a_directory, a_fifo, empty, text])
def test_what_is_no_trace_is_named(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "t.dmt"
    make(path)
    with pytest.raises(TraceError) as error:
        TraceFile(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read(events_trace: Path) -> None:
    events_trace.chmod(0)
    with pytest.raises(TraceError, match="Permission denied"):
        TraceFile(events_trace)


def test_a_closed_trace_says_so(events_trace: Path) -> None:
    trace = TraceFile(events_trace)
    trace.close()
    trace.close()
    with pytest.raises(TraceError, match="closed"):
        list(EventReader(trace).events(trace.windows[0]))


def test_the_front_of_a_block_is_the_same_without_the_rest(events_trace: Path) -> None:
    trace = TraceFile(events_trace)
    for block in trace.blocks:
        raw = trace.payload(block)
        for size in (0, 1, 24, len(raw), len(raw) + 1):
            assert trace.peek(block, size) == raw[:size]
    trace.close()


def test_the_front_of_a_dense_block(tmp_path: Path) -> None:
    """One zstd block that is longer than what `peek` reads first."""
    path = tmp_path / "t.dmt"
    noise = np.random.default_rng(1).integers(0, 256, 100_000).astype(np.uint8).tobytes()
    stored = zstandard.ZstdCompressor().compress(noise)
    head = fmt.FILE_HEADER.pack(fmt.MAGIC, fmt.VERSION, 0)
    path.write_bytes(
        head + fmt.pack_block_header(BlockType.EVENTS, stored, len(noise), 0, 1) + stored
    )
    from diagmem.trace.blocks import BlockFile

    file = BlockFile(path)
    (block,) = file.scan()
    assert file.peek(block, 24) == noise[:24]
    file.close()
