"""Library copies in a trace: which there are, and which of them decide D.

In which order ``memcpy`` touches its bytes is the C library's choice, and what
runs on the board has another one.  So the recorder takes a call of it for what
is promised: all written at its start, all read at its end (``docs/design.md``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from diagmem.analysis.overlap import Limit
from diagmem.trace.copies import is_copy, is_raw_copy
from diagmem.trace.window import Site

_RULE = (
    "a library's copy counts as what it promises (memcpy: written when it begins, read when it"
    " ends), whatever the library here does"
)
LISTED = 5


def deciding_ticks(limit: Limit | None) -> tuple[int, ...]:
    """When the two accesses happened that keep D from being smaller."""
    if limit is None:
        return ()
    return tuple(t for t in (limit.output_tick, limit.input_tick) if t >= 0)


def decided_by(sites: Iterable[Site]) -> tuple[str, ...]:
    """The note on copies among the sites that decide D."""
    copies = _named(site for site in sites if is_copy(site))
    if not copies:
        return ()
    return (
        f"D is decided by {copies}: {_RULE} (--raw-copies shows what this machine's library does)",
    )


def in_summary(sites: Sequence[Site]) -> tuple[str, ...]:
    """The note on copies where a summary does not tell which of them decide D."""
    copies = _named(site for site in sites if is_copy(site))
    if not copies:
        return ()
    return (f"{copies}: {_RULE}; whether it decides D shows a trace with --mode events",)


def raw(sites: Sequence[Site]) -> tuple[str, ...]:
    """The note on copies that were recorded by their instructions."""
    names = sorted({site.function for site in sites if is_raw_copy(site)})
    if not names:
        return ()
    return (
        f"{', '.join(names)} touched the buffers: in which order is this machine's C library's"
        " choice, and the board's may differ",
    )


def _named(sites: Iterable[Site]) -> str:
    names = list(dict.fromkeys(f"{site.kind.split()[0]} at {site.where}" for site in sites))
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
