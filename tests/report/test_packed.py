"""Columns come back as they were."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagmem.report.packed import EXACT_BELOW, characters, pack, unpack

WHOLE = st.integers(-EXACT_BELOW // 2, EXACT_BELOW // 2 - 1)


@given(st.lists(WHOLE), st.booleans())
def test_what_is_packed_is_unpacked(values: list[int], delta: bool) -> None:
    packed = pack(values, delta=delta)
    assert packed["count"] == len(values)
    assert unpack(packed).tolist() == values


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ([], "u1"),
        ([0, 255], "u1"),
        ([256], "u2"),
        ([-1], "i4"),
        ([65536], "i4"),
        ([-(1 << 31), (1 << 31) - 1], "i4"),
        ([1 << 31], "f8"),
    ],
)
def test_the_narrowest_type_is_taken(values: list[int], name: str) -> None:
    assert pack(values)["type"] == name


def test_even_steps_take_next_to_nothing() -> None:
    assert characters(pack(np.arange(0, 4_000_000, 4), delta=True)) < 2000


def test_what_javascript_cannot_tell_apart_is_refused() -> None:
    with pytest.raises(OverflowError, match="does not fit"):
        pack([EXACT_BELOW])
