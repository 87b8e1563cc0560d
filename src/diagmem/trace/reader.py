"""Opening a trace file: what it holds, without decoding its events."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import zstandard

from diagmem.trace import format as fmt
from diagmem.trace.format import BlockHeader, BlockType, TraceError
from diagmem.trace.model import Buffer, Role, Site, Window


@dataclass(frozen=True, slots=True)
class WindowRecord:
    """A window and how the file stores its events."""

    window: Window
    spans: tuple[tuple[int, int], ...]
    missing: tuple[tuple[str, str], ...]
    """Buffers that were asked for and not there: name and reason."""


@dataclass(slots=True)
class _Meta:
    """The META records of a file, sorted by what they tell."""

    header: dict[str, Any] = field(default_factory=dict)
    windows: dict[int, dict[str, Any]] = field(default_factory=dict)
    window_ends: dict[int, dict[str, Any]] = field(default_factory=dict)
    sites: dict[int, dict[str, Any]] = field(default_factory=dict)
    classes: list[tuple[int, int]] = field(default_factory=list)


class TraceFile:
    """A trace file's contents; blocks are decoded when asked for.

    Attributes
    ----------
    windows : list of WindowRecord
    sites : list of Site
    class_site, class_span : int arrays
        For each class of events its site (index into `sites`) and its span.
    complete : bool
        False when the recording or the file was cut; `cut` says why.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self._file: BinaryIO = self.path.open("rb")
        except OSError as error:
            raise TraceError(f"{self.path}: cannot read it: {error.strerror}") from None
        self.size_bytes = os.fstat(self._file.fileno()).st_size
        self.version = self._read_file_header()
        self.cut = ""
        self.end: dict[str, Any] | None = None
        self.blocks = list(self._scan())
        if self.end is None:
            self.cut = self.cut or "the file ends without its end mark"
        elif not self.end["complete"]:
            self.cut = str(self.end["reason"]) or "the recording was cut"
        meta = self._read_meta()
        self.header = meta.header
        self._number_sites(meta)
        self.windows = [self._window(meta, index) for index in sorted(meta.windows)]

    @property
    def complete(self) -> bool:
        return not self.cut

    @property
    def mode(self) -> str:
        """``events`` or ``summary``."""
        return str(self.header.get("mode", "events"))

    def close(self) -> None:
        self._file.close()

    def payload(self, block: BlockHeader) -> bytes:
        """A block's plain bytes, its checksum verified."""
        at = block.payload_at - fmt.BLOCK.itemsize
        self._file.seek(at)
        header = self._file.read(fmt.BLOCK.itemsize)
        stored = self._file.read(block.stored_bytes)
        if fmt.block_checksum(header, stored) != block.crc32:
            raise TraceError(
                f"{self.path}: block at byte {at} ({block.type.name}): its checksum does not"
                " match its contents; the file is corrupt"
            )
        try:
            raw = zstandard.ZstdDecompressor().decompress(stored, max_output_size=block.raw_bytes)
        except zstandard.ZstdError as error:
            raise TraceError(f"{self.path}: block at byte {at}: {error}") from None
        if len(raw) != block.raw_bytes:
            raise TraceError(
                f"{self.path}: block at byte {at}: holds {len(raw)} bytes, expected"
                f" {block.raw_bytes}"
            )
        return raw

    def peek(self, block: BlockHeader, size: int) -> bytes:
        """The first bytes of a block, without decoding or checking the rest."""
        self._file.seek(block.payload_at)
        stored = self._file.read(block.stored_bytes)
        try:
            raw = zstandard.ZstdDecompressor().stream_reader(stored).read(size)
        except zstandard.ZstdError as error:
            raise TraceError(f"{self.path}: block at byte {block.payload_at}: {error}") from None
        if len(raw) < size:
            raise TraceError(
                f"{self.path}: block at byte {block.payload_at}: shorter than its own counts say"
            )
        return raw

    def blocks_of(self, kind: BlockType, window: int) -> Iterator[BlockHeader]:
        """The blocks that tell of a window, in file order."""
        for block in self.blocks:
            if block.type is kind and block.window_start <= window < block.window_end:
                yield block

    def _read_file_header(self) -> int:
        head = self._file.read(fmt.FILE_HEADER.size)
        if len(head) < fmt.FILE_HEADER.size or not head.startswith(fmt.MAGIC):
            raise TraceError(
                f"{self.path}: not a diagmem trace: starts with {head[:8]!r}, expected"
                f" {fmt.MAGIC!r}"
            )
        _, version, _ = fmt.FILE_HEADER.unpack(head)
        if not 1 <= version <= fmt.VERSION:
            raise TraceError(
                f"{self.path}: trace format version {version}, this diagmem reads 1 to"
                f" {fmt.VERSION}; a newer diagmem is needed"
            )
        return int(version)

    def _scan(self) -> Iterator[BlockHeader]:
        """Block headers up to the end mark or the cut."""
        at = fmt.FILE_HEADER.size
        while self.end is None and at < self.size_bytes:
            self._file.seek(at)
            head = self._file.read(fmt.BLOCK.itemsize)
            payload_at = at + fmt.BLOCK.itemsize
            if len(head) < fmt.BLOCK.itemsize:
                self.cut = f"the file is cut inside a block header at byte {at}"
                return
            block = self._block_header(head, payload_at)
            if payload_at + block.stored_bytes > self.size_bytes:
                self.cut = (
                    f"the file is cut inside the {block.type.name} block at byte {at}:"
                    f" {self.size_bytes - payload_at} of {block.stored_bytes} bytes are there"
                )
                return
            at = payload_at + block.stored_bytes
            if block.type is BlockType.END:
                self.end = self._json(self.payload(block), block)
            yield block
        if self.end is not None and at < self.size_bytes:
            raise TraceError(
                f"{self.path}: {self.size_bytes - at} bytes follow the end mark at byte {at}"
            )

    def _block_header(self, head: bytes, payload_at: int) -> BlockHeader:
        fields = np.frombuffer(head, fmt.BLOCK)[0]
        place = f"{self.path}: block at byte {payload_at - fmt.BLOCK.itemsize}"
        try:
            kind = BlockType(int(fields["type"]))
        except ValueError:
            raise TraceError(
                f"{place}: unknown type {fields['type']}, expected 1 to {len(BlockType)};"
                " the file is corrupt"
            ) from None
        raw_bytes = int(fields["raw_bytes"])
        if raw_bytes > fmt.MAX_RAW_BYTES:
            raise TraceError(f"{place}: claims {raw_bytes} bytes; the file is corrupt")
        return BlockHeader(
            kind,
            int(fields["crc32"]),
            int(fields["stored_bytes"]),
            raw_bytes,
            int(fields["window_start"]),
            int(fields["window_end"]),
            payload_at,
        )

    def _json(self, raw: bytes, block: BlockHeader) -> dict[str, Any]:
        try:
            record = json.loads(raw)
        except ValueError as error:
            raise TraceError(
                f"{self.path}: block at byte {block.payload_at}: not JSON: {error}"
            ) from None
        if not isinstance(record, dict) or "type" not in record:
            raise TraceError(
                f"{self.path}: block at byte {block.payload_at}: a record without a type"
            )
        return record

    def _read_meta(self) -> _Meta:
        meta = _Meta()
        for block in self.blocks:
            if block.type is not BlockType.META:
                continue
            for line in self.payload(block).splitlines():
                record = self._json(line, block)
                try:
                    _sort_record(meta, record)
                except (KeyError, TypeError, ValueError) as error:
                    raise TraceError(
                        f"{self.path}: block at byte {block.payload_at}: a"
                        f" {record['type']!r} record lacks {error}"
                    ) from None
        return meta

    def _number_sites(self, meta: _Meta) -> None:
        number = {site: i for i, site in enumerate(meta.sites)}
        self.sites = [_site(record) for record in meta.sites.values()]
        try:
            self.class_site = np.array([number[s] for s, _ in meta.classes], np.uint32)
        except KeyError as error:
            raise TraceError(f"{self.path}: a class names the unknown site {error}") from None
        self.class_span = np.array([span for _, span in meta.classes], np.uint32)

    def _window(self, meta: _Meta, index: int) -> WindowRecord:
        record = meta.windows[index]
        end = meta.window_ends.get(index, {"end": "cut", "events": 0, "loads": 0, "stores": 0})
        try:
            window = Window(
                index=index,
                function=str(record["function"]),
                thread=int(record["thread"]),
                buffers=tuple(_buffer(b) for b in record["buffers"]),
                events=int(end["events"]),
                loads=int(end["loads"]),
                stores=int(end["stores"]),
                end=str(end["end"]),
                several_threads=bool(end.get("several_threads", False)),
            )
            spans = tuple((int(a), int(b)) for a, b in record["spans"])
            missing = tuple((str(m["name"]), str(m["reason"])) for m in record["missing"])
        except (KeyError, TypeError, ValueError) as error:
            raise TraceError(
                f"{self.path}: window {index}: its record is damaged: {error!r}"
            ) from None
        return WindowRecord(window, spans, missing)


def _sort_record(meta: _Meta, record: dict[str, Any]) -> None:
    match record["type"]:
        case "header":
            meta.header = record
        case "window":
            meta.windows[int(record["index"])] = record
        case "window end":
            meta.window_ends[int(record["index"])] = record
        case "site":
            meta.sites[int(record["site"])] = record
        case "class":
            if int(record["class"]) != len(meta.classes):
                raise ValueError(f"class number {len(meta.classes)}")
            meta.classes.append((int(record["site"]), int(record["span"])))


def _site(record: dict[str, Any]) -> Site:
    return Site(
        kind=str(record["kind"]),
        size_bytes=int(record["size"]),
        pc=int(record["pc"]),
        function=str(record.get("function", "")),
        object=str(record.get("object", "")),
        offset=int(record.get("offset", 0)),
        file=str(record.get("file", "")),
        line=int(record.get("line", 0)),
    )


def _buffer(record: dict[str, Any]) -> Buffer:
    return Buffer(
        name=str(record["name"]),
        role=Role(record["role"]),
        address=int(record["address"]),
        size_bytes=int(record["size"]),
    )
