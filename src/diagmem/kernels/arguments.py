"""The ``[[argument]]`` and ``[[buffer]]`` tables of a kernel description."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from diagmem.kernels.dtypes import DTYPES, DType
from diagmem.kernels.kernel import (
    Argument,
    BufferSpec,
    Bytes,
    Fill,
    Iota,
    Noise,
    Pointer,
    Raw,
    Repeat,
    Scalars,
    Struct,
    Uniform,
)
from diagmem.kernels.parameters import Names
from diagmem.kernels.toml_tables import TomlTable, show, suggest
from diagmem.trace.window import Role

MAX_ARGUMENTS = 127
"""As many as every C compiler must accept (C11 5.2.4.1)."""

MAX_BUFFER_BYTES = 1 << 30
MAX_AXES = 8
MAX_NESTING = 8
_ROLES = [role.value for role in Role]
_TENSORS = (Role.INPUT, Role.OUTPUT, Role.INOUT)
_UNWRITTEN = (Role.OUTPUT, Role.SCRATCH, Role.ARENA)


def read_arguments(
    root: TomlTable, names: Names, before: Sequence[TomlTable] = ()
) -> tuple[tuple[BufferSpec, ...], list[tuple[Argument, ...]]]:
    """All buffers of a description, and the arguments of its call and of each of those
    ``before`` it; all in order."""
    calls = [
        [t for t in _each(call.tables("argument")) if names.holds(t, "passed")]
        for call in (root, *before)
    ]
    others = root.tables("buffer")
    for table in others:
        if table.has("passed"):
            raise table.error('"passed" is for arguments; a buffer may have "when"')
    tables = [t for call in calls for t in call]
    if len(tables) + len(others) > MAX_ARGUMENTS:
        raise root.error(
            f"{len(tables) + len(others)} arguments and buffers, expected at most {MAX_ARGUMENTS}"
        )
    given = [t for t in tables if t.has("role")]
    for together in (calls[0] + others, *calls[1:], given + others):
        _unique(together)
    buffers = {t.name(): _buffer(t, names) for t in [*given, *others] if names.holds(t, "when")}
    if not buffers:
        raise root.error('no buffer: expected at least one [[argument]] with a "role"')
    absent = {t.name() for t in [*given, *others]} - buffers.keys()
    reader = _Reader(names, buffers, absent)
    arguments = [tuple(reader.argument(t) for t in call) for call in calls]
    for table in others:
        if table.name() in buffers and table.name() not in reader.reached:
            raise table.error("no argument points to this buffer")
    return tuple(buffers.values()), arguments


def _unique(tables: list[TomlTable]) -> None:
    first: dict[str, str] = {}
    for table in tables:
        name = table.name()
        if name in first:
            raise table.error(f"the name is taken by {first[name]}")
        first[name] = table.place


def _buffer(table: TomlTable, names: Names) -> BufferSpec:
    table.only("name", "role", "dtype", "shape", "fill", "live_bytes", "when", "passed")
    role = Role(table.choice("role", _ROLES))
    dtype = names.dtype(table)
    shape = table.items.get("shape")
    if not isinstance(shape, list) or not 1 <= len(shape) <= MAX_AXES:
        shown = show(shape) if table.has("shape") else "none"
        raise table.error(f'"shape" is {shown}, expected a list of 1 to {MAX_AXES} sizes')
    sizes = tuple(names.integer(table, "shape", s, 0, MAX_BUFFER_BYTES) for s in shape)
    size_bytes = prod(sizes) * dtype.size_bytes
    if not 0 < size_bytes <= MAX_BUFFER_BYTES:
        raise table.error(
            f'"shape" is {list(sizes)}, {size_bytes} bytes, expected 1 to {MAX_BUFFER_BYTES} bytes'
        )
    live_bytes = _live_bytes(table, names, role, dtype, size_bytes)
    fill = _fill(table, names, role, dtype)
    buffer = BufferSpec(table.name(), role, dtype, sizes, fill, live_bytes)
    _check_fill(table, buffer)
    return buffer


def _live_bytes(
    table: TomlTable, names: Names, role: Role, dtype: DType, size_bytes: int
) -> int | None:
    if not table.has("live_bytes"):
        return None
    if role not in _TENSORS:
        raise table.error(f'"live_bytes" is for {", ".join(_TENSORS)}, found {role}')
    live = names.integer(table, "live_bytes", table.items["live_bytes"], 1, size_bytes)
    if live % dtype.size_bytes:
        raise table.error(f'"live_bytes" is {live}, expected whole elements of {dtype.name}')
    return live


def _check_fill(table: TomlTable, buffer: BufferSpec) -> None:
    """What a fill needs the buffer's size for."""
    match buffer.fill:
        case Raw(data) if len(data) != buffer.allocated_bytes:
            raise table.error(
                f'"fill" has {len(data)} bytes, expected {buffer.allocated_bytes} as "shape" says'
            )
        case Iota(start, step):
            last = start + step * (buffer.elements - 1)
            low, high = buffer.dtype.extremes
            if not (low <= start <= high and low <= last <= high):
                raise table.error(
                    f'"fill" runs from {start} to {last}, expected values of {buffer.dtype.name}'
                )


def _fill(table: TomlTable, names: Names, role: Role, dtype: DType) -> Fill:
    if not table.has("fill"):
        return Noise() if role in _UNWRITTEN else Uniform(dtype.low, dtype.high)
    if table.items["fill"] == "zeros":
        return Repeat((0,))
    fill = table.table("fill")
    fill.only("uniform", "constant", "iota", "values", "bytes")
    if len(fill.items) != 1:
        raise fill.error("expected one of uniform, constant, iota, values or bytes")
    kind, content = next(iter(fill.items.items()))
    if kind == "constant":
        return Repeat((names.number(fill, kind, content, dtype),))
    if kind == "bytes":
        return Raw(_hex(fill, kind))
    return _listed_fill(fill, names, dtype, kind)


