"""Opening a trace file: what it holds, without decoding its events."""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from diagmem.base.text import printable
from diagmem.trace import format as fmt
from diagmem.trace.blocks import BlockFile
from diagmem.trace.format import BlockHeader, BlockType, TraceError
from diagmem.trace.header import Header
from diagmem.trace.records import Record, RecordError, buffer_of, parse, site_of
from diagmem.trace.tally import Tallies, Tally, WindowEnd
from diagmem.trace.window import Site, Window


@dataclass(frozen=True, slots=True)
class WindowRecord:
    """A window and how the file stores its events."""

    window: Window
    spans: tuple[tuple[int, int], ...]
    missing: tuple[tuple[str, str], ...]
    """Buffers that were asked for and not there: name and reason."""


@dataclass(slots=True)
class _Meta:
    """The META records of a file, sorted by what they tell.

    Each is made into what is kept of it at once: as JSON objects they take ten
    times the room.
    """

    header: Header = field(default_factory=Header)
    windows: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    """Function, thread, buffers, spans and missing buffers, by index."""
    ends: dict[int, WindowEnd] = field(default_factory=dict)
    sites: dict[int, Site] = field(default_factory=dict)
    class_site: array[int] = field(default_factory=lambda: array("I"))
    class_span: array[int] = field(default_factory=lambda: array("I"))
    copies: list[tuple[int, int]] = field(default_factory=list)
    """Window and site."""
    _same: dict[Any, Any] = field(default_factory=dict)
    """Windows are mostly alike; what they share is kept once."""

    def add_window(self, record: Record) -> None:
        self.windows[record["index"]] = (
            self._once(printable(record["function"])),
            record["thread"],
            self._once(tuple(self._once(buffer_of(b)) for b in record["buffers"])),
            self._once(tuple((low, high) for low, high in record["spans"])),
            self._once(
                tuple((printable(m["name"]), printable(m["reason"])) for m in record["missing"])
            ),
        )

    def add_window_end(self, record: Record) -> None:
        self.ends[record["index"]] = WindowEnd(
            self._once(printable(record["end"])),
            record["events"],
            record["loads"],
            record["stores"],
            bool(record.get("several_threads", False)),
        )

    def _once(self, value: Any) -> Any:
        return self._same.setdefault(value, value)


