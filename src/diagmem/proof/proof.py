"""What a proof has found: the answer of `diagmem.proof.prove`."""

from __future__ import annotations

from dataclasses import dataclass

from diagmem.proof.runs import Difference


@dataclass(frozen=True, slots=True)
class Proof:
    """What a trace and overlapped runs say of one input and one output, in bytes.

    Attributes
    ----------
    min_displacement_bytes : the displacement D that stands at the end: the
        traced one, a larger one that a search found, or the one asked for;
        address(input) - address(output).
    traced_displacement_bytes : the largest D of the traces apart; None where a
        displacement was asked for.
    safe_overlap_bytes : what the two share there; for D, clamp(output bytes - D, 0, input
        bytes).
    proven : D was right in every run and its trace does not contradict, and so,
        unless this one alone was asked about, was every larger one that was tried.
    tight : proven, and one cell (or unit) less was wrong for some input; also where
        there is no less (D = 0).
    same_accesses : the trace at D is the one apart, access by access.
    agrees : the trace at D does not contradict; None where it cannot be told.
    monotone : of the displacements tried below D none held.
    data_dependent : D of the traces apart differs between the inputs; then nothing is
        proven but a displacement that was asked for.
    holds_below : those that did, up to a hundred; isolated, and not claimed.
    displacements_tried, displacements_possible, exhaustive : how many were run
        of those from 0 to where the two share no byte, a cell (or unit) apart.
    why : why D is not the traced one, or why it is not proven; empty otherwise.
    refused : why there is no answer at all, such as a kernel that wrote nothing; then
        nothing is proven and D is that of buffers apart.  Empty otherwise.
    notes : what else a reader should know.
    cell_bytes : one cell, the smaller element of the two buffers.
    whole_cells : D is a multiple of it.
    unit_bytes : what is proven are the multiples of it from D on: the kernel is stopped at
        others, as by a fault of a load that must be aligned; 1 where it is not.
    tight_displacement_bytes : the displacement tried below D; None where none was.
    saturated : damage may stay hidden, see ``saturation``.
    first_difference, stopped : at D, None and empty where proven.
    difference_below, stopped_below : the same one cell below D.
    """

    input: str
    output: str
    min_displacement_bytes: int
    traced_displacement_bytes: int | None
    safe_overlap_bytes: int
    proven: bool
    tight: bool
    same_accesses: bool
    agrees: bool | None
    monotone: bool
    data_dependent: bool
    holds_below: tuple[int, ...]
    displacements_tried: int
    displacements_possible: int
    exhaustive: bool
    why: str
    notes: tuple[str, ...]
    inputs_tried: int
    seed: int
    cell_bytes: int
    whole_cells: bool
    tight_displacement_bytes: int | None
    saturated: bool
    saturation: str
    first_difference: Difference | None
    stopped: str
    difference_below: Difference | None
    stopped_below: str
    refused: str = ""
    unit_bytes: int = 1
