"""Which functions and which accesses are a library's copies."""

from __future__ import annotations

from diagmem.trace.format import COPY_KINDS
from diagmem.trace.model import Site

_NAMES = ("memcpy", "memmove", "memset", "mempcpy", "bcopy", "bzero")


def names_copy(function: str) -> bool:
    """Is that a library's copy, or one made for one processor?"""
    name = function.lstrip("_")
    return any(name == n or name.startswith(n + "_") for n in _NAMES)


def is_copy(site: Site) -> bool:
    """Does the site stand for a library's copy as a whole?"""
    return site.kind in COPY_KINDS


def is_raw_copy(site: Site) -> bool:
    """Is it an instruction inside a library's copy?"""
    return not is_copy(site) and names_copy(site.function)
