"""Operators: their shapes, their loop nests, and D by formula and by loop nest."""

from __future__ import annotations

import difflib

from diagmem.base.errors import DiagmemError
from diagmem.ops import (
    depth_blocks,
    elementwise,
    joining,
    moving,
    reducing,
    resizing,
    rows,
    windows,
)
from diagmem.ops.operator import Operator

OPERATORS: dict[str, Operator] = {
    operator.name: operator
    for family in (windows, rows, elementwise, joining, moving, depth_blocks, reducing, resizing)
    for operator in family.OPERATORS
}
"""By name, as TFLite spells them."""


def find_operator(name: str) -> Operator:
    """The operator of that name.

    Raises
    ------
    DiagmemError
        There is none.
    """
    if name.upper() in OPERATORS:
        return OPERATORS[name.upper()]
    close = difflib.get_close_matches(name.upper(), OPERATORS, 1)
    hint = f'; did you mean "{close[0]}"?' if close else ""
    raise DiagmemError(
        f"unknown operator {name[:60]!r}, expected one of {', '.join(OPERATORS)}{hint}"
    )
