"""How far a kernel's output may lie over its input.

``displacement`` is address(input) - address(output): input byte r and output
byte w share a memory cell when w = displacement + r.  A displacement is safe
when in every shared cell no store falls into the life of the other byte's
value.  An output byte whose value from before is needed (an accumulator, or a byte
that is never written) shares with no input byte at all: whoever filled the input
would have overwritten it.

The minimum displacement D is the smallest one >= 0 from which every larger one
is safe; the safe overlap is O_s = clamp(output_bytes - D, 0, input_bytes), the
O_s of Blacker, Bridges and Hadfield (arXiv 2010.01668).
"""

from __future__ import annotations

from dataclasses import dataclass, field

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
from diagmem.analysis.liveness import BEFORE, BufferLiveness, Lives
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


class Figures:
    """What follows from the sizes of two buffers and their D."""

    __slots__ = ()

    input_bytes: int
    output_bytes: int
    min_displacement_bytes: int
    input: str
    output: str

    @property
    def by_construction(self) -> bool:
        """Input and output are one buffer: in place, and nowhere else."""
        return self.input == self.output

    @property
    def safe_overlap_bytes(self) -> int:
        """O_s = clamp(output_bytes - D, 0, input_bytes)."""
        return min(max(self.output_bytes - self.min_displacement_bytes, 0), self.input_bytes)

    def aligned_displacement_bytes(self, align: int) -> int:
        """D rounded up to a multiple of ``align`` bytes."""
        return -(-self.min_displacement_bytes // align) * align

    def aligned_overlap_bytes(self, align: int) -> int:
        """What the two share at the aligned D."""
        left = self.output_bytes - self.aligned_displacement_bytes(align)
        return min(max(left, 0), self.input_bytes)


@dataclass(frozen=True, slots=True)
class Overlap(Figures):
    """What a window says about one input and one output, in bytes.

    ``exact`` is False where only a safe bound could be had; `notes` say why.
    Every displacement <= -``mirror_displacement_bytes`` (the input below the
    output) is safe too; ``isolated_safe_displacements`` are those between
    that are.  ``refused`` says why there is no answer at all: the figures are then
    those of buffers apart; empty where there is one.
    """

    input: str
    output: str
    input_bytes: int
    output_bytes: int
    min_displacement_bytes: int
    mirror_displacement_bytes: int
    exact: bool
    cell_bytes: int
    isolated_safe_displacements: tuple[int, ...] = ()
    limit: Limit | None = None
    notes: tuple[str, ...] = field(default=())
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


def _isolated(
    needed_until: Side, from_tick: Side, mirror_cells: int, cells: int, work: int
) -> tuple[list[int], bool]:
    """Safe shifts strictly between -mirror and D, and whether all were tried."""
    shifts = range(-mirror_cells + 1, cells)
    each = min(needed_until.cells, from_tick.cells) + SHIFT_WORK
    everything = len(shifts) * each <= min(work, ISOLATED_WORK)
    tried = shifts if everything else [s for s in (0,) if s in shifts]
    return [s for s in tried if shift_is_safe(s, needed_until, from_tick)], everything


def is_safe(input_: BufferLiveness, output: BufferLiveness, displacement_bytes: int) -> bool:
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
    general = writes_input and input_lives is not None and output_lives is not None
    from_tick = Side.of(needed_from(fine_output), fine_output)
    until = fine_input.last_access if writes_input else fine_input.last_load
    needed_until = Side.of(until, fine_input)
    n_in, n_out = needed_until.cells, from_tick.cells

    if general:
        assert input_lives is not None
        assert output_lives is not None
        up = largest_general(input_lives, output_lives)
        down = largest_general(flipped(input_lives, n_in), flipped(output_lives, n_out))
    else:
        up = largest_ordinary(needed_until, from_tick)
        down = largest_ordinary(needed_until.flipped(), from_tick.flipped())

    d_cells = max(0, up.difference + 1) if up else 0
    mirror_cells = max(0, down.difference - (n_out - n_in) + 1) if down else 0
    said = list(notes)
    if general:
        assert input_lives is not None
        assert output_lives is not None
        in_place = -mirror_cells < 0 < d_cells and safe_general(0, input_lives, output_lives)
        found, complete = ([0] if in_place else []), False
    elif isolated:
        found, complete = _isolated(needed_until, from_tick, mirror_cells, d_cells, isolated_work)
    else:
        found, complete = [], True
    if not complete and d_cells + mirror_cells > 1:
        said.append(ONLY_IN_PLACE)
    if len(found) > ISOLATED_LISTED:
        said.append(f"{len(found)} isolated safe displacements, the first are listed")
    exact = general or not writes_input
    if not exact:
        said.append(
            "conservative: the kernel stores to its input; the input counts as needed up to"
            " its last access"
        )
    said += _remarks(fine_output, cell)
    return Overlap(
        input=input_.name,
        output=output.name,
        input_bytes=input_.size_bytes,
        output_bytes=output.size_bytes,
        min_displacement_bytes=min(d_cells * cell, output.size_bytes),
        mirror_displacement_bytes=min(mirror_cells * cell, input_.size_bytes),
        exact=exact,
        cell_bytes=cell,
        isolated_safe_displacements=tuple(s * cell for s in found[:ISOLATED_LISTED]),
        limit=_limit(up, cell, needed_until, from_tick),
        notes=tuple(said),
    )


def _limit(up: Largest | None, cell: int, needed_until: Side, from_tick: Side) -> Limit | None:
    if up is None or up.difference < 0:
        return None
    return Limit(
        input_offset=up.input_cell * cell,
        input_tick=int(needed_until.at(np.array(up.input_cell))),
        output_offset=up.output_cell * cell,
        output_tick=int(from_tick.at(np.array(up.output_cell))),
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
    return Overlap(
        input=buffer.name,
        output=buffer.name,
        input_bytes=buffer.size_bytes,
        output_bytes=buffer.size_bytes,
        min_displacement_bytes=buffer.size_bytes,
        mirror_displacement_bytes=buffer.size_bytes,
        exact=True,
        cell_bytes=buffer.cell_bytes,
        isolated_safe_displacements=(0,),
        notes=(IN_PLACE,),
    )


def apart(input_: BufferLiveness, output: BufferLiveness, why: str) -> Overlap:
    """No overlap at all, because nothing can be concluded; ``why`` is `Overlap.refused`."""
    return Overlap(
        input=input_.name,
        output=output.name,
        input_bytes=input_.size_bytes,
        output_bytes=output.size_bytes,
        min_displacement_bytes=output.size_bytes,
        mirror_displacement_bytes=input_.size_bytes,
        exact=False,
        cell_bytes=1,
        notes=(why,),
        refused=why,
    )
