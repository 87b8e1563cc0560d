"""Where in the program accesses come from: few places, of many instructions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diagmem.base.files import JsonObject
from diagmem.report.planes import MAX_PLACES
from diagmem.trace.window import Int64Array, Site

UNKNOWN = "0x0"
"""What `Site.where` says of an instruction without name and address."""


@dataclass(frozen=True, slots=True)
class SourcePlace:
    """A source line, or a function where none is known."""

    function: str
    where: str

    @property
    def text(self) -> str:
        """Function and line in one; nothing where nothing is known."""
        function, where = self.function, self.where
        if where == UNKNOWN:
            return ""
        named = not function or where == function or where.startswith(f"{function} in ")
        return where if named else f"{function}, {where}"


@dataclass(frozen=True, slots=True)
class SourcePlaces:
    """The places that a trace's sites lie in; ``of_site``: for each site its number."""

    of_site: Int64Array
    known: tuple[SourcePlace, ...]

    def as_json(self) -> list[JsonObject]:
        return [
            {"function": place.function, "where": place.where, "text": place.text}
            for place in self.known
        ]


def places_of(sites: Sequence[Site]) -> SourcePlaces:
    """Places by number, in the order of their first site; those beyond `MAX_PLACES`
    are one."""
    numbers: dict[SourcePlace, int] = {}
    places = []
    for site in sites:
        place = SourcePlace(site.function, site.where)
        if len(numbers) >= MAX_PLACES - 1 and place not in numbers:
            place = SourcePlace("", "one of many other places")
        places.append(numbers.setdefault(place, len(numbers)))
    # A trace without events has no sites; nothing then asks for one.
    return SourcePlaces(np.array(places, np.int64), tuple(numbers))
