"""A sheet of paper in whole pixels: figure, axes, texts, saving.

Axes lie on whole pixels, so that a grid with a cell per pixel is drawn pixel by
pixel and nothing falls between two.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diagmem.base.errors import DiagmemError
from diagmem.base.files import replacing
from diagmem.plot.paint import FRAME, INK
from diagmem.plot.units import FONT, drawable

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# No date, no version: the same trace gives the same bytes.
_METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
WIDTH_PX, DPI = 1800, 150
TEXT_PT = 9.0
TITLE_Y, LINE = 48, 27
"""Pixels of a sheet that is `WIDTH_PX` wide: to the title's baseline, and from line to line."""
Rect = tuple[int, int, int, int]
"""Left, top, width and height in pixels, from the sheet's upper left corner."""


def check_extension(path: Path) -> None:
    """Refuse a picture whose format cannot be told from its name."""
    if path.suffix.lower() not in _METADATA:
        found = f"the extension {path.suffix!r}" if path.suffix else "no extension"
        raise DiagmemError(f"{path}: {found}, expected .png, .svg or .pdf")


@contextmanager
def fixed_style() -> Iterator[None]:
    """Matplotlib as it comes, whatever the user's matplotlibrc says.

    Names come from programs: nothing in a text is markup.
    """
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(
            {
                "font.family": FONT,
                "font.size": TEXT_PT,
                "svg.hashsalt": "diagmem",
                "axes.unicode_minus": False,
                "axes.edgecolor": FRAME,
                "axes.linewidth": 0.8,
                "text.color": INK,
                "text.parse_math": False,
                "xtick.color": INK,
                "ytick.color": INK,
                "image.composite_image": False,
            }
        )
        yield


class Sheet:
    """A figure of ``width_px`` times ``height_px`` pixels at ``dpi``."""

    def __init__(self, width_px: int, height_px: int, dpi: int) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.width_px, self.height_px, self.dpi = width_px, height_px, dpi
        self.figure: Figure = Figure(
            figsize=(width_px / dpi, height_px / dpi), dpi=dpi, facecolor="white"
        )
        self._canvas = FigureCanvasAgg(self.figure)

    def px(self, points: float) -> int:
        return round(points * self.dpi / 72)

    def axes(self, rect: Rect, **options: Any) -> Axes:
        left, top, width, height = rect
        bottom = self.height_px - top - height
        return self.figure.add_axes(
            (
                left / self.width_px,
                bottom / self.height_px,
                width / self.width_px,
                height / self.height_px,
            ),
            **options,
        )

    def width_of(self, text: str, size_pt: float = TEXT_PT, *, bold: bool = False) -> float:
        """Of one line, in pixels."""
        return text_width(text, size_pt, bold=bold) * self.dpi / 72

    def fitted(
        self, text: str, width_px: float, size_pt: float = TEXT_PT, *, bold: bool = False
    ) -> str:
        """The text, its middle left out where it is too wide."""
        if self.width_of(text, size_pt, bold=bold) <= width_px:
            return text
        fits, too_many = 0, len(text)
        while too_many - fits > 1:
            middle = (fits + too_many) // 2
            if self.width_of(_shortened(text, middle), size_pt, bold=bold) <= width_px:
                fits = middle
            else:
                too_many = middle
        return _shortened(text, fits)

    def write(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size_pt: float = TEXT_PT,
        bold: bool = False,
        width_px: float | None = None,
        **options: Any,
    ) -> None:
        """One line of text with its baseline at ``y`` from the top, in pixels."""
        text = drawable(text)
        if width_px is not None:
            text = self.fitted(text, width_px, size_pt, bold=bold)
        self.figure.text(
            x / self.width_px,
            1 - y / self.height_px,
            text,
            fontsize=size_pt,
            fontweight="bold" if bold else "normal",
            **{"va": "baseline", **options},
        )

    def write_titles(self, texts: Sequence[str]) -> None:
        """The title and the lines below it, on a sheet that is `WIDTH_PX` wide."""
        width = WIDTH_PX - 2 * LINE
        self.write(LINE, TITLE_Y, texts[0], size_pt=13, bold=True, width_px=width)
        for number, text in enumerate(texts[1:], 1):
            self.write(LINE, TITLE_Y + 6 + LINE * number, text, size_pt=9.5, width_px=width)

    def legend(self, handles: Sequence[Artist], left: int, top: int, **options: Any) -> None:
        """A legend without a frame, its upper left corner at these pixels; none of nothing."""
        if handles:
            place = {
                "loc": "upper left",
                "bbox_to_anchor": (left / self.width_px, 1 - top / self.height_px),
                "borderaxespad": 0,
            }
            style = {"borderpad": 0, "frameon": False, "fontsize": TEXT_PT}
            self.figure.legend(handles=list(handles), **{**place, **style, **options})

    def save(self, path: Path) -> None:
        """Write it; the extension says as what."""
        kind = path.suffix.lower()
        buffer = io.BytesIO()
        self.figure.savefig(
            buffer, format=kind[1:], dpi=self.dpi, metadata=_METADATA[kind], facecolor="white"
        )
        with replacing(path) as file:
            file.write(buffer.getbuffer())


def text_width(text: str, size_pt: float = TEXT_PT, *, bold: bool = False) -> float:
    """Width of one line in points, the same for every format."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=FONT, size=size_pt, weight="bold" if bold else "normal")
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width)


def wrapped(text: str, width_pt: float, size_pt: float = TEXT_PT) -> list[str]:
    """The text in lines no wider than ``width_pt``, broken between words."""
    lines: list[str] = []
    for word in drawable(text).split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size_pt) <= width_pt:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _shortened(text: str, keep: int) -> str:
    head = (keep + 1) // 2
    tail = keep - head
    return text[:head] + "…" + (text[-tail:] if tail else "")
