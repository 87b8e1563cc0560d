"""One pass over a window's events: planes of all, and columns of those in some ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from diagmem.plot.scene import in_turns
from diagmem.report.planes import PlaneFold, PlaneLevel, Planes
from diagmem.report.sources import SourcePlaces
from diagmem.trace.window import Accesses, Int64Array

if TYPE_CHECKING:
    from diagmem.analysis.trace import Trace

Range = tuple[int, int]
"""Ticks [start, end)."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Accesses to one buffer in a range of ticks, int64, in program order.

    ``offset`` is negative where an access begins before the buffer; ``kind`` says the
    rest, as `kinds_of` writes it.
    """

    tick: Int64Array
    offset: Int64Array
    kind: Int64Array


@dataclass(slots=True)
class Gathered:
    """What was seen of one buffer; ``pieces`` has one entry for each range."""

    loads: int = 0
    stores: int = 0
    planes: Planes | None = None
    pieces: list[Columns] = field(default_factory=list)


_SIZE_BITS = 40


def kinds_of(accesses: Accesses, places: SourcePlaces) -> Int64Array:
    """Place, size and direction of each access in one number."""
    place = places.of_site[accesses.site]
    kinds: Int64Array = (place << _SIZE_BITS | accesses.size) << 1 | accesses.store
    return kinds


def parts_of(kind: int) -> tuple[int, int, int]:
    """Of a number that `kinds_of` made: 1 for a store, the size in bytes, the place."""
    size_bytes = kind >> 1 & (1 << _SIZE_BITS) - 1
    return kind & 1, size_bytes, kind >> 1 >> _SIZE_BITS


def gather(
    trace: Trace,
    window: int,
    places: SourcePlaces,
    ranges: Sequence[Range],
    levels: Mapping[str, PlaneLevel],
    *,
    planes: bool,
) -> dict[str, Gathered]:
    """Read the window once.

    Parameters
    ----------
    ranges : which events to keep, apart and in order.
    levels : of the planes, by the names of the buffers to read.
    planes : draw them, too.
    """
    folds = {name: PlaneFold(level, places.of_site) for name, level in levels.items() if planes}
    kept: dict[str, list[list[Columns]]] = {name: [[] for _ in ranges] for name in levels}
    gathered = {name: Gathered() for name in levels}
    for name, piece in in_turns(trace, window, levels):
        stores = int(np.count_nonzero(piece.store))
        gathered[name].stores += stores
        gathered[name].loads += len(piece) - stores
        if planes:
            folds[name].take(piece)
        for range_, parts in zip(ranges, kept[name], strict=True):
            first, last = np.searchsorted(piece.tick, range_)
            if first < last:
                parts.append(_columns(piece, slice(first, last), places))
    for name, buffer in gathered.items():
        buffer.planes = folds[name].result() if planes else None
        buffer.pieces = [_joined(parts) for parts in kept[name]]
    return gathered


def _columns(piece: Accesses, part: slice, places: SourcePlaces) -> Columns:
    cut = Accesses(*(getattr(piece, c)[part] for c in ("tick", "offset", "size", "store", "site")))
    return Columns(cut.tick.astype(np.int64), cut.offset.astype(np.int64), kinds_of(cut, places))


def _joined(parts: Sequence[Columns]) -> Columns:
    empty = np.empty(0, np.int64)
    columns = ([getattr(part, name) for part in parts] for name in ("tick", "offset", "kind"))
    return Columns(*(np.concatenate([empty, *column]) for column in columns))
