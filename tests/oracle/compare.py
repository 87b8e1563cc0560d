"""What the package says beside what the oracle says of the same case."""

from __future__ import annotations

from hypothesis import strategies as st

from diagmem.analysis.overlap import Overlap
from tests.oracle.oracle import Case, Definition, Verdict, judge
from tests.oracle.package import legal_cells

ROLES = ("input", "output")


def cuts() -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, 60), max_size=5)


def verdict(case: Case) -> Verdict:
    return judge(case, Definition(case).safe)


def cell_pairs(case: Case, *, short_last: bool = False) -> list[tuple[int, int]]:
    return [
        (a, b)
        for a in legal_cells(case, case.input, short_last=short_last)
        for b in legal_cells(case, case.output, short_last=short_last)
    ]


def stores_to_input(case: Case) -> bool:
    return any(event.store and case.input.inside(event) for event in case.events)


def only_zero_tried(found: Overlap) -> bool:
    """Does a note say so, in whatever words?"""
    return any("only 0" in note and "tried" in note for note in found.notes)


def assert_equal(found: Overlap, truth: Verdict) -> None:
    assert found.exact
    assert found.min_displacement_bytes == truth.minimum
    assert found.mirror_displacement_bytes == truth.mirror
    assert found.safe_overlap_bytes == truth.safe_overlap
    # Between whole cells nothing is tried; in general only 0, which a note says.
    step = found.cell_bytes
    tried = [d for d in truth.isolated if d == 0 or not only_zero_tried(found)]
    assert list(found.isolated_safe_displacements) == [d for d in tried if d % step == 0]


def assert_on_the_safe_side(found: Overlap, truth: Verdict) -> None:
    assert truth.minimum <= found.min_displacement_bytes <= truth.output_bytes
    assert truth.mirror <= found.mirror_displacement_bytes <= truth.input_bytes
    assert found.safe_overlap_bytes <= truth.safe_overlap
    assert all(truth.safe.get(d, True) for d in found.isolated_safe_displacements)
