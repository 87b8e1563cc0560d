"""FlatBuffers of files that nobody vouches for, read with every step checked.

Only what a ``.tflite`` needs: tables, vectors and strings.  Nothing is copied until
it is asked for, and each thing that is asked for is charged to an allowance, since
a small file may name the same vector over and over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, NoReturn

from diagmem.base.errors import DiagmemError

ALLOWANCE = 1 << 22
"""Numbers and characters to be read from one file: far more than a micro-controller's
models have, and little enough to be read in seconds."""
TABLE_COST = 32
"""A table counts as so many numbers."""
MAX_BYTES = (1 << 31) - 1
"""Signed 32-bit offsets lead no further."""

_U16 = struct.Struct("<H")
_I32 = struct.Struct("<i")
_U32 = struct.Struct("<I")


class Span(NamedTuple):
    """Bytes [start, end) of the file."""

    start: int
    end: int

    @property
    def size_bytes(self) -> int:
        return self.end - self.start


class Flat:
    """A file's bytes, what to call it in complaints, and what may still be read.

    Parameters
    ----------
    data : the whole file.
    name : how complaints begin.
    """

    __slots__ = ("_left", "data", "name", "size_bytes")

    def __init__(self, data: memoryview, name: str) -> None:
        self.data = data
        self.name = name
        self.size_bytes = len(data)
        self._left = ALLOWANCE

    def root(self, identifier: bytes, place: str) -> FlatTable:
        """The root table of a file with this identifier.

        Raises
        ------
        DiagmemError
            It is another file, or the table is damaged.
        """
        mark = bytes(self.data[4:8])
        if mark != identifier:
            actual = repr(mark)[1:] if mark else f"{self.size_bytes} bytes in all"
            self.fail("bytes 4 to 8", actual, repr(identifier)[1:])
        return self.table(self.number(_U32, 0, place), place)

    def number(self, kind: struct.Struct, at: int, place: str) -> int:
        if not 0 <= at <= self.size_bytes - kind.size:
            self.fail(place, f"an offset to byte {at}", f"{self.size_bytes} bytes at most")
        value: int = kind.unpack_from(self.data, at)[0]
        return value

    def table(self, at: int, place: str) -> FlatTable:
        """The table at a byte of the file, if its frame is sound."""
        self.charge(TABLE_COST, place)
        vtable = at - self.number(_I32, at, place)
        vtable_bytes = self.number(_U16, vtable, place)
        size_bytes = self.number(_U16, vtable + 2, place)
        if vtable_bytes < 4 or vtable_bytes % 2 or vtable + vtable_bytes > self.size_bytes:
            self.fail(place, f"a vtable of {vtable_bytes} bytes", "an even number inside the file")
        if size_bytes < 4 or at + size_bytes > self.size_bytes:
            self.fail(place, f"a table of {size_bytes} bytes", "4 at least, inside the file")
        return FlatTable(self, at, vtable, vtable_bytes, size_bytes, place)

    def charge(self, numbers: int, place: str) -> None:
        self._left -= numbers
        if self._left < 0:
            self.fail(place, "vectors without end", f"{ALLOWANCE:,} numbers at most in a file")

    def fail(self, place: str, found: object, expected: str) -> NoReturn:
        raise DiagmemError(f"{self.name}: {place}: found {found}, expected {expected}")


@dataclass(frozen=True, slots=True)
class FlatTable:
    """A table of the file: fields by slot, as the schema numbers them from 0."""

    flat: Flat
    at: int
    vtable: int
    vtable_bytes: int
    size_bytes: int
    place: str

    def named(self, place: str) -> FlatTable:
        """The same, called otherwise in complaints."""
        return replace(self, place=place)

    @property
    def slots(self) -> int:
        """How many slots this table's writer knew."""
        return (self.vtable_bytes - 4) // 2

    def field(self, slot: int, size_bytes: int) -> int | None:
        """Where a field of so many bytes lies, None if it is left out."""
        if slot >= self.slots:
            return None
        offset = self.flat.number(_U16, self.vtable + 4 + 2 * slot, self.place)
        if offset == 0:
            return None
        if not 4 <= offset <= self.size_bytes - size_bytes:
            self.fail(f"field {slot} at byte {offset}", f"a table of {self.size_bytes} bytes")
        return self.at + offset

    def scalar(self, slot: int, code: str, default: float = 0) -> int | float | bool:
        """A number; ``code`` as `struct` spells its type."""
        kind = struct.Struct("<" + code)
        at = self.field(slot, kind.size)
        value: int | float | bool = (
            default if at is None else kind.unpack_from(self.flat.data, at)[0]
        )
        return value

    def integer(self, slot: int, code: str, default: int = 0) -> int:
        return int(self.scalar(slot, code, default))

    def target(self, slot: int) -> int | None:
        """Where an offset field leads, None if it is left out."""
        at = self.field(slot, 4)
        return None if at is None else at + self.flat.number(_U32, at, self.place)

    def table(self, slot: int, name: str) -> FlatTable | None:
        at = self.target(slot)
        return None if at is None else self.flat.table(at, f"{self.place}, {name}")

    def span(self, slot: int, element_bytes: int) -> tuple[int, Span]:
        """How many elements a vector has, and where: nothing of it is read."""
        start = self.target(slot)
        if start is None:
            return 0, Span(0, 0)
        count = self.flat.number(_U32, start, self.place)
        end = start + 4 + count * element_bytes
        if end > self.flat.size_bytes:
            self.fail(
                f"a vector of {count:,} elements in field {slot}",
                f"{self.flat.size_bytes - start - 4:,} bytes at most",
            )
        return count, Span(start + 4, end)

    def numbers(self, slot: int, code: str) -> tuple[int, ...]:
        """A vector of whole numbers."""
        return tuple(map(int, self._unpacked(slot, code)))

    def floats(self, slot: int) -> tuple[float, ...]:
        return self._unpacked(slot, "f")

    def _unpacked(self, slot: int, code: str) -> tuple[float, ...]:
        count, span = self.span(slot, struct.calcsize("<" + code))
        self.flat.charge(count, self.place)
        return struct.unpack_from(f"<{count}{code}", self.flat.data, span.start)

    def text(self, slot: int) -> str:
        """A string; what is no UTF-8 in it, or would break a line, is replaced."""
        count, span = self.span(slot, 1)
        self.flat.charge(count, self.place)
        text = str(self.flat.data[span.start : span.end], "utf-8", "replace")
        return text if text.isprintable() else "".join(c if c.isprintable() else "�" for c in text)

    def tables(self, slot: int, name: str) -> Iterator[FlatTable]:
        """The tables of a vector; complaints call each ``name`` and its number."""
        count, span = self.span(slot, 4)
        for number in range(count):
            at = span.start + 4 * number
            yield self.flat.table(at + self.flat.number(_U32, at, self.place), f"{name} {number}")

    def fail(self, found: object, expected: str) -> NoReturn:
        self.flat.fail(self.place, found, expected)
