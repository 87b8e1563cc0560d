"""Why a function that was asked for opened no window, and what to ask for instead."""

from __future__ import annotations

import difflib
import mmap
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

from diagmem.base.errors import DiagmemError
from diagmem.record.debug_files import debug_file, debug_link
from diagmem.record.dwarf import inlined_into
from diagmem.record.elf import has_symbol_table, is_elf, symbols
from diagmem.record.image import extent
from diagmem.record.names import demangled, in_object, matches, place, short


def why_uncalled(function: str, program: Path, loaded: Sequence[str]) -> str:
    """What follows "NAME was never called": the reason as far as it can be told.

    ``loaded`` are the object files that the run had, the program among them or not.
    """
    files = list(dict.fromkeys([program.resolve(), *map(Path, loaded)]))
    where = place(function)
    wanted, name = (where[0], "") if where else in_object(function)
    if wanted:
        files = [file for file in files if _is_called(file, wanted)]
        if not files:
            return f": no object {wanted} was loaded"
    if where:
        return _nothing_at(where[1], files[0] if wanted else None, program)
    callers = inlined_into(program, name)
    if callers:
        return (
            f"; it was inlined into {', '.join(callers[:5])}: trace one of these, or"
            " compile it noinline"
        )
    homes = [file.name for file in files if has_function(file, name)]
    if homes:
        return (
            f"; it is in {', '.join(homes)}, but this run did not call it (or its calls were"
            " inlined: compile it noinline)"
        )
    if is_elf(program) and not (has_symbol_table(program) or debug_file(program)):
        link = debug_link(program)
        gone = f" (they are in {link}, which was not found)" if link else ""
        return f"; {program.name} is stripped of its names{gone}: give a place, OBJECT+0xOFFSET"
    similar = similar_functions(name, program, files)
    if similar:
        return f"; did you mean {', '.join(similar)}?"
    if not is_elf(program):
        return f"; {program.name} is a script, and nothing it loaded has a function so named"
    return (
        "; nothing loaded shows a function so named; it may have been inlined: compile it noinline"
    )


def has_function(file: Path, pattern: str) -> bool:
    """Whether a file has a function so named; no if it cannot be read."""
    words: list[str] = re.findall(r"\w+", pattern.partition("<")[0].partition("(")[0])
    known = functions(file, holding=max(words, key=len, default=""))
    return any(matches(name, pattern) or raw == pattern for raw, name in known)


def similar_functions(name: str, program: Path, files: Sequence[Path]) -> list[str]:
    """Functions that the user may have meant by a name that was never called.

    Of the program's own those that hold the name (clones of it among them), short
    ones first, or else those close to it; then those of libraries that begin with it.
    """
    core = _core(name)
    holding: set[tuple[bool, int, str]] = set()
    own: dict[str, str] = {}
    for file in files:
        is_own = file.resolve() == program.resolve()
        for raw, readable in functions(file, "" if is_own else core):
            if core in raw if is_own else re.search(rf"\b_*{re.escape(core)}", readable):
                text = short(readable) + ("" if is_own else f" in {file.name}")
                holding.add((not is_own, len(raw), text))
            elif is_own:
                own.setdefault(_core(readable), short(readable))
    near = [] if any(not other for other, *_ in holding) else difflib.get_close_matches(core, own)
    return list(dict.fromkeys([own[n] for n in near] + [text for *_, text in sorted(holding)]))[:5]


def _core(name: str) -> str:
    """The last word of a name: ``kern`` of ``q::kern<float, 3>*``."""
    plain = short(name).strip("*")
    words: list[str] = re.findall(r"\w[\w.]*", plain.partition("<")[0])
    return words[-1] if words else plain


def functions(file: Path, holding: str = "") -> Iterator[tuple[str, str]]:
    """Those whose names hold a text, as the symbol table and as people name them.

    None of a file that cannot be read.
    """
    try:
        # Most libraries hold no such word at all, and some are large.
        if holding and not any(_holds(f, holding) for f in (file, debug_file(file)) if f):
            return
        names = {s.name for s in symbols(file) if s.is_function and holding in s.name}
    # Nothing can be mapped of an empty one.
    except (DiagmemError, OSError, ValueError):
        return
    readable = demangled(names)
    for name in names:
        yield name, readable.get(name, name)


def _holds(file: Path, text: str) -> bool:
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(text.encode()) >= 0


def _is_called(file: Path, wanted: str) -> bool:
    """By its path, its name or its soname, as the tool has it."""
    return wanted in (str(file), file.name) or wanted == _soname(file)


def _soname(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            section: Any = ELFFile(stream).get_section_by_name(".dynamic")
            tags = section.iter_tags("DT_SONAME") if section is not None else ()
            return next((str(tag.soname) for tag in tags), "")
    # A damaged file makes pyelftools fail in many ways, and this is for a message.
    except Exception:
        return ""


def _nothing_at(offset: int, file: Path | None, program: Path) -> str:
    if file is None:
        start, end = extent(program) if is_elf(program) else (0, 0)
        if start <= offset < end:
            file_place = f"{program.name}+0x{offset:x}"
            return f"; no call went to that address; as a place in the file: {file_place}"
        return "; no call went to that address, which may be another in each run"
    try:
        around = next(
            s for s in symbols(file)
            if s.is_function and s.address < offset < s.address + s.size_bytes
        )  # fmt: skip
    except (DiagmemError, StopIteration):
        return "; no call went there"
    return f"; that is inside {around.name}, which begins at {file.name}+0x{around.address:x}"
