"""A line on stderr while something long runs, if somebody is looking."""

from __future__ import annotations

import sys
import time

FIRST_S = 1.0
INTERVAL_S = 0.2


class Progress:
    """Rewrites one line, at most five times a second; silent without a terminal.

    ``what`` says what goes on: ``recording``, ``reading``.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._start = time.monotonic()
        self._next = self._start + FIRST_S
        self._events = 0
        self._shown = False
        self._terminal = sys.stderr.isatty()

    def advance(self, events: int) -> None:
        """So many more events are done."""
        self._events += events
        self._show(f"{self._events / 1e6:.1f} M events")

    def share(self, done: int, total: int) -> None:
        """So many cases are done, of so many."""
        self._show(f"{done:,} of {total:,} cases")

    def _show(self, how_far: str) -> None:
        now = time.monotonic()
        if not self._terminal or now < self._next:
            return
        self._next = now + INTERVAL_S
        self._shown = True
        sys.stderr.write(f"\r{self._what}: {how_far}, {now - self._start:.0f} s ")
        sys.stderr.flush()

    def done(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
