"""The two accesses that keep D from being smaller, found while a trace is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

import numpy as np

from diagmem.analysis.overlap import Overlap
from diagmem.plot.units import bytes_exact
from diagmem.trace.window import Accesses, Site


@dataclass(frozen=True, slots=True)
class LimitingAccess:
    """One access to a buffer; ``where`` is empty if the trace does not tell the place.

    ``offset`` counts bytes from the buffer's start, ``kind`` is the site's: load,
    store, or that of a library copy or system call.
    """

    buffer: str
    tick: int
    offset: int
    size_bytes: int
    kind: str
    where: str

    def __str__(self) -> str:
        place = f", {self.where}" if self.where else ""
        return f"{self.kind}: {bytes_exact(self.size_bytes)} from byte {self.offset:,}{place}"


@dataclass(slots=True)
class LimitFinder:
    """Looks for a pair's limiting accesses in the pieces of its buffers."""

    sites: Sequence[Site]
    pair: Overlap | None
    found: list[LimitingAccess] = field(default_factory=list)

    def take(self, buffer: str, piece: Accesses) -> None:
        """The next accesses to a buffer."""
        limit = self.pair.limit if self.pair else None
        if self.pair is None or limit is None:
            return
        for name, tick in (
            (self.pair.output, limit.output_tick),
            (self.pair.input, limit.input_tick),
        ):
            if name == buffer:
                i = int(np.searchsorted(piece.tick, tick))
                if i < len(piece) and int(piece.tick[i]) == tick:
                    self.found.append(self._access(buffer, piece, i))

    def result(self) -> tuple[LimitingAccess, ...]:
        """In program order; fewer than two where there was nothing to access."""
        return tuple(sorted(self.found, key=lambda access: access.tick))

    def _access(self, buffer: str, piece: Accesses, i: int) -> LimitingAccess:
        site = self.sites[int(piece.site[i])]
        return LimitingAccess(
            buffer,
            int(piece.tick[i]),
            int(piece.offset[i]),
            int(piece.size[i]),
            site.kind,
            place_of(site),
        )


def place_of(site: Site) -> str:
    """File and line, else function and place in the object file, as short as may be."""
    if site.file:
        return f"{PurePath(site.file).name}:{site.line}"
    bare = site.function.replace("(anonymous namespace)::", "").partition("(")[0]
    function = bare.rpartition("::")[2] or site.function
    place = f"{site.object}+0x{site.offset:x}" if site.object else ""
    return ", ".join(part for part in (function, place) if part)
