"""``diagmem info``: what a trace holds, without decoding its events."""

from __future__ import annotations

import argparse
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from diagmem.base.files import JsonObject
from diagmem.base.text import counted, printable
from diagmem.cli.common import add_json, hint, show
from diagmem.cli.table import aligned

if TYPE_CHECKING:
    from diagmem.trace.reader import TraceFile, WindowRecord
    from diagmem.trace.window import Window

ROWS = 20
"""Windows, buffers and places that the tables for people show."""

_OWN = {"type", "units", "mode", "everything", "diagmem", "valgrind", "platform", "command"}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", type=Path, metavar="TRACE", help="a trace file")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from diagmem.trace.reader import TraceFile

    trace = TraceFile(args.trace)
    try:
        show(args, lambda: _as_json(trace), lambda: _lines(trace))
        hint("diagmem", "overlap" if trace.complete else "validate", trace.path)
    finally:
        trace.close()
    return 0


def _total(trace: TraceFile, count: str) -> int:
    return sum(getattr(record.window, count) for record in trace.windows)


def _bytes_per_event(trace: TraceFile) -> float | None:
    events = _total(trace, "events")
    return trace.size_bytes / events if events else None


def _as_json(trace: TraceFile) -> JsonObject:
    return {
        "path": str(trace.path),
        "version": trace.version,
        "mode": trace.mode,
        "complete": trace.complete,
        "cut": trace.cut,
        "header": dict(trace.header.record),
        "events": _total(trace, "events"),
        "loads": _total(trace, "loads"),
        "stores": _total(trace, "stores"),
        "bytes_on_disk": trace.size_bytes,
        "bytes_per_event": _bytes_per_event(trace),
        "buffers": _buffers(trace.windows),
        "windows": [_window_json(record) for record in trace.windows],
        "sites": len(trace.sites),
        "classes": len(trace.class_site),
    }


def _window_json(record: WindowRecord) -> JsonObject:
    window = record.window
    return {
        "index": window.index,
        "function": window.function,
        "thread": window.thread,
        "several_threads": window.several_threads,
        "events": window.events,
        "loads": window.loads,
        "stores": window.stores,
        "end": window.end,
        "complete": window.complete,
        "buffers": [asdict(buffer) for buffer in window.buffers],
        "missing": [{"name": name, "reason": reason} for name, reason in record.missing],
    }


def _buffers(records: Sequence[WindowRecord]) -> list[JsonObject]:
    """Each different name, role and size, and in how many windows it was."""
    counts = Counter((b.name, str(b.role), b.size_bytes) for r in records for b in r.window.buffers)
    return [
        {"name": name, "role": role, "size_bytes": size, "windows": windows}
        for (name, role, size), windows in counts.items()
    ]


def _lines(trace: TraceFile) -> list[str]:
    header = trace.header
    everything = ", accesses outside the buffers too" if header.everything else ""
    facts = [
        ("state", "complete" if trace.complete else f"cut: {trace.cut}"),
        ("holds", f"{trace.mode}{everything}; trace format {trace.version}"),
        ("command", shlex.join(header.command)),
        ("recorded by", ", ".join(header.recorded_by)),
        *(
            (key, _short(value))
            for key, value in header.record.items()
            if key not in _OWN and value
        ),
        ("on disk", _size(trace)),
        ("events", _counts(trace)),
        ("sites", _sites(trace)),
    ]
    lines = [str(trace.path)]
    lines += [f"  {printable(name):<12} {printable(value)}" for name, value in facts if value]
    lines += _table(*_window_table(trace.windows))
    lines += _table(*_buffer_table(trace.windows))
    missing = Counter(pair for record in trace.windows for pair in record.missing)
    for (name, reason), times in missing.items():
        lines.append(f"buffer {name!r} was missing in {counted(times, 'window')}: {reason}")
    return lines


def _short(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={item}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def _size(trace: TraceFile) -> str:
    each = _bytes_per_event(trace)
    return f"{trace.size_bytes:,} bytes" + (f", {each:.2g} per event" if each is not None else "")


def _counts(trace: TraceFile) -> str:
    events, loads, stores = (_total(trace, count) for count in ("events", "loads", "stores"))
    return f"{events:,}: {loads:,} loads, {stores:,} stores"


def _sites(trace: TraceFile) -> str:
    """How many, and in which functions and files; `Site` says what one is."""
    if not trace.sites:
        return ""
    places = Counter(
        " in ".join(filter(None, (s.function, s.file or s.object))) or "unknown code"
        for s in trace.sites
    )
    shown = ", ".join(f"{place} ({n})" for place, n in places.most_common(3))
    more = len(places) - 3
    others = f" and {more} other places" if more > 0 else ""
    return f"{len(trace.sites):,}: {shown}{others}"


def _window_table(records: Sequence[WindowRecord]) -> tuple[str, list[list[str]], int]:
    rows = [["window", "function", "thread", "events", "loads", "stores", "end"]]
    shown = records if len(records) <= ROWS else [*records[: ROWS // 2], *records[-ROWS // 2 :]]
    rows += [_window_row(record.window) for record in shown]
    return "windows", rows, len(records) - len(shown)


def _window_row(window: Window) -> list[str]:
    threads = f"{window.thread}, others" if window.several_threads else str(window.thread)
    counts = [f"{n:,}" for n in (window.events, window.loads, window.stores)]
    return [str(window.index), window.function, threads, *counts, window.end]


def _buffer_table(records: Sequence[WindowRecord]) -> tuple[str, list[list[str]], int]:
    buffers = _buffers(records)
    rows = [["buffer", "role", "bytes", "windows"]]
    rows += [
        [b["name"], b["role"], f"{b['size_bytes']:,}", f"{b['windows']:,}"] for b in buffers[:ROWS]
    ]
    return "buffers", rows, max(0, len(buffers) - ROWS)


def _table(name: str, rows: list[list[str]], hidden: int) -> list[str]:
    """Aligned columns, numbers to the right; what is not shown is counted."""
    if len(rows) == 1:
        return ["", f"no {name}"]
    numeric = [i for i, cell in enumerate(rows[1]) if cell.replace(",", "").isdigit()]
    lines = ["", *aligned(rows, right=numeric)]
    if hidden:
        middle = 1 + ROWS // 2 if name == "windows" else len(rows)
        lines.insert(1 + middle, f"... and {hidden:,} more {name} (all: --json)")
    return lines
