"""Opening a trace file: what it holds, without decoding its events."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from diagmem.trace import format as fmt
from diagmem.trace.blocks import BlockFile
from diagmem.trace.format import BlockHeader, BlockType, TraceError
from diagmem.trace.model import Site, Window
from diagmem.trace.records import Record, RecordError, buffer_of, parse, site_of
from diagmem.trace.tally import Tallies, Tally


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

    header: Record = field(default_factory=dict)
    windows: dict[int, Record] = field(default_factory=dict)
    window_ends: dict[int, Record] = field(default_factory=dict)
    sites: dict[int, Record] = field(default_factory=dict)
    classes: list[tuple[int, int]] = field(default_factory=list)
    copies: list[tuple[int, int]] = field(default_factory=list)
    """Window and site."""


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
        windows = [(block.window_start, block.window_end) for block in self.blocks]
        self._block_windows = np.array(windows, np.int64).reshape(-1, 2)
        meta = self._read_meta()
        self.header = meta.header
        self.end = self._end_mark()
        if self.end is None:
            self.cut = self._file.cut
        else:
            self.cut = "" if self.end["complete"] else self.end["reason"] or "it was cut"
        self._number_sites(meta)
        tallies = self._tallies() if self.cut else None
        self.windows = [
            self._window(record, meta.window_ends.get(index), tallies)
            for index, record in sorted(meta.windows.items())
        ]
        self._by_index = {record.window.index: record for record in self.windows}

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

    def blocks_of(self, kind: BlockType, window: int) -> Iterator[BlockHeader]:
        """The blocks that tell of a window, in file order."""
        here = (self._block_windows[:, 0] <= window) & (window < self._block_windows[:, 1])
        for number in np.flatnonzero(here).tolist():
            if self.blocks[number].type is kind:
                yield self.blocks[number]

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
        for block in self.blocks:
            if block.type is not BlockType.META:
                continue
            for record in self._records(block):
                match record["type"]:
                    case "header":
                        meta.header = record
                    case "window":
                        meta.windows[record["index"]] = record
                    case "window end":
                        meta.window_ends[record["index"]] = record
                    case "site":
                        meta.sites[record["site"]] = record
                    case "class":
                        self._add_class(meta, record, block)
                    case "copy":
                        meta.copies.append((record["window"], record["site"]))
        return meta

    def _add_class(self, meta: _Meta, record: Record, block: BlockHeader) -> None:
        if record["class"] != len(meta.classes):
            raise TraceError(
                f"{self.place(block)}: class number {record['class']}, expected {len(meta.classes)}"
            )
        meta.classes.append((record["site"], record["span"]))

    def _number_sites(self, meta: _Meta) -> None:
        number = {site: i for i, site in enumerate(meta.sites)}
        self.sites = [site_of(record) for record in meta.sites.values()]
        try:
            self.class_site = np.array([number[s] for s, _ in meta.classes], np.uint32)
        except KeyError as error:
            raise TraceError(f"{self.path}: a class names the unknown site {error}") from None
        self.class_span = np.array([span for _, span in meta.classes], np.uint32)
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

    def _window(self, record: Record, end: Record | None, tallies: Tallies | None) -> WindowRecord:
        """A window; of a cut trace's windows only what is really there counts.

        A window of a summary without an end tells nothing: 0 events.
        """
        if tallies is not None and self.mode != "summary":
            tally = tallies.of(record["index"])
            if end is None or end["events"] != tally.events:
                end = tally.as_end_record()
        end = end or Tally().as_end_record()
        window = Window(
            index=record["index"],
            function=record["function"],
            thread=record["thread"],
            buffers=tuple(buffer_of(b) for b in record["buffers"]),
            events=end["events"],
            loads=end["loads"],
            stores=end["stores"],
            end=end["end"],
            several_threads=bool(end.get("several_threads", False)),
        )
        return WindowRecord(
            window,
            spans=tuple((low, high) for low, high in record["spans"]),
            missing=tuple((m["name"], m["reason"]) for m in record["missing"]),
        )
