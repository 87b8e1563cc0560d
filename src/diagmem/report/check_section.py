"""Results of checks and of networks, as tables of the page."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diagmem.base.errors import DiagmemError
from diagmem.base.files import JsonObject
from diagmem.check.results import COLUMNS
from diagmem.report.tables import Cell, PageTable

MAX_BYTES = 1 << 26
MAX_CHECKED = 20_000
"""Cases that a page carries."""
_COUNTED = ("cases", "closed form equal", "claims too much", "refused", "overlapped equal", "tight")


def results_section(path: Path) -> JsonObject:
    """A file of `diagmem check -o`, or the results of the networks, as JSON.

    Raises
    ------
    DiagmemError
        The file is neither.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DiagmemError(f"{path}: is larger than {MAX_BYTES:,} bytes, expected results")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DiagmemError(f"{path}: cannot be read as results: {error}") from None
    tables = _networks(path, text) if text.lstrip()[:1] == "{" else _checked(path, text)
    return {
        "kind": "results",
        "title": path.name,
        "facts": [["results", str(path)]],
        "tables": [table.as_json() for table in tables],
    }


def _networks(path: Path, text: str) -> list[PageTable]:
    """One row for each network of ``{"networks": {NAME: {...}}}``."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DiagmemError(f"{path}: cannot be read as JSON: {error}") from None
    networks = data.get("networks")
    if not isinstance(networks, dict) or not all(isinstance(n, dict) for n in networks.values()):
        raise DiagmemError(f'{path}: found no "networks", expected a trace, a model or results')
    rows = {name: _flat(network) for name, network in networks.items()}
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    note = f"kernels: {data['kernels']}" if isinstance(data.get("kernels"), str) else ""
    cells = [[name, *(row.get(key) for key in columns)] for name, row in rows.items()]
    return [PageTable("Networks", ["network", *columns], cells, note)]


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Cell]:
    """Nested objects with dotted names; lists as text."""
    flat: dict[str, Cell] = {}
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, dict):
            flat.update(_flat(item, f"{name}."))
        elif isinstance(item, list):
            flat[name] = ", ".join(map(str, item))
        else:
            flat[name] = item
    return flat


def _checked(path: Path, text: str) -> list[PageTable]:
    """The cases of a check, and how each operator came out on each set of kernels."""
    try:
        names, *rows = csv.reader(text.splitlines(), strict=True)
    except (ValueError, csv.Error):
        names, rows = [], []
    if names != COLUMNS:
        raise DiagmemError(f"{path}: expected a trace, a model or results of diagmem check -o")
    odd = next((n for n, row in enumerate(rows, 1) if len(row) != len(names)), None)
    if odd is not None:
        raise DiagmemError(
            f"{path}: row {odd}: found {len(rows[odd - 1])} fields, expected {len(names)}"
        )
    cases = [[_cell(field) for field in row] for row in rows]
    note = f"the first {MAX_CHECKED:,} of {len(cases):,}" if len(cases) > MAX_CHECKED else ""
    return [
        _counted([dict(zip(names, case, strict=True)) for case in cases]),
        PageTable("Cases", names, cases[:MAX_CHECKED], note),
    ]


def _cell(text: str) -> Cell:
    """Whole numbers and truth as such, nothing where there is nothing."""
    if text in ("True", "False"):
        return text == "True"
    if text.removeprefix("-").isdecimal():
        return int(text)
    return text or None


def _counted(cases: list[dict[str, Cell]]) -> PageTable:
    groups: dict[tuple[Cell, Cell], list[int]] = {}
    for case in cases:
        counts = groups.setdefault((case["operator"], case["kernels"]), [0] * len(_COUNTED))
        outcome = _outcome(case)
        for number, name in enumerate(_COUNTED):
            counts[number] += outcome[name]
    rows = [[*key, *counts] for key, counts in groups.items()]
    return PageTable("Operators", ["operator", "kernels", *_COUNTED], rows)


def _outcome(case: Mapping[str, Cell]) -> dict[str, bool]:
    """What one row says, each a reason to be counted under that name."""
    claims = [case[name] for name in ("exact", "algorithmic", "paper")]
    claimed = [claim for claim in claims if isinstance(claim, int)]
    traced = case["traced"]
    judged = not case["refused"]
    return {
        "cases": True,
        "closed form equal": judged and case["exact"] == case["algorithmic"] == traced,
        "claims too much": judged and isinstance(traced, int) and any(c < traced for c in claimed),
        "refused": not judged,
        "overlapped equal": judged and case["overlapped_equal"] is True,
        "tight": judged and case["tight"] is True,
    }