def _listed_fill(fill: TomlTable, names: Names, dtype: DType, kind: str) -> Fill:
    content = fill.items[kind]
    if kind == "values":
        if not isinstance(content, list) or not content:
            raise fill.wrong(kind, "a list of values")
        return Repeat(tuple(names.number(fill, kind, v, dtype) for v in content))
    match content:
        case [first, second] if kind == "iota":
            double = DTYPES["float64"]
            start = names.number(fill, kind, first, double)
            return Iota(start, names.number(fill, kind, second, double))
        case [_, _]:
            return _uniform(fill, names, dtype, content)
    raise fill.wrong(kind, "a list of two values")


def _uniform(fill: TomlTable, names: Names, dtype: DType, ends: list[Any]) -> Uniform:
    low = names.number(fill, "uniform", ends[0], dtype)
    # The upper end is not part of the range, so 128 is a bound that int8 can have.
    high = names.number(fill, "uniform", ends[1], DTYPES["float64"])
    greatest = dtype.extremes[1] + (0 if dtype.is_float else 1)
    whole = dtype.is_float or high == int(high)
    if not low < high <= greatest or not whole:
        raise fill.error(
            f'"uniform" is [{low}, {high}], expected low < high <= {greatest} for {dtype.name}'
        )
    return Uniform(low, high)


def _hex(table: TomlTable, key: str) -> bytes:
    text = table.items[key]
    try:
        data = bytes.fromhex(text)
    except (TypeError, ValueError) as error:
        raise table.wrong(key, 'bytes in hexadecimal, such as "00 ff 1a"') from error
    if not data:
        raise table.wrong(key, "at least one byte")
    return data


def _each(tables: Iterable[TomlTable]) -> Iterator[TomlTable]:
    """With an entry of several ``names`` taken apart: a scalar each, which is the value of
    that name."""
    for table in tables:
        if not table.has("names"):
            yield table
            continue
        table.only("names", "dtype")
        names = table.strings("names")
        if not names:
            raise table.wrong("names", "at least one name")
        for name in names:
            place = f"{table.place} {show(name)}"
            yield TomlTable(table.file, place, {**table.items, "name": name, "value": name})


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads arguments and fields; ``reached`` collects the buffers pointed to, ``absent``
    are those that are not there for these parameters."""

    names: Names
    buffers: dict[str, BufferSpec]
    absent: set[str]
    reached: set[str] = field(default_factory=set)

    def argument(self, table: TomlTable) -> Argument:
        if table.has("role"):
            if table.name() not in self.buffers:
                return Pointer(table.name(), None, self.names.dtype(table).c_type)
            return self._pointer(table, table.name())
        if table.has("fields"):
            table.only("name", "pass", "fields", "passed")
            by_pointer = table.choice("pass", ["pointer", "value"]) == "pointer"
            return Struct(table.name(), self._fields(table, MAX_NESTING), by_pointer)
        if table.has("dtype"):
            table.only("name", "names", "dtype", "value", "passed")
            return self._scalars(table, array=False)
        if table.has("null"):
            table.only("name", "null", "passed")
            return self._null(table)
        if table.has("buffer"):
            table.only("name", "buffer", "passed")
            return self._pointer(table, table.name("buffer"))
        raise table.error('expected one of "role", "dtype", "fields", "buffer" or "null"')

    def _fields(self, table: TomlTable, depth: int) -> tuple[Argument, ...]:
        if depth == 0:
            raise table.error(f"nested more than {MAX_NESTING} deep")
        tables = list(_each(table.tables("fields")))
        if not tables:
            raise table.wrong("fields", "at least one field")
        _unique(tables)
        return tuple(self._field(t, depth) for t in tables)

    def _field(self, table: TomlTable, depth: int) -> Argument:
        if table.has("fields"):
            table.only("name", "fields")
            return Struct(table.name(), self._fields(table, depth - 1), by_pointer=False)
        if table.has("buffer"):
            table.only("name", "buffer")
            return self._pointer(table, table.name("buffer"))
        if table.has("null"):
            table.only("name", "null")
            return self._null(table)
        if table.has("bytes"):
            table.only("name", "bytes")
            return Bytes(table.name(), _hex(table, "bytes"))
        if table.has("dtype"):
            table.only("name", "names", "dtype", "value")
            return self._scalars(table, array=isinstance(table.items.get("value"), list))
        raise table.error('expected one of "dtype", "buffer", "null", "bytes" or "fields"')

    def _scalars(self, table: TomlTable, *, array: bool) -> Scalars:
        dtype = self.names.dtype(table)
        if not table.has("value"):
            raise table.error('"value" is missing')
        entry = table.items["value"]
        entries = entry if array else [entry]
        if not entries:
            raise table.wrong("value", "at least one value")
        values = tuple(self.names.number(table, "value", v, dtype) for v in entries)
        return Scalars(table.name(), dtype, values, array)

    def _null(self, table: TomlTable) -> Pointer:
        if table.items["null"] is not True:
            raise table.wrong("null", "true")
        return Pointer(table.name(), None, "void")

    def _pointer(self, table: TomlTable, buffer: str) -> Pointer:
        if buffer in self.absent:
            return Pointer(table.name(), None, "void")
        if buffer not in self.buffers:
            known = list(self.buffers)
            raise table.error(
                f'"buffer" is {show(buffer)}, expected one of {", ".join(known)}'
                + suggest(buffer, known)
            )
        self.reached.add(buffer)
        return Pointer(table.name(), buffer, self.buffers[buffer].dtype.c_type)
