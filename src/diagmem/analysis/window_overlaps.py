"""From the events or the summary of one window to its liveness and its overlaps."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b

import numpy as np

from diagmem.analysis import copy_notes
from diagmem.analysis.answers import ISOLATED_TOGETHER, why_apart, wrote_nothing
from diagmem.analysis.liveness import NEVER_FIRST, BufferLiveness, LivenessFold
from diagmem.analysis.lives import Lives, LivesFold
from diagmem.analysis.overlap import Overlap, apart, find_overlap, in_place
from diagmem.base.errors import DiagmemError
from diagmem.base.memory import require_memory
from diagmem.base.text import printable
from diagmem.trace.copies import is_copy
from diagmem.trace.events import EventReader
from diagmem.trace.format import BlockType
from diagmem.trace.reader import TraceFile, WindowRecord
from diagmem.trace.summary import BufferSummary, read_summaries
from diagmem.trace.touched import spans_of_buffers
from diagmem.trace.window import Buffer, Int64Array, Role, Window

MAX_CELL_BYTES = 64
LIVES_PER_CELL = 2
LIVES_AT_LEAST = 4_000_000
"""How many lives of the values in a buffer are kept to answer exactly for a kernel that
stores to its input; beyond, the answer is conservative."""
LIVES_TOGETHER = 4 * LIVES_AT_LEAST
"""And how many of all buffers of a window, at least."""

SPARSE_CELLS = 1 << 22
CELLS_PER_EVENT = 8
"""A buffer of more cells than both say is kept in runs of cells."""
DENSE_BYTES = 48
"""Memory for a cell: its ticks, and what finding an overlap takes for a while."""


@dataclass(frozen=True, slots=True)
class WindowOverlaps:
    """The overlaps of one window: one per pair of an input and an output."""

    index: int
    function: str
    events: int
    pairs: tuple[Overlap, ...]

    def pair(self, input_: str, output: str) -> Overlap:
        for pair in self.pairs:
            if (pair.input, pair.output) == (input_, output):
                return pair
        raise DiagmemError(f"window {self.index} has no pair {input_!r}, {output!r}")


class WindowReader:
    """Reads the windows of a trace, one at a time."""

    def __init__(self, file: TraceFile, events: EventReader) -> None:
        self._file = file
        self._events = events
        self._summary = file.mode == "summary"
        self._last: tuple[object, object, Hashable] | None = None

    def liveness(self, record: WindowRecord, *, sparse: bool = False) -> tuple[BufferLiveness, ...]:
        """Of every buffer of the window, in its order; ``sparse``: those of which little
        was touched in runs of cells.

        Raises
        ------
        DiagmemError
            The file is damaged, or there is not enough memory.
        """
        if self._summary:
            return self._from_summary(record)
        buffers = record.window.buffers
        alignments = self._events.alignments(record, buffers)
        most = max(SPARSE_CELLS, CELLS_PER_EVENT * record.window.events) if sparse else None
        folds = []
        dense = 0
        for buffer, alignment in zip(buffers, alignments, strict=True):
            cell = min(alignment, MAX_CELL_BYTES)
            cells = -(-buffer.size_bytes // cell)
            in_runs = most is not None and cells > most
            dense += 0 if in_runs else cells
            folds.append(
                LivenessFold(buffer.name, buffer.role, buffer.size_bytes, cell, sparse=in_runs)
            )
        what = (
            f"{self._file.path}: window {record.window.index}: all {dense:,} cells of its buffers"
        )
        require_memory(DENSE_BYTES * dense, what)
        for i, piece in self._events.accesses(record, buffers, sites=False):
            folds[i].take(piece)
        return tuple(fold.result() for fold in folds)

    def overlaps(
        self,
        record: WindowRecord,
        liveness: Sequence[BufferLiveness],
        *,
        isolated: bool,
        windows: int = 1,
    ) -> WindowOverlaps:
        """Of every pair of an input and an output, from the liveness of all buffers;
        ``windows`` are to be answered one after the other."""
        window = record.window
        inputs = [live for live in liveness if live.role is Role.INPUT]
        outputs = [live for live in liveness if live.role is Role.OUTPUT]
        pairs = [(a, b, why_apart(window, a, b)) for a in inputs for b in outputs]
        lives = self._lives(record, liveness, [(a, b) for a, b, why in pairs if not why])
        answers = []
        for a, b, why in pairs:
            if why:
                answers.append(apart(a, b, why))
                if why == wrote_nothing(b.name):
                    answers[-1] = replace(answers[-1], notes=(why, *self._notes))
                continue
            input_lives, output_lives = _both_lives(a, b, lives)
            answers.append(
                find_overlap(
                    a,
                    b,
                    input_lives=input_lives,
                    output_lives=output_lives,
                    notes=self._notes,
                    isolated=isolated,
                    isolated_work=ISOLATED_TOGETHER // (windows * len(pairs)),
                )
            )
        answers = [*self._with_copies(record, answers), *_in_place(window, liveness)]
        return WindowOverlaps(window.index, window.function, window.events, tuple(answers))

    def fingerprint(self, record: WindowRecord) -> Hashable | None:
        """Equal for windows with equal accesses to equal buffers, wherever those lie;
        None for one whose events are in several blocks, which takes long enough."""
        window = record.window
        digest = blake2b(digest_size=16)
        place: Hashable = 0
        if self._summary:
            copies = self._file.copies_in(window.index)
            place = () if copies is self._file.sites else tuple(map(id, copies))
            for block in self._file.blocks_of(BlockType.SUMMARY, window.index):
                digest.update(self._file.payload(block)[4:])  # without the window's number
        else:
            blocks = self._file.blocks_of(BlockType.EVENTS, window.index)
            if len(blocks) > 1:
                return None
            # Cells are as large as the accesses in the block let them be.
            place = blocks[0].payload_at if blocks else 0
            self._events.digest(window.index, digest)
        ended = (window.end, window.events, window.several_threads)
        return (*ended, self._placed(record), place, digest.digest())

    def _placed(self, record: WindowRecord) -> Hashable:
        """The buffers, each by its place in its span.  Windows share what they hold."""
        buffers, spans = record.window.buffers, record.spans
        if self._last is None or self._last[0] is not buffers or self._last[1] is not spans:
            sizes = tuple(end - start for start, end in spans)
            places = spans_of_buffers(self._file.path, record, buffers)
            placed = tuple(
                (b.name, b.role, b.size_bytes, span, b.address - spans[span][0])
                for b, span in zip(buffers, places, strict=True)
            )
            self._last = (buffers, spans, (sizes, placed))
        return self._last[2]

    def _from_summary(self, record: WindowRecord) -> tuple[BufferLiveness, ...]:
        index, buffers = record.window.index, record.window.buffers
        summaries = dict(read_summaries(self._file, index))
        for number, buffer in enumerate(buffers):
            if number not in summaries:
                raise DiagmemError(
                    f"{self._file.path}: the summary of window {index}, buffer {buffer.name!r} is"
                    f" missing ({self._file.cut or 'the file is damaged'})"
                )
        return tuple(_of_summary(b, summaries.pop(i)) for i, b in enumerate(buffers))

    def _lives(
        self,
        record: WindowRecord,
        liveness: Sequence[BufferLiveness],
        pairs: Sequence[tuple[BufferLiveness, BufferLiveness]],
    ) -> dict[str, Lives]:
        """All lives in the buffers of these pairs, where the kernel stores to its input
        and events tell; of those with too many none."""
        if self._summary:
            return {}
        needed = {b.name for pair in pairs if pair[0].stored.any() for b in pair}
        which = [i for i, b in enumerate(liveness) if b.name in needed and b.starts is None]
        if not which:
            return {}
        share = min(LIVES_AT_LEAST, LIVES_TOGETHER // len(which))
        folds = [
            LivesFold(
                liveness[i].size_bytes,
                liveness[i].cell_bytes,
                limit=max(share, LIVES_PER_CELL * liveness[i].cells),
                given=liveness[i].role is Role.INPUT,
            )
            for i in which
        ]
        buffers = [record.window.buffers[i] for i in which]
        for n, piece in self._events.accesses(record, buffers, sites=False):
            folds[n].take(piece)
        lives = {
            liveness[i].name: fold.result(needed_after=liveness[i].role is Role.OUTPUT)
            for i, fold in zip(which, folds, strict=True)
        }
        return {name: of_buffer for name, of_buffer in lives.items() if of_buffer is not None}

    @cached_property
    def _copies(self) -> bool:
        return any(is_copy(site) for site in self._file.sites)

    def _with_copies(self, record: WindowRecord, pairs: Sequence[Overlap]) -> tuple[Overlap, ...]:
        """With a note where library copies decide D, or may."""
        answered = [pair for pair in pairs if not pair.refused]
        if not answered or not self._copies:
            return tuple(pairs)
        sites = self._file.sites
        if self._summary:
            made = copy_notes.in_summary(self._file.copies_in(record.window.index))
            notes = {id(pair): made for pair in answered}
        else:
            ticks = {id(pair): copy_notes.deciding_ticks(pair.limit) for pair in answered}
            at = self._events.sites_at(record, {t for ts in ticks.values() for t in ts})
            notes = {
                key: copy_notes.decided_by(sites[at[t]] for t in ts) for key, ts in ticks.items()
            }
        return tuple(replace(pair, notes=(*pair.notes, *notes.get(id(pair), ()))) for pair in pairs)

    @cached_property
    def _notes(self) -> tuple[str, ...]:
        """What holds for all windows of the trace."""
        header, sites = self._file.header, self._file.sites
        notes = list(copy_notes.raw(sites))
        if header.imported:
            notes.append(
                f"imported from {printable(header.imported)}, which names no functions:"
                " what a library copied counts in this machine's order, and system calls and"
                " threads do not show"
            )
        if header.valgrind and any(s.pc == 0 for s in sites):
            notes.append(
                "more code ran than the tool can number: some events do not say where in the"
                " program they come from, library copies among them"
            )
        return tuple(notes)


def _in_place(window: Window, liveness: Sequence[BufferLiveness]) -> Iterator[Overlap]:
    """Of the buffers that are input and output."""
    for live in liveness:
        if live.role is not Role.INOUT:
            continue
        if not window.complete:
            yield apart(live, live, f"the window did not finish: {window.end}")
        elif not live.stored.any():
            yield apart(live, live, wrote_nothing(live.name))
        else:
            yield in_place(live)


def _both_lives(
    input_: BufferLiveness, output: BufferLiveness, lives: dict[str, Lives]
) -> tuple[Lives | None, Lives | None]:
    """In cells of the smaller of both sizes; none where they are not known of both."""
    if not {input_.name, output.name} <= lives.keys():
        return None, None
    cell = min(input_.cell_bytes, output.cell_bytes)
    fine = []
    for b in (input_, output):
        of, each = lives[b.name], b.cell_bytes // cell
        if len(of) * each > max(LIVES_TOGETHER, LIVES_PER_CELL * b.size_bytes // cell):
            return None, None
        fine.append(_refined(of, each))
    return fine[0], fine[1]


def _refined(lives: Lives, each: int) -> Lives:
    """The same with cells of which ``each`` make one of the present."""
    if each == 1:
        return lives
    cell = np.repeat(lives.cell * each, each) + np.tile(np.arange(each), len(lives))
    return Lives(cell, np.repeat(lives.start, each), np.repeat(lives.end, each))


def _of_summary(buffer: Buffer, summary: BufferSummary) -> BufferLiveness:
    def first(column: Int64Array) -> Int64Array:
        return np.where(column == 0, NEVER_FIRST, column - 1)

    return BufferLiveness(
        buffer.name,
        buffer.role,
        buffer.size_bytes,
        summary.cell_bytes,
        first(summary.first_load),
        summary.last_load - 1,
        first(summary.first_store),
        summary.last_store - 1,
    )
