"""Trace files taken apart, changed on purpose and put together again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

from diagmem.trace import format as fmt
from diagmem.trace.blocks import BlockFile
from diagmem.trace.format import BlockType
from diagmem.trace.window import Buffer, Role
from tests.trace.compose import SyntheticWindow

ARENA = (
    Buffer("arena", Role.ARENA, 0x10000, 512),
    Buffer("x", Role.INPUT, 0x10000, 128),
    Buffer("y", Role.OUTPUT, 0x10040, 256),
    Buffer("w", Role.WEIGHTS, 0x20000, 96),
)
"""Two in a third, of which they share some bytes, and one far away."""
NESTED = (ARENA[0], ARENA[1], Buffer("y", Role.OUTPUT, 0x10080, 256), ARENA[3])


@dataclass(slots=True)
class Block:
    """A block taken out of a file: plain payload, to be changed at will."""

    kind: int
    raw: bytes
    windows: tuple[int, int]
    at: int
    """Where in the file it begins, as read or last saved."""

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.raw.split(b"\n")]

    @records.setter
    def records(self, records: Sequence[dict[str, Any]]) -> None:
        self.raw = "\n".join(map(json.dumps, records)).encode()


@dataclass(slots=True)
class Surgery:
    """A trace file in pieces; `save` puts them together with right checksums."""

    head: bytes
    blocks: list[Block] = field(default_factory=list)

    @classmethod
    def of(cls, path: Path) -> Surgery:
        file = BlockFile(path)
        surgery = cls(path.read_bytes()[: fmt.FILE_HEADER.size])
        for b in file.scan():
            windows = (b.window_start, b.window_end)
            at = b.payload_at - fmt.BLOCK.itemsize
            surgery.blocks.append(Block(b.type, file.payload(b), windows, at))
        file.close()
        return surgery

    def of_kind(self, kind: BlockType) -> list[Block]:
        return [block for block in self.blocks if block.kind == kind]

    def change_records(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Let ``change`` edit each META record in place."""
        for block in self.of_kind(BlockType.META):
            records = block.records
            for record in records:
                change(record)
            block.records = records

    def all_records(self) -> Iterator[tuple[Block, int, dict[str, Any]]]:
        """Block, number and record of each META record."""
        number = 0
        for block in self.of_kind(BlockType.META):
            for record in block.records:
                yield block, number, record
                number += 1

    def save(self, path: Path, *, count_blocks: bool = True) -> Path:
        """``count_blocks``: make the end mark's count of blocks right again."""
        if count_blocks and self.blocks[-1].kind == BlockType.END:
            self.blocks[-1].records = [
                {**record, "blocks": len(self.blocks)} for record in self.blocks[-1].records
            ]
        parts = [self.head]
        for block in self.blocks:
            stored = zstandard.ZstdCompressor().compress(block.raw)
            kind = fmt.BlockType(block.kind)
            block.at = sum(map(len, parts))
            parts += [fmt.pack_block_header(kind, stored, len(block.raw), *block.windows), stored]
        path.write_bytes(b"".join(parts))
        return path


def random_window(
    seed: int, buffers: Sequence[Buffer], events: int, *, end: str | None = "returned"
) -> SyntheticWindow:
    """Events of several threads in and around the buffers, some of them long."""
    rng = np.random.default_rng(seed)
    starts = np.array([b.address for b in buffers])
    sizes = np.array([b.size_bytes for b in buffers])
    which = rng.integers(0, len(buffers), events)
    reach = np.minimum(sizes, 1 << 32)[which] + 20
    return SyntheticWindow(
        function=f"kernel_{seed}",
        buffers=buffers,
        address=np.maximum(starts[which] + rng.integers(-20, reach), 0),
        size=rng.choice([1, 2, 4, 8, 16, 64, 65, 300], events),
        store=rng.random(events) < 0.4,
        thread=np.sort(rng.integers(1, 4, events)),
        end=end,
    )
