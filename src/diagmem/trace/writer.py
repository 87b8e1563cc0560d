"""Writing a trace file as a stream, in memory bounded by one block."""

from __future__ import annotations

import json
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
import zstandard

from diagmem.base.errors import DiagmemError
from diagmem.base.files import JsonObject
from diagmem.trace import format as fmt
from diagmem.trace.records import Record

_UNITS = {"address": "bytes", "offset": "bytes", "size": "bytes", "tick": "events"}

EVENTS_LEVEL = 1
META_LEVEL = 9
META_BYTES = 1 << 22
"""So many bytes of records are written as a block, though no events follow yet."""


class TraceWriter:
    """Append blocks to a new file; `close` writes the end mark and closes it.

    A file without the end mark was cut short and is read up to the cut.
    """

    def __init__(self, file: BinaryIO, header: JsonObject) -> None:
        self._file = file
        self._compress = zstandard.ZstdCompressor(level=EVENTS_LEVEL).compress
        self._compress_meta = zstandard.ZstdCompressor(level=META_LEVEL).compress
        self._meta: list[str] = []
        self._meta_bytes = 0
        self._blocks = 0
        self.events = 0
        self._file.write(fmt.FILE_HEADER.pack(fmt.MAGIC, fmt.VERSION, 0))
        self.add_meta({"type": "header", "units": _UNITS, **header})

    def add_meta(self, record: Record) -> None:
        """Keep one JSON object; it is written before the next block of events.

        Raises
        ------
        DiagmemError
            It is larger than a record may be.
        """
        line = json.dumps(record, separators=(",", ":"))
        if len(line) > fmt.MAX_RECORD_BYTES:
            raise DiagmemError(
                f"a {record['type']} of {len(line):,} bytes, expected at most"
                f" {fmt.MAX_RECORD_BYTES:,}: fewer buffers, or shorter names"
            )
        self._meta.append(line)
        self._meta_bytes += len(line)
        if self._meta_bytes > META_BYTES:
            self._flush_meta()

    def add_events(self, payload: bytes | bytearray | memoryview) -> None:
        """One EVENTS frame as the tool sends it, stored compressed."""
        head = np.frombuffer(payload, fmt.EVENTS_HEAD, 1)[0]
        segments = np.frombuffer(
            payload, fmt.SEGMENT, int(head["segments"]), fmt.EVENTS_HEAD.itemsize
        )
        self._flush_meta()
        self.events += int(head["events"])
        windows = segments["window"]
        self._block(fmt.BlockType.EVENTS, payload, int(windows.min()), int(windows.max()) + 1)

    def add_summary(self, payload: bytes | bytearray | memoryview) -> None:
        """One SUMMARY frame; its columns are stored one after the other as
        differences from cell to cell, which compress far better."""
        size = fmt.SUMMARY_HEAD.itemsize
        head = np.frombuffer(payload, fmt.SUMMARY_HEAD, 1)[0]
        ticks = np.frombuffer(payload, fmt.TICK_DTYPES[int(head["tick_bytes"])], offset=size)
        parts = [bytes(payload[:size])]
        if len(ticks):
            for kind in ticks.reshape(-1, int(head["count"]), 2):
                # Unsigned, so that a fall wraps around and adds up again.
                parts += [
                    np.diff(column, prepend=column.dtype.type(0)).tobytes()
                    for column in (kind[:, 0], kind[:, 1])
                ]
        self._flush_meta()
        window = int(head["window"])
        self._block(fmt.BlockType.SUMMARY, b"".join(parts), window, window + 1)

    def close(self, *, complete: bool, reason: str = "") -> None:
        """Write the end mark: `complete`, or why the recording was cut."""
        if self._file.closed:
            return
        try:
            self._flush_meta()
            end = {
                "type": "end",
                "complete": complete,
                "reason": reason,
                "events": self.events,
                "blocks": self._blocks + 1,
            }
            self._block(fmt.BlockType.END, json.dumps(end).encode(), 0, 0)
        finally:
            self._file.close()

    def _flush_meta(self) -> None:
        if self._meta:
            text = "\n".join(self._meta)
            self._meta.clear()
            self._meta_bytes = 0
            self._block(fmt.BlockType.META, text.encode(), 0, 0)

    def _block(
        self,
        kind: fmt.BlockType,
        payload: bytes | bytearray | memoryview,
        window_start: int,
        window_end: int,
    ) -> None:
        small = kind in (fmt.BlockType.META, fmt.BlockType.END)
        stored = (self._compress_meta if small else self._compress)(payload)
        header = fmt.pack_block_header(kind, stored, len(payload), window_start, window_end)
        self._file.write(header)
        self._file.write(stored)
        self._blocks += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._file.closed:
            self.close(complete=error is None, reason=str(error) if error else "")
