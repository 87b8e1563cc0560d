"""Which displacements hold, bit for bit: all of them where that can be afforded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from diagmem.kernels.execute import Runs

MAX_RUNS = 6000
"""Displacements times inputs for one pair, about three seconds of a small kernel."""
MAX_BYTES = 1 << 30
"""Bytes of regions written and read back for one pair."""
MAX_SECONDS = 20.0
"""What they may take, reckoned from the run apart."""
NEAR_CELLS = 24
"""So many on each side of a figure in question are always tried."""
VECTOR_BYTES = (8, 16, 32, 64, 128)
"""Distances at which compilers switch between loops."""


@dataclass(slots=True)
class Tried:
    """Displacements that were run, in bytes, and which of them held."""

    possible: int = 0
    """How many there are, a cell apart, from 0 to where the two share no byte."""
    held: dict[int, bool] = field(default_factory=dict)

    @property
    def exhaustive(self) -> bool:
        return len(self.held) >= self.possible > 0

    def failed_from(self, start: int) -> list[int]:
        return sorted(d for d, held in self.held.items() if d >= start and not held)

    def held_below(self, end: int) -> list[int]:
        return sorted(d for d, held in self.held.items() if 0 <= d < end and held)


class Search:
    """Tries displacements of one pair, each once, within a budget."""

    def __init__(self, runs: Runs, inputs: int) -> None:
        self._runs = runs
        self._end = runs.output.size_bytes
        self._cell = runs.cell_bytes
        each = inputs * max(runs.case_bytes(0), 1)
        self._left = max(
            2 * NEAR_CELLS,
            min(
                MAX_RUNS // inputs,
                MAX_BYTES // each,
                int(MAX_SECONDS / max(inputs * runs.seconds, 1e-9)),
            ),
        )
        self.tried = Tried()

    def around(self, start: int) -> None:
        """Try all displacements, or of too many those most likely to fail."""
        everything = range(start % self._cell, self._end, self._cell)
        self.tried.possible = len(everything)
        if len(everything) <= self._left:
            self._try(everything)
            return
        # Half of what is left is kept for narrowing down a failure.
        room = max(self._left // 2, 2 * NEAR_CELLS)
        chosen = [d for d in self._likely(start) if d in everything]
        chosen = list(dict.fromkeys(chosen))[:room]
        rng = np.random.default_rng(0)
        spread = rng.choice(len(everything), max(room - len(chosen), 0), replace=False)
        self._try(sorted({*chosen, *(everything[i] for i in spread.tolist())}))

    def _likely(self, start: int) -> Iterator[int]:
        """Those most likely to fail, the likeliest first."""
        cell = self._cell
        for k in range(NEAR_CELLS):
            yield from (start + k * cell, start - k * cell)
        for width in VECTOR_BYTES:
            for base in (start, 0):
                yield from (base + width + k * cell for k in (0, -1, 1))
        yield from (self._end - k * cell for k in range(1, NEAR_CELLS))
        power = cell
        while power < self._end:
            yield from (start + power, power)
            power *= 2

    def smallest_from(self, start: int) -> int:
        """The smallest displacement from ``start`` on that holds with all tried
        above it; narrows the gap below it down as far as the budget goes."""
        while True:
            found = self._narrowed_from(start)
            # One by one most were run at one alignment only.
            if found >= self._end or self._runs.at(found).holds:
                return found
            self.tried.held[found] = False

    def _narrowed_from(self, start: int) -> int:
        while True:
            failed = self.tried.failed_from(start)
            if not failed:
                return start
            above = sorted(d for d, held in self.tried.held.items() if d > failed[-1])
            found = above[0] if above else self._end
            gap = range(failed[-1] + self._cell, found, self._cell)
            if len(gap) == 0 or self._left == 0:
                return found
            step = -(-len(gap) // min(self._left, 64))
            self._try(gap[::-step])

    def _try(self, displacements: Sequence[int]) -> None:
        new = [d for d in displacements if 0 <= d < self._end and d not in self.tried.held][
            : self._left
        ]
        self._left -= len(new)
        for trial in self._runs.each(new):
            self.tried.held[trial.displacement_bytes] = trial.holds
