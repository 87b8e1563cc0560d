"""Labels: numbers, names, and places where they hide nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagmem.plot.labels import free_place, spread
from diagmem.plot.sheet import Sheet, text_width, wrapped
from diagmem.plot.units import byte_ticks, bytes_both, count_ticks, drawable


@given(
    st.lists(st.floats(-50, 150), min_size=1, max_size=8),
    st.floats(1, 40),
)
def test_spread(wanted: list[float], gap: float) -> None:
    placed = spread(wanted, gap, 0, 100)
    room = min(gap, 100 / max(len(wanted) - 1, 1))
    ordered = sorted(placed)
    assert ordered[0] >= -1e-6
    assert ordered[-1] <= 100 + 1e-6
    assert (np.diff(ordered) >= room - 1e-6).all()
    by_want = sorted(range(len(wanted)), key=lambda i: wanted[i])
    assert [placed[i] for i in by_want] == ordered


def test_free_place_hides_nothing_where_it_can() -> None:
    occupied = np.zeros((200, 300), bool)
    for i in range(200):
        occupied[i, i : i + 3] = True
    row, column = free_place(occupied, (40, 80), (100, 100))
    assert not occupied[row : row + 40, column : column + 80].any()
    assert free_place(np.ones((20, 30), bool), (400, 800), (0, 0)) == (0, 0)


@given(st.integers(0, 1 << 40), st.integers(1, 1 << 40), st.integers(1, 12))
def test_ticks(start: int, length: int, at_most: int) -> None:
    for ticks in (byte_ticks, count_ticks):
        places, labels = ticks(start, start + length, at_most)
        assert len(places) <= at_most + 1
        assert all(start <= at <= start + length for at in places)
        assert len(set(labels)) == len(labels) == len(places)
        assert ticks(start, start + length, at_most, 7) == ([at + 7 for at in places], labels)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 30, "0, 8 B, 16 B, 24 B"),
        (0, 1024, "0, 256 B, 512 B, 768 B, 1 KiB"),
        (0, 4608, "0, 1 KiB, 2 KiB, 3 KiB, 4 KiB"),
        (0, 5 << 18, "0, 256 KiB, 512 KiB, 768 KiB, 1 MiB, 1.25 MiB"),
        (14_400, 14_464, "14,400 B, 14,416 B, 14,432 B, 14,448 B, 14,464 B"),
    ],
)
def test_byte_labels(start: int, end: int, expected: str) -> None:
    assert ", ".join(byte_ticks(start, end, 5)[1]) == expected


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 0, "0"),
        (0, 5, "0, 1, 2, 3, 4, 5"),
        (0, 1000, "0, 200, 400, 600, 800, 1k"),
        (0, 2144, "0, 500, 1k, 1.5k, 2k"),
        (50_300, 50_380, "50,300, 50,320, 50,340, 50,360, 50,380"),
        (0, 159_704_320, "0, 50M, 100M, 150M"),
        (0, 1_000_000, "0, 200k, 400k, 600k, 800k, 1M"),
    ],
)
def test_count_labels(start: int, end: int, expected: str) -> None:
    assert ", ".join(count_ticks(start, end, 5)[1]) == expected


def test_sizes() -> None:
    assert bytes_both(4192) == "4,192 B"
    assert bytes_both(1_605_632) == "1,605,632 B (1.531 MiB)"


def test_drawable() -> None:
    assert drawable("a$_{1}^é→") == "a$_{1}^é→"
    assert drawable("日\n\x00\udcff") == "\N{REPLACEMENT CHARACTER}" * 4


def test_fitted_and_wrapped() -> None:
    sheet = Sheet(1000, 100, 100)
    name = "std::vector<" * 40
    short = sheet.fitted(name, 200)
    assert sheet.width_of(short) <= 200
    assert "…" in short
    assert sheet.fitted("short", 200) == "short"
    lines = wrapped("word " * 100, 200)
    assert all(text_width(line) <= 200 for line in lines)
    assert " ".join(lines).split() == ["word"] * 100
