"""ELF files: what they are, their symbols, the libraries they load."""

from __future__ import annotations

import difflib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection
from elftools.elf.segments import InterpSegment

from diagmem.base.errors import DiagmemError
from diagmem.record.debug_files import debug_file, debug_folders, debug_link

_PLATFORMS = {
    ("EM_X86_64", 64): "amd64-linux",
    ("EM_386", 32): "x86-linux",
    ("EM_AARCH64", 64): "arm64-linux",
}
"""Machines and word sizes, as Valgrind calls them."""
_PICKED = ("STT_GNU_IFUNC", "STT_LOOS")
"""The same type by two names."""
_NO_VALGRIND = {
    "__asan_init": "address",
    "__hwasan_init": "hwaddress",
    "__msan_init": "memory",
}


@dataclass(frozen=True, slots=True)
class Symbol:
    """A defined symbol; ``address`` as the file's own symbol table counts."""

    name: str
    file: Path
    address: int
    size_bytes: int
    is_function: bool
    is_data: bool
    is_ifunc: bool = False
    """Its code only picks the function that is called later."""


def is_elf(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError as error:
        raise DiagmemError(f"{path}: cannot read it: {error.strerror}") from None


def platform_of(path: Path) -> str:
    """What an ELF program runs on, as Valgrind calls it: ``amd64-linux``.

    A machine that the tool is not for keeps its name in ELF: ``EM_ARM, 32 bits``.
    """
    try:
        with path.open("rb") as stream:
            file = ELFFile(stream)
            machine, bits = file["e_machine"], file.elfclass
    except (ELFError, OSError) as error:
        raise DiagmemError(f"{path}: not a readable ELF program: {error}") from None
    return _PLATFORMS.get((machine, bits), f"{machine}, {bits} bits")


def symbols(path: Path) -> Iterator[Symbol]:
    """The defined functions and data of a file, from both of its symbol tables, or of
    a stripped one from the file that has them now."""
    known = set()
    for file in dict.fromkeys([path, debug_file(path) or path]):
        for symbol in _entries(file):
            defined = _symbol(path, symbol)
            if defined is not None and defined not in known:
                known.add(defined)
                yield defined


def undefined_symbols(path: Path) -> set[str]:
    """The names that a file leaves to others."""
    return {s.name for s in _entries(path) if s.entry["st_shndx"] == "SHN_UNDEF" and s.name}


def _entries(path: Path) -> Iterator[Any]:  # pyelftools has no types
    try:
        with path.open("rb") as stream:
            for section in ELFFile(stream).iter_sections():
                if isinstance(section, SymbolTableSection):
                    yield from section.iter_symbols()
    except (ELFError, OSError, ValueError, UnicodeError) as error:
        raise DiagmemError(f"{path}: cannot read its symbols: {error}") from None


def _symbol(path: Path, symbol: Any) -> Symbol | None:  # pyelftools has no types
    entry = symbol.entry
    kind = entry["st_info"]["type"]
    if entry["st_shndx"] in ("SHN_UNDEF", "SHN_ABS") or not symbol.name:
        return None
    return Symbol(
        name=symbol.name,
        file=path,
        address=int(entry["st_value"]),
        size_bytes=int(entry["st_size"]),
        is_function=kind == "STT_FUNC" or kind in _PICKED,
        is_ifunc=kind in _PICKED,
        # Not STT_TLS: a thread-local variable's value is no address.
        is_data=kind in ("STT_OBJECT", "STT_COMMON", "STT_NOTYPE"),
    )


def libraries(path: Path) -> list[Path]:
    """The shared libraries that the loader would give a program at its start."""
    with path.open("rb") as stream:
        interpreters = [
            segment.get_interp_name()
            for segment in ELFFile(stream).iter_segments()
            if isinstance(segment, InterpSegment)
        ]
    if not interpreters:
        return []
    listed = subprocess.run(
        [interpreters[0], "--list", str(path)], capture_output=True, text=True, check=False
    )
    paths = []
    for line in listed.stdout.splitlines():
        target = line.partition("=>")[2].split("(")[0].strip()
        if target.startswith("/"):
            paths.append(Path(target))
    return paths


def find_data(program: Path, name: str, file: Path | None) -> Symbol:
    """The data symbol of that name: in ``file``, or in the program, or in the
    libraries it starts with.

    Raises
    ------
    DiagmemError
        If there is none, or several at different places in one file.
    """
    if file is None and not is_elf(program):
        raise DiagmemError(
            f"{program}: is a script, which has no symbols; trace the program that it starts, or"
            f" name the file: symbol:{name}@FILE"
        )
    places = [file] if file is not None else [program]
    near: set[str] = set()
    while places:
        place = places.pop(0)
        matching = set()
        for symbol in symbols(place):
            if symbol.is_data:
                near.add(symbol.name)
                if symbol.name == name:
                    matching.add(symbol)
        if len(matching) > 1:
            at = ", ".join(
                f"0x{s.address:x} ({s.size_bytes} bytes)" for s in sorted(matching, key=_at)
            )
            raise DiagmemError(
                f"{place}: symbol {name!r} names {len(matching)} places: {at}; give one as"
                " address:0xA,bytes:B, or rename"
            )
        if matching:
            return matching.pop()
        if place == program and file is None:
            places = [library for library in libraries(program) if library != program]
    similar = difflib.get_close_matches(name, near, 3)
    hint = f"; did you mean {', '.join(similar)}?" if similar else ""
    if file is not None:
        raise DiagmemError(f"{file}: no data symbol {name!r}{hint}{_stripped(file)}")
    raise DiagmemError(
        f"{program} and the libraries it starts with: no data symbol {name!r}{hint}"
        f"{_stripped(program)}; of a library that is loaded later: symbol:{name}@LIBRARY"
    )


def _stripped(path: Path) -> str:
    """What to say where symbols are missed: that they are gone, and where they went."""
    if has_symbol_table(path):
        return ""
    name = debug_link(path)
    if not name or debug_file(path):
        return " (it is stripped; name the place another way)"
    folders = ", ".join(map(str, debug_folders(path)))
    return f" (it is stripped; the file that has its symbols, {name}, was not found in {folders})"


def has_symbol_table(path: Path) -> bool:
    """Whether it has the symbols that stripping takes away."""
    try:
        with path.open("rb") as stream:
            return ELFFile(stream).get_section_by_name(".symtab") is not None
    # As above.
    except Exception:
        return False


def _at(symbol: Symbol) -> int:
    return symbol.address


def sanitizer(path: Path) -> str:
    """What a program's -fsanitize= was that cannot run under Valgrind, or empty."""
    try:
        return next((_NO_VALGRIND[e.name] for e in _entries(path) if e.name in _NO_VALGRIND), "")
    except DiagmemError:
        return ""


def aliases(program: Path, name: str) -> list[int]:
    """Where the program itself defines a function of exactly that name.

    Valgrind knows each address by one name only, which may be another one.
    """
    return sorted({s.address for s in symbols(program) if s.is_function and s.name == name})
