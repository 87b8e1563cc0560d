"""A trace's windows and buffers as Chrome trace events, for viewers such as Perfetto.

Windows lie behind each other on one time line, a microsecond an event.  Each is a
slice; each buffer is an asynchronous slice from when it is first to when it is last
needed, across windows where a later one reads what an earlier one left there; two
counters give the bytes alive, tensor by tensor and value by value.

Format: "Trace Event Format" of the Chromium project, JSON object form, with the
phases M (names), X (complete), b and e (asynchronous) and C (counter).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from diagmem.analysis.liveness import BufferLiveness
from diagmem.analysis.overlap import IN_PLACE
from diagmem.analysis.trace import Trace
from diagmem.base.errors import DiagmemError
from diagmem.base.files import STDOUT, JsonObject, replacing
from diagmem.plot.shading import CellLives, lives_of
from diagmem.trace.window import Buffer, Int64Array, Role, Window

ENDINGS = (".json", ".json.gz")
PID, TID = 1, 1
SAMPLES = 20_000
"""Samples of the needed bytes in a file, shared out among the windows."""
SAMPLES_AT_LEAST, SAMPLES_AT_MOST = 4, 500
TENSORS = (Role.INPUT, Role.OUTPUT, Role.INOUT)
NOT_COUNTED = (Role.WEIGHTS, Role.ARENA)

Event = JsonObject


@dataclass(frozen=True, slots=True)
class Life:
    """A buffer that is needed at the times ``[start, end)``, in microseconds.

    ``low`` and ``high`` are the addresses that count as alive: all of a tensor, of
    other buffers what is touched.
    """

    buffer: Buffer
    low: int
    high: int
    start: int
    end: int
    windows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Placed:
    """A window on the time line, with the liveness of its buffers."""

    window: Window
    buffers: tuple[tuple[Buffer, BufferLiveness], ...]
    start: int
    ticks: int

    @property
    def end(self) -> int:
        return self.start + self.ticks


def export_perfetto(trace: Trace, path: Path, windows: Sequence[int]) -> int:
    """Write some windows of a trace as Chrome trace events; returns how many events.

    Parameters
    ----------
    path : ``.json`` or ``.json.gz``; an existing file is replaced.  ``-`` is JSON to
        standard output.
    windows : indices into the trace's windows.

    Raises
    ------
    DiagmemError
        The ending is another one, a window is not there, or the file cannot be written.
    """
    if path != STDOUT and not path.name.endswith(ENDINGS):
        raise DiagmemError(f"{path}: the ending says the format; expected .json or .json.gz")
    events = list(trace_events(trace, windows))
    data = _encoded(trace, events, compressed=path.name.endswith(".gz"))
    with replacing(path) as file:
        file.write(data)
    return len(events)


def _encoded(trace: Trace, events: Iterable[Event], *, compressed: bool) -> bytes:
    """An event a line, so that the file can be read and compared."""
    about = {"trace": Path(trace.path).name, "mode": trace.mode, "unit": "1 us = 1 event"}
    if trace.cut:
        about["cut"] = trace.cut
    head = f'{{"otherData":{_line(about)},"displayTimeUnit":"ms","traceEvents":[\n'
    text = (head + ",\n".join(map(_line, events)) + "\n]}\n").encode()
    # No name and no date, so that the same trace gives the same bytes.
    return gzip.compress(text, mtime=0) if compressed else text


def _line(data: object) -> str:
    return json.dumps(data, separators=(",", ":"))


def trace_events(trace: Trace, windows: Sequence[int]) -> Iterator[Event]:
    """All events: names first, then by time."""
    placed = list(_on_a_line(trace, windows))
    lives = lives_on(placed)
    yield _event("M", "process_name", 0, args={"name": Path(trace.path).name})
    yield _event("M", "thread_name", 0, args={"name": "windows"})
    timed = [_window_event(trace, window) for window in placed]
    timed += _life_events(lives)
    # Weights lie elsewhere, and an arena is what the tensors lie in.
    counted = [life for life in lives if life.buffer.role not in NOT_COUNTED]
    timed += _live_counter(counted)
    timed += _needed_counter(placed, counted)
    # What ends makes room before what begins at the same time.
    yield from sorted(timed, key=lambda event: (event["ts"], event["ph"] != "e"))


def _event(phase: str, name: str, time: int, **more: Any) -> Event:
    return {"ph": phase, "name": name, "ts": time, "pid": PID, "tid": TID, **more}


def _on_a_line(trace: Trace, windows: Sequence[int]) -> Iterator[_Placed]:
    at = 0
    by_index = {window.index: window for window in trace.windows}
    for index in windows:
        if index not in by_index:
            raise DiagmemError(
                f"{trace.path}: there is no window {index}; it holds {len(by_index)}, from 0"
            )
        window = by_index[index]
        # Of a window that was cut off with its file, a summary has nothing.
        counted = window.complete or trace.mode != "summary" or window.end != "cut"
        live = trace.liveness(index) if counted else ()
        last = max((int(b.last_access.max(initial=-1)) for b in live), default=-1)
        ticks = max(window.events, last + 1)
        yield _Placed(window, tuple(zip(window.buffers, live, strict=False)), at, ticks)
        at += ticks


def _window_event(trace: Trace, placed: _Placed) -> Event:
    window = placed.window
    args: JsonObject = {
        "window": window.index,
        "events": placed.ticks,
        "loads": window.loads,
        "stores": window.stores,
        "thread": window.thread,
        "end": window.end,
    }
    if placed.buffers:
        (answer,) = trace.overlaps(window.index, isolated=False)
        for pair in answer.pairs:
            args[f"{pair.input} over {pair.output}"] = pair.refused or (
                IN_PLACE
                if pair.by_construction
                else f"D = {pair.min_displacement_bytes} B, O_s = {pair.safe_overlap_bytes} B"
                f"{'' if pair.exact else ', conservative'}"
            )
    name = window.function or f"window {window.index}"
    return _event("X", name, placed.start, cat="window", dur=placed.ticks, args=args)


# ---- buffers ----


def lives_on(placed: Sequence[_Placed]) -> list[Life]:
    """When each buffer is needed.

    What one window puts out and later ones take in lives on until the last of them,
    or until it is put out anew.  An input that no recorded window has put out lives in
    each window by itself: whether somebody filled it anew between two is not known.
    """
    lives: list[Life] = []
    latest: dict[tuple[str, int, int], int] = {}
    for window in placed:
        for buffer, live in window.buffers:
            life = _life_in(window, buffer, live)
            if life is None:
                continue
            key = (buffer.name, buffer.address, buffer.size_bytes)
            before = latest.get(key)
            if buffer.role in (Role.INPUT, Role.INOUT) and before is not None:
                known = lives[before]
                lives[before] = replace(
                    known, end=life.end, windows=(*known.windows, *life.windows)
                )
                continue
            if buffer.role in (Role.OUTPUT, Role.INOUT):
                latest[key] = len(lives)
            lives.append(life)
    return sorted(lives, key=lambda life: (life.start, life.low, life.buffer.name, life.end))


def _life_in(placed: _Placed, buffer: Buffer, live: BufferLiveness) -> Life | None:
    """A buffer's life in one window; None where no byte is ever needed."""
    cells = lives_of(live, placed.ticks)
    needed = np.flatnonzero(cells.end > cells.start)
    if len(needed) == 0:
        return None
    low, high = buffer.address, buffer.end
    if buffer.role not in TENSORS:
        high = min(low + (int(needed[-1]) + 1) * live.cell_bytes, high)
        low += int(needed[0]) * live.cell_bytes
    return Life(
        buffer,
        low,
        high,
        placed.start + int(cells.start[needed].min()),
        placed.start + int(cells.end[needed].max()),
        (placed.window.index,),
    )


