"""What a heatmap shows, before it is drawn: buffers, panels and their cells."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

from diagmem.analysis.liveness import BufferLiveness
from diagmem.analysis.overlap import Overlap
from diagmem.base.errors import DiagmemError
from diagmem.plot.bins import Extent, Grid, GridFold
from diagmem.plot.choice import Choice, choose
from diagmem.plot.layout import Place
from diagmem.plot.limit import LimitFinder, LimitingAccess
from diagmem.plot.panels import CELL_LINES_PT, Kind, Panel, Part
from diagmem.plot.shading import Steps, frontier, lives_of
from diagmem.plot.sheet import Rect
from diagmem.trace.window import Accesses, Window

if TYPE_CHECKING:
    from diagmem.analysis.trace import Trace

LARGE_PT, SMALL_PT, PLACEMENT_PT, CLOSE_UP_PT = 150, 58, 250, 160
CLOSE_UP_TICKS = 128
CLOSE_UP_CELLS = 40


@dataclass(frozen=True, slots=True)
class Scene:
    """A window with its liveness, the choice made, and its length in ticks."""

    window: Window
    live: tuple[BufferLiveness, ...]
    choice: Choice
    ticks: int
    frontiers: dict[str, Steps]
    """Of the inputs and outputs drawn, by name; empty steps of other buffers."""

    @property
    def is_limited(self) -> bool:
        """Does anything keep the pair's D from being smaller?"""
        return self.choice.pair is not None and self.choice.pair.limit is not None

    def part(self, name: str, shift: int = 0) -> Part:
        return Part(next(b for b in self.live if b.name == name), shift)


def scene_of(
    trace: Trace,
    window: int,
    *,
    input_: str | None = None,
    output: str | None = None,
    buffers: Sequence[str] = (),
) -> Scene:
    """Look at a window and choose what to draw of it.

    Raises
    ------
    DiagmemError
        If the window, or a buffer named, is not there.
    """
    # The overlaps first: they need a liveness of their own, and both at a time
    # would double the memory of a large window.
    pairs = trace.overlaps(window)[0].pairs
    live = trace.liveness(window)
    if not live:
        raise DiagmemError(f"{trace.path}: window {window} has no buffers to draw")
    try:
        choice = choose(live, pairs, input_=input_, output=output, buffers=buffers)
    except DiagmemError as error:
        raise DiagmemError(f"{trace.path}: window {window}: {error}") from None
    chosen = next(w for w in trace.windows if w.index == window)
    # A window that was cut off with its file has lost its own count.
    last = max(int(b.last_access.max(initial=-1)) for b in live)
    conservative = choice.pair is not None and not choice.pair.exact
    names = {*choice.large, *choice.small} | (
        {choice.pair.input, choice.pair.output} if choice.pair else set()
    )
    lines = {b.name: frontier(b, stores_count=conservative) for b in live if b.name in names}
    return Scene(chosen, live, choice, max(chosen.events, last + 1), lines)


@dataclass(frozen=True, slots=True)
class PanelView(Place):
    """What a panel shows of which buffers: ranges of ticks and bytes."""

    kind: Kind
    parts: tuple[Part, ...]
    ticks: tuple[int, int]
    bytes: tuple[int, int]


