"""A plan into a ``.tflite`` file, without touching what is there.

Offsets in a FlatBuffer lead forward only, so a new root table can stand in front of
the whole old file and point into it: to the graph as it was, and to longer vectors of
buffers and metadata.  Weights are neither moved against each other nor read.

    offset of the root, "TFL3", bytes in front of the old file, 0
    vtable and root table, vector of buffers, vector of metadata,
    the new entries' tables, names and contents
    the old file
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping, Sequence, Set
from hashlib import sha256
from pathlib import Path
from typing import Any

from diagmem.base.errors import DiagmemError
from diagmem.base.files import replacing
from diagmem.tflite.decode import PLACE, Root
from diagmem.tflite.elements import ELEMENT_BYTES, ModelTensor
from diagmem.tflite.flat import MAX_BYTES, Flat, FlatTable
from diagmem.tflite.graph import PLAN_NAME, PLANNED_ONLINE, Model
from diagmem.tflite.schema import IDENTIFIER

PROVENANCE_NAME = "diagmem.plan"
"""The metadata that says how the plan was made: JSON, UTF-8."""
OFFSETS = "offsets_sha256"
"""The entry of it that says for which offsets, little-endian int32."""
ALIGN_BYTES = 16
"""The schema's alignment of a buffer's contents; the old file keeps its own by it."""
MAX_ELEMENT_ALIGN_BYTES = 8
_HEADER_BYTES = 16
_NEW = {Root.VERSION, Root.BUFFERS, Root.METADATA}
"""Fields of the root that are written anew; the others go on pointing where they pointed."""


def write_planned(
    model: Model,
    offsets: Sequence[int],
    output: str | os.PathLike[str],
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write the model's file with a plan that TFLM takes.

    Parameters
    ----------
    offsets : bytes from the arena's start for each tensor of the model,
        `PLANNED_ONLINE` for what TFLM places itself.
    provenance : how the plan was made; must be JSON.  It holds for these offsets only.

    A plan that was there before is replaced.

    Raises
    ------
    DiagmemError
        The offsets do not fit the model, the model has parts that cannot be carried
        over, or the output cannot be written.
    """
    _check_offsets(model, offsets)
    entries = [(PLAN_NAME, struct.pack(f"<{3 + len(offsets)}i", 1, 0, len(offsets), *offsets))]
    if provenance is not None:
        entries.append((PROVENANCE_NAME, _json({**provenance, OFFSETS: _digest(offsets)})))
    old = _without_front(model)
    front = _front(old, model.path, entries)
    if len(front) + len(old) > MAX_BYTES:
        raise DiagmemError(
            f"{model.path}: found {len(front) + len(old):,} bytes with the plan, expected"
            f" {MAX_BYTES:,} at most"
        )
    with replacing(Path(output)) as file:
        file.write(front)
        file.write(old)


def read_provenance(model: Model) -> dict[str, Any] | None:
    """How the plan was made, None if the file does not say, or says it of other offsets:
    somebody has planned the model anew since.

    Raises
    ------
    DiagmemError
        What it says is no JSON object.
    """
    span = model.metadata.get(PROVENANCE_NAME)
    if span is None:
        return None
    try:
        entries = json.loads(bytes(model.data[span.start : span.end]))
    # A RecursionError comes from brackets without end.
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, dict):
        raise DiagmemError(
            f"{model.path}: metadata {PROVENANCE_NAME}: found no JSON object, expected one"
        )
    # Older files say it of no offsets in particular.
    offsets = entries.pop(OFFSETS, None)
    return entries if offsets is None or offsets == _digest(model.plan or ()) else None


def _digest(offsets: Sequence[int]) -> str:
    return sha256(struct.pack(f"<{len(offsets)}i", *offsets)).hexdigest()


def _check_offsets(model: Model, offsets: Sequence[int]) -> None:
    if len(offsets) != len(model.tensors):
        raise DiagmemError(
            f"{model.path}: found {len(offsets)} offsets, expected one for each of"
            f" {len(model.tensors)} tensors"
        )
    for tensor, offset in zip(model.tensors, offsets, strict=True):
        fault = _fault(tensor, offset)
        if fault:
            raise DiagmemError(
                f"{model.path}: tensor {tensor.index} ({tensor.name[:60]}): found offset {offset},"
                f" expected {fault}"
            )


def _fault(tensor: ModelTensor, offset: int) -> str:
    """What is wrong with an offset, as what would be right."""
    if offset == PLANNED_ONLINE:
        return ""
    if not tensor.planned:
        return f"{PLANNED_ONLINE}, since the arena's plan does not hold it"
    if not 0 <= offset <= MAX_BYTES - tensor.size_bytes:
        return f"{PLANNED_ONLINE}, or 0 to {MAX_BYTES - tensor.size_bytes:,}"
    # Cortex-M faults on words that are not aligned.
    align = min(ELEMENT_BYTES[tensor.dtype], MAX_ELEMENT_ALIGN_BYTES)
    return f"a multiple of {align} for {tensor.dtype}" if offset % align else ""


