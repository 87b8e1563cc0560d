"""How far a kernel's output may lie over its input.

A displacement (`diagmem.analysis.safe`) is safe when in every shared cell no store falls
into the life of the other byte's value.  An output byte whose value from before is needed
(an accumulator, or a byte that is never written) shares with no input byte at all: whoever
filled the input would have overwritten it.

The minimum displacement D is the smallest one >= 0 from which every larger one
is safe; the safe overlap is O_s = clamp(output_bytes - D, 0, input_bytes), the
O_s of Blacker, Bridges and Hadfield (arXiv 2010.01668).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from diagmem.analysis.conflicts import (
    Largest,
    Side,
    flipped,
    largest_general,
    largest_ordinary,
    safe_general,
    shift_is_safe,
)
from diagmem.analysis.liveness import BEFORE, BufferLiveness
from diagmem.analysis.lives import Lives
from diagmem.analysis.safe import Safe
from diagmem.trace.window import Int64Array

ISOLATED_WORK = 1 << 26
"""Cell comparisons spent on looking for isolated safe displacements; beyond,
only 0 (in place) is tried."""
SHIFT_WORK = 256
"""What trying a displacement costs besides, as comparisons."""
ISOLATED_LISTED = 100
DATA_DEPENDENT = "the kernel is data-dependent"
"""How the note begins where D differs between inputs."""
ONLY_IN_PLACE = "of displacements below D only 0 (in place) was tried"
IN_PLACE = "in place by construction: one buffer is input and output"


@dataclass(frozen=True, slots=True)
class Limit:
    """The pair of accesses that keeps D from being smaller.

    The output byte at ``output_offset`` is needed from ``output_tick`` on (-1:
    from before the window) and the input byte at ``input_offset`` is last
    needed at ``input_tick`` (where the kernel stores to its input: last
    accessed; -1: it is only there, and nobody reads it).
    """

    input_offset: int
    input_tick: int
    output_offset: int
    output_tick: int

    def as_json(self) -> dict[str, int]:
        return {
            "input_offset_bytes": self.input_offset,
            "input_tick": self.input_tick,
            "output_offset_bytes": self.output_offset,
            "output_tick": self.output_tick,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap(Safe):
    """What a window says about one input and one output, in bytes.

    ``exact`` is False where only a safe bound could be had; `notes` say why.  ``refused``
    says why there is no answer at all: the figures are then those of buffers apart; empty
    where there is one.
    """

    exact: bool
    cell_bytes: int
    limit: Limit | None = None
    notes: tuple[str, ...] = ()
    refused: str = ""

    @property
    def is_placed(self) -> bool:
        """Two buffers, and an answer: there is a placement to show."""
        return not self.refused and not self.by_construction


def needed_from(output: BufferLiveness) -> Int64Array:
    """The tick from which each output cell must keep what is in it.

    `BEFORE` for a cell that is read before it is written, and for one that is
    never written: what was there stays the output's final value.
    """
    needed = output.first_store.copy()
    needed[output.read_before_written | ~output.stored] = BEFORE
    return needed


def is_safe_at(input_: BufferLiveness, output: BufferLiveness, displacement_bytes: int) -> bool:
    """Is one displacement free of conflicts, for a kernel that never stores to
    its input?  Any number of bytes, between cells too."""
    cell = min(input_.cell_bytes, output.cell_bytes)
    while displacement_bytes % cell:
        cell //= 2
    fine_input, fine_output = input_.refined(cell), output.refined(cell)
    return shift_is_safe(
        displacement_bytes // cell,
        Side.of(fine_input.last_load, fine_input),
        Side.of(needed_from(fine_output), fine_output),
    )


def find_overlap(
    input_: BufferLiveness,
    output: BufferLiveness,
    *,
    input_lives: Lives | None = None,
    output_lives: Lives | None = None,
    notes: tuple[str, ...] = (),
    isolated: bool = True,
    isolated_work: int = ISOLATED_WORK,
) -> Overlap:
    """D, O_s and their mirror image from the liveness of an input and an output.

    Exact for a kernel that never stores to the input, whatever it does to the
    output.  One that does needs all lives of both (in cells of the smaller of
    both cell sizes); without them the safe side is taken: the input is needed
    up to its last access.  ``isolated``: also look for safe displacements below D,
    which takes longer than all the rest; at most so many comparisons of cells are spent.
    """
    cell = min(input_.cell_bytes, output.cell_bytes)
    fine_input, fine_output = input_.refined(cell), output.refined(cell)
    writes_input = bool(fine_input.stored.any())
    until = fine_input.last_access if writes_input else fine_input.last_load
    pair = _Cells(Side.of(until, fine_input), Side.of(needed_from(fine_output), fine_output))
    exact = not writes_input
    remarks = list(notes)
    if writes_input and input_lives is not None and output_lives is not None:
        exact = True
        shifts = pair.by_lives(input_lives, output_lives)
    else:
        shifts = pair.by_ticks(isolated_work if isolated else None)
    if not shifts.complete:
        remarks.append(ONLY_IN_PLACE)
    if len(shifts.isolated) > ISOLATED_LISTED:
        count = len(shifts.isolated)
        remarks.append(f"{count} isolated safe displacements, the first are listed")
    if not exact:
        remarks.append(
            "conservative: the kernel stores to its input; the input counts as needed up to"
            " its last access"
        )
    return Overlap(
        input=input_.name,
        output=output.name,
        input_bytes=input_.size_bytes,
        output_bytes=output.size_bytes,
        min_displacement_bytes=min(shifts.smallest * cell, output.size_bytes),
        mirror_displacement_bytes=min(shifts.mirror * cell, input_.size_bytes),
        isolated_safe_displacements=tuple(s * cell for s in shifts.isolated[:ISOLATED_LISTED]),
        exact=exact,
        cell_bytes=cell,
        limit=pair.limit(shifts.conflict, cell),
        notes=(*remarks, *_remarks(fine_output, cell)),
    )


@dataclass(frozen=True, slots=True)
class _Shifts:
    """The safe displacements in cells: from ``smallest`` up, from -``mirror`` down, and
    ``isolated`` ones between, which are ``complete`` or in place alone.  ``conflict`` is
    what keeps ``smallest`` from being less."""

    smallest: int
    mirror: int
    conflict: Largest | None
    isolated: Sequence[int] = ()
    complete: bool = True


@dataclass(frozen=True, slots=True)
class _Cells:
    """An input and an output in cells of one size; `Limit` names the ticks."""

    needed_until: Side
    from_tick: Side

    def by_ticks(self, work: int | None) -> _Shifts:
        """For a kernel that never stores to its input: first stores against last loads.
        ``work`` bounds the search for isolated ones; None: none are looked for."""
        up = largest_ordinary(self.needed_until, self.from_tick)
        down = largest_ordinary(self.needed_until.flipped(), self.from_tick.flipped())
        bounds = self._bounds(up, down)
        if work is None:
            return bounds
        shifts = range(-bounds.mirror + 1, bounds.smallest)
        each = min(self.needed_until.cells, self.from_tick.cells) + SHIFT_WORK
        complete = len(shifts) * each <= min(work, ISOLATED_WORK)
        tried = shifts if complete else [s for s in (0,) if s in shifts]
        safe = [s for s in tried if shift_is_safe(s, self.needed_until, self.from_tick)]
        return replace(bounds, isolated=safe, complete=complete or len(shifts) == 0)

    def by_lives(self, inputs: Lives, outputs: Lives) -> _Shifts:
        """For any kernel: all lives of both."""
        n_in, n_out = self.needed_until.cells, self.from_tick.cells
        up = largest_general(inputs, outputs)
        down = largest_general(flipped(inputs, n_in), flipped(outputs, n_out))
        bounds = self._bounds(up, down)
        between = range(-bounds.mirror + 1, bounds.smallest)
        in_place = [s for s in (0,) if s in between and safe_general(s, inputs, outputs)]
        return replace(bounds, isolated=in_place, complete=len(between) == 0)

    def _bounds(self, up: Largest | None, down: Largest | None) -> _Shifts:
        longer = self.from_tick.cells - self.needed_until.cells
        smallest = max(0, up.difference + 1) if up else 0
        mirror = max(0, down.difference - longer + 1) if down else 0
        return _Shifts(smallest, mirror, up)

    def limit(self, conflict: Largest | None, cell: int) -> Limit | None:
        if conflict is None or conflict.difference < 0:
            return None
        return Limit(
            input_offset=conflict.input_cell * cell,
            input_tick=int(self.needed_until.at(np.array(conflict.input_cell))),
            output_offset=conflict.output_cell * cell,
            output_tick=int(self.from_tick.at(np.array(conflict.output_cell))),
        )


def _remarks(output: BufferLiveness, cell: int) -> list[str]:
    """What about the output a reader of D should know."""
    remarks = []
    unwritten = output.cells_in(~output.stored) * cell
    if unwritten:
        remarks.append(
            f"{min(unwritten, output.size_bytes)} of the output's bytes are never written;"
            " they keep what was there and share with no input byte"
        )
    accumulated = output.cells_in(output.read_before_written & output.stored) * cell
    if accumulated:
        remarks.append(
            f"{accumulated} of the output's bytes are read before they are written (an"
            " accumulator); they share with no input byte"
        )
    return remarks


def in_place(buffer: BufferLiveness) -> Overlap:
    """A buffer that is input and output: it lies where it lies, and there is no other
    displacement."""
    return _nowhere_else(
        buffer,
        buffer,
        isolated_safe_displacements=(0,),
        exact=True,
        cell_bytes=buffer.cell_bytes,
        notes=(IN_PLACE,),
    )


def apart(input_: BufferLiveness, output: BufferLiveness, why: str) -> Overlap:
    """No overlap at all, because nothing can be concluded; ``why`` is `Overlap.refused`."""
    return _nowhere_else(input_, output, exact=False, cell_bytes=1, notes=(why,), refused=why)


def _nowhere_else(input_: BufferLiveness, output: BufferLiveness, **others: Any) -> Overlap:
    """The two share no byte but as ``others`` have it."""
    return Overlap(
        input=input_.name,
        output=output.name,
        input_bytes=input_.size_bytes,
        output_bytes=output.size_bytes,
        min_displacement_bytes=output.size_bytes,
        mirror_displacement_bytes=input_.size_bytes,
        **others,
    )
