"""Ways to break the invariants of a trace file, each with the place of the breach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from diagmem.trace import format as fmt
from diagmem.trace.format import BlockType
from diagmem.trace.frames import EventsFrame
from tests.trace.surgery import Block, Surgery

Place = dict[str, Any]
"""Some of block, record, window and tick that a finding must name."""
Edit = Callable[[Surgery], Place]


@dataclass(frozen=True)
class Breach:
    """How to break an invariant.  ``edit`` changes a `Surgery` and says where
    the breach is to be found."""

    invariant: str
    edit: Edit
    summary: bool = False
    along: frozenset[str] = frozenset()
    """Invariants that cannot but break along with it."""
    count_blocks: bool = True


BREACHES: list[Breach] = []


def breaks(
    invariant: str, *along: str, summary: bool = False, count_blocks: bool = True
) -> Callable[[Edit], Edit]:
    def register(edit: Edit) -> Edit:
        BREACHES.append(Breach(invariant, edit, summary, frozenset(along), count_blocks))
        return edit

    return register


def find(s: Surgery, kind: str, nth: int = 0) -> tuple[Block, int]:
    """The block and the number of the nth record of a type."""
    found = [(at, number) for at, number, record in s.all_records() if record["type"] == kind]
    at, number = found[nth]
    return at, number


def change(s: Surgery, kind: str, nth: int, **fields: Any) -> Place:
    """Change fields of the nth record of a type."""
    at, wanted = find(s, kind, nth)
    seen = -1

    def edit(record: dict[str, Any]) -> None:
        nonlocal seen
        seen += 1
        if seen == wanted:
            record.update(fields)

    s.change_records(edit)
    return {"block": at, "record": wanted}


def change_frame(s: Surgery, nth: int, **parts: Any) -> Place:
    block = s.of_kind(BlockType.EVENTS)[nth]
    block.raw = replace(EventsFrame.unpack(block.raw), **parts).pack()
    return {"block": block}


def frame(s: Surgery, nth: int) -> EventsFrame:
    return EventsFrame.unpack(s.of_kind(BlockType.EVENTS)[nth].raw)


@breaks("file-header")
def reserved(s: Surgery) -> Place:
    s.head = s.head[:-1] + b"\7"
    return {"byte": 0}


@breaks("block-header")
def end_of_a_window(s: Surgery) -> Place:
    s.blocks[-1].windows = (0, 1)
    return {"block": s.blocks[-1]}


@breaks("block-order")
def header_second(s: Surgery) -> Place:
    meta = s.of_kind(BlockType.META)[0]
    first, second, *rest = meta.records
    meta.records = [second, first, *rest]
    return {"block": meta, "record": 0}


@breaks("block-order")
def header_twice(s: Surgery) -> Place:
    meta = s.of_kind(BlockType.META)[-1]
    meta.records = [*meta.records, s.blocks[0].records[0]]
    return {"block": meta, "record": sum(1 for _ in s.all_records()) - 1}


@breaks("end-mark")
def too_many_events(s: Surgery) -> Place:
    end = s.blocks[-1]
    end.records = [{**end.records[0], "events": end.records[0]["events"] + 1}]
    return {"block": end}


@breaks("end-mark", count_blocks=False)
def a_block_missing(s: Surgery) -> Place:
    end = s.blocks[-1]
    end.records = [{**end.records[0], "blocks": 99}]
    return {"block": end}


@breaks("end-mark", count_blocks=False)
def no_end_record(s: Surgery) -> Place:
    s.blocks[-1].records = [{"type": "header", "units": {}, "mode": "events"}]
    return {"block": s.blocks[-1]}


@breaks("record")
def no_json(s: Surgery) -> Place:
    meta = s.of_kind(BlockType.META)[0]
    lines = meta.raw.split(b"\n")
    meta.raw = b"\n".join([*lines[:2], b"{", *lines[3:]])
    return {"block": meta, "record": 2}


@breaks("record")
def no_thread(s: Surgery) -> Place:
    at, number = find(s, "window", 1)

    def edit(record: dict[str, Any]) -> None:
        if record["type"] == "window" and record["index"] == 1:
            del record["thread"]

    s.change_records(edit)
    return {"block": at, "record": number}


@breaks("record")
def unknown_role(s: Surgery) -> Place:
    buffers = s.blocks[0].records[1]["buffers"]
    buffers[0]["role"] = "inptu"
    return change(s, "window", 0, buffers=buffers)


@breaks("mode")
def other_mode(s: Surgery) -> Place:
    return change(s, "header", 0, mode="other")


@breaks("sites")
def site_twice(s: Surgery) -> Place:
    meta = s.of_kind(BlockType.META)[-1]
    _, number = find(s, "site")
    record = next(r for _, n, r in s.all_records() if n == number)
    meta.records = [*meta.records, record]
    return {"block": meta, "record": sum(1 for _ in s.all_records()) - 1}


COPY = {"type": "site", "site": 990, "kind": "memcpy load", "size": 0, "pc": 1}


def with_copies(s: Surgery, *copies: tuple[int, int]) -> Place:
    """Copies (window, site) behind the first window's record, the last of them wrong."""
    at, number = find(s, "window")
    told = [{"type": "copy", "window": window, "site": site} for window, site in copies]
    first = next(n for block, n, _ in s.all_records() if block is at)
    place = number - first + 1
    at.records = [*at.records[:place], COPY, *told, *at.records[place:]]
    return {"block": at, "record": number + 1 + len(told)}


