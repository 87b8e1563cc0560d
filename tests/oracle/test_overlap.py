"""The package against the oracle: the same answers, or safer ones that say so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, example, find, given
from hypothesis import strategies as st

from diagmem.analysis import conflicts, tick_ranges
from diagmem.analysis import liveness as liveness_module
from diagmem.analysis import lives as lives_module
from diagmem.analysis import overlap as overlap_module
from diagmem.analysis.liveness import BEFORE, NEVER_FIRST, NEVER_LAST, BufferLiveness
from diagmem.analysis.lives import Lives, LivesFold
from diagmem.analysis.overlap import Overlap, apart, find_overlap
from diagmem.trace.window import Int64Array
from tests.oracle.compare import (
    ROLES,
    assert_equal,
    assert_on_the_safe_side,
    cell_pairs,
    cuts,
    stores_to_input,
    verdict,
)
from tests.oracle.kernels import cases, crowded_cases, few, many, nest_cases, search, sweeping_cases
from tests.oracle.oracle import Case, Definition, Event, Place
from tests.oracle.package import (
    from_events,
    from_summary,
    liveness,
    lives,
)

# With everything a trace of events tells.

READ_FROM_ABOVE = Case(
    Place(0, 3),
    Place(8, 2),
    (Event(2, 1, False), Event(9, 1, True), Event(0, 2, False), Event(8, 1, True)),
)
"""The input is the longer one, and its last byte is done with before any store."""


@many
@given(cases())
@example(Case(Place(0, 1), Place(1, 1), ()))
@example(Case(Place(0, 3), Place(3, 5), (Event(2, 10, False),)))
@example(READ_FROM_ABOVE)
def test_events_give_the_oracles_answer_at_every_legal_cell(case: Case) -> None:
    truth = verdict(case)
    for cell_in, cell_out in cell_pairs(case):
        assert_equal(from_events(case, cell_in, cell_out), truth)


@many
@given(crowded_cases())
def test_many_values_in_few_cells(case: Case) -> None:
    assert_equal(from_events(case), verdict(case))


@few
@given(sweeping_cases())
def test_long_sweeps(case: Case) -> None:
    truth = verdict(case)
    assert_equal(from_events(case), truth)
    assert_on_the_safe_side(from_summary(case), truth)


@few
@given(cases(), cuts())
def test_pieces_of_any_length_give_the_same(case: Case, at: list[int]) -> None:
    for cell_in, cell_out in cell_pairs(case):
        whole = from_events(case, cell_in, cell_out)
        assert from_events(case, cell_in, cell_out, at) == whole


@few
@given(cases(), st.integers(1, 5))
def test_buffers_of_many_pieces_give_the_same(case: Case, piece_cells: int) -> None:
    """`PIECE_CELLS` is far above the sizes that an oracle can do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conflicts, "PIECE_CELLS", piece_cells)
        assert_equal(from_events(case), verdict(case))