def _life_events(lives: Sequence[Life]) -> Iterator[Event]:
    for number, life in enumerate(lives):
        buffer = life.buffer
        args = {
            "role": buffer.role.value,
            "address": hex(buffer.address),
            "bytes": buffer.size_bytes,
            "windows": list(life.windows),
        }
        common = {"cat": buffer.role.value, "id": number}
        yield _event("b", buffer.name, life.start, **common, args=args)
        yield _event("e", buffer.name, life.end, **common)


# ---- bytes ----


def _alive_in(lives: Iterable[Life], spans: Iterable[tuple[int, int]]) -> Iterator[list[Life]]:
    """For each span of time, in order, the lives that reach into it."""
    opening = sorted(lives, key=lambda life: life.start)
    alive: list[Life] = []
    at = 0
    for start, end in spans:
        alive = [life for life in alive if life.end > start]
        while at < len(opening) and opening[at].start < end:
            alive.append(opening[at])
            at += 1
        yield alive


def _live_counter(lives: Sequence[Life]) -> Iterator[Event]:
    """The bytes that lie in any living buffer, wherever that changes."""
    edges = np.unique([edge for life in lives for edge in (life.low, life.high)])
    width = np.diff(edges)
    held = np.zeros(len(width), np.int64)
    places = np.searchsorted(edges, [(life.low, life.high) for life in lives]).tolist()
    # What ends makes room before what begins at the same time.
    changes = sorted(
        (time, step, low, high)
        for life, (low, high) in zip(lives, places, strict=True)
        for time, step in ((life.start, 1), (life.end, -1))
    )
    covered = 0
    for i, (time, step, low, high) in enumerate(changes):
        part = held[low:high]
        part += step
        covered += step * int(width[low:high][part == max(step, 0)].sum())
        if i + 1 == len(changes) or changes[i + 1][0] != time:
            yield _event("C", "live bytes", time, args={"bytes": covered})


