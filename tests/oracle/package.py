"""The package's road from events to an overlap, for the oracle's cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from diagmem.analysis.liveness import BufferLiveness, LivenessFold
from diagmem.analysis.lives import Lives, LivesFold
from diagmem.analysis.overlap import Overlap, find_overlap
from diagmem.trace.window import Accesses
from tests.oracle.oracle import Case, Place

MAX_CELL_BYTES = 16
PLENTY = 1 << 20


def accesses_to(case: Case, place: Place) -> Accesses:
    """The events that touch the buffer, from its start and not yet clipped."""
    touching = [(t, e) for t, e in enumerate(case.events) if place.inside(e)]
    return Accesses(
        tick=np.array([t for t, _ in touching], np.int64),
        offset=np.array([e.address - place.address for _, e in touching], np.int64),
        size=np.array([e.size for _, e in touching], np.int64),
        store=np.array([e.store for _, e in touching], np.bool_),
        site=np.zeros(len(touching), np.uint32),
    )


def pieces(accesses: Accesses, cuts: Sequence[int]) -> Iterator[Accesses]:
    """The same accesses, cut before these indices; some pieces may be empty."""
    edges = [0, *sorted(min(c, len(accesses)) for c in cuts), len(accesses)]
    for first, end in pairwise(edges):
        yield Accesses(
            accesses.tick[first:end],
            accesses.offset[first:end],
            accesses.size[first:end],
            accesses.store[first:end],
            accesses.site[first:end],
        )


def legal_cells(case: Case, place: Place, *, short_last: bool = False) -> list[int]:
    """Powers of two that every access touches whole or not at all.

    ``short_last``: the last cell need not be a full one.
    """
    edges = set() if short_last else {place.size}
    for event in case.events:
        inside = place.inside(event)
        if inside:
            edges |= {inside.start, inside.stop} - ({place.size} if short_last else set())
    cells = [1 << shift for shift in range(MAX_CELL_BYTES.bit_length())]
    return [c for c in cells if all(edge % c == 0 for edge in edges)]


def liveness(
    case: Case, role: str, cell_bytes: int, cuts: Sequence[int] = (), *, sparse: bool = False
) -> BufferLiveness:
    place = case.input if role == "input" else case.output
    fold = LivenessFold(role, role, place.size, cell_bytes, sparse=sparse)
    for piece in pieces(accesses_to(case, place), cuts):
        fold.take(piece)
    return fold.result()


def lives(
    case: Case, role: str, cell_bytes: int, cuts: Sequence[int] = (), limit: int = PLENTY
) -> Lives | None:
    place = case.input if role == "input" else case.output
    fold = LivesFold(place.size, cell_bytes, limit=limit, given=role == "input")
    for piece in pieces(accesses_to(case, place), cuts):
        fold.take(piece)
    return fold.result(needed_after=role == "output")


def from_events(
    case: Case, cell_in: int = 1, cell_out: int = 1, cuts: Sequence[int] = ()
) -> Overlap:
    """As the package does it for a trace of events: lives where the input is stored to."""
    input_ = liveness(case, "input", cell_in, cuts)
    output = liveness(case, "output", cell_out, cuts)
    if not input_.stored.any():
        return find_overlap(input_, output)
    cell = min(cell_in, cell_out)
    return find_overlap(
        input_,
        output,
        input_lives=lives(case, "input", cell, cuts),
        output_lives=lives(case, "output", cell, cuts),
    )


def from_summary(
    case: Case, cell_in: int = 1, cell_out: int = 1, *, sparse: tuple[bool, bool] = (False, False)
) -> Overlap:
    """As the package does it for a summary, or for buffers in runs: there are no lives."""
    return find_overlap(
        liveness(case, "input", cell_in, sparse=sparse[0]),
        liveness(case, "output", cell_out, sparse=sparse[1]),
    )
