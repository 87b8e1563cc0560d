"""Which buffers of a window an access touches.

Linear in buffers and in what they are touched: buffers that lie apart, or that begin
and end in the same order, form a *chain*, in which an access touches neighbours.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from diagmem.trace.format import TraceError
from diagmem.trace.reader import WindowRecord
from diagmem.trace.window import Accesses, Buffer, Int64Array

FEW_BUFFERS = 16
"""So many are looked at one by one."""
MAX_CHAINS = 64
"""A window with more buffers inside one another than this is refused."""
MAX_TOUCHED = 1 << 24
"""Buffers touched by the accesses of a piece, beside `MAX_CHAINS` by each."""


def spans_of_buffers(path: Path, record: WindowRecord, buffers: Sequence[Buffer]) -> list[int]:
    """For each buffer the number of the span that holds it.

    Raises
    ------
    TraceError
        A buffer lies in no span, or the spans are not in order.
    """
    starts = [start for start, _ in record.spans]
    if any(a >= b for a, b in pairwise(starts)):
        raise TraceError(f"{path}: window {record.window.index}: its spans are not in order")
    spans = []
    for buffer in buffers:
        number = bisect_right(starts, buffer.address) - 1
        if number < 0 or buffer.end > record.spans[number][1]:
            raise TraceError(
                f"{path}: window {record.window.index}: buffer {buffer.name!r} lies in no span"
            )
        spans.append(number)
    return spans


def held_in_spans(path: Path, record: WindowRecord, buffers: Sequence[Buffer]) -> dict[int, Held]:
    """The buffers in each span that holds any, by the span's number.

    Raises
    ------
    TraceError
        As `spans_of_buffers` does, or more buffers lie inside one another than any
        window has.
    """
    members: dict[int, list[int]] = {}
    for i, number in enumerate(spans_of_buffers(path, record, buffers)):
        members.setdefault(number, []).append(i)
    return {
        number: _held(path, record, number, [(i, buffers[i]) for i in here])
        for number, here in members.items()
    }


@dataclass(frozen=True, slots=True)
class _Chain:
    """Some buffers of a span: positions, starts and ends (from the span's start), the
    last two rising."""

    number: Int64Array
    start: Int64Array
    end: Int64Array


@dataclass(frozen=True, slots=True)
class Held:
    """The buffers in one span, few one by one or many in chains."""

    few: tuple[tuple[int, int, int], ...]
    """Position, start and end (from the span's start)."""
    chains: tuple[_Chain, ...]
    whole: bool
    """There is one buffer, and it is the span."""

    def split(self, accesses: Accesses, place: str) -> Iterator[tuple[int, Accesses]]:
        """Each buffer's position and those of a span's accesses that touch it, with
        offsets from its own start."""
        if self.whole:
            yield self.few[0][0], accesses
            return
        for number, start, end in self.few:
            offset = accesses.offset
            inside = np.flatnonzero((offset < end) & (offset + accesses.size > start))
            if len(inside):
                yield number, _taken(accesses, inside, start)
        for chain in self.chains:
            yield from _of_chain(chain, accesses, place)


def _held(path: Path, record: WindowRecord, span: int, members: list[tuple[int, Buffer]]) -> Held:
    base, end = record.spans[span]
    placed = [(i, b.address - base, b.end - base) for i, b in members]
    if len(placed) <= FEW_BUFFERS:
        return Held(tuple(placed), (), len(placed) == 1 and placed[0][1:] == (0, end - base))
    chains: list[list[tuple[int, int, int]]] = []
    for extent in sorted(placed, key=lambda p: (p[1], -p[2])):
        fitting = next((chain for chain in chains if chain[-1][2] <= extent[2]), None)
        if fitting is not None:
            fitting.append(extent)
        elif len(chains) < MAX_CHAINS:
            chains.append([extent])
        else:
            raise TraceError(
                f"{path}: window {record.window.index}: more than {MAX_CHAINS} buffers lie inside"
                " one another, expected fewer"
            )
    arrays = [np.array(chain, np.int64).T for chain in chains]
    return Held((), tuple(_Chain(*columns) for columns in arrays), whole=False)


def _of_chain(chain: _Chain, accesses: Accesses, place: str) -> Iterator[tuple[int, Accesses]]:
    first = np.searchsorted(chain.end, accesses.offset, "right")
    end = np.searchsorted(chain.start, accesses.offset + accesses.size, "left")
    count = np.maximum(end - first, 0)
    total = int(count.sum())
    if total > MAX_CHAINS * len(accesses) + MAX_TOUCHED:
        raise TraceError(f"{place}: {len(accesses)} accesses touch {total} buffers")
    which = np.repeat(np.arange(len(count)), count)
    within = np.arange(total) - np.repeat(np.cumsum(count) - count, count)
    touched = first[which] + within
    order = np.argsort(touched, kind="stable")
    edges = np.flatnonzero(np.diff(touched[order], prepend=-1, append=-1))
    for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        here = which[order[low:high]]
        number = touched[order[low]]
        yield int(chain.number[number]), _taken(accesses, here, int(chain.start[number]))


def _taken(accesses: Accesses, which: Int64Array, start: int) -> Accesses:
    return Accesses(
        accesses.tick[which],
        accesses.offset[which] - start,
        accesses.size[which],
        accesses.store[which],
        accesses.site[which],
    )
