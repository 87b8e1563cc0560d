"""The named values of a description: ``[parameters]``, ``[derived]``, overrides."""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from diagmem.base.errors import DiagmemError
from diagmem.kernels.dtypes import DTYPES, DType
from diagmem.kernels.expressions import FUNCTIONS, MAX_INTEGER, ExpressionError, Value, evaluate
from diagmem.kernels.kernel import Number
from diagmem.kernels.toml_tables import TomlTable, show, suggest

SETTINGS = ("flags", "compiler")
"""Overrides that replace a key of the description instead of a parameter."""

MAX_NAMES = 200
MAX_TEXT = 1000
PLACE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
"""Where a text is filled in."""


def parse_overrides(words: Sequence[str]) -> dict[str, str]:
    """``key=value`` words of a command line as a mapping, later ones winning."""
    overrides = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key.isidentifier():
            raise DiagmemError(f"{show(word)}: expected key=value, such as in_h=14")
        overrides[key] = value
    return overrides


@dataclass(frozen=True, slots=True)
class Names:
    """Looks up parameters and works out derived names, each once.

    ``known`` holds parameters and the derived names worked out so far;
    ``pending`` the derived names being worked out, to find a circle.
    """

    derived: TomlTable
    known: dict[str, Value]
    pending: list[str] = field(default_factory=list)

    def lookup(self, name: str) -> Value:
        if name in self.known:
            return self.known[name]
        if name not in self.derived.items:
            names = [*self.known, *self.derived.items]
            raise ExpressionError(f"unknown name {show(name)}{suggest(name, names)}")
        if name in self.pending:
            circle = [*self.pending[self.pending.index(name) :], name]
            raise self.derived.error(f"goes in a circle: {' -> '.join(circle)}")
        self.pending.append(name)
        self.known[name] = self.value(self.derived, name)
        self.pending.pop()
        return self.known[name]

    def value(self, table: TomlTable, key: str) -> Value:
        """The value under a key: as it stands, or an expression in a string."""
        if not table.has(key):
            raise table.error(f'"{key}" is missing')
        return self.worked_out(table, key, table.items[key])

    def worked_out(self, table: TomlTable, key: str, entry: Any) -> Value:
        if isinstance(entry, str):
            try:
                return evaluate(entry, self.lookup)
            except ExpressionError as error:
                raise table.error(f'"{key}": expression {show(entry)}: {error}') from error
        if not is_value(entry):
            raise table.error(f'"{key}" is {show(entry)}, expected a number or an expression')
        return entry  # type: ignore[no-any-return]  # is_value() has just looked

    def filled(self, table: TomlTable, key: str, text: str) -> str:
        """A text with each ``{name}`` replaced by the string of that name."""

        def of(match: re.Match[str]) -> str:
            try:
                value = self.lookup(match[1])
            except ExpressionError as error:
                raise table.error(f'"{key}": {show(text)}: {error}') from error
            if not isinstance(value, str):
                raise table.error(
                    f'"{key}": {show(text)}: {match[1]} is {show(value)}, expected a string'
                )
            return value

        return PLACE.sub(of, text)

    def dtype(self, table: TomlTable, key: str = "dtype") -> DType:
        """The element type under a key."""
        text = table.string(key)
        name = self.filled(table, key, text)
        if name not in DTYPES:
            words = show(text) if name == text else f"{show(text)}, which is {show(name)}"
            raise table.error(
                f'"{key}" is {words}, expected one of {", ".join(DTYPES)}'
                + suggest(name, list(DTYPES))
            )
        return DTYPES[name]

    def holds(self, table: TomlTable, key: str) -> bool:
        """The truth value under a key; true where there is none."""
        if not table.has(key):
            return True
        value = self.value(table, key)
        if not isinstance(value, bool):
            raise table.error(f'"{key}": {_shown(table.items[key], value)}, expected true or false')
        return value

    def integer(self, table: TomlTable, key: str, entry: Any, low: int, high: int) -> int:
        """An integer in ``[low, high]``."""
        value = self.worked_out(table, key, entry)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise table.error(
                f'"{key}": {_shown(entry, value)}, expected an integer from {low} to {high}'
            )
        return value

    def number(self, table: TomlTable, key: str, entry: Any, dtype: DType) -> Number:
        """A number that the element type can hold."""
        value = self.worked_out(table, key, entry)
        low, high = dtype.extremes
        fits = not isinstance(value, str) and (dtype.is_float or value == math.floor(value))
        if isinstance(value, str) or not fits or not low <= value <= high:
            raise table.error(f'"{key}": {_shown(entry, value)}, expected a value of {dtype.name}')
        return float(value) if dtype.is_float else int(value)


def _shown(entry: object, value: Value) -> str:
    return f"{show(entry)} is {show(value)}" if isinstance(entry, str) else f"found {show(value)}"


def is_value(entry: object) -> bool:
    """A plain value within the bounds that expressions keep."""
    if isinstance(entry, float):
        return math.isfinite(entry)
    if isinstance(entry, int):
        return abs(entry) <= MAX_INTEGER
    return isinstance(entry, str) and entry.isprintable() and len(entry) <= MAX_TEXT


def read_names(root: TomlTable, overrides: Mapping[str, str]) -> Names:
    """All names of a description with the command line's overrides put in."""
    parameters, derived = root.table("parameters"), root.table("derived")
    known: dict[str, Value] = {}
    for table in (parameters, derived):
        if len(table.items) > MAX_NAMES:
            raise table.error(f"{len(table.items)} names, expected at most {MAX_NAMES}")
        for name, entry in table.items.items():
            if not _usable(name) or name in known:
                raise table.error(f"{show(name)} cannot be a name here, or is one already")
            if not is_value(entry):
                raise table.wrong(name, "an integer, a finite number, a truth value or a string")
            if table is parameters:
                known[name] = entry
    for name, text in overrides.items():
        if name not in SETTINGS:
            known[name] = _override(root, parameters, derived, name, text)
    names = Names(derived, known)
    for name in derived.items:
        names.lookup(name)
    return names


def _usable(name: str) -> bool:
    taken = keyword.iskeyword(name) or name in FUNCTIONS or name in SETTINGS
    return name.isidentifier() and name.isascii() and not taken


def _override(
    root: TomlTable, parameters: TomlTable, derived: TomlTable, name: str, text: str
) -> Value:
    """The value of ``name=text``, of the type that the parameter has in the file."""
    if name in derived.items:
        raise root.error(
            f"{name}: worked out in [derived], expected one of its parts to be set instead"
        )
    if name not in parameters.items:
        names = [*parameters.items, *SETTINGS]
        raise root.error(
            f"{name}={show(text)}: unknown parameter, expected one of {', '.join(names)}"
            + suggest(name, names)
        )
    default = parameters.items[name]
    value: Value = text
    try:
        if isinstance(default, bool):
            value = {"true": True, "false": False}[text.lower()]
        elif isinstance(default, int):
            value = int(text)
        elif isinstance(default, float):
            value = float(text)
    except (ValueError, KeyError) as error:
        kind = {bool: "true or false", int: "an integer", float: "a number"}[type(default)]
        raise root.error(f"{name}={show(text)}: expected {kind}, as in the file") from error
    if not is_value(value):
        raise root.error(f"{name}={show(text)}: out of range")
    return value
