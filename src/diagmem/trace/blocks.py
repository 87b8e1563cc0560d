"""The frame of a trace file: its header, its blocks, their checked payloads.

Knows nothing of what the payloads mean.  Safe to use from several threads.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import zstandard

from diagmem.base.filetypes import FileType, refuse_other
from diagmem.trace import format as fmt
from diagmem.trace.format import BlockHeader, BlockType, TraceError

MAX_EXPANSION = 1 << 15
"""No zstd frame grows more than this: at most 128 KiB from a block of 4 bytes."""


_TYPES = frozenset(map(int, BlockType))


class BlockError(TraceError):
    """A block breaks an invariant of the format, which is named.

    ``at`` is the byte in the file where the block begins.
    """

    def __init__(self, path: Path, at: int, invariant: str, found: str, expected: str) -> None:
        super().__init__(
            f"{path}: block at byte {at}: {found}, expected {expected}; the file is corrupt"
        )
        self.at = at
        self.invariant = invariant
        self.found = found
        self.expected = expected


class BlockFile:
    """An opened trace file as a row of blocks.

    Raises
    ------
    TraceError
        If it cannot be read, is not a trace, or is of a newer version.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self._fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise TraceError(f"{self.path}: cannot read it: {why}") from None
        self.cut = ""
        """Where `scan` found that the file stops short, or empty."""
        try:
            status = os.fstat(self._fd)
            if not stat.S_ISREG(status.st_mode):
                raise TraceError(f"{self.path}: cannot read it: it is not a regular file")
            self.size_bytes = status.st_size
            self.version, self.reserved = self._file_header()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _read(self, at: int, size: int) -> bytes:
        """Up to ``size`` bytes; fewer only at the end of the file."""
        if self._fd < 0:
            raise TraceError(f"{self.path}: the trace is closed")
        parts = []
        try:
            while size > 0 and (part := os.pread(self._fd, size, at)):
                parts.append(part)
                at += len(part)
                size -= len(part)
        except OSError as error:
            raise TraceError(f"{self.path}: cannot read byte {at}: {error.strerror}") from None
        return b"".join(parts)

    def _file_header(self) -> tuple[int, int]:
        head = self._read(0, fmt.FILE_HEADER.size)
        if len(head) < fmt.FILE_HEADER.size or not head.startswith(fmt.MAGIC):
            refuse_other(self.path, FileType.TRACE)
            raise TraceError(
                f"{self.path}: not a diagmem trace: starts with {head[:8]!r}, expected"
                f" {fmt.MAGIC!r}"
            )
        _, version, reserved = fmt.FILE_HEADER.unpack(head)
        if version > fmt.VERSION:
            raise TraceError(
                f"{self.path}: trace format version {version}, this diagmem reads 1 to"
                f" {fmt.VERSION}; a newer diagmem is needed"
            )
        if version == 0:
            raise TraceError(f"{self.path}: trace format version 0, expected 1 to {fmt.VERSION}")
        return int(version), int(reserved)

    def scan(self) -> Iterator[BlockHeader]:
        """Block headers up to the end mark, the cut (see `cut`) or the file's end.

        Raises
        ------
        BlockError
            If a header cannot be one, or bytes follow the end mark.
        """
        at = fmt.FILE_HEADER.size
        meta_bytes = 0
        while at < self.size_bytes:
            payload_at = at + fmt.BLOCK.itemsize
            head = self._read(at, fmt.BLOCK.itemsize)
            if len(head) < fmt.BLOCK.itemsize:
                self.cut = f"the file is cut inside a block header at byte {at}"
                return
            block = self._header(head, at)
            if payload_at + block.stored_bytes > self.size_bytes:
                self.cut = (
                    f"the file is cut inside the {block.type.name} block at byte {at}:"
                    f" {self.size_bytes - payload_at} of {block.stored_bytes} bytes are there"
                )
                return
            if block.type is BlockType.META:
                meta_bytes += block.raw_bytes
                if meta_bytes > fmt.max_meta_bytes(self.size_bytes):
                    found = f"{meta_bytes} plain bytes of META in {self.size_bytes} of the file"
                    most = f"at most {fmt.max_meta_bytes(self.size_bytes)}"
                    raise BlockError(self.path, at, "block-header", found, most)
            yield block
            at = payload_at + block.stored_bytes
            if block.type is BlockType.END:
                if at < self.size_bytes:
                    found = f"{self.size_bytes - at} bytes behind the end mark"
                    raise BlockError(self.path, at, "end-mark", found, "none")
                return
        self.cut = "the file ends without its end mark"

    def _header(self, head: bytes, at: int) -> BlockHeader:
        fields = np.frombuffer(head, fmt.BLOCK)[0]
        kind, raw_bytes = int(fields["type"]), int(fields["raw_bytes"])
        if kind not in _TYPES:
            known = ", ".join(f"{t.value} ({t.name})" for t in BlockType)
            raise BlockError(self.path, at, "block-header", f"type {kind}", f"one of {known}")
        type_ = BlockType(kind)
        if raw_bytes > fmt.MAX_PLAIN_BYTES[type_]:
            found, most = f"{raw_bytes} plain bytes", f"at most {fmt.MAX_PLAIN_BYTES[type_]}"
            raise BlockError(self.path, at, "block-header", f"{found} of {type_.name}", most)
        return BlockHeader(
            type=type_,
            crc32=int(fields["crc32"]),
            stored_bytes=int(fields["stored_bytes"]),
            raw_bytes=raw_bytes,
            window_start=int(fields["window_start"]),
            window_end=int(fields["window_end"]),
            payload_at=at + fmt.BLOCK.itemsize,
        )

    def stored(self, block: BlockHeader) -> bytes:
        """A block's compressed bytes, its checksum and its plain size verified.

        Raises
        ------
        BlockError
            If the checksum does not match, or the payload is not one zstd frame
            that states the block's plain size.
        """
        at = block.payload_at - fmt.BLOCK.itemsize
        whole = self._read(at, fmt.BLOCK.itemsize + block.stored_bytes)
        header, stored = whole[: fmt.BLOCK.itemsize], whole[fmt.BLOCK.itemsize :]
        found = fmt.block_checksum(header, stored)
        if found != block.crc32:
            crc = f"a checksum of {found:#010x}"
            raise BlockError(self.path, at, "block-checksum", crc, f"{block.crc32:#010x}")
        # zstd allocates what the frame states before it decodes anything.
        try:
            states = zstandard.frame_content_size(stored)
        except zstandard.ZstdError as error:
            raise self._payload_error(at, str(error)) from None
        if states != block.raw_bytes:
            stated = f"a zstd frame that states {'no' if states < 0 else states} plain bytes"
            raise self._payload_error(at, stated, f"{block.raw_bytes}, as in the block's header")
        if states > MAX_EXPANSION * len(stored):
            stated = f"{states} plain bytes from {len(stored)}"
            raise self._payload_error(at, stated, f"at most {MAX_EXPANSION * len(stored)}")
        return stored

    def payload(self, block: BlockHeader) -> bytes:
        """A block's plain bytes, checked as `stored` does."""
        stored = self.stored(block)
        at = block.payload_at - fmt.BLOCK.itemsize
        try:
            raw = zstandard.ZstdDecompressor().decompress(stored, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise self._payload_error(at, str(error)) from None
        except MemoryError:
            raise TraceError(
                f"{self.path}: block at byte {at}: no memory for its {block.raw_bytes} bytes"
            ) from None
        if len(raw) != block.raw_bytes:
            expected = f"{block.raw_bytes}, as in the block's header"
            raise self._payload_error(at, f"{len(raw)} plain bytes", expected)
        return raw

    def peek(self, block: BlockHeader, size: int) -> bytes:
        """The first bytes of a block, its checksum not verified; fewer if it is shorter."""
        size = min(size, block.raw_bytes)
        stored = self._read(block.payload_at, min(block.stored_bytes, 2 * size + 4096))
        try:
            with zstandard.ZstdDecompressor().stream_reader(stored) as stream:
                raw = stream.read(size)
        except zstandard.ZstdError:
            raw = b""
        # A first zstd block may be longer than what was read of it.
        return raw if len(raw) == size else self.payload(block)[:size]

    def _payload_error(
        self, at: int, found: str, expected: str = "one whole zstd frame"
    ) -> BlockError:
        return BlockError(self.path, at, "block-payload", found, expected)
