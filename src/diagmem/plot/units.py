"""Numbers and names as a picture writes them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.ft2font import FT2Font

FONT = "DejaVu Sans"
"""Ships with matplotlib, so that pictures are the same everywhere."""

_BINARY = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_DECIMAL = ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))


def bytes_exact(count: int) -> str:
    """``4,192 B``: the number a reader can check."""
    return f"{count:,} B"


def bytes_both(count: int) -> str:
    """The exact number, and from 10 KiB on the rounded one beside it."""
    if count < 10 << 10:
        return bytes_exact(count)
    unit, name = next((u, n) for u, n in _BINARY if count >= u)
    return f"{count:,} B ({count / unit:.4g} {name})"


Scale = tuple[list[float], list[str]]
"""Places along an axis, and their labels."""


def byte_ticks(start: int, end: int, at_most: int, zero: float = 0) -> Scale:
    """The places in ``[start, end]`` a power of two apart; ``zero`` is where on the axis
    they count from."""
    step = 1
    while (end - start) / step > max(at_most, 1):
        step *= 2
    places = _places(start, end, step)
    return [zero + at for at in places], [_byte_label(at, step) for at in places]


def count_ticks(start: int, end: int, at_most: int, zero: float = 0) -> Scale:
    """The same, 1, 2 or 5 times a power of ten apart."""
    step = 1
    while (end - start) / step > max(at_most, 1):
        step = step * 5 // 2 if str(step)[0] == "2" else step * 2
    places = _places(start, end, step)
    return [zero + at for at in places], [_count_label(at, step) for at in places]


def _places(start: int, end: int, step: int) -> range:
    return range(-(-start // step) * step, end + 1, step)


def _byte_label(at: int, step: int) -> str:
    """In the largest unit that keeps it short and exact: 512 B, 1.25 KiB."""
    fits = ((u, n) for u, n in _BINARY if at >= u and step * 4 >= u)
    unit, name = next(fits, (1, "B"))
    return f"{_short(at, unit)} {name}" if at else "0"


def _count_label(at: int, step: int) -> str:
    fits = ((u, n) for u, n in _DECIMAL if at >= u and step * 10 >= u)
    unit, name = next(fits, (1, ""))
    return _short(at, unit) + name


def _short(at: int, unit: int) -> str:
    return f"{at:,}" if unit == 1 else f"{at / unit:,.2f}".rstrip("0").rstrip(".")


@cache
def _font() -> FT2Font:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return get_font(findfont(FontProperties(family=FONT)))


def drawable(text: str) -> str:
    """The text with what cannot be drawn in one line replaced by U+FFFD."""
    font = _font()
    return "".join(
        c if c.isprintable() and font.get_char_index(ord(c)) else "\N{REPLACEMENT CHARACTER}"
        for c in text
    )
