"""One answer for many windows and many runs: safe is what is safe in each.

A kernel whose accesses depend on its data shows another D with other inputs.  A
displacement may be relied on only if it is safe in every window seen, so the
union's D is the largest, and so is its mirror; between them a displacement is
safe that every window finds safe.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from diagmem.analysis.overlap import Figures, Overlap
from diagmem.analysis.window_overlaps import WindowOverlaps


@dataclass(frozen=True, slots=True)
class Source:
    """Where a window was seen: the trace's path and the window's number."""

    trace: str
    window: int


@dataclass(frozen=True, slots=True)
class Union(Figures):
    """What all windows say together of one input and one output, in bytes.

    Windows belong together that have the same function and, for the pair, the
    same names and sizes.

    Attributes
    ----------
    min_displacement_bytes, mirror_displacement_bytes : the largest of all windows.
    isolated_safe_displacements : between the two, safe in every window.
    exact : so in every window.
    windows : all that count.
    decided_by : the windows whose D is the largest.
    displacements : every D found, ascending, and how many windows found it.
    refused : why one of the windows gives no answer, so that nothing may overlap; empty
        where all do.
    """

    function: str
    input: str
    output: str
    input_bytes: int
    output_bytes: int
    min_displacement_bytes: int
    mirror_displacement_bytes: int
    isolated_safe_displacements: tuple[int, ...]
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


def is_safe(pair: Overlap, displacement: int) -> bool:
    """Does one window find it safe?"""
    return (
        displacement >= pair.min_displacement_bytes
        or displacement <= -pair.mirror_displacement_bytes
        or displacement in pair.isolated_safe_displacements
    )


def _union(function: str, members: Sequence[tuple[Source, Overlap]]) -> Union:
    pairs = [pair for _, pair in members]
    first = pairs[0]
    largest = max(pair.min_displacement_bytes for pair in pairs)
    mirror = max(pair.mirror_displacement_bytes for pair in pairs)
    # Between the two bounds the windows that set them must both agree: that they
    # list it as isolated, or that one has both bounds 0 and it is 0.
    candidates = {d for pair in pairs for d in pair.isolated_safe_displacements} | {0}
    isolated = [
        d
        for d in sorted(candidates)
        if -mirror < d < largest and all(is_safe(pair, d) for pair in pairs)
    ]
    counts: dict[int, int] = {}
    for pair in pairs:
        counts[pair.min_displacement_bytes] = counts.get(pair.min_displacement_bytes, 0) + 1
    return Union(
        function=function,
        input=first.input,
        output=first.output,
        input_bytes=first.input_bytes,
        output_bytes=first.output_bytes,
        min_displacement_bytes=largest,
        mirror_displacement_bytes=mirror,
        isolated_safe_displacements=tuple(isolated),
        exact=all(pair.exact for pair in pairs),
        windows=tuple(source for source, _ in members),
        decided_by=tuple(s for s, pair in members if pair.min_displacement_bytes == largest),
        displacements=tuple(sorted(counts.items())),
        refused=next((pair.refused for pair in pairs if pair.refused), ""),
    )
