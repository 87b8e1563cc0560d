"""Where in its source an instruction of a program's file comes from."""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

from diagmem.base.files import state_of
from diagmem.record.elf import symbols
from diagmem.record.names import demangled

MAX_LINE_BYTES = 16 << 20
"""Of more line information than this nothing is read: some seconds."""


def lines_of(program: Path) -> Lines:
    """The lines of a file as it is now; a proof runs one image many times."""
    return _lines_of(program, state_of(program))


@lru_cache(maxsize=8)
def _lines_of(program: Path, state: tuple[int, int]) -> Lines:
    return Lines(program)


class Lines:
    """Functions and source lines by address, as the file's own symbol table counts.

    Both tables are read when first asked for.  Thumb bits are cleared.
    """

    def __init__(self, program: Path) -> None:
        self._program = program

    def function(self, address: int) -> str:
        """The function around an address as people write it, or empty."""
        starts, functions = self._functions
        at = bisect_right(starts, address) - 1
        if at < 0:
            return ""
        name, size = functions[at]
        # Written by hand in assembly it may have no size, and reaches to the next.
        return name if size == 0 or address < starts[at] + size else ""

    def line(self, address: int) -> tuple[str, int]:
        """File name and line, or an empty name and 0."""
        starts, lines = self._lines
        at = bisect_right(starts, address) - 1
        return lines[at] if at >= 0 else ("", 0)

    def place(self, address: int) -> str:
        """For people: ``conv (conv.c:12)``, or as much of it as is known."""
        function, (file, line) = self.function(address), self.line(address)
        where = f"{file}:{line}" if file else f"0x{address:x}"
        return f"{function} ({where})" if function else where

    @cached_property
    def _functions(self) -> tuple[list[int], list[tuple[str, int]]]:
        known = [s for s in symbols(self._program) if s.is_function]
        readable = demangled(s.name for s in known)
        functions = {
            s.address & ~1: (readable.get(s.name, s.name), s.size_bytes)
            for s in sorted(known, key=lambda s: (s.size_bytes, s.name))
        }
        starts = sorted(functions)
        return starts, [functions[start] for start in starts]

    @cached_property
    def _lines(self) -> tuple[list[int], list[tuple[str, int]]]:
        lines: dict[int, tuple[str, int]] = {}
        try:
            with self._program.open("rb") as stream:
                file = ELFFile(stream)
                section = file.get_section_by_name(".debug_line")
                if section is not None and section.data_size <= MAX_LINE_BYTES:
                    dwarf = file.get_dwarf_info()
                    for unit in dwarf.iter_CUs():
                        _add_lines(dwarf.line_program_for_CU(unit), lines)
        # A damaged file makes pyelftools fail in many ways; the trace works without.
        except Exception:
            lines.clear()
        starts = sorted(lines)
        return starts, [lines[start] for start in starts]


def _add_lines(program: Any, lines: dict[int, tuple[str, int]]) -> None:
    """The rows of one unit; where code ends there is no file."""
    if program is None:
        return
    names = program.header["file_entry"]
    # Before DWARF 5 files count from 1.
    first = 0 if program.header["version"] >= 5 else 1
    for entry in program.get_entries():
        row = entry.state
        if row is None:
            continue
        if row.end_sequence:
            lines.setdefault(row.address, ("", 0))
        else:
            name = names[row.file - first].name.decode("utf-8", "replace")
            lines[row.address] = (name, row.line)
