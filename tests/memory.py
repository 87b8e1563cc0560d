"""A bound on the memory that a damaged file may make its reader ask for."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

MEMORY_BYTES = 1 << 30
"""Beyond what the process has already."""


@contextmanager
def bounded_memory(bytes_: int = MEMORY_BYTES) -> Iterator[None]:
    """Asking for more address space than that is a `MemoryError`."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        now = int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + bytes_, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
