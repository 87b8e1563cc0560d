"""Which functions and which accesses are a library's copies."""

from __future__ import annotations

import re

from diagmem.trace.format import COPY_KINDS
from diagmem.trace.window import Site

_NAME = re.compile(
    r"_*(memcpy|mempcpy|memmove|memset|bcopy|bzero|explicit_bzero)(_chk)?"
    r"(_(sse|ssse|avx|evex|erms|generic)\w*)?"
)
"""As ``valgrind-tool/dm_copies.c`` has them."""


def names_copy(function: str) -> bool:
    """Is that a library's copy, or one made for one processor?"""
    return _NAME.fullmatch(function) is not None


def is_copy(site: Site) -> bool:
    """Does the site stand for a library's copy as a whole?"""
    return site.kind in COPY_KINDS


def is_raw_copy(site: Site) -> bool:
    """Is it an instruction inside a library's copy?"""
    return not is_copy(site) and names_copy(site.function)