def _needed_counter(placed: Sequence[_Placed], lives: Sequence[Life]) -> Iterator[Event]:
    """The bytes that hold a value still needed: of each stretch of time the most."""
    budget = SAMPLES // max(len(placed), 1)
    samples = min(max(budget, SAMPLES_AT_LEAST), SAMPLES_AT_MOST)
    before = -1
    busy = [window for window in placed if window.ticks]
    spans = ((window.start, window.end) for window in busy)
    for window, alive in zip(busy, _alive_in(lives, spans), strict=True):
        edges = np.unique(np.linspace(0, window.ticks, samples + 1).astype(np.int64))
        most = needed_in(window, alive, edges)
        for edge, needed in zip(edges[:-1].tolist(), most.tolist(), strict=True):
            if needed != before:
                yield _event("C", "needed bytes", window.start + edge, args={"bytes": needed})
            before = needed
    if placed and before > 0:
        yield _event("C", "needed bytes", placed[-1].end, args={"bytes": 0})


def needed_in(placed: _Placed, alive: Sequence[Life], edges: Int64Array) -> Int64Array:
    """Between each two of these ticks the most bytes needed at one time.

    ``alive`` are the lives that reach into the window.  A tensor that a later window
    reads is needed to the end of this one; one that is no buffer of this window and yet
    alive, throughout.
    """
    index = placed.window.index
    carried = {
        life.buffer.name for life in alive if life.end > placed.end and index in life.windows
    }
    base = sum(life.high - life.low for life in alive if index not in life.windows)
    weights, births, deaths = [], [], []
    for buffer, live in placed.buffers:
        if buffer.role in NOT_COUNTED:
            continue
        cells = lives_of(live, placed.ticks)
        ends = np.full_like(cells.end, placed.ticks) if live.name in carried else cells.end
        needed = ends > cells.start
        births.append(cells.start[needed])
        deaths.append(ends[needed])
        weights.append(_cell_sizes(cells)[needed])
    if not births:
        return np.full(len(edges) - 1, base, np.int64)
    return base + _most(
        np.concatenate(births), np.concatenate(deaths), np.concatenate(weights), edges
    )


def _cell_sizes(cells: CellLives) -> Int64Array:
    start = np.arange(len(cells.start), dtype=np.int64) * cells.cell_bytes
    return np.minimum(cells.size_bytes - start, cells.cell_bytes)


def _most(
    births: Int64Array, deaths: Int64Array, weight: Int64Array, edges: Int64Array
) -> Int64Array:
    """The largest sum of weights alive in each ``[edges[i], edges[i + 1])``."""
    times = np.unique(np.concatenate([births, deaths, edges]))
    change = np.zeros(len(times), np.int64)
    np.add.at(change, np.searchsorted(times, births), weight)
    np.add.at(change, np.searchsorted(times, deaths), -weight)
    alive = np.cumsum(change)
    most: Int64Array = np.maximum.reduceat(alive, np.searchsorted(times, edges[:-1]))
    return most
