"""One answer for many windows and many runs: safe is what is safe in each.

A kernel whose accesses depend on its data shows another D with other inputs.  A
displacement may be relied on only if it is safe in every window seen, so the
union's D is the largest, and so is its mirror; between them a displacement is
safe that every window finds safe.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import reduce
from operator import and_

from diagmem.analysis.overlap import Overlap
from diagmem.analysis.safe import Safe
from diagmem.analysis.window_overlaps import WindowOverlaps


@dataclass(frozen=True, slots=True)
class Source:
    """Where a window was seen: the trace's path and the window's number."""

    trace: str
    window: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Union(Safe):
    """What all windows say together of one input and one output, in bytes.

    Windows belong together that have the same function and, for the pair, the
    same names and sizes.

    Attributes
    ----------
    exact : so in every window.
    windows : all that count.
    decided_by : the windows whose D is the largest.
    displacements : every D found, ascending, and how many windows found it.
    refused : why one of the windows gives no answer, so that nothing may overlap; empty
        where all do.
    """

    function: str
    exact: bool
    windows: tuple[Source, ...]
    decided_by: tuple[Source, ...]
    displacements: tuple[tuple[int, int], ...]
    refused: str = ""

    @property
    def differ(self) -> bool:
        """Do the windows disagree about D?"""
        return len(self.displacements) > 1


def merge(windows: Iterable[tuple[Source, WindowOverlaps]]) -> tuple[Union, ...]:
    """The union over windows, one for each pair of buffers of each shape.

    In the order in which the pairs are first seen.  What `Trace.overlaps` gives
    for several traces goes in as it is.
    """
    groups: dict[tuple[object, ...], list[tuple[Source, Overlap]]] = {}
    for source, window in windows:
        for pair in window.pairs:
            key = (window.function, pair.input, pair.output, pair.input_bytes, pair.output_bytes)
            groups.setdefault(key, []).append((source, pair))
    return tuple(_union(str(key[0]), members) for key, members in groups.items())


def _union(function: str, members: Sequence[tuple[Source, Overlap]]) -> Union:
    pairs = [pair for _, pair in members]
    safe: Safe = reduce(and_, pairs)
    counts = Counter(pair.min_displacement_bytes for pair in pairs)
    largest = safe.min_displacement_bytes
    return Union(
        **{field.name: getattr(safe, field.name) for field in fields(Safe)},
        function=function,
        exact=all(pair.exact for pair in pairs),
        windows=tuple(source for source, _ in members),
        decided_by=tuple(s for s, pair in members if pair.min_displacement_bytes == largest),
        displacements=tuple(sorted(counts.items())),
        refused=next((pair.refused for pair in pairs if pair.refused), ""),
    )