def views_of(scene: Scene, *, close_up: bool) -> list[PanelView]:
    """The panels from top to bottom: buffers, placement, close-up."""
    choice, everything = scene.choice, (0, scene.ticks)
    views = [
        PanelView(height_pt, False, "buffer", (part,), everything, (0, part.live.size_bytes))
        for names, height_pt in ((choice.large, LARGE_PT), (choice.small, SMALL_PT))
        for part in map(scene.part, names)
    ]
    pair = choice.pair
    if pair is not None:
        parts = (scene.part(pair.input, pair.min_displacement_bytes), scene.part(pair.output))
        span = (0, span_bytes(pair))
        views.append(PanelView(PLACEMENT_PT, False, "placement", parts, everything, span))
    views[-1] = replace(views[-1], tick_labels=True)
    if close_up and pair is not None and (point := limit_point(pair)):
        ticks = _around(point[0], CLOSE_UP_TICKS // 2, scene.ticks)
        bytes_ = _around(point[1], CLOSE_UP_CELLS * pair.cell_bytes // 2, span_bytes(pair))
        views.append(PanelView(CLOSE_UP_PT, True, "close-up", views[-1].parts, ticks, bytes_))
    return views


def needs_close_up(scene: Scene, width_px: int, height_px: int, dpi: int) -> bool:
    """Is the limiting access too small to be seen in a placement of that size?"""
    pair = scene.choice.pair
    if pair is None or pair.limit is None:
        return False
    least = CELL_LINES_PT * dpi / 72
    cell_px = height_px * pair.cell_bytes / span_bytes(pair)
    return width_px / max(scene.ticks, 1) < least or cell_px < least


def span_bytes(pair: Overlap) -> int:
    """Of both tensors, the input D bytes above the output's start."""
    return max(pair.output_bytes, pair.min_displacement_bytes + pair.input_bytes)


def panels_of(views: Sequence[PanelView], rects: Sequence[Rect], cell_px: int) -> list[Panel]:
    """The panels with their extents; no cell is smaller than ``cell_px`` pixels."""
    return [
        Panel(
            rect,
            Extent.of(*view.ticks, rect[2] // cell_px),
            Extent.of(*view.bytes, rect[3] // cell_px),
            view.parts,
            view.kind,
            view.tick_labels,
            (max(view.ticks[1], 1), max(view.bytes[1], 1)),
        )
        for view, rect in zip(views, rects, strict=True)
    ]


def limit_point(pair: Overlap) -> tuple[int, int] | None:
    """Tick and byte, in the placement, where the frontiers touch; None: nowhere.

    They touch from the store that limits D to the load that does; where these
    are far apart, the point is the load.
    """
    limit = pair.limit
    if limit is None:
        return None
    first = max(limit.output_tick, 0)
    far = limit.input_tick - first > CLOSE_UP_TICKS // 2
    tick = limit.input_tick if far else (first + limit.input_tick + 1) // 2
    return tick, pair.min_displacement_bytes + limit.input_offset


def _around(middle: int, half: int, end: int) -> tuple[int, int]:
    """``half`` to both sides, moved inside ``[0, end)`` where there is room."""
    start = max(0, min(middle - half, end - 2 * half))
    return start, min(start + 2 * half, end)


@dataclass(slots=True)
class AccessCounts:
    """How many accesses a buffer saw; -1 in a summary, which does not tell."""

    loads: int = 0
    stores: int = 0


@dataclass(frozen=True, slots=True)
class PanelCounts:
    """What one pass over a trace found for some panels.

    ``grids``: of every part of every panel; ``counted``: by buffer; ``limit``: the
    accesses that limit the pair, none of a summary.
    """

    grids: list[list[Grid]]
    counted: dict[str, AccessCounts]
    limit: tuple[LimitingAccess, ...]


def count(trace: Trace, scene: Scene, panels: Sequence[Panel]) -> PanelCounts:
    """Look at every access to the buffers drawn, in pieces."""
    folds = [
        [GridFold(p.ticks, p.bytes, part.live.size_bytes, part.shift) for part in p.parts]
        for p in panels
    ]
    fed: dict[str, list[GridFold]] = {}
    for panel, of_panel in zip(panels, folds, strict=True):
        for part, fold in zip(panel.parts, of_panel, strict=True):
            fed.setdefault(part.live.name, []).append(fold)
    summary = trace.mode == "summary"
    counted = {name: AccessCounts(-1, -1) if summary else AccessCounts() for name in fed}
    limit = LimitFinder(trace.sites, scene.choice.pair)
    if not summary:
        for name, piece in in_turns(trace, scene.window.index, fed):
            stores = int(np.count_nonzero(piece.store))
            counted[name].stores += stores
            counted[name].loads += len(piece) - stores
            limit.take(name, piece)
            for fold in fed[name]:
                fold.take(piece)
    grids = [
        [
            fold.result(lives_of(part.live, scene.ticks))
            for part, fold in zip(panel.parts, of_panel, strict=True)
        ]
        for panel, of_panel in zip(panels, folds, strict=True)
    ]
    return PanelCounts(grids, counted, limit.result())


def in_turns(trace: Trace, window: int, buffers: Collection[str]) -> Iterator[tuple[str, Accesses]]:
    """The accesses to several buffers, piece by piece in turns, so that the reader, which
    keeps the last block, decodes each block once for all of them."""
    for pieces in zip_longest(*(trace.accesses(window, name) for name in buffers)):
        for name, piece in zip(buffers, pieces, strict=True):
            if piece is not None and len(piece):
                yield name, piece
