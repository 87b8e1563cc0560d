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

from diagmem.liveness import BEFORE, BufferLiveness, Lives
from diagmem.trace.model import Int64Array

ISOLATED_WORK = 1 << 26
"""Cell comparisons spent on looking for isolated safe displacements; beyond,
only 0 (in place) is tried."""
ISOLATED_LISTED = 100
DATA_DEPENDENT = "the kernel is data-dependent"
"""How the note begins where D differs between inputs."""
ONLY_IN_PLACE = "of displacements below D only 0 (in place) was tried"
IN_PLACE = "in place by construction: one buffer is input and output"
PIECE_CELLS = 1 << 16
_NO_CONFLICT = np.iinfo(np.int64).min // 4
"""Less than every difference of two cells, and far from overflowing."""


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


@dataclass(frozen=True, slots=True)
class _Largest:
    """The largest w - r, in cells, over all conflicting pairs, and such a pair."""

    difference: int
    input_cell: int
    output_cell: int


def needed_from(output: BufferLiveness) -> Int64Array:
    """The tick from which each output cell must keep what is in it.

    `BEFORE` for a cell that is read before it is written, and for one that is
    never written: what was there stays the output's final value.
    """
    needed = output.first_store.copy()
    needed[output.read_before_written | ~output.stored] = BEFORE
    return needed


def _largest_ordinary(needed_until: Int64Array, from_tick: Int64Array) -> _Largest | None:
    """Conflicts are pairs with from_tick[w] <= needed_until[r]; the largest w - r.

    The largest such w for a tick is read off the suffix minimum of
    ``from_tick``, and only those r matter that are needed longer than every
    lower one, so all is linear but for one search in sorted needles.  Piece by
    piece, so that temporaries stay in the cache.
    """
    if len(from_tick) == 0:
        return None
    earliest_above = np.minimum.accumulate(from_tick[::-1])[::-1]
    best: _Largest | None = None
    # What was there before is in every input cell, whether anybody reads it or not.
    longest = np.int64(BEFORE - 1)
    for start in range(0, len(needed_until), PIECE_CELLS):
        piece = needed_until[start : start + PIECE_CELLS]
        until = np.maximum.accumulate(np.concatenate([[longest], piece]))
        rising = np.flatnonzero(until[1:] > until[:-1])
        if len(rising) == 0:
            continue
        longest = until[-1]
        needles = until[rising + 1]
        low, high = np.searchsorted(earliest_above, needles[[0, -1]], side="right")
        highest = low + np.searchsorted(earliest_above[low:high], needles, side="right") - 1
        difference = np.where(highest >= 0, highest - (rising + start), _NO_CONFLICT)
        at = int(np.argmax(difference))
        if highest[at] >= 0 and (best is None or difference[at] > best.difference):
            best = _Largest(int(difference[at]), int(rising[at]) + start, int(highest[at]))
    return best


def _covering_maximum(times: Int64Array, lives: Lives, value: Int64Array) -> Int64Array:
    """For each time the largest value of a life that covers it.

    Every life is laid down as two blocks of the largest power of two that fits
    (a sparse table), and the blocks are split level by level: n log n.
    """
    start = np.searchsorted(times, lives.start, "left")
    end = np.searchsorted(times, lives.end, "right")
    covers = end > start
    start, end, value = start[covers], end[covers], value[covers]
    best = np.full(len(times), _NO_CONFLICT)
    if len(start) == 0:
        return best
    level = np.frexp(end - start)[1] - 1
    for k in range(int(level.max()), -1, -1):
        here = level == k
        np.maximum.at(best, start[here], value[here])
        np.maximum.at(best, end[here] - (1 << k), value[here])
        if k:
            half = 1 << (k - 1)
            split = best.copy()
            np.maximum(split[half:], best[:-half], out=split[half:])
            best = split
    return best


def _largest_general(inputs: Lives, outputs: Lives) -> _Largest | None:
    """The largest w - r over all pairs of cells with lives that overlap in time.

    Two lives overlap if both cover the start of one of them, so it is enough to
    look at those ticks: there, the highest living output cell against the
    lowest living input cell.
    """
    times = np.unique(np.concatenate([inputs.start, outputs.start]))
    if len(times) == 0:
        return None
    highest = _covering_maximum(times, outputs, outputs.cell)
    lowest = -_covering_maximum(times, inputs, -inputs.cell)
    difference = highest - lowest
    best = int(np.argmax(difference))
    if highest[best] == _NO_CONFLICT or lowest[best] == -_NO_CONFLICT:
        return None
    return _Largest(int(difference[best]), int(lowest[best]), int(highest[best]))


def _flipped(lives: Lives, cells: int) -> Lives:
    return Lives(cells - 1 - lives.cell, lives.start, lives.end)


