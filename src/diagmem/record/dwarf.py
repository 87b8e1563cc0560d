"""Debugging information: what the compiler made part of its callers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

MAX_INFO_BYTES = 4 << 20
"""Of more debugging information than this nothing is read: a few seconds."""
MAX_DEBUG_BYTES = 64 << 20
"""Nor where all of its sections together claim more."""
MAX_DEPTH = 64


def inlined_into(program: Path, name: str) -> list[str]:
    """The functions of a program into which one of that name was inlined.

    Empty where there are none, where there is no debugging information, where it
    is damaged and where there is too much of it.
    """
    try:
        with program.open("rb") as stream:
            file = ELFFile(stream)
            sizes = {
                section.name: section.data_size
                for section in file.iter_sections()
                if section.name.startswith((".debug_", ".zdebug_"))
            }
            if not 0 < sizes.get(".debug_info", 0) <= MAX_INFO_BYTES:
                return []
            if sum(sizes.values()) > MAX_DEBUG_BYTES:
                return []
            callers: dict[str, None] = {}
            for unit in file.get_dwarf_info().iter_CUs():
                _search(unit.get_top_DIE(), "", name, callers)
            return sorted(callers)
    # A damaged file makes pyelftools fail in many ways, and this is only a hint.
    except Exception:
        return []


def _search(die: Any, function: str, name: str, callers: dict[str, None], depth: int = 0) -> None:
    """Note the function around each inlined call of ``name`` below an entry."""
    if die.tag == "DW_TAG_subprogram":
        function = _name(die)
    elif die.tag == "DW_TAG_inlined_subroutine" and function and _name(die) == name:
        callers[function] = None
    if depth < MAX_DEPTH:
        for child in die.iter_children():
            _search(child, function, name, callers, depth + 1)


def _name(die: Any) -> str:
    """An entry's own name, or that of what it is an instance of."""
    for _ in range(MAX_DEPTH):
        named = die.attributes.get("DW_AT_name")
        if named is not None:
            return str(named.value.decode("utf-8", "replace"))
        for link in ("DW_AT_abstract_origin", "DW_AT_specification"):
            if link in die.attributes:
                die = die.get_DIE_from_attribute(link)
                break
        else:
            return ""
    return ""
