"""Random shapes for checks, spread so that the edge cases come up."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """Draws sizes: ones, primes, equal numbers and now and then a large one.

    ``largest`` bounds an ordinary extent; ``zeros``: extents may be 0, too.
    """

    def __init__(self, seed: int | str, *, largest: int = 9, zeros: bool = False) -> None:
        self._random = random.Random(seed)
        self._largest = largest
        self._zeros = zeros

    def number(self, low: int, high: int) -> int:
        """Anything from low to high."""
        return self._random.randint(low, high)

    def one_of(self, choices: Sequence[T]) -> T:
        return self._random.choice(choices)

    def chance(self, share: float) -> bool:
        return self._random.random() < share

    def extent(self, largest: int | None = None) -> int:
        """The size of an axis."""
        most = self._largest if largest is None else largest
        if self._zeros and self.chance(0.02):
            return 0
        if self.chance(0.2):
            return 1
        if self.chance(0.05):
            return 2 * most + 1
        return self._random.randint(1, most)

    def shape(self, rank: int) -> tuple[int, ...]:
        return tuple(self.extent() for _ in range(rank))

    def picture(self) -> tuple[int, ...]:
        """[batches, height, width, channels]"""
        batches = 1 if self.chance(0.7) else self.extent(3)
        return (batches, self.extent(), self.extent(), self.extent(6))

    def pair(self, largest: int) -> tuple[int, int]:
        return self.number(1, largest), self.number(1, largest)
