"""A trace as a section of the page: pictures that zoom, and tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from math import isqrt
from pathlib import PurePath
from shlex import join
from typing import TYPE_CHECKING

import numpy as np

from diagmem.analysis.overlap import Overlap
from diagmem.base.errors import DiagmemError
from diagmem.base.files import JsonObject
from diagmem.plot.choice import Choice, choose
from diagmem.plot.pair import limit_texts
from diagmem.plot.scene import Scene, limit_point, scene_of, span_bytes
from diagmem.plot.words import notes_on, subtitles, title_of
from diagmem.report.columns import Columns, Gathered, Range, gather, parts_of
from diagmem.report.packed import characters, pack
from diagmem.report.planes import PlaneLevel, Planes
from diagmem.report.shapes import shapes_of
from diagmem.report.sources import SourcePlaces, places_of
from diagmem.report.tables import Cell, PageTable
from diagmem.trace.window import Int64Array, Window

if TYPE_CHECKING:
    from diagmem.analysis.trace import Trace

WHOLE_EVENTS = 1 << 21
"""Up to so many events, a page carries every one of them."""
CLOSE_TICKS = 4096
"""Of longer windows, the events to each side of a limiting access, and at both ends."""
PLANE_CELLS = 1 << 24
"""Of all planes of a window together, at their finest."""
COLUMNS_PER_ROW = 4
WINDOWS_DRAWN = 4
BUFFERS_DRAWN = 128
EVENTS_SHARE = 0.6
"""Of a window's characters; the rest is for lives and frontiers."""


def kernel_section(
    trace: Trace, *, windows: Sequence[int] = (), characters_at_most: int
) -> JsonObject:
    """A trace, some of its windows drawn.

    Parameters
    ----------
    windows : which to draw; by default the first `WINDOWS_DRAWN`.
    characters_at_most : for what is drawn, all windows together.

    Raises
    ------
    DiagmemError
        A window is not there, or the file is damaged.
    """
    known = [window.index for window in trace.windows]
    for index in windows:
        if index not in known:
            raise DiagmemError(
                f"{trace.path}: there is no window {index}, expected 0 to {len(known) - 1}"
            )
    drawn = list(dict.fromkeys(windows)) or known[:WINDOWS_DRAWN]
    places = places_of(trace.sites)
    each = characters_at_most // max(len(drawn), 1)
    pictures = [_picture(trace, trace.windows[known.index(i)], places, each) for i in drawn]
    return {
        "kind": "kernel",
        "title": PurePath(trace.path).name,
        "facts": _facts(trace),
        "places": places.as_json(),
        "windows": pictures,
        "tables": [_window_table(trace, drawn).as_json()],
    }


def _facts(trace: Trace) -> list[list[str]]:
    """How the trace was made, as its header says."""
    about = trace.about
    facts = [["trace", f"{trace.path}: {trace.mode}, {trace.bytes_on_disk:,} B on disk"]]
    facts += [["cut", trace.cut]] if not trace.complete else []
    texts = {
        "command": join(about.command),
        "recorded by": ", ".join(about.recorded_by),
        "kernel": about.kernel,
        "compiler": about.compiler,
        "library": about.library,
        "imported": about.imported,
        "flags": " ".join(about.flags),
        "parameters": " ".join(f"{key}={value}" for key, value in about.parameters.items()),
    }
    return facts + [[name, text] for name, text in texts.items() if text]


def _window_table(trace: Trace, drawn: Sequence[int]) -> PageTable:
    names = "window", "function", "thread", "buffers", "events", "loads", "stores", "end", "drawn"
    rows: list[list[Cell]] = []
    for w in trace.windows:
        row: list[Cell] = [w.index, w.function, w.thread, len(w.buffers)]
        rows.append([*row, w.events, w.loads, w.stores, w.end, w.index in drawn])
    left = len(rows) - len(drawn)
    note = f"{left:,} of {len(rows):,} windows are not drawn; --window chooses" if left else ""
    return PageTable("Windows", names, rows, note)


# ---- one window ----


