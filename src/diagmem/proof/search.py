"""Which displacements hold, bit for bit: all of them where that can be afforded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from diagmem.proof.runs import Runs, Trial

MAX_RUNS = 6000
"""Displacements times inputs for one pair, about three seconds of a small kernel."""
MAX_BYTES = 1 << 30
"""Bytes of regions written and read back for one pair."""
MAX_SECONDS = 20.0
"""What they may take, reckoned from the run apart."""
NEAR_CELLS = 24
"""So many on each side of a figure in question are always tried."""
LINE_BYTES = 16
"""As runtimes align tensors: what holds at multiples of it can be used in a plan."""
UNITS = (4, 8, LINE_BYTES)
"""What a kernel may need displacements to be multiples of: it loads several words at once."""
VECTOR_BYTES = (8, 16, 32, 64, 128)
"""Distances at which compilers switch between loops."""


@dataclass(slots=True)
class Tried:
    """Displacements that were run, in bytes, and which of them held."""

    possible: int = 0
    """How many there are, a cell or unit apart, from 0 to where the two share no byte."""
    held: dict[int, bool] = field(default_factory=dict)
    stopped: dict[int, str] = field(default_factory=dict)
    """How the kernel was stopped, where it was."""
    unit: int = 1
    """Only multiples of it count: it is stopped at others, and at none of them."""

    @property
    def run(self) -> int:
        """How many of those that count were run."""
        return sum(self._counts(d) for d in self.held)

    @property
    def exhaustive(self) -> bool:
        return self.run >= self.possible > 0

    def _counts(self, displacement: int) -> bool:
        return displacement % self.unit == 0

    def failed_from(self, start: int) -> list[int]:
        return sorted(
            d for d, held in self.held.items() if d >= start and not held and self._counts(d)
        )

    def held_below(self, end: int) -> list[int]:
        return sorted(
            d for d, held in self.held.items() if 0 <= d < end and held and self._counts(d)
        )

    def unit_from(self, start: int, cell: int) -> int:
        """The smallest unit from ``start`` on; 1 where the kernel is not stopped, or at
        multiples of all of them."""
        stopped = [d for d in self.stopped if d >= start]
        units = [unit for unit in UNITS if unit > cell and all(d % unit for d in stopped)]
        return units[0] if stopped and units else 1

    def why_unit(self, start: int) -> str:
        """Why not every displacement counts; empty where each does."""
        if self.unit == 1:
            return ""
        first = min(d for d in self.stopped if d >= start)
        return f"only multiples of {self.unit} bytes can be used: at {first} {self.stopped[first]}"

    def take(self, trial: Trial) -> None:
        """Note what was seen."""
        self.held[trial.displacement_bytes] = trial.holds
        if trial.stopped:
            self.stopped[trial.displacement_bytes] = trial.stopped


class Search:
    """Tries displacements of one pair, each once, within a budget."""

    def __init__(self, runs: Runs, inputs: int) -> None:
        self._runs = runs
        self._end = runs.output.size_bytes
        self._cell = runs.cell_bytes
        each = inputs * max(runs.case_bytes(0), 1)
        self._left = max(
            2 * NEAR_CELLS + LINE_BYTES,
            min(
                MAX_RUNS // inputs,
                MAX_BYTES // each,
                int(MAX_SECONDS / max(inputs * runs.seconds, 1e-9)),
            ),
        )
        self.tried = Tried()

    def around(self, start: int) -> None:
        """Try all displacements, or of too many those most likely to fail; of a kernel that
        is stopped at some, those that a plan can use."""
        line = min(-(-start // LINE_BYTES), self._end // LINE_BYTES) * LINE_BYTES
        self._try(range(line + start % self._cell, line + LINE_BYTES, self._cell))
        while True:
            self.tried.unit = unit = self.tried.unit_from(start, self._cell)
            self._sweep(start, max(unit, self._cell))
            if self.tried.unit_from(start, self._cell) == unit:
                return

    def _sweep(self, start: int, cell: int) -> None:
        everything = range(start % cell if cell == self._cell else 0, self._end, cell)
        self.tried.possible = len(everything)
        if len(everything) <= self._left:
            self._try(everything)
            return
        # Half of what is left is kept for narrowing down a failure.
        room = max(self._left // 2, 2 * NEAR_CELLS)
        likely = [*self._likely(start, cell)]
        usable = range(-(-start // LINE_BYTES) * LINE_BYTES, self._end, LINE_BYTES)
        if len(usable) <= room // 2:
            likely += usable
        chosen = [d for d in likely if d in everything]
        chosen = list(dict.fromkeys(chosen))[:room]
        rng = np.random.default_rng(0)
        spread = rng.choice(len(everything), max(room - len(chosen), 0), replace=False)
        self._try(sorted({*chosen, *(everything[i] for i in spread.tolist())}))

    def _likely(self, start: int, cell: int) -> Iterator[int]:
        """Those most likely to fail, the likeliest first."""
        start = -(-start // cell) * cell if cell > self._cell else start
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
            smallest = self._narrowed_from(start)
            # One by one most were run at one alignment only.
            if smallest >= self._end:
                return smallest
            trial = self._runs.at(smallest)
            self.tried.take(trial)
            if trial.holds:
                return smallest

    def _narrowed_from(self, start: int) -> int:
        while True:
            failed = self.tried.failed_from(start)
            if not failed:
                return start
            cell = max(self._cell, self.tried.unit)
            above = [d for d in self.tried.held if d > failed[-1] and d % self.tried.unit == 0]
            smallest = min(above, default=self._end)
            gap = range(failed[-1] + cell, smallest, cell)
            if len(gap) == 0 or self._left == 0:
                return smallest
            step = -(-len(gap) // min(self._left, 64))
            self._try(gap[::-step])

    def _try(self, displacements: Sequence[int]) -> None:
        new = [d for d in displacements if 0 <= d < self._end and d not in self.tried.held][
            : self._left
        ]
        self._left -= len(new)
        for trial in self._runs.each(new):
            self.tried.take(trial)