@breaks("copies", summary=True)
def copy_of_another_window(s: Surgery) -> Place:
    return with_copies(s, (0, 990), (1, 990))


@breaks("copies", summary=True)
def copy_of_a_plain_site(s: Surgery) -> Place:
    return with_copies(s, (0, 991))


@breaks("copies", summary=True)
def copy_twice(s: Surgery) -> Place:
    return with_copies(s, (0, 990), (0, 990))


@breaks("copies")
def copy_among_events(s: Surgery) -> Place:
    return with_copies(s, (0, 990))


@breaks("classes")
def class_of_unknown_site(s: Surgery) -> Place:
    meta = s.of_kind(BlockType.META)[-1]
    number = sum(record["type"] == "class" for _, _, record in s.all_records())
    meta.records = [*meta.records, {"type": "class", "class": number, "site": 999, "span": 0}]
    return {"block": meta, "record": sum(1 for _ in s.all_records()) - 1}


@breaks("classes")
def class_skips_a_number(s: Surgery) -> Place:
    meta = s.of_kind(BlockType.META)[-1]
    meta.records = [*meta.records, {"type": "class", "class": 999, "site": 0, "span": 99}]
    return {"block": meta, "record": sum(1 for _ in s.all_records()) - 1}


@breaks("windows")
def window_skipped(s: Surgery) -> Place:
    meta = s.of_kind(BlockType.META)[-1]
    empty = {"function": "f", "thread": 1, "buffers": [], "spans": [], "missing": []}
    counts = {"end": "returned", "events": 0, "loads": 0, "stores": 0}
    meta.records = [
        *meta.records,
        {"type": "window", "index": 7, **empty},
        {"type": "window end", "index": 7, **counts},
    ]
    return {"block": meta, "window": 7}


@breaks("window-order")
def begins_before_the_end(s: Surgery) -> Place:
    moved = [r for _, _, r in s.all_records() if r["type"] == "window end" and r["index"] == 0]
    for block in s.of_kind(BlockType.META):
        kept = [r for r in block.records if r not in moved]
        at = next((i for i, r in enumerate(kept) if r.get("index") == 1), None)
        if at is not None and kept[at]["type"] == "window":
            kept.insert(at + 1, moved[0])
        block.records = kept
    return {"window": 1}


@breaks("window-end")
def last_end_missing(s: Surgery) -> Place:
    meta = s.of_kind(BlockType.META)[-1]
    meta.records = [r for r in meta.records if r != {**r, "type": "window end", "index": 1}]
    return {"window": 1}


@breaks("window-end")
def two_ends(s: Surgery) -> Place:
    meta = s.of_kind(BlockType.META)[-1]
    _, number = find(s, "window end", 1)
    meta.records = [*meta.records, next(r for _, n, r in s.all_records() if n == number)]
    return {"block": meta, "window": 1}


@breaks("buffers")
def one_name_twice(s: Surgery) -> Place:
    buffers = s.blocks[0].records[1]["buffers"]
    buffers[1]["name"] = buffers[2]["name"]
    return change(s, "window", 0, buffers=buffers) | {"window": 0}


@breaks("buffers")
def not_by_address(s: Surgery) -> Place:
    buffers = s.blocks[0].records[1]["buffers"]
    return change(s, "window", 0, buffers=buffers[::-1]) | {"window": 0}


@breaks("buffers")
def empty_buffer(s: Surgery) -> Place:
    buffers = s.blocks[0].records[1]["buffers"]
    # Inside another, so that the spans stay what they are.
    buffers[1]["size"] = 0
    return change(s, "window", 0, buffers=buffers) | {"window": 0}


@breaks("spans")
def span_too_long(s: Surgery) -> Place:
    spans = s.blocks[0].records[1]["spans"]
    spans[0][1] += 1
    return change(s, "window", 0, spans=spans) | {"window": 0}


@breaks("block-shape")
def bytes_at_the_end(s: Surgery) -> Place:
    block = s.of_kind(BlockType.EVENTS)[1]
    block.raw += b"12345678"
    return {"block": block}


@breaks("block-shape")
def bytes_missing(s: Surgery) -> Place:
    block = s.of_kind(BlockType.EVENTS)[1]
    block.raw = block.raw[:-1]
    return {"block": block}


