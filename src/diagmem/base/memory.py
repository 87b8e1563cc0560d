"""How much memory there is, and a refusal in one line before more is taken."""

from __future__ import annotations

import os
import resource

from diagmem.base.errors import DiagmemError

GIB = 1 << 30


def available_bytes() -> int | None:
    """What this process may still take: free memory, or less where a limit is set;
    None where the system does not say."""
    limits = []
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            kib = next(line.split()[1] for line in file if line.startswith("MemAvailable"))
            limits.append(int(kib) << 10)
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            with open("/proc/self/statm", encoding="ascii") as file:
                limits.append(limit - int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE"))
    except (OSError, ValueError, StopIteration):
        return None
    return max(min(limits), 0)


def require_memory(bytes_: int, what: str) -> None:
    """Refuse what does not fit.

    Raises
    ------
    DiagmemError
        ``what`` takes more bytes than are available.
    """
    there = available_bytes()
    if there is not None and bytes_ > there:
        raise DiagmemError(
            f"{what}: takes about {bytes_ / GIB:,.1f} GiB of memory, {there / GIB:,.1f} GiB are"
            " available"
        )
