"""The trace file, byte by byte: constants, record dtypes, block framing.

``docs/trace-format.md`` is the normative description; a test compares its
tables with the dtypes here.  Everything is little endian.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from diagmem.base.errors import DiagmemError

MAGIC = b"DIAGMEM\0"
VERSION = 2
"""Format version written.  1: the first; 2: library copies are kinds of their own."""

FILE_HEADER = struct.Struct("<8sII")
"""magic, version, reserved (0)."""


class TraceError(DiagmemError):
    """A trace file is not what it should be; the message names file and place."""


class BlockType(IntEnum):
    META = 1
    EVENTS = 2
    SUMMARY = 3
    END = 4


BLOCK = np.dtype(
    [
        ("type", "<u4"),
        ("crc32", "<u4"),
        ("stored_bytes", "<u8"),
        ("raw_bytes", "<u8"),
        ("window_start", "<u4"),
        ("window_end", "<u4"),
    ]
)
"""Before each block: what it is, its checksum, its compressed and its plain
size, and the half-open range of windows that it tells of.  The checksum covers
the other fields of this header and the stored payload."""

EVENTS_HEAD = np.dtype(
    [
        ("events", "<u4"),
        ("segments", "<u4"),
        ("spans", "<u4"),
        ("sizes", "<u4"),
        ("class_bytes", "u1"),
        ("reserved", "u1", (7,)),
    ]
)
SEGMENT = np.dtype(
    [
        ("window", "<u4"),
        ("thread", "<u4"),
        ("first_tick", "<u8"),
        ("events", "<u4"),
        ("reserved", "<u4"),
    ]
)
COLUMN = np.dtype([("events", "<u4"), ("delta_bytes", "<u4"), ("alignment", "<u8")])
SUMMARY_HEAD = np.dtype(
    [
        ("window", "<u4"),
        ("buffer", "<u4"),
        ("cell_bytes", "<u4"),
        ("kinds", "<u4"),
        ("cells", "<u8"),
        ("first_cell", "<u8"),
        ("count", "<u4"),
        ("tick_bytes", "<u4"),
    ]
)
TICK_DTYPES: dict[int, np.dtype[Any]] = {4: np.dtype("<u4"), 8: np.dtype("<u8")}
"""Ticks of a summary, by their size in bytes."""

CLASS_DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("u1"),
    2: np.dtype("<u2"),
    4: np.dtype("<u4"),
}
DELTA_DTYPES: dict[int, np.dtype[Any]] = {4: np.dtype("<i4"), 8: np.dtype("<i8")}

MAX_EVENTS = 1 << 20
MAX_SEGMENTS = 1 << 16
"""Of one EVENTS block."""

MAX_PLAIN_BYTES = {
    BlockType.META: 1 << 26,
    BlockType.EVENTS: 1 << 25,
    BlockType.SUMMARY: 1 << 22,
    BlockType.END: 1 << 20,
}
"""A block that claims to hold more than this is corrupt.  For events: a class, a
difference and a size each, segments, and some 600,000 spans; for a summary: 65,536
cells, four ticks of 8 bytes each."""

MAX_RECORD_BYTES = 1 << 23
"""Of one line of META: a window of some 100,000 buffers."""


def max_meta_bytes(file_bytes: int) -> int:
    """Plain bytes of all META blocks of a file; windows all alike compress 120 times."""
    return (1 << 25) + 256 * file_bytes


def max_records(file_bytes: int) -> int:
    """META records of a file; windows all alike take 1.4 bytes each."""
    return (1 << 17) + 2 * file_bytes


COPY_KINDS = ("memcpy load", "memcpy store", "memmove load", "memmove store", "memset store")
"""Since version 2: a library's copy as a whole."""

KINDS = ("load", "store", "syscall load", "syscall store", *COPY_KINDS)
"""What a site does; those that end in ``store`` store."""


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """One block's header, and where in the file its payload starts."""

    type: BlockType
    crc32: int
    stored_bytes: int
    raw_bytes: int
    window_start: int
    window_end: int
    payload_at: int


def pack_block_header(
    kind: BlockType, stored: bytes, raw_bytes: int, window_start: int, window_end: int
) -> bytes:
    """The header for a stored payload, checksum included."""
    head = np.zeros((), BLOCK)
    head["type"] = kind
    head["stored_bytes"] = len(stored)
    head["raw_bytes"] = raw_bytes
    head["window_start"] = window_start
    head["window_end"] = window_end
    head["crc32"] = block_checksum(head.tobytes(), stored)
    return head.tobytes()


def block_checksum(header: bytes, stored: bytes | memoryview) -> int:
    """CRC-32 over the header with its checksum field zero, then the payload."""
    return zlib.crc32(stored, zlib.crc32(header[:4] + b"\0\0\0\0" + header[8:]))
