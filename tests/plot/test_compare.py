"""Heatmaps side by side: one scale, each window whole, nothing beyond its end."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.image import imread

from diagmem.analysis.trace import open_trace
from diagmem.base.errors import DiagmemError
from diagmem.plot.compare import LETTERS, Comparison, draw_side_by_side
from diagmem.plot.paint import NOTHING, OUTPUT_LIVE, STORE
from diagmem.trace.window import Buffer, Role
from tests.plot.conftest import PAIR, Access, MakeTrace, copying
from tests.trace.compose import SyntheticWindow, compose

COLUMN_PX, LEFT_PX, PANEL_PX = 1104, 192, 708
"""Of two columns at 2400 pixels and 150 dots per inch: (2400 - 192) / 2, less 396."""


def draw_files(windows: list[tuple[Path, int]], picture: Path, **options: Any) -> Comparison:
    with ExitStack() as stack:
        opened = [(stack.enter_context(open_trace(path)), window) for path, window in windows]
        return draw_side_by_side(opened, picture, **options)


def pixels(picture: Path, colour: str, column: int) -> npt.NDArray[np.intp]:
    """Rows and columns, from the panel's left edge, of pixels of exactly this colour."""
    image = np.round(imread(picture)[:, :, :3] * 255).astype(int)
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    left = LEFT_PX + column * COLUMN_PX
    # The key, which holds the same colours, lies below the panels.
    panels = image[:1560, left : left + PANEL_PX]
    return np.argwhere((panels == wanted).all(axis=2))


@pytest.fixture
def long_and_short(make_trace: MakeTrace) -> list[tuple[Path, int]]:
    """Forty events on 32 bytes, and ten on 16."""
    long = make_trace(PAIR, copying(8) * 2 + copying(4), name="long")
    half = (("input", Role.INPUT, 16), ("output", Role.OUTPUT, 16))
    rows: list[Access] = [("input", 0, 4, False)] * 9 + [("output", 0, 4, True)]
    return [(long, 0), (make_trace(half, rows, name="short"), 0)]


def test_one_scale(long_and_short: list[tuple[Path, int]], tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    found = draw_files(long_and_short, picture)
    assert (found.width_px, found.ticks) == (2400, 40)
    assert [p.events for p in found.pictures] == [40, 10]
    # The store of the short window's tick 9 lies where tick 9 of the long one would.
    stores = pixels(picture, STORE, 1)
    assert stores[:, 1].min() == pytest.approx(PANEL_PX * 9 / 40, abs=3)
    assert stores[:, 1].max() == pytest.approx(PANEL_PX * 10 / 40, abs=3)
    # Its 4 bytes are as high as a row of the long window's 32 bytes makes them.
    rows = np.unique(stores[:, 0])
    first_panel = rows[rows < rows[0] + 100]
    assert first_panel[-1] - first_panel[0] + 1 == pytest.approx(313 * 4 / 32, abs=4)


def test_what_a_window_does_not_fill_is_grey(
    long_and_short: list[tuple[Path, int]], tmp_path: Path
) -> None:
    picture = tmp_path / "a.png"
    draw_files(long_and_short, picture)
    assert len(pixels(picture, NOTHING, 0)) < 200, "the edges of letters"
    grey = pixels(picture, NOTHING, 1)
    assert len(np.unique(grey[:, 1])) > 0.9 * PANEL_PX, "above the buffers everywhere"
    alive = pixels(picture, OUTPUT_LIVE, 1)
    assert alive[:, 1].max() <= PANEL_PX * 10 / 40 + 1, "no life goes on behind the window's end"


def test_the_smallest_window_beside_a_large_one(make_trace: MakeTrace, tmp_path: Path) -> None:
    """One store beside a hundred thousand loads is seen, though its window has no width."""
    large = (("input", Role.INPUT, 1 << 16), ("output", Role.OUTPUT, 1 << 16))
    rows: list[Access] = [("input", 0, 4, False)] * 100_000
    traces = [make_trace(large, rows, name="a"), make_trace(PAIR, [("output", 0, 4, True)])]
    draw_files([(trace, 0) for trace in traces], tmp_path / "a.png")
    stores = pixels(tmp_path / "a.png", STORE, 1)
    assert len(stores) > 0
    assert stores[:, 1].max() < 5


def test_windows_of_one_trace(tmp_path: Path) -> None:
    buffers = [Buffer("a", Role.INPUT, 0x1000, 8), Buffer("b", Role.OUTPUT, 0x2000, 8)]
    windows = [
        SyntheticWindow(f"f{n}", buffers, [0x1000, 0x2000] * n, 4, [0, 1] * n) for n in (1, 3, 0)
    ]
    compose(tmp_path / "t.dmt", windows)
    found = draw_files([(tmp_path / "t.dmt", i) for i in range(3)], tmp_path / "a.svg")
    assert [(p.window, p.function, p.events) for p in found.pictures] == [
        (0, "f1", 2),
        (1, "f3", 6),
        (2, "f0", 0),
    ]


def test_other_buffers_and_no_pair(make_trace: MakeTrace, tmp_path: Path) -> None:
    lone = make_trace([("b", Role.SCRATCH, 5)], [("b", 0, 1, True)], name="lone")
    pair = make_trace((*PAIR, ("w", Role.WEIGHTS, 4)), copying(), name="pair")
    found = draw_files([(lone, 0), (pair, 0)], tmp_path / "a.png")
    assert found.pictures[0].pair is None
    assert found.pictures[1].left_out == ("w",)
    same = draw_files([(pair, 0), (pair, 0)], tmp_path / "b.png", buffers=["w", "output"])
    assert [p.buffers for p in same.pictures] == [("w", "output")] * 2
    with pytest.raises(DiagmemError, match="no buffer 'w'"):
        draw_files([(lone, 0), (pair, 0)], tmp_path / "c.png", buffers=["w"])


@pytest.mark.parametrize("mode", ["events", "summary"])
@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_same_bytes_again(make_trace: MakeTrace, tmp_path: Path, suffix: str, mode: str) -> None:
    traces = [make_trace(PAIR, copying(ahead=n), name=f"t{n}", mode=mode) for n in range(2)]
    for name in "ab":
        draw_files([(t, 0) for t in traces], tmp_path / f"{name}{suffix}", title="$x^2$ <b>")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize(
    ("count", "options", "complaint"),
    [
        (1, {}, "1 window side by side, expected 2 to 4"),
        (len(LETTERS) + 1, {}, "5 windows side by side"),
        (
            3,
            {"width_px": 2000},
            "2000 pixels for 3 windows at 150 dots per inch, expected at least",
        ),
        (2, {"dpi": 1}, "1 dots per inch"),
    ],
)
def test_wrong_calls(
    make_trace: MakeTrace, tmp_path: Path, count: int, options: dict[str, Any], complaint: str
) -> None:
    windows = [(make_trace(PAIR, copying()), 0)] * count
    with pytest.raises(DiagmemError, match=complaint):
        draw_files(windows, tmp_path / "a.png", **options)
    assert not (tmp_path / "a.png").exists()


def test_the_least_width_that_is_named_is_enough(make_trace: MakeTrace, tmp_path: Path) -> None:
    windows = [(make_trace(PAIR, copying()), 0)] * 3
    with pytest.raises(DiagmemError) as error:
        draw_files(windows, tmp_path / "a.png", width_px=2000)
    least = int(str(error.value).split()[-1])
    assert draw_files(windows, tmp_path / "a.png", width_px=least).width_px == least
