"""Sets of safe displacements, against the displacements written out one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from diagmem.analysis.safe import Placement, Safe, shared_bytes

SIZES = st.integers(0, 24)


@st.composite
def safes(draw: st.DrawFn, n_in: int, n_out: int) -> Safe:
    d, mirror = draw(st.integers(0, n_out)), draw(st.integers(0, n_in))
    between = range(-mirror + 1, d)
    isolated = draw(st.sets(st.sampled_from(between))) if between else set()
    return Safe("x", "y", n_in, n_out, d, mirror, tuple(sorted(isolated)))


@st.composite
def two(draw: st.DrawFn) -> tuple[Safe, Safe]:
    n_in, n_out = draw(SIZES), draw(SIZES)
    return draw(safes(n_in, n_out)), draw(safes(n_in, n_out))


def displacements(safe: Safe) -> range:
    """All at which the two meet, and some at which they do not."""
    return range(-safe.input_bytes - 2, safe.output_bytes + 3)


@given(two())
def test_safe_in_both_is_what_both_hold(pair: tuple[Safe, Safe]) -> None:
    a, b = pair
    both = a & b
    for displacement in displacements(a):
        assert both.holds(displacement) == (a.holds(displacement) and b.holds(displacement))
    assert both == b & a
    assert a & a == a
    listed = both.isolated_safe_displacements
    assert list(listed) == sorted(listed)
    assert all(-both.mirror_displacement_bytes < d < both.min_displacement_bytes for d in listed)


@given(two(), st.integers(1, 9))
def test_the_aligned_displacement_is_the_first_multiple_from_which_all_hold(
    pair: tuple[Safe, Safe], align: int
) -> None:
    safe = pair[0]
    aligned = safe.aligned_displacement_bytes(align)
    multiples = range(0, safe.output_bytes + 2 * align, align)
    assert aligned == min(m for m in multiples if m >= safe.min_displacement_bytes)
    assert all(safe.holds(d) for d in range(aligned, safe.output_bytes + align))
    assert safe.aligned_overlap_bytes(align) == safe.shared_bytes(aligned)
    assert safe.aligned_overlap_bytes(1) == safe.safe_overlap_bytes


@given(SIZES, SIZES)
def test_shared_bytes_are_those_in_both(n_in: int, n_out: int) -> None:
    for displacement in range(-n_in - 2, n_out + 3):
        both = set(range(n_out)) & set(range(displacement, displacement + n_in))
        assert shared_bytes(displacement, n_in, n_out) == len(both)


def test_the_safe_overlap_is_clamped() -> None:
    """O_s = clamp(output_bytes - D, 0, input_bytes)."""
    for d, expected in ((0, 10), (20, 10), (24, 6), (30, 0)):
        assert Safe("x", "y", 10, 30, d, 10).safe_overlap_bytes == expected


def test_a_placement_aligns_the_larger_elements() -> None:
    for input_bytes, output_bytes in ((1, 4), (4, 1), (4, 4)):
        offsets = Placement("x", "y", 12, lead_bytes=16).offsets(input_bytes, output_bytes)
        assert offsets["x"] - offsets["y"] == 12
        assert offsets["x" if input_bytes > output_bytes else "y"] == 16


def test_the_bounds_themselves_are_safe() -> None:
    safe = Safe("x", "y", 8, 8, 5, 3, (0, 2))
    held = [d for d in displacements(safe) if safe.holds(d)]
    assert held == [*range(-10, -2), 0, 2, *range(5, 11)]
