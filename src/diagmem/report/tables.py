"""Tables as a page shows them: sortable, searchable, downloadable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diagmem.base.files import JsonObject

Cell = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class PageTable:
    """Rows under named columns; units stand in the names.

    Numbers stay numbers, so that they sort as such and a download has them exactly.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""

    def as_json(self) -> JsonObject:
        return {
            "title": self.title,
            "columns": list(self.columns),
            "rows": [list(row) for row in self.rows],
            "note": self.note,
        }
