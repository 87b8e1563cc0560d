"""Does a binary do the same when its buffers overlap?

A compiler may branch on the distance of two buffers, so what a trace apart shows
need not be what the binary does overlapped.  A second trace, truly overlapped,
tells: either it is the first one access by access, each moved with its buffer;
or it shows other accesses, and then their own order decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from diagmem.analysis.liveness import BufferLiveness, LivenessFold
from diagmem.analysis.overlap import Overlap, find_overlap, is_safe_at
from diagmem.analysis.trace import Trace
from diagmem.trace.events import Events
from diagmem.trace.window import Accesses, Role, Site, Window


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a trace at a displacement says of it.

    Attributes
    ----------
    same_accesses : it is the trace apart, access by access.
    safe : by the order of the accesses no value is lost there; None where the
        accesses to shared bytes cannot be told apart by their buffer.
    safe_from_bytes : the smallest displacement from which the accesses seen
        here would be safe; None where that is unknown.
    difference : the first access that differs, in words, or empty.
    """

    same_accesses: bool
    safe: bool | None
    safe_from_bytes: int | None
    difference: str


def compare(
    apart: Trace, overlapped: Trace, overlaps: Sequence[Overlap], displacement: int
) -> Agreement:
    """Hold a trace at a displacement against the one apart, window by window; ``overlaps``
    are of the pair in the windows of the one apart."""
    worst = Agreement(True, True, None, "")
    for window in apart.windows:
        agreement = _compare_window(apart, overlapped, window, overlaps[window.index], displacement)
        if _rank(agreement) > _rank(worst):
            worst = agreement
    return worst


def _rank(agreement: Agreement) -> tuple[int, int, bool]:
    danger = {True: 0, None: 1, False: 2}[agreement.safe]
    return danger, agreement.safe_from_bytes or 0, not agreement.same_accesses


def _compare_window(
    apart: Trace, overlapped: Trace, window: Window, overlap: Overlap, displacement: int
) -> Agreement:
    pair = overlap.input, overlap.output
    if window.index >= len(overlapped.windows):
        return Agreement(False, False, None, f"window {window.index} was not reached")
    other = overlapped.windows[window.index]
    if not other.complete or other.several_threads:
        why = "several threads" if other.several_threads else other.end
        return Agreement(False, None, None, f"the window overlapped: {why}")
    difference = _first_difference(apart, overlapped, window, other)
    if not difference:
        # Isolated displacements take longest, so they are looked for last.
        holds = overlap.holds(displacement) or (
            apart.overlaps(window.index)[0].pair(*pair).holds(displacement)
        )
        return Agreement(True, holds, None, "")
    if not _is_ordinary(apart, window.index, pair):
        return Agreement(False, None, None, difference)
    both = _attributed(overlapped, window.index, pair, displacement)
    if both is None:
        return Agreement(False, None, None, difference)
    safe_from = find_overlap(*both).min_displacement_bytes
    return Agreement(False, is_safe_at(*both, displacement), safe_from, difference)


# ---- access by access ----


def _first_difference(a: Trace, b: Trace, window: Window, other: Window) -> str:
    """In words; empty where both windows made the same accesses."""
    code_a, code_b = _common_numbers(a.sites, b.sites)
    starts = np.array([buffer.address for buffer in window.buffers])
    moved = np.array([_address(other, buffer.name) for buffer in window.buffers]) - starts
    for here, there in _side_by_side(a.events(window.index), b.events(other.index)):
        of = np.searchsorted(starts, here.address + here.size - 1, "right") - 1
        wrong = (
            (code_a[here.site] != code_b[there.site])
            | (here.size != there.size)
            | (here.address + moved[of] != there.address)
        )
        if wrong.any():
            i = int(np.argmax(wrong))
            return (
                f"access {here.tick[i]:,}: apart {_words(a, window, here, i)},"
                f" overlapped {_words(b, other, there, i)}"
            )
    if window.events != other.events:
        return f"apart {window.events:,} accesses, overlapped {other.events:,}"
    return ""


def _address(window: Window, name: str) -> int:
    buffer = window.buffer(name)
    return buffer.address if buffer else -(1 << 60)


def _common_numbers(
    a: tuple[Site, ...], b: tuple[Site, ...]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For the sites of two traces of one binary: the same number, the same code."""
    numbers: dict[tuple[object, ...], int] = {}

    def number(site: Site) -> int:
        key = (site.kind, site.size_bytes, site.object, site.offset if site.pc else None)
        return numbers.setdefault(key, len(numbers))

    return np.array([number(s) for s in a], np.int64), np.array([number(s) for s in b], np.int64)


def _side_by_side(a: Iterator[Events], b: Iterator[Events]) -> Iterator[tuple[Events, Events]]:
    """Both in pieces of equal length, as far as the shorter one goes."""
    here, there = next(a, None), next(b, None)
    while here is not None and there is not None:
        n = min(len(here.tick), len(there.tick))
        if n:
            yield _part(here, 0, n), _part(there, 0, n)
        here = _part(here, n) if len(here.tick) > n else next(a, None)
        there = _part(there, n) if len(there.tick) > n else next(b, None)


def _part(events: Events, start: int, end: int | None = None) -> Events:
    return replace(
        events,
        tick=events.tick[start:end],
        address=events.address[start:end],
        size=events.size[start:end],
        store=events.store[start:end],
        site=events.site[start:end],
        thread=events.thread[start:end],
    )


def _words(trace: Trace, window: Window, events: Events, i: int) -> str:
    site, address = trace.sites[events.site[i]], int(events.address[i])
    places = [
        f"{b.name}[{address - b.address}]" for b in window.buffers if b.address <= address < b.end
    ]
    return f"a {site.kind} of {events.size[i]} B at {' = '.join(places)} ({site.where})"


# ---- other accesses, taken by themselves ----


def _is_ordinary(trace: Trace, window: int, pair: tuple[str, str]) -> bool:
    """Never stores to its input, never loads from its output."""
    live = {b.name: b for b in trace.liveness(window)}
    return not live[pair[0]].stored.any() and not live[pair[1]].loaded.any()


def _attributed(
    trace: Trace, window: int, pair: tuple[str, str], displacement: int
) -> tuple[BufferLiveness, BufferLiveness] | None:
    """Liveness of both where every load of a shared byte is the input's and every
    store the output's; None where that cannot be."""
    cells = {b.name: b.cell_bytes for b in trace.liveness(window)}
    sizes = {b.name: b.size_bytes for b in trace.windows[window].buffers}
    shared = {
        pair[0]: (-displacement, sizes[pair[1]] - displacement),
        pair[1]: (displacement, displacement + sizes[pair[0]]),
    }
    liveness = []
    for name, role, stores in ((pair[0], Role.INPUT, False), (pair[1], Role.OUTPUT, True)):
        fold = LivenessFold(name, role, sizes[name], cells[name])
        low, high = (max(0, shared[name][0]), min(sizes[name], shared[name][1]))
        for piece in trace.accesses(window, name):
            mine = piece.store == stores
            others = piece.offset[~mine], (piece.offset + piece.size)[~mine]
            if len(others[0]) and (others[0].min() < low or others[1].max() > high):
                return None
            fold.take(_chosen(piece, mine))
        liveness.append(fold.result())
    return liveness[0], liveness[1]


def _chosen(piece: Accesses, which: npt.NDArray[np.bool_]) -> Accesses:
    return Accesses(
        piece.tick[which],
        piece.offset[which],
        piece.size[which],
        piece.store[which],
        piece.site[which],
    )
