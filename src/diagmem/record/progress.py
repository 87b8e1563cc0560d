"""A line on stderr while something long runs, if somebody is looking."""

from __future__ import annotations

import sys
import time

INTERVAL_S = 0.2


class Progress:
    """Rewrites one line, at most five times a second; silent without a terminal."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._next = self._start + 1.0
        self._shown = False
        self._terminal = sys.stderr.isatty()

    def update(self, events: int, windows: int) -> None:
        now = time.monotonic()
        if not self._terminal or now < self._next:
            return
        self._next = now + INTERVAL_S
        self._shown = True
        seconds = now - self._start
        sys.stderr.write(
            f"\rrecording: {events / 1e6:.1f} M events, {windows} windows, {seconds:.0f} s "
        )
        sys.stderr.flush()

    def done(self) -> None:
        if self._shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
