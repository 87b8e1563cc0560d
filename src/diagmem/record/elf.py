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

from diagmem.errors import DiagmemError

_PLATFORMS = {
    ("EM_X86_64", 64): "amd64-linux",
    ("EM_386", 32): "x86-linux",
    ("EM_AARCH64", 64): "arm64-linux",
}
"""Machines and word sizes, as Valgrind calls them."""


@dataclass(frozen=True, slots=True)
class Symbol:
    """A defined symbol; ``address`` as the file's own symbol table counts."""

    name: str
    file: Path
    address: int
    size_bytes: int
    is_function: bool
    is_data: bool


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
    """The defined functions and data of a file, from both of its symbol tables."""
    try:
        with path.open("rb") as stream:
            seen = set()
            for section in ELFFile(stream).iter_sections():
                if not isinstance(section, SymbolTableSection):
                    continue
                for symbol in section.iter_symbols():
                    found = _symbol(path, symbol)
                    if found is not None and found not in seen:
                        seen.add(found)
                        yield found
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
        is_function=kind in ("STT_FUNC", "STT_GNU_IFUNC", "STT_LOOS"),
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
    found = []
    for line in listed.stdout.splitlines():
        target = line.partition("=>")[2].split("(")[0].strip()
        if target.startswith("/"):
            found.append(Path(target))
    return found


def find_data(program: Path, name: str, file: Path | None) -> Symbol:
    """The data symbol of that name: in ``file``, or in the program, or in the
    libraries it starts with.

    Raises
    ------
    DiagmemError
        If there is none, or several at different places in one file.
    """
    places = [file] if file is not None else [program]
    near: set[str] = set()
    while places:
        place = places.pop(0)
        found = set()
        for symbol in symbols(place):
            if symbol.is_data:
                near.add(symbol.name)
                if symbol.name == name:
                    found.add(symbol)
        if len(found) > 1:
            at = ", ".join(
                f"0x{s.address:x} ({s.size_bytes} bytes)" for s in sorted(found, key=_at)
            )
            raise DiagmemError(
                f"{place}: symbol {name!r} names {len(found)} places: {at}; give one as"
                " address:0xA,bytes:B, or rename"
            )
        if found:
            return found.pop()
        if place == program and file is None:
            places = [library for library in libraries(program) if library != program]
    similar = difflib.get_close_matches(name, near, 3)
    hint = f"; did you mean {', '.join(similar)}?" if similar else ""
    where = file if file is not None else f"{program} and its libraries"
    raise DiagmemError(
        f"{where}: no data symbol {name!r}{hint}"
        " (a stripped file has none; name the place another way)"
    )


def _at(symbol: Symbol) -> int:
    return symbol.address


def similar_functions(name: str, program: Path, loaded: list[str]) -> list[str]:
    """Functions that the user may have meant by a name that was never called.

    First those that hold the name (clones of it among them), the program's own
    before those of libraries, short ones before long ones; else names of the
    program's own that are close to it.
    """
    core = name.strip("*").split("(")[0].rpartition("::")[2] or name
    holding: dict[tuple[bool, int, str], None] = {}
    others: set[str] = set()
    for file in dict.fromkeys([str(program.resolve()), *loaded]):
        own = Path(file).resolve() == program.resolve()
        try:
            for symbol in symbols(Path(file)):
                if symbol.is_function and core in symbol.name:
                    where = "" if own else f" in {Path(file).name}"
                    holding[not own, len(symbol.name), symbol.name + where] = None
                elif symbol.is_function and own:
                    others.add(symbol.name)
        except DiagmemError:
            continue
    return [text for *_, text in sorted(holding)][:5] or difflib.get_close_matches(core, others, 3)


def aliases(program: Path, name: str) -> list[int]:
    """Where the program itself defines a function of exactly that name.

    Valgrind knows each address by one name only, which may be another one.
    """
    return sorted({s.address for s in symbols(program) if s.is_function and s.name == name})
