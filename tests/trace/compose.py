"""Traces written on the spot, from columns of events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from diagmem.trace.composer import BLOCK_EVENTS, Composer, Mode
from diagmem.trace.window import Buffer, Site


@dataclass(frozen=True, slots=True)
class SyntheticWindow:
    """One window to write; `address`, `size` (bytes) and `store` have one entry
    per event, in program order, as may `thread` and `site`.

    Events that touch none of the buffers are left out, as the tool does; one
    that touches several spans counts once in each.  ``end`` is None for a
    window that was still open when the recording was cut.
    """

    function: str
    buffers: Sequence[Buffer]
    address: npt.ArrayLike
    size: npt.ArrayLike
    store: npt.ArrayLike
    thread: npt.ArrayLike = 1
    site: npt.ArrayLike | None = None
    """Indices into the ``sites`` given to `compose`."""
    end: str | None = "returned"
    missing: Sequence[tuple[str, str]] = ()


def compose(
    path: Path,
    windows: Iterable[SyntheticWindow],
    *,
    mode: Mode = "events",
    sites: Sequence[Site] = (),
    everything: bool = False,
    block_events: int = BLOCK_EVENTS,
    header: dict[str, Any] | None = None,
    cut: str = "",
) -> None:
    """Write a trace file; one of that name is overwritten.

    Parameters
    ----------
    everything
        Keep events outside the buffers too.
    block_events
        How many events a block holds at most.
    header
        Further facts for the header record.
    cut
        Why the recording is not complete; empty for a complete one.

    Raises
    ------
    DiagmemError
        If the columns differ in length, an event has no bytes or does not fit
        its site, or the file cannot be written.
    """
    with Composer(
        path,
        mode=mode,
        sites=sites,
        everything=everything,
        block_events=block_events,
        header=header,
    ) as composer:
        for window in windows:
            thread = np.atleast_1d(np.asarray(window.thread, np.uint32))
            composer.open_window(
                window.function,
                window.buffers,
                thread=int(thread[0]) if len(thread) else 1,
                missing=window.missing,
            )
            composer.add(window.address, window.size, window.store, window.thread, window.site)
            if window.end is not None:
                composer.close_window(window.end)
        composer.close(cut=cut)
