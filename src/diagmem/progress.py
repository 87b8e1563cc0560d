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
        now = time.monotonic()
        if not self._terminal or now < self._next:
            return
        self._next = now + INTERVAL_S
        self._shown = True
        seconds = now - self._start
        sys.stderr.write(f"\r{self._what}: {self._events / 1e6:.1f} M events, {seconds:.0f} s ")
        sys.stderr.flush()

    def done(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
