"""Planes: every access is in its cell, and in no other, at every level."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagmem.report import planes as planes_module
from diagmem.report.planes import NOWHERE, PlaneFold, PlaneLevel, Planes
from diagmem.trace.window import Accesses

Touch = tuple[int, int, bool, int]
"""Offset (negative: from before the buffer), size in bytes, store, site."""
PLACES = np.array([3, 0, 3, 9], np.int64)


def accesses(touches: list[Touch], start: int = 0) -> Accesses:
    offset, size, store, site = zip(*touches, strict=True) if touches else ((), (), (), ())
    return Accesses(
        np.arange(start, start + len(touches)),
        np.array(offset, np.int32),
        np.array(size, np.int64),
        np.array(store, np.bool_),
        np.array(site, np.uint32),
    )


@st.composite
def windows(draw: st.DrawFn) -> tuple[int, list[Touch]]:
    size_bytes = draw(st.integers(1, 90))
    touch = st.tuples(
        st.integers(-7, size_bytes - 1), st.integers(1, 120), st.booleans(), st.integers(0, 3)
    ).map(lambda t: (t[0], max(t[1], 1 - t[0]), t[2], t[3]))
    return size_bytes, draw(st.lists(touch, min_size=1, max_size=60))


def slowly(level: PlaneLevel, touches: list[Touch], store: bool) -> list[list[set[int]]]:
    """For each cell the marks that may stand in it: those of its accesses, else none."""
    found: list[list[set[int]]] = [[set() for _ in range(level.rows)] for _ in range(level.columns)]
    for tick, (offset, size, is_store, site) in enumerate(touches):
        for byte in range(max(offset, 0), min(offset + size, level.size_bytes)):
            if is_store == store:
                cell = found[tick >> level.tick_shift][byte >> level.byte_shift]
                cell.add(int(PLACES[site]) + 1)
    return [[cell or {NOWHERE} for cell in column] for column in found]


def agrees(planes: Planes, touches: list[Touch]) -> bool:
    for plane, store in ((planes.loads, False), (planes.stores, True)):
        allowed = slowly(planes.level, touches, store)
        shape = planes.level.columns, planes.level.rows
        if plane.shape != shape or not all(
            plane[c, r] in allowed[c][r] for c in range(shape[0]) for r in range(shape[1])
        ):
            return False
    return True


@given(windows(), st.integers(1, 70), st.integers(1, 100), st.integers(1, 13), st.data())
def test_no_access_is_dropped_or_moved_at_any_level(
    window: tuple[int, list[Touch]], columns: int, rows: int, at_once: int, data: st.DataObject
) -> None:
    size_bytes, touches = window
    cut = data.draw(st.integers(0, len(touches)))
    level = PlaneLevel.of(len(touches), size_bytes, columns, rows)
    assert level.columns <= columns
    assert level.rows <= rows
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planes_module, "TAKEN_AT_ONCE", at_once)
        patch.setattr(planes_module, "CELLS_AT_ONCE", at_once)
        fold = PlaneFold(level, PLACES)
        fold.take(accesses(touches[:cut]))
        fold.take(accesses(touches[cut:], cut))
    planes = fold.result()
    assert agrees(planes, touches)
    while planes.loads.size > 1:
        planes = planes.coarser
        assert agrees(planes, touches)


def shifted(plane: npt.NDArray[np.uint16], axis: int) -> npt.NDArray[np.uint16]:
    return np.roll(plane, 1, axis)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_plane_moved_by_one_cell_is_caught(axis: int) -> None:
    touches: list[Touch] = [(0, 1, False, 0), (5, 2, True, 1), (6, 1, False, 2)]
    fold = PlaneFold(PlaneLevel.of(3, 7, 3, 7), PLACES)
    fold.take(accesses(touches))
    planes = fold.result()
    assert agrees(planes, touches)
    moved = Planes(planes.level, shifted(planes.loads, axis), shifted(planes.stores, axis))
    assert not agrees(moved, touches)
