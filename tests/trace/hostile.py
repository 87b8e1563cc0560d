"""Small trace files that claim much: each is right to the last checksum."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

from diagmem.trace import format as fmt
from diagmem.trace.format import BlockType

Record = dict[str, Any]
EVENTS = 1 << 17
BASE = 0x1000
MIB = 1 << 20

SITES: list[Record] = [
    {"type": "site", "site": 0, "kind": "load", "size": 1, "pc": 0},
    {"type": "site", "site": 1, "kind": "store", "size": 1, "pc": 0},
]


def block(kind: BlockType, raw: bytes, windows: tuple[int, int] = (0, 0)) -> bytes:
    stored = zstandard.ZstdCompressor(level=3).compress(raw)
    return fmt.pack_block_header(kind, stored, len(raw), *windows) + stored


def meta(records: Iterable[Record], *, mode: str = "events", more: bytes = b"") -> bytes:
    header = {"type": "header", "units": {}, "mode": mode}
    return block(BlockType.META, "\n".join(map(json.dumps, [header, *records])).encode() + more)


def window(
    buffers: list[Record], spans: list[list[int]], events: int, *, loads: int | None = None
) -> list[Record]:
    loads = events if loads is None else loads
    begin = {"type": "window", "index": 0, "function": "k", "thread": 1, "missing": []}
    end = {"type": "window end", "index": 0, "end": "returned", "events": events}
    return [
        {**begin, "buffers": buffers, "spans": spans},
        {**end, "loads": loads, "stores": events - loads},
    ]


def buffer(name: object, role: str, address: int, size: int) -> Record:
    return {"name": str(name), "role": role, "address": address, "size": size}


def classes(spans: Iterable[int]) -> list[Record]:
    return [
        {"type": "class", "class": i, "site": i % 2, "span": span} for i, span in enumerate(spans)
    ]


def events(
    of: np.ndarray[Any, Any],
    columns: list[int],
    deltas: bytes,
    *,
    segments: int = 1,
    sizes: bytes = b"",
) -> bytes:
    """One block: the class of each event, and how many there are in each column."""
    head = np.zeros(1, fmt.EVENTS_HEAD)
    head["events"], head["segments"], head["spans"] = len(of), segments, len(columns)
    head["class_bytes"], head["sizes"] = of.itemsize, len(sizes) // 8
    table = np.zeros(segments, fmt.SEGMENT)
    table["thread"] = 1 + np.arange(segments) % 2
    table["events"] = len(of) // segments
    table["first_tick"] = np.arange(segments) * (len(of) // segments)
    column = np.zeros(len(columns), fmt.COLUMN)
    column["events"], column["delta_bytes"], column["alignment"] = columns, 4, 1
    parts = [head.tobytes(), table.tobytes(), column.tobytes(), of.tobytes(), deltas, sizes]
    return block(BlockType.EVENTS, b"".join(parts), (0, 1))


def records_of_nothing() -> list[bytes]:
    return [meta([], more=b"\n" * (128 * MIB))]


def many_records() -> list[bytes]:
    return [meta([], more=b'\n{"type":"z"}' * 200_000)]


def zeros_as_events() -> list[bytes]:
    head = np.zeros(1, fmt.EVENTS_HEAD)
    head["segments"], head["class_bytes"] = 4 << 20, 1
    return [
        meta(window([], [], 0)),
        block(BlockType.EVENTS, head.tobytes() + bytes((4 << 20) * fmt.SEGMENT.itemsize), (0, 1)),
    ]


def huge_buffers() -> list[bytes]:
    size = 1 << 45
    held = [buffer("x", "input", BASE, size), buffer("y", "output", BASE + size, size)]
    return [meta(window(held, [[BASE, BASE + 2 * size]], 0))]


def huge_summary() -> list[bytes]:
    size = 1 << 40
    held = [buffer("x", "input", BASE, size), buffer("y", "output", BASE + size, size)]
    begin, end = window(held, [[BASE, BASE + 2 * size]], 1)
    head = np.zeros(1, fmt.SUMMARY_HEAD)
    head["cell_bytes"], head["kinds"], head["tick_bytes"] = 1, 3, 8
    head["cells"], head["count"] = size, 1 << 16
    parts = []
    for first in range(0, 40 << 16, 1 << 16):
        head["first_cell"] = first
        parts.append(block(BlockType.SUMMARY, head.tobytes() + bytes(32 << 16), (0, 1)))
    return [meta([begin], mode="summary"), *parts, meta([end], mode="summary")]


def many_buffers(n: int = 2000) -> list[bytes]:
    held = [buffer(i, "other", BASE + 8 * i, 8) for i in range(n)]
    held[0]["role"], held[1]["role"] = "input", "output"
    of = (np.arange(EVENTS) % 2).astype(np.uint8)
    deltas = np.diff(3 * np.arange(EVENTS) % (8 * n), prepend=0).astype(np.int32)
    begin, end = window(held, [[BASE, BASE + 8 * n]], EVENTS, loads=EVENTS // 2)
    return [meta([begin, *SITES, *classes([0, 0]), end]), events(of, [EVENTS], deltas.tobytes())]


def many_spans(n: int = 400) -> list[bytes]:
    held = [buffer(i, "other", BASE + 128 * i, 8) for i in range(n)]
    held[0]["role"], held[1]["role"] = "input", "output"
    spans = [[b["address"], b["address"] + 8] for b in held]
    of = (np.arange(EVENTS) % n).astype(np.uint16)
    loads = int(np.count_nonzero(of % 2 == 0))
    begin, end = window(held, spans, EVENTS, loads=loads)
    columns = np.bincount(of, minlength=n).tolist()
    return [
        meta([begin, *SITES, *classes(range(n)), end]),
        events(of, columns, bytes(4 * EVENTS), segments=1 << 3),
    ]


def many_pairs(n: int = 2000) -> list[bytes]:
    roles = ("input", "output")
    held = [buffer(i, roles[i % 2], BASE + 128 * i, 8) for i in range(n)]
    spans = [[b["address"], b["address"] + 8] for b in held]
    return [meta(window(held, spans, 0))]


def nested_buffers(n: int = 2000) -> list[bytes]:
    held = [buffer(i, "other", BASE, 2 * n - i) for i in range(n)]
    held[0]["role"], held[1]["role"] = "input", "output"
    of = np.zeros(EVENTS, np.uint8)
    begin, end = window(held, [[BASE, BASE + 2 * n]], EVENTS)
    return [
        meta([begin, *SITES, *classes([0]), end]),
        events(of, [EVENTS], bytes(4 * EVENTS)),
    ]


def long_accesses(size: int = MIB) -> list[bytes]:
    """Each touches every byte of both buffers."""
    held = [buffer("x", "input", BASE, size), buffer("y", "output", BASE + size, size)]
    of = (np.arange(EVENTS) % 2).astype(np.uint8)
    sizes = np.full(EVENTS, 2 * size, np.uint64).tobytes()
    begin, end = window(held, [[BASE, BASE + 2 * size]], EVENTS, loads=EVENTS // 2)
    sites = [{**site, "size": 0} for site in SITES]
    return [
        meta([begin, *sites, *classes([0, 0]), end]),
        events(of, [EVENTS], bytes(4 * EVENTS), sizes=sizes),
    ]


def sizes_below_zero() -> list[bytes]:
    held = [buffer("x", "input", BASE, 64), buffer("y", "output", BASE + 64, 64)]
    begin, end = window(held, [[BASE, BASE + 128]], 2, loads=1)
    sizes = np.array([1 << 63, (1 << 64) - 1], np.uint64).tobytes()
    return [
        meta([begin, *({**site, "size": 0} for site in SITES), *classes([0, 0]), end]),
        events(np.array([0, 1], np.uint8), [2], bytes(8), sizes=sizes),
    ]


HOSTILE: tuple[Callable[[], list[bytes]], ...] = (
    records_of_nothing,
    many_records,
    zeros_as_events,
    huge_buffers,
    huge_summary,
    many_buffers,
    many_spans,
    many_pairs,
    nested_buffers,
    long_accesses,
    sizes_below_zero,
)


def save(path: Path, blocks: list[bytes]) -> Path:
    end = {"type": "end", "complete": True, "reason": "", "events": 0, "blocks": len(blocks) + 1}
    head = fmt.FILE_HEADER.pack(fmt.MAGIC, fmt.VERSION, 0)
    last = block(BlockType.END, json.dumps(end).encode())
    path.write_bytes(b"".join([head, *blocks, last]))
    return path