def _shift_is_safe(shift: int, needed_until: Int64Array, from_tick: Int64Array) -> bool:
    """Is the displacement of so many cells free of conflicts?"""
    low = max(0, -shift)
    high = min(len(needed_until), len(from_tick) - shift)
    if low >= high:
        return True
    until = needed_until[low:high]
    start = from_tick[low + shift : high + shift]
    return not bool(np.any(start <= until))


def _isolated(
    needed_until: Int64Array, from_tick: Int64Array, mirror_cells: int, cells: int
) -> tuple[list[int], bool]:
    """Safe shifts strictly between -mirror and D, and whether all were tried."""
    shifts = range(-mirror_cells + 1, cells)
    everything = len(shifts) * min(len(needed_until), len(from_tick)) <= ISOLATED_WORK
    tried = shifts if everything else [s for s in (0,) if s in shifts]
    return [s for s in tried if _shift_is_safe(s, needed_until, from_tick)], everything


def _safe_general(shift: int, inputs: Lives, outputs: Lives) -> bool:
    """Is the displacement free of conflicts between lives? (sort and sweep)"""
    both = Lives(
        np.concatenate([inputs.cell + shift, outputs.cell]),
        np.concatenate([inputs.start, outputs.start]),
        np.concatenate([inputs.end, outputs.end]),
    )
    order = np.lexsort((both.end, both.start, both.cell))
    cell, start, end = both.cell[order], both.start[order], both.end[order]
    # Lives of one byte are apart from each other, so a conflict shows between
    # neighbours in the order of their starts.
    return not bool(np.any((cell[1:] == cell[:-1]) & (start[1:] <= end[:-1])))


def is_safe(input_: BufferLiveness, output: BufferLiveness, displacement_bytes: int) -> bool:
    """Is one displacement free of conflicts, for a kernel that never stores to
    its input?  Any number of bytes, between cells too."""
    cell = min(input_.cell_bytes, output.cell_bytes)
    while displacement_bytes % cell:
        cell //= 2
    return _shift_is_safe(
        displacement_bytes // cell,
        input_.refined(cell).last_load,
        needed_from(output.refined(cell)),
    )


def find_overlap(
    input_: BufferLiveness,
    output: BufferLiveness,
    *,
    input_lives: Lives | None = None,
    output_lives: Lives | None = None,
    notes: tuple[str, ...] = (),
    isolated: bool = True,
) -> Overlap:
    """D, O_s and their mirror image from the liveness of an input and an output.

    Exact for a kernel that never stores to the input, whatever it does to the
    output.  One that does needs all lives of both (in cells of the smaller of
    both cell sizes); without them the safe side is taken: the input is needed
    up to its last access.  ``isolated``: also look for safe displacements below D,
    which takes longer than all the rest.
    """
    cell = min(input_.cell_bytes, output.cell_bytes)
    fine_input, fine_output = input_.refined(cell), output.refined(cell)
    writes_input = bool(fine_input.stored.any())
    general = writes_input and input_lives is not None and output_lives is not None
    from_tick = needed_from(fine_output)
    needed_until = fine_input.last_access if writes_input else fine_input.last_load
    n_in, n_out = len(needed_until), len(from_tick)

    if general:
        assert input_lives is not None
        assert output_lives is not None
        up = _largest_general(input_lives, output_lives)
        down = _largest_general(_flipped(input_lives, n_in), _flipped(output_lives, n_out))
    else:
        up = _largest_ordinary(needed_until, from_tick)
        down = _largest_ordinary(needed_until[::-1], from_tick[::-1])

    d_cells = max(0, up.difference + 1) if up else 0
    mirror_cells = max(0, down.difference - (n_out - n_in) + 1) if down else 0
    said = list(notes)
    if general:
        assert input_lives is not None
        assert output_lives is not None
        in_place = -mirror_cells < 0 < d_cells and _safe_general(0, input_lives, output_lives)
        found, complete = ([0] if in_place else []), False
    elif isolated:
        found, complete = _isolated(needed_until, from_tick, mirror_cells, d_cells)
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


def _limit(
    up: _Largest | None, cell: int, needed_until: Int64Array, from_tick: Int64Array
) -> Limit | None:
    if up is None or up.difference < 0:
        return None
    return Limit(
        input_offset=up.input_cell * cell,
        input_tick=int(needed_until[up.input_cell]),
        output_offset=up.output_cell * cell,
        output_tick=int(from_tick[up.output_cell]),
    )


def _remarks(output: BufferLiveness, cell: int) -> list[str]:
    """What about the output a reader of D should know."""
    remarks = []
    unwritten = int(np.count_nonzero(~output.stored)) * cell
    if unwritten:
        remarks.append(
            f"{min(unwritten, output.size_bytes)} of the output's bytes are never written;"
            " they keep what was there and share with no input byte"
        )
    accumulated = int(np.count_nonzero(output.read_before_written & output.stored)) * cell
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