def _json(provenance: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(provenance, ensure_ascii=False, sort_keys=True).encode()
    except (TypeError, ValueError) as error:
        raise DiagmemError(f"{PROVENANCE_NAME}: cannot be said in JSON: {error}") from None


def _without_front(model: Model) -> memoryview:
    """The file as it was before it was planned here, if it was."""
    data = model.data
    if len(data) < _HEADER_BYTES:
        return data
    (size_bytes,) = struct.unpack_from("<I", data, 8)
    old = data[size_bytes:]
    if size_bytes % ALIGN_BYTES or old[4:8] != IDENTIFIER:
        return data
    entries = [
        (name, bytes(data[span.start : span.end]))
        for name, span in model.metadata.items()
        if name in (PLAN_NAME, PROVENANCE_NAME)
    ]
    try:
        front = _front(old, model.path, entries)
    except DiagmemError:
        return data
    # Whatever looks like a front made here but is none is part of the file.
    return old if data[:size_bytes] == front else data


def _front(old: memoryview, name: str, entries: Sequence[tuple[str, bytes]]) -> bytes:
    """What to put before a file so that it has these metadata, and none of that name twice."""
    root = Flat(old, name).root(IDENTIFIER, PLACE)
    buffers = [table.at for table in _buffers(root)]
    kept = [
        table.at
        for table in root.tables(Root.METADATA, "metadata")
        if table.text(0) not in (PLAN_NAME, PROVENANCE_NAME)
    ]
    targets = [None if slot in _NEW else root.target(slot) for slot in Root]
    draft = _Draft()
    fields = draft.table(0, len(Root), {s for s, t in enumerate(targets) if t is None} - _NEW)
    draft.set(fields[Root.VERSION], root.integer(Root.VERSION, "I"))
    for field, target in zip(fields, targets, strict=True):
        if target is not None:
            draft.link(field, target)
    new_buffers = draft.vector(fields[Root.BUFFERS], buffers, len(entries))
    new_metadata = draft.vector(fields[Root.METADATA], kept, len(entries))
    for number, (entry, contents) in enumerate(entries):
        (data,) = draft.table(new_buffers[number], 1)
        name_field, buffer_field = draft.table(new_metadata[number], 2)
        draft.set(buffer_field, len(buffers) + number)
        draft.octets(name_field, entry.encode() + b"\0", len(entry.encode()))
        draft.octets(data, contents, len(contents), ALIGN_BYTES)
    return draft.finish()


def _buffers(root: FlatTable) -> list[FlatTable]:
    """All buffers of a file of which every part moves with its offsets."""
    for slot in range(len(Root), root.slots):
        if root.field(slot, 1) is not None:
            root.fail(f"field {slot}", f"none beyond {len(Root) - 1}, of which this knows nothing")
    buffers = list(root.tables(Root.BUFFERS, "buffer"))
    for buffer in buffers:
        if buffer.integer(1, "Q") > 1:
            buffer.fail("data outside of the FlatBuffer", "data in the buffer itself")
    for graph in root.tables(Root.SUBGRAPHS, "subgraph"):
        for operator in graph.tables(3, "operator"):
            if operator.integer(9, "Q") > 1:
                operator.fail("options outside of the FlatBuffer", "options in the operator")
    return buffers


class _Draft:
    """The front, growing; offsets into the old file are set when its size is known."""

    def __init__(self) -> None:
        self._out = bytearray(_HEADER_BYTES)
        self._out[4:8] = IDENTIFIER
        self._links: list[tuple[int, int]] = []

    def set(self, field: int, number: int) -> None:
        struct.pack_into("<I", self._out, field, number)

    def link(self, field: int, target: int) -> None:
        """Lead a field to a byte of the old file."""
        self._links.append((field, target))

    def table(self, owner: int, slots: int, absent: Set[int] = frozenset()) -> list[int]:
        """A table of 32-bit fields that the field ``owner`` leads to; where they are."""
        self._pad(4)
        places = [0 if slot in absent else 4 + 4 * slot for slot in range(slots)]
        vtable = len(self._out)
        self._out += struct.pack(f"<{2 + slots}H", 4 + 2 * slots, 4 + 4 * slots, *places)
        self._pad(4)
        table = len(self._out)
        self.set(owner, table - owner)
        self._out += struct.pack("<i", table - vtable) + bytes(4 * slots)
        return [table + 4 + 4 * slot for slot in range(slots)]

    def vector(self, owner: int, targets: Sequence[int], more: int) -> list[int]:
        """A vector of offsets, first into the old file; where the other fields are."""
        start = self._vector(owner, len(targets) + more, 4)
        self._out += bytes(4 * (len(targets) + more))
        for number, target in enumerate(targets):
            self.link(start + 4 * number, target)
        return [start + 4 * (len(targets) + number) for number in range(more)]

    def octets(self, owner: int, contents: bytes, count: int, align: int = 4) -> None:
        """A vector of bytes, of which ``count`` are said to be there."""
        self._vector(owner, count, align)
        self._out += contents

    def finish(self) -> bytes:
        self._pad(ALIGN_BYTES)
        self.set(8, len(self._out))
        for field, target in self._links:
            self.set(field, len(self._out) + target - field)
        return bytes(self._out)

    def _vector(self, owner: int, count: int, align: int) -> int:
        """Begin a vector; where its first element will be."""
        self._pad(align, 4)
        self.set(owner, len(self._out) - owner)
        self._out += struct.pack("<I", count)
        return len(self._out)

    def _pad(self, align: int, before: int = 0) -> None:
        """Fill up until what follows so many bytes further is aligned."""
        self._out += bytes(-(len(self._out) + before) % align)
