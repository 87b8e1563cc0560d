"""Liveness, lives and cells against the oracle: what an overlap is found from."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from diagmem.analysis.liveness import BEFORE, NEVER_FIRST, NEVER_LAST, WINDOW_END
from diagmem.analysis.overlap import find_overlap, needed_from
from tests.oracle.compare import ROLES, cell_pairs, cuts
from tests.oracle.kernels import cases, few, many
from tests.oracle.oracle import BEFORE_ALL, Byte, Case, Definition
from tests.oracle.package import (
    legal_cells,
    liveness,
    lives,
)


@few
@given(cases(), st.sampled_from(ROLES), cuts())
def test_liveness_is_the_first_and_last_touch_of_each_byte(
    case: Case, role: str, at: list[int]
) -> None:
    place = case.input if role == "input" else case.output
    for cell in legal_cells(case, place, short_last=True):
        found = liveness(case, role, cell, at)
        for i in range(place.size):
            touches = [
                [t for t, e in enumerate(case.events) if i in place.inside(e) and e.store is store]
                for store in (False, True)
            ]
            loads, stores = touches
            assert found.first_load[i // cell] == min(loads, default=NEVER_FIRST)
            assert found.last_load[i // cell] == max(loads, default=NEVER_LAST)
            assert found.first_store[i // cell] == min(stores, default=NEVER_FIRST)
            assert found.last_store[i // cell] == max(stores, default=NEVER_LAST)


def expected_lives(
    history: list[Byte], case: Case, *, given: bool
) -> Counter[tuple[int, int, int]]:
    """As `Lives` writes them: closed, and of an output without initial values nobody
    needs."""
    return Counter(
        (i, life.start, WINDOW_END if life.end == len(case.events) else life.end)
        for i, byte in enumerate(history)
        for life in byte.lives
        if given or life != (BEFORE_ALL, BEFORE_ALL)
    )


@many
@given(cases(), st.sampled_from(ROLES), cuts())
def test_lives_are_those_of_the_oracle(case: Case, role: str, at: list[int]) -> None:
    assert BEFORE == BEFORE_ALL
    definition = Definition(case)
    found = lives(case, role, 1, at)
    assert found is not None
    columns = (found.cell.tolist(), found.start.tolist(), found.end.tolist())
    history = definition.reads if role == "input" else definition.writes
    assert Counter(zip(*columns, strict=True)) == expected_lives(
        history, case, given=role == "input"
    )


@few
@given(cases())
def test_output_is_needed_from_its_first_store_or_from_before(case: Case) -> None:
    expected = [
        BEFORE if byte.initial_needed else byte.stores[0] for byte in Definition(case).writes
    ]
    assert needed_from(liveness(case, "output", 1)).tolist() == expected


# Cells.


@few
@given(cases(), st.data())
def test_smaller_cells_change_nothing(case: Case, data: st.DataObject) -> None:
    for cell_in, cell_out in cell_pairs(case, short_last=True):
        smaller = [
            data.draw(st.sampled_from([c for c in (1, 2, 4, 8, 16) if c <= cell]))
            for cell in (cell_in, cell_out)
        ]
        coarse = (liveness(case, "input", cell_in), liveness(case, "output", cell_out))
        for one, cell in zip(coarse, smaller, strict=True):
            direct, refined = liveness(case, one.role, cell), one.refined(cell)
            assert refined.cells == direct.cells
            for name in ("first_load", "last_load", "first_store", "last_store"):
                assert np.array_equal(getattr(refined, name), getattr(direct, name))


@few
@given(cases())
def test_refined_cells_give_the_same_overlap(case: Case) -> None:
    for cell_in, cell_out in cell_pairs(case):
        input_, output = liveness(case, "input", cell_in), liveness(case, "output", cell_out)
        coarse, fine = (
            find_overlap(input_, output),
            find_overlap(input_.refined(1), output.refined(1)),
        )
        assert fine.min_displacement_bytes == coarse.min_displacement_bytes
        assert fine.mirror_displacement_bytes == coarse.mirror_displacement_bytes
        assert fine.exact is coarse.exact
        whole = [d for d in fine.isolated_safe_displacements if d % coarse.cell_bytes == 0]
        assert whole == list(coarse.isolated_safe_displacements)
