"""Where in the program accesses come from: few places, of many instructions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diagmem.report.planes import MAX_PLACES
from diagmem.trace.model import Int64Array, Site


@dataclass(frozen=True, slots=True)
class Places:
    """The source lines (or functions) that a trace's sites lie in.

    ``of_site``: for each site the number of its place; ``known``: function and line.
    """

    of_site: Int64Array
    known: tuple[tuple[str, str], ...]

    def as_json(self) -> list[dict[str, Any]]:
        return [{"function": function, "where": where} for function, where in self.known]


def places_of(sites: Sequence[Site]) -> Places:
    """Places by number, in the order of their first site; those beyond `MAX_PLACES`
    are one."""
    numbers: dict[tuple[str, str], int] = {}
    found = []
    for site in sites:
        place = site.function, site.where
        if len(numbers) >= MAX_PLACES - 1 and place not in numbers:
            place = "", "one of many other places"
        found.append(numbers.setdefault(place, len(numbers)))
    # A trace without events has no sites; nothing then asks for one.
    return Places(np.array(found, np.int64), tuple(numbers))