class _BlockIndex:
    """Finds the blocks that tell of a window: neighbours, as windows follow one another."""

    def __init__(self, blocks: list[BlockHeader]) -> None:
        self._blocks = blocks
        self._start = [block.window_start for block in blocks]
        self._end = [block.window_end for block in blocks]

    def disorder(self) -> BlockHeader | None:
        """A block that tells of no window, or of one before the last of the block before."""
        before = 0
        for block in self._blocks:
            if not before <= block.window_start < block.window_end:
                return block
            before = block.window_end - 1
        return None

    def of(self, window: int) -> list[BlockHeader]:
        return self._blocks[bisect_right(self._end, window) : bisect_right(self._start, window)]


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
        self._file = BlockFile(path)
        self.path = self._file.path
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        self.size_bytes = self._file.size_bytes
        self.version = self._file.version
        self.blocks = list(self._file.scan())
        self._block_index = {
            kind: _BlockIndex([block for block in self.blocks if block.type is kind])
            for kind in (BlockType.EVENTS, BlockType.SUMMARY)
        }
        for index in self._block_index.values():
            if (block := index.disorder()) is not None:
                windows = f"windows [{block.window_start}, {block.window_end})"
                raise TraceError(f"{self.place(block)}: {windows}, expected them in order")
        meta = self._read_meta()
        self.header = meta.header
        self.end = self._end_mark()
        if self.end is None:
            self.cut = self._file.cut
        else:
            self.cut = "" if self.end["complete"] else printable(self.end["reason"]) or "it was cut"
        self._number_sites(meta)
        tallies = self._tallies() if self.cut else None
        self.windows = [
            self._window(index, meta.windows.pop(index), meta.ends.pop(index, None), tallies)
            for index in sorted(meta.windows)
        ]
        self._by_index = {record.window.index: record for record in self.windows}

    @property
    def complete(self) -> bool:
        return not self.cut

    @property
    def mode(self) -> str:
        """``events`` or ``summary``."""
        return self.header.mode or "events"

    def close(self) -> None:
        self._file.close()

    def payload(self, block: BlockHeader) -> bytes:
        """A block's plain bytes, its checksum verified."""
        return self._file.payload(block)

    def peek(self, block: BlockHeader, size: int) -> bytes:
        """The first bytes of a block, without decoding or checking the rest."""
        return self._file.peek(block, size)

    def record(self, window: int) -> WindowRecord:
        """The window of that index."""
        if window not in self._by_index:
            last = len(self.windows) - 1
            held = f"windows 0 to {last}" if last > 0 else "window 0" if last == 0 else "none"
            raise TraceError(f"{self.path}: there is no window {window}; it holds {held}")
        return self._by_index[window]

    def copies_in(self, window: int) -> Sequence[Site]:
        """The sites of library copies that a window of a summary made; all that there are
        in a file that does not say."""
        return self._copies.get(window, ()) if self._copies else self.sites

    def blocks_of(self, kind: BlockType, window: int) -> list[BlockHeader]:
        """The blocks of events or of a summary that tell of a window, in file order."""
        return self._block_index[kind].of(window)

    def place(self, block: BlockHeader) -> str:
        """Where a block is, for messages."""
        return f"{self.path}: block at byte {block.payload_at - fmt.BLOCK.itemsize}"

    def _records(self, block: BlockHeader) -> Iterator[Record]:
        try:
            yield from parse(self.payload(block))
        except RecordError as error:
            raise TraceError(f"{self.place(block)}: {error}") from None

    def _end_mark(self) -> Record | None:
        if not self.blocks or self.blocks[-1].type is not BlockType.END:
            return None
        records = list(self._records(self.blocks[-1]))
        if [record["type"] for record in records] != ["end"]:
            raise TraceError(f"{self.place(self.blocks[-1])}: not one record of type 'end'")
        return records[0]

    def _read_meta(self) -> _Meta:
        meta = _Meta()
        most, count = fmt.max_records(self.size_bytes), 0
        for block in self.blocks:
            if block.type is not BlockType.META:
                continue
            for record in self._records(block):
                count += 1
                if count > most:
                    raise TraceError(
                        f"{self.place(block)}: more than {most} records in a file of"
                        f" {self.size_bytes} bytes; the file is corrupt"
                    )
                match record["type"]:
                    case "header":
                        meta.header = Header.of(record)
                    case "window":
                        meta.add_window(record)
                    case "window end":
                        meta.add_window_end(record)
                    case "site":
                        meta.sites[record["site"]] = site_of(record)
                    case "class":
                        self._add_class(meta, record, block)
                    case "copy":
                        meta.copies.append((record["window"], record["site"]))
        return meta

    def _add_class(self, meta: _Meta, record: Record, block: BlockHeader) -> None:
        if record["class"] != len(meta.class_site):
            raise TraceError(
                f"{self.place(block)}: class number {record['class']}, expected"
                f" {len(meta.class_site)}"
            )
        meta.class_site.append(record["site"])
        meta.class_span.append(record["span"])

    def _number_sites(self, meta: _Meta) -> None:
        number = {site: i for i, site in enumerate(meta.sites)}
        self.sites = list(meta.sites.values())
        try:
            self.class_site = np.array([number[s] for s in meta.class_site], np.uint32)
        except KeyError as error:
            raise TraceError(f"{self.path}: a class names the unknown site {error}") from None
        self.class_span = np.array(meta.class_span, np.uint32)
        self._copies: dict[int, list[Site]] = {}
        for window, site in meta.copies:
            if site in number:
                self._copies.setdefault(window, []).append(self.sites[number[site]])

    def _tallies(self) -> Tallies:
        stores = np.array([site.kind.endswith("store") for site in self.sites], bool)
        tallies = Tallies(stores[self.class_site])
        for block in self.blocks:
            if block.type is BlockType.EVENTS:
                tallies.add_block(self._file.stored(block), block.raw_bytes, self.place(block))
        return tallies

    def _window(
        self, index: int, begun: tuple[Any, ...], end: WindowEnd | None, tallies: Tallies | None
    ) -> WindowRecord:
        """A window; of a cut trace's windows only what is really there counts.

        A window of a summary without an end tells nothing: 0 events.
        """
        function, thread, buffers, spans, missing = begun
        if tallies is not None and self.mode != "summary":
            tally = tallies.of(index)
            if end is None or end.events != tally.events:
                end = tally.as_end()
        end = end or Tally().as_end()
        window = Window(
            index=index,
            function=function,
            thread=thread,
            buffers=buffers,
            events=end.events,
            loads=end.loads,
            stores=end.stores,
            end=end.end,
            several_threads=end.several_threads,
        )
        return WindowRecord(window, spans, missing)
