"""PLACE: where a buffer of a running program lies, as users write it.

    symbol:NAME[@FILE][+OFF][,bytes:B]
    arg:N[->OFF]...[+OFF],bytes:B
    heap:BYTES[#K][+OFF],bytes:B
    address:0xA,bytes:B

Arguments and heap blocks count from 0.  Numbers are decimal or 0x hexadecimal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from diagmem.base.errors import DiagmemError
from diagmem.record.elf import find_data
from diagmem.trace.window import Role

_NUMBER = r"(?:0x[0-9a-fA-F]+|[0-9]+)"
_FORMS = {
    "arg": re.compile(rf"arg:[0-9]+(?:->{_NUMBER})*(?:\+{_NUMBER})?"),
    "heap": re.compile(rf"heap:{_NUMBER}(?:#[0-9]+)?(?:\+{_NUMBER})?"),
    "address": re.compile(rf"address:{_NUMBER}"),
}
_SYMBOL = re.compile(rf"symbol:(?P<name>[^,@+]+)(?:@(?P<file>[^,+]+))?(?:\+(?P<off>{_NUMBER}))?")
_NAME = re.compile(r"[^,=\s]+")
EXPECTED = (
    "symbol:NAME[@FILE][+OFF][,bytes:B], arg:N[->OFF]...[+OFF],bytes:B,"
    " heap:BYTES[#K][+OFF],bytes:B or address:0xA,bytes:B"
)
MAX_BYTES = 1 << 46


@dataclass(frozen=True, slots=True)
class BufferPlace:
    """A buffer as asked for: ``NAME=PLACE`` with a role."""

    name: str
    role: Role
    place: str

    @property
    def needs_function(self) -> bool:
        return self.place.startswith("arg:")

    def tool_option(self, program: Path) -> str:
        """The tool's ``--buffer`` for it; looks symbols up.

        Raises
        ------
        DiagmemError
            If the place is misspelt, or names a symbol that is not there.
        """
        where, size = self._split()
        if where.startswith("symbol:"):
            where, size = self._symbol(where, size, program)
        elif not any(form.fullmatch(where) for form in _FORMS.values()):
            raise self._wrong(f"{where!r} is no place")
        if size is None:
            raise self._wrong("its size is missing")
        if size == 0:
            raise self._wrong("it has zero bytes")
        return f"--buffer={self.name},{self.role},{where},bytes:{size}"

    def fixed_range(self) -> tuple[int, int]:
        """Address and bytes of an ``address:`` place, which needs no program.

        Raises
        ------
        DiagmemError
            If the place is another one, or misspelt.
        """
        where, size = self._split()
        if not _FORMS["address"].fullmatch(where) or not size:
            raise DiagmemError(
                f"buffer {self.name}={self.place}: expected address:0xA,bytes:B, since there is no"
                " program to ask"
            )
        return int(where.removeprefix("address:"), 0), size

    def _split(self) -> tuple[str, int | None]:
        where, comma, rest = self.place.partition(",")
        if not comma:
            return where, None
        match = re.fullmatch(rf"bytes:({_NUMBER})", rest)
        if not match:
            raise self._wrong(f"{rest!r} is not bytes:B")
        size = int(match[1], 0)
        if size > MAX_BYTES:
            raise self._wrong(f"{size} bytes is more than any program has")
        return where, size

    def _symbol(self, where: str, size: int | None, program: Path) -> tuple[str, int]:
        parsed = _SYMBOL.fullmatch(where)
        if not parsed:
            raise self._wrong(f"{where!r} is no place")
        file = Path(parsed["file"]) if parsed["file"] else None
        symbol = find_data(program, parsed["name"], file)
        offset = int(parsed["off"] or "0", 0)
        if symbol.size_bytes == 0 and size is None:
            raise DiagmemError(
                f"{symbol.file}: symbol {symbol.name!r} has no size;"
                f" say it: {self.name}=symbol:{symbol.name},bytes:B"
            )
        left = symbol.size_bytes - offset
        if symbol.size_bytes and (size or 1) > left:
            raise self._wrong(
                f"reaches beyond the {symbol.size_bytes} bytes of symbol {symbol.name!r}"
            )
        place = f"object:{symbol.file.resolve()}+0x{symbol.address + offset:x}"
        if "," in str(symbol.file):
            raise self._wrong(f"{symbol.file}: a comma in a file's name cannot be passed on")
        return place, size if size is not None else left

    def _wrong(self, what: str) -> DiagmemError:
        return DiagmemError(f"buffer {self.name}={self.place}: {what}; expected {EXPECTED}")


def parse_buffer(text: str, role: Role) -> BufferPlace:
    """``NAME=PLACE`` from the command line."""
    name, equals, place = text.partition("=")
    if not equals or not _NAME.fullmatch(name):
        raise DiagmemError(f"buffer {text!r}: expected NAME=PLACE with PLACE {EXPECTED}")
    return BufferPlace(name, role, place)


def check_names(buffers: list[BufferPlace]) -> None:
    """Refuse two buffers of one name."""
    names: set[str] = set()
    for buffer in buffers:
        if buffer.name in names:
            raise DiagmemError(f"two buffers are named {buffer.name!r}; names must differ")
        names.add(buffer.name)
