"""Proof for a buffer that is input and output: what is left to prove of it.

There is no displacement to choose and no run apart to compare with: the kernel always
works in place.  What a plan relies on is that it does work, and does the same wherever
the plan puts the buffer.  So every run must change the buffer, and give the same bits
at all `LEADS`, for all that the kernel has; and each traced window must store to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from diagmem.analysis.overlap import IN_PLACE, Overlap
from diagmem.base.errors import DiagmemError
from diagmem.kernels.cases import LEADS, Together
from diagmem.kernels.kernel import Kernel
from diagmem.proof.proof import Proof
from diagmem.proof.runs import Outcome, Results


def prove_in_place(results: Results, name: str, overlaps: Sequence[Overlap]) -> Proof:
    """The answer for one such buffer; ``overlaps`` are of its windows, one for each seed."""
    refused = (
        f"the kernel wrote nothing: every run left {name} as it was filled"
        if results.unchanged(name)
        else next((window.refused for window in overlaps if window.refused), "")
    )
    outcomes = results.each([Together({name: lead}) for lead in LEADS[1:]], ())
    worst = next((outcome for outcome in outcomes if not outcome.holds), Outcome(None, ""))
    proven = worst.holds and not refused
    buffer = results.kernel.named(name)
    return Proof(
        input=name,
        output=name,
        min_displacement_bytes=0,
        traced_displacement_bytes=None,
        safe_overlap_bytes=buffer.size_bytes,
        proven=proven,
        tight=proven,
        same_accesses=True,
        agrees=not refused,
        monotone=True,
        data_dependent=False,
        holds_below=(),
        displacements_tried=1,
        displacements_possible=1,
        exhaustive=True,
        why=refused or ("" if proven else f"the bits depend on where {name} lies"),
        notes=(IN_PLACE,),
        inputs_tried=len(results.seeds),
        seed=results.seeds[0],
        cell_bytes=buffer.dtype.size_bytes,
        whole_cells=True,
        tight_displacement_bytes=None,
        saturated=results.saturation != "",
        saturation=results.saturation,
        first_difference=worst.difference,
        stopped=worst.stopped,
        difference_below=None,
        stopped_below="",
        refused=refused,
    )


def check_asked(kernel: Kernel, name: str, displacement_bytes: int | None) -> None:
    """Refuse a question about any displacement but 0."""
    if displacement_bytes:
        raise DiagmemError(
            f"{kernel.file}: displacement {displacement_bytes} bytes, expected none or 0: {name} is"
            " input and output in place"
        )