@breaks("block-shape")
def unknown_class(s: Surgery) -> Place:
    classes = frame(s, 1).classes.copy()
    classes[0] = 255
    return change_frame(s, 1, classes=classes)


@breaks("block-shape")
def segments_too_long(s: Surgery) -> Place:
    segments = frame(s, 1).segments.copy()
    segments["events"][0] += 1
    return change_frame(s, 1, segments=segments)


@breaks("block-shape")
def size_missing(s: Surgery) -> Place:
    return change_frame(s, 0, sizes=frame(s, 0).sizes[1:])


@breaks("block-windows")
def wrong_range(s: Surgery) -> Place:
    block = s.of_kind(BlockType.EVENTS)[0]
    block.windows = (0, 5)
    return {"block": block}


@breaks("ticks")
def a_gap(s: Surgery) -> Place:
    segments = frame(s, 1).segments.copy()
    segments["first_tick"][0] += 3
    tick = int(segments["first_tick"][0])
    return change_frame(s, 1, segments=segments) | {"window": 0, "tick": tick}


@breaks("event-size", "alignment")
def no_bytes(s: Surgery) -> Place:
    return change_frame(s, 0, sizes=0 * frame(s, 0).sizes) | {"window": 0}


@breaks("event-buffer", "alignment")
def far_away(s: Surgery) -> Place:
    parts = frame(s, 0)
    delta = parts.deltas[1].copy()
    delta[0] += 1 << 20
    delta[1] -= 1 << 20
    return change_frame(s, 0, deltas=(parts.deltas[0], delta, *parts.deltas[2:])) | {"window": 0}


@breaks("alignment")
def wrong_alignment(s: Surgery) -> Place:
    columns = frame(s, 0).columns.copy()
    columns["alignment"][0] <<= 1
    return change_frame(s, 0, columns=columns)


@breaks("counts")
def loads_for_stores(s: Surgery) -> Place:
    _, number = find(s, "window end", 1)
    end = next(r for _, n, r in s.all_records() if n == number)
    change(s, "window end", 1, loads=end["loads"] + 1, stores=end["stores"] - 1)
    return {"window": 1}


@breaks("counts")
def one_thread(s: Surgery) -> Place:
    change(s, "window end", 0, several_threads=0)
    return {"window": 0}


@breaks("counts", summary=True)
def counts_do_not_add_up(s: Surgery) -> Place:
    _, number = find(s, "window end", 0)
    end = next(r for _, n, r in s.all_records() if n == number)
    return change(s, "window end", 0, loads=end["loads"] + 1) | {"window": 0}


def change_summary(s: Surgery, nth: int, **fields: int) -> Place:
    block = s.of_kind(BlockType.SUMMARY)[nth]
    size = fmt.SUMMARY_HEAD.itemsize
    head = np.frombuffer(block.raw[:size], fmt.SUMMARY_HEAD).copy()
    for name, value in fields.items():
        head[name] = value
    block.raw = head.tobytes() + block.raw[size:]
    return {"block": block}


@breaks("summary-shape", summary=True)
def odd_cells(s: Surgery) -> Place:
    return change_summary(s, 0, cell_bytes=3)


@breaks("summary-shape", summary=True)
def buffer_not_covered(s: Surgery) -> Place:
    return change_summary(s, 0, cells=5)


@breaks("summary-shape", summary=True)
def column_missing(s: Surgery) -> Place:
    return change_summary(s, 0, kinds=1)


@breaks("summary-once", summary=True)
def one_summary_missing(s: Surgery) -> Place:
    s.blocks.remove(s.of_kind(BlockType.SUMMARY)[1])
    return {"window": 0}


@breaks("summary-once", summary=True)
def one_summary_twice(s: Surgery) -> Place:
    block = s.of_kind(BlockType.SUMMARY)[0]
    s.blocks.insert(s.blocks.index(block), block)
    return {"window": 0}


@breaks("summary-ticks", summary=True)
def first_after_last(s: Surgery) -> Place:
    block = s.of_kind(BlockType.SUMMARY)[0]
    size = fmt.SUMMARY_HEAD.itemsize
    ticks = np.frombuffer(block.raw[size:], "<i8").copy()
    ticks[0] += 1 << 20
    block.raw = block.raw[:size] + ticks.tobytes()
    return {"block": block, "window": 0}


@breaks("summary-ticks", summary=True)
def ticks_beyond_the_end(s: Surgery) -> Place:
    at, number = find(s, "window end", 0)
    change(s, "window end", 0, events=1, loads=1, stores=0)
    end = s.blocks[-1]
    there = sum(r["events"] for _, _, r in s.all_records() if r["type"] == "window end")
    end.records = [{**end.records[0], "events": there}]
    return {"block": at, "record": number, "window": 0}