def _picture(trace: Trace, window: Window, places: SourcePlaces, budget: int) -> JsonObject:
    if not window.buffers:
        return {"index": window.index, "function": window.function, "buffers": [], "pairs": []}
    # With all buffers chosen, or the first of them.
    names = [buffer.name for buffer in window.buffers]
    scene = scene_of(trace, window.index, buffers=names[:BUFFERS_DRAWN])
    pairs = [*filter(None, [scene.choice.pair]), *scene.choice.other_pairs]
    pairs = [pair for pair in pairs if pair.is_placed]
    whole = scene.ticks <= WHOLE_EVENTS
    ranges = [(0, scene.ticks)] if whole else _ranges(pairs, scene.ticks)
    gathered = _gathered(trace, scene, places, ranges, planes=not whole)
    share = int(budget * EVENTS_SHARE)
    events = _events(gathered, ranges)
    if whole and characters(events) > share:
        ranges = _ranges(pairs, scene.ticks)
        gathered = _gathered(trace, scene, places, ranges, planes=True)
        events = _events(gathered, ranges)
        whole = False
    planes = {} if whole else _planes(gathered, share - characters(events))
    shapes = shapes_of(scene, budget - share)
    shown = choose(scene.live, pairs)
    return {
        "index": window.index,
        "function": window.function,
        "title": title_of(trace, scene),
        "subtitles": subtitles(trace, scene),
        "notes": _notes(trace, scene, whole),
        "ticks": scene.ticks,
        "events": window.events,
        "mode": trace.mode,
        "whole": whole,
        "classes": events["classes"],
        "buffers": [
            {
                "name": name,
                "role": str(scene.part(name).live.role),
                "bytes": scene.part(name).live.size_bytes,
                "shown": name in (*shown.large, *shown.small),
                "pieces": events["pieces"].get(name, []),
                "plane": planes.get(name),
                **shapes[name],
            }
            for name in scene.choice.large
        ],
        "pairs": [_pair(pair, ranges, gathered, places) for pair in pairs],
        "tables": [t.as_json() for t in (_pair_table(pairs), _buffer_table(scene, gathered))],
    }


def _notes(trace: Trace, scene: Scene, whole: bool) -> list[str]:
    # Which pairs and buffers there are is in the tables.
    choice = scene.choice
    bare = Choice(choice.large, choice.small, (), choice.pair, ())
    notes = notes_on(trace, dataclasses.replace(scene, choice=bare), shared=False)
    if choice.left_out:
        notes.append(f"{len(choice.left_out):,} further buffers are in the table only")
    if trace.mode == "events" and not whole:
        notes.append(
            f"of {scene.ticks:,} ticks, single events are here for the first and last"
            f" {CLOSE_TICKS:,} and {CLOSE_TICKS:,} to each side of what limits a pair; elsewhere"
            " zooming ends at the cells that the readout names"
        )
    return notes


def _ranges(pairs: Sequence[Overlap], ticks: int) -> list[Range]:
    """Around what limits each pair, and both ends; apart and in order."""
    limits = [pair.limit for pair in pairs if pair.limit is not None]
    middles = {0, ticks, *(tick for at in limits for tick in (at.input_tick, at.output_tick))}
    ranges: list[Range] = []
    for middle in sorted(middles):
        start, end = max(middle - CLOSE_TICKS, 0), min(middle + CLOSE_TICKS, ticks)
        if ranges and start <= ranges[-1][1]:
            start = ranges.pop()[0]
        ranges.append((start, end))
    return ranges


