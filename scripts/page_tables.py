"""Tables of the documentation's pages, in Markdown."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"
SEED = 0
"""Of what is random on a page."""


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a table."""
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(cell(value) for value in line)} |" for line in lines]


def cell(value: object) -> str:
    """Whole numbers get their thousands apart."""
    return f"{value:,}" if isinstance(value, int) else str(value)


def each(values: Iterable[object]) -> str:
    return " / ".join(cell(value) for value in values)


def percent(share: float) -> str:
    """Rounded down, so that 100.0 % is all of it."""
    return f"{math.floor(1000 * share) / 10:.1f} %"


def link(heading: str) -> str:
    """To a heading of the same page."""
    return f"[{heading}](#{anchor(heading)})"


def anchor(heading: str) -> str:
    return re.sub(r"[^a-z0-9_ -]", "", heading.lower()).replace(" ", "-")
