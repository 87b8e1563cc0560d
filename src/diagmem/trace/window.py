"""What a trace is made of, apart from how a file stores it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]
UInt32Array = npt.NDArray[np.uint32]
BoolArray = npt.NDArray[np.bool_]


class Role(StrEnum):
    """What a buffer is to the kernel; the numbers in ``diagmem.h``, in order."""

    INPUT = "input"
    OUTPUT = "output"
    WEIGHTS = "weights"
    SCRATCH = "scratch"
    ARENA = "arena"
    OTHER = "other"
    INOUT = "inout"
    """Input and output in one: the kernel works in place."""


@dataclass(frozen=True, slots=True)
class Buffer:
    """A named byte range ``[address, address + size_bytes)`` in one window."""

    name: str
    role: Role
    address: int
    size_bytes: int

    @property
    def end(self) -> int:
        return self.address + self.size_bytes


@dataclass(frozen=True, slots=True)
class Site:
    """One instruction that touched a buffer, and what it does there.

    ``offset`` is the instruction's address as the object file's own symbol
    table counts (what ``objdump`` prints).  ``file`` and ``line`` are empty and
    0 where the program carries no line information.
    """

    kind: str
    size_bytes: int
    pc: int
    function: str
    object: str
    offset: int
    file: str
    line: int

    @property
    def where(self) -> str:
        """The most telling short name of the place in the program."""
        if self.file:
            return f"{self.file}:{self.line}"
        place = self.function or f"0x{self.offset:x}"
        return f"{place} in {self.object}" if self.object else place


@dataclass(frozen=True, slots=True)
class Window:
    """One outermost call of the traced function, or one begin/end pair."""

    index: int
    function: str
    thread: int
    buffers: tuple[Buffer, ...]
    events: int
    loads: int
    stores: int
    end: str
    """``returned`` or ``requested``; else the kernel did not finish, and why."""
    several_threads: bool = False
    """More than one thread touched its buffers."""

    @property
    def complete(self) -> bool:
        return self.end in ("returned", "requested")

    def buffer(self, name: str) -> Buffer | None:
        return next((b for b in self.buffers if b.name == name), None)


@dataclass(frozen=True, slots=True)
class Accesses:
    """Consecutive accesses to one buffer, in program order.

    ``tick`` int64, ``offset`` int32 or int64 (bytes from the buffer's start;
    negative where an access begins before the buffer and reaches into it),
    ``size`` int64 (bytes, at least 1), ``store`` bool, ``site`` uint32 (index
    into the trace's sites); all of one length.  A column that holds one value
    throughout may be a read-only broadcast.
    """

    tick: Int64Array
    offset: Int64Array
    size: Int64Array
    store: BoolArray
    site: UInt32Array

    def __len__(self) -> int:
        return len(self.tick)