def _gathered(
    trace: Trace, scene: Scene, places: SourcePlaces, ranges: Sequence[Range], *, planes: bool
) -> dict[str, Gathered]:
    if trace.mode == "summary":
        return {}
    cells = PLANE_CELLS // len(scene.choice.large)
    rows = isqrt(cells // COLUMNS_PER_ROW)
    levels = {
        name: PlaneLevel.of(scene.ticks, scene.part(name).live.size_bytes, cells // rows, rows)
        for name in scene.choice.large
    }
    return gather(trace, scene.window.index, places, ranges, levels, planes=planes)


def _events(gathered: dict[str, Gathered], ranges: Sequence[Range]) -> JsonObject:
    """Packed columns of each buffer's pieces, their kinds, sizes and places as classes."""
    every = [piece.kind for buffer in gathered.values() for piece in buffer.pieces]
    known = np.unique(np.concatenate(every)) if every else np.empty(0, np.int64)
    return {
        "classes": [parts_of(kind) for kind in known.tolist()],
        "pieces": {
            name: [
                _packed_piece(piece, range_, known)
                for piece, range_ in zip(buffer.pieces, ranges, strict=True)
            ]
            for name, buffer in gathered.items()
        },
    }


def _packed_piece(piece: Columns, range_: Range, known: Int64Array) -> JsonObject:
    return {
        "start": range_[0],
        "end": range_[1],
        "tick": pack(piece.tick - range_[0], delta=True),
        "offset": pack(piece.offset, delta=True),
        "class": pack(np.searchsorted(known, piece.kind)),
    }


def _planes(gathered: dict[str, Gathered], budget: int) -> dict[str, JsonObject]:
    """The finest planes that fit."""
    packed = {}
    for name, buffer in gathered.items():
        planes = buffer.planes
        while planes is not None:
            packed[name] = _packed_planes(planes)
            if characters(packed[name]) <= budget // len(gathered) or planes.loads.size == 1:
                break
            planes = planes.coarser
    return packed


def _packed_planes(planes: Planes) -> JsonObject:
    level = planes.level
    return {
        "columns": level.columns,
        "rows": level.rows,
        "tick_shift": level.tick_shift,
        "byte_shift": level.byte_shift,
        "loads": pack(planes.loads),
        "stores": pack(planes.stores),
    }


# ---- pairs ----


def _pair(
    pair: Overlap, ranges: Sequence[Range], gathered: dict[str, Gathered], places: SourcePlaces
) -> JsonObject:
    limit = limit_texts(pair)
    if pair.limit is not None and gathered:
        for name, role, tick in (
            (pair.output, "output", pair.limit.output_tick),
            (pair.input, "input", pair.limit.input_tick),
        ):
            where = _place_at(gathered.get(name), tick, places)
            limit += [f"{role}: {where}"] if where else []
    return {
        **pair.as_json(),
        "span_bytes": span_bytes(pair),
        "exact": pair.exact,
        "limit": limit_point(pair),
        "limit_texts": limit,
        "notes": list(pair.notes),
    }


def _place_at(gathered: Gathered | None, tick: int, places: SourcePlaces) -> str:
    """The function and source line of the access at a tick, if it was kept."""
    for piece in gathered.pieces if gathered else ():
        at = int(np.searchsorted(piece.tick, tick))
        if at < len(piece.tick) and piece.tick[at] == tick:
            return places.known[parts_of(int(piece.kind[at]))[2]].text
    return ""


def _pair_table(pairs: Sequence[Overlap]) -> PageTable:
    names = ["input", "output", "D (B)", "O_s (B)", "input (B)", "output (B)"]
    names += ["mirror D (B)", "exact", "other safe displacements (B)", "notes"]
    rows: list[list[Cell]] = [
        [
            pair.input,
            pair.output,
            pair.min_displacement_bytes if pair.is_placed else None,
            pair.safe_overlap_bytes if pair.is_placed else None,
            pair.input_bytes,
            pair.output_bytes,
            pair.mirror_displacement_bytes,
            pair.exact,
            ", ".join(f"{d:,}" for d in pair.isolated_safe_displacements),
            "; ".join(pair.notes),
        ]
        for pair in pairs
    ]
    return PageTable("Pairs of an input and an output", names, rows)


def _buffer_table(scene: Scene, gathered: dict[str, Gathered]) -> PageTable:
    names = ["buffer", "role", "size (B)", "loads", "stores"]
    names += ["never loaded (B)", "never stored (B)"]
    rows: list[list[Cell]] = []
    for live in scene.live:
        columns = gathered.get(live.name)
        untouched = [
            min(int(np.count_nonzero(~touched)) * live.cell_bytes, live.size_bytes)
            for touched in (live.loaded, live.stored)
        ]
        counts = [columns.loads, columns.stores] if columns else [None, None]
        rows.append([live.name, str(live.role), live.size_bytes, *counts, *untouched])
    return PageTable("Buffers", names, rows)