@few
@given(cases(), st.sampled_from([(True, True), (True, False), (False, True)]), st.integers(0, 3))
def test_runs_of_cells_give_the_same(case: Case, sparse: tuple[bool, bool], waiting: int) -> None:
    """Buffers of which little is touched; `WAITING_RANGES` is far above an oracle's sizes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tick_ranges, "WAITING_RANGES", waiting)
        for cell_in, cell_out in cell_pairs(case):
            dense = from_summary(case, cell_in, cell_out)
            assert from_summary(case, cell_in, cell_out, sparse=sparse) == dense


@few
@given(cases(), cuts(), st.integers(0, 2), st.integers(0, 3))
def test_accesses_to_many_cells_are_kept_as_ranges(
    case: Case, at: list[int], long: int, waiting: int
) -> None:
    whole = [from_events(case), from_summary(case)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(liveness_module, "LONG_CELLS", long)
        patch.setattr(lives_module, "CELLS_AT_ONCE", long + 1)
        patch.setattr(tick_ranges, "WAITING_RANGES", waiting)
        assert [from_events(case, cuts=at), from_summary(case)] == whole


def later(ticks: Int64Array) -> Int64Array:
    never = (ticks == NEVER_FIRST) | (ticks == NEVER_LAST)
    return np.where(never, ticks, ticks * (1 << 52) + 5)


@few
@given(cases())
def test_only_the_order_of_ticks_matters(case: Case) -> None:
    """Events in between, on the weights say, and as many as 64 bits can count."""
    input_, output = (liveness(case, role, 1) for role in ROLES)

    stretched = [
        replace(
            one,
            first_load=later(one.first_load),
            last_load=later(one.last_load),
            first_store=later(one.first_store),
            last_store=later(one.last_store),
        )
        for one in (input_, output)
    ]
    expected, found = find_overlap(input_, output), find_overlap(*stretched)
    assert replace(found, limit=None) == replace(expected, limit=None)


@few
@given(cases())
def test_lives_of_an_input_that_is_never_stored_to_change_nothing(case: Case) -> None:
    assume(not stores_to_input(case))
    input_, output = (liveness(case, role, 1) for role in ROLES)
    found = find_overlap(
        input_, output, input_lives=lives(case, "input", 1), output_lives=lives(case, "output", 1)
    )
    assert_equal(found, verdict(case))


@few
@given(cases())
def test_a_shorter_last_cell_is_safe_and_costs_less_than_a_cell(case: Case) -> None:
    """No recorder makes such cells, but `BufferLiveness` allows them."""
    truth = verdict(case)
    for cell_in, cell_out in cell_pairs(case, short_last=True):
        found = from_events(case, cell_in, cell_out)
        assert_on_the_safe_side(found, truth)
        assert found.min_displacement_bytes < truth.minimum + found.cell_bytes
        assert found.mirror_displacement_bytes < truth.mirror + found.cell_bytes


# With the summary only.


@many
@given(cases())
def test_a_summary_is_equal_or_says_that_it_is_safer(case: Case) -> None:
    truth = verdict(case)
    for cell_in, cell_out in cell_pairs(case):
        found = from_summary(case, cell_in, cell_out)
        if found.exact:
            assert_equal(found, truth)
        assert_on_the_safe_side(found, truth)


@few
@given(cases())
def test_a_summary_is_exact_where_the_input_is_never_stored_to(case: Case) -> None:
    assert from_summary(case).exact or stores_to_input(case)


@few
@given(cases(), st.sampled_from(ROLES))
def test_lives_of_one_side_only_are_no_danger(case: Case, side: str) -> None:
    """The other one had more lives than there was room for."""
    input_, output = (liveness(case, role, 1) for role in ROLES)
    found = find_overlap(
        input_,
        output,
        input_lives=lives(case, "input", 1) if side == "input" else None,
        output_lives=lives(case, "output", 1) if side == "output" else None,
    )
    assert found.exact is not stores_to_input(case)
    assert_on_the_safe_side(found, verdict(case))


@few
@given(cases(), st.sampled_from(ROLES), st.integers(0, 12))
def test_lives_are_complete_or_none(case: Case, role: str, limit: int) -> None:
    everything = lives(case, role, 1)
    some = lives(case, role, 1, limit=limit)
    assert everything is not None
    assert some is None or len(some) == len(everything)
    assert some is not None or len(everything) > limit


@few
@given(cases())
def test_apart_shares_nothing(case: Case) -> None:
    found = apart(liveness(case, "input", 1), liveness(case, "output", 1), "a reason")
    assert_on_the_safe_side(found, verdict(case))
    assert found.safe_overlap_bytes == 0
    assert not found.exact
    assert "a reason" in found.notes


# What else an overlap says.


@many
@given(cases())
def test_the_limit_is_a_pair_that_conflicts_just_below(case: Case) -> None:
    definition = Definition(case)
    for cell_in, cell_out in cell_pairs(case):
        found = from_events(case, cell_in, cell_out)
        limit, cell = found.limit, found.cell_bytes
        assert (limit is None) is (found.min_displacement_bytes == 0)
        if limit is not None:
            # Cells are named by their first bytes; the last byte of the output's
            # lies furthest from the input's first.
            r, w = limit.input_offset, limit.output_offset + cell - 1
            assert w - r == found.min_displacement_bytes - 1
            assert definition.conflict(r, w)


@many
@given(cases().filter(lambda case: not stores_to_input(case)))
def test_the_ticks_of_the_limit_are_those_of_the_conflict(case: Case) -> None:
    limit = from_events(case).limit
    if limit is None:
        return
    definition = Definition(case)
    (life,) = definition.reads[limit.input_offset].lives
    output = definition.writes[limit.output_offset]
    assert limit.input_tick == life.end
    assert limit.output_tick == (BEFORE if output.initial_needed else output.stores[0])
    assert limit.output_tick <= limit.input_tick


@few
@given(cases(), st.integers(1, 64))
def test_the_aligned_displacement_is_the_next_multiple(case: Case, align: int) -> None:
    found, truth = from_events(case), verdict(case)
    aligned = found.aligned_displacement_bytes(align)
    multiples = range(0, truth.minimum + align, align)
    assert aligned == next(d for d in multiples if d >= truth.minimum)
    assert truth.safe.get(aligned, True)


@few
@given(cases())
def test_what_was_not_tried_is_said(case: Case) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlap_module, "ISOLATED_WORK", 0)
        assert_equal(from_events(case), verdict(case))


@few
@given(nest_cases())
def test_a_long_list_is_cut_and_says_so(case: Case) -> None:
    assume(not stores_to_input(case))
    whole = from_events(case).isolated_safe_displacements
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlap_module, "ISOLATED_LISTED", 2)
        found = from_events(case)
    assert found.isolated_safe_displacements == whole[:2]
    assert any(f"{len(whole)} isolated" in note for note in found.notes) is (len(whole) > 2)


@few
@given(cases())
def test_notes_count_the_output_bytes_that_keep_what_was_there(case: Case) -> None:
    writes = Definition(case).writes
    unwritten = sum(not byte.stores for byte in writes)
    accumulated = sum(byte.initial_needed and bool(byte.stores) for byte in writes)
    for cell_in, cell_out in cell_pairs(case):
        said = " ".join(from_events(case, cell_in, cell_out).notes)
        assert (f"{unwritten} of the output's bytes are never written" in said) is (unwritten > 0)
        assert (f"{accumulated} of the output's bytes are read before" in said) is (accumulated > 0)


# A mistake in the package would be seen.


def only_first_stores(output: BufferLiveness) -> Int64Array:
    return np.where(output.stored, output.first_store, BEFORE)


def never_written_is_free(output: BufferLiveness) -> Int64Array:
    return np.where(output.read_before_written, BEFORE, output.first_store)


def a_cell_too_small(found: Overlap) -> Overlap:
    smaller = max(0, found.min_displacement_bytes - found.cell_bytes)
    return replace(found, min_displacement_bytes=smaller)


def a_cell_too_large(found: Overlap) -> Overlap:
    return replace(found, min_displacement_bytes=found.min_displacement_bytes + found.cell_bytes)


def mirror_too_small(found: Overlap) -> Overlap:
    smaller = max(0, found.mirror_displacement_bytes - found.cell_bytes)
    return replace(found, mirror_displacement_bytes=smaller)


def nothing_isolated(found: Overlap) -> Overlap:
    return replace(found, isolated_safe_displacements=())


def seen(found: Overlap, case: Case) -> bool:
    try:
        assert_equal(found, verdict(case))
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize("needed", [only_first_stores, never_written_is_free])
def test_a_mistake_in_needed_from_is_seen(
    needed: Callable[[BufferLiveness], Int64Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlap_module, "needed_from", needed)
    find(cases(), lambda case: seen(from_events(case), case), settings=search)


@pytest.mark.parametrize(
    "spoil", [a_cell_too_small, a_cell_too_large, mirror_too_small, nothing_isolated]
)
def test_a_spoilt_answer_is_seen(spoil: Callable[[Overlap], Overlap]) -> None:
    find(cases(), lambda case: seen(spoil(from_events(case)), case), settings=search)


def test_output_that_is_not_needed_after_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = LivesFold.result

    def wrong(self: LivesFold, *, needed_after: bool) -> Lives | None:
        return right(self, needed_after=False)

    monkeypatch.setattr(LivesFold, "result", wrong)
    find(cases(), lambda case: seen(from_events(case), case), settings=search)
