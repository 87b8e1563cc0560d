"""Pictures of both frontiers: what they show is what the loop nest does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.image import imread

from diagmem.base.errors import DiagmemError
from diagmem.ops import OPERATORS, find_operator
from diagmem.ops.answer import answer
from diagmem.ops.attributes import parse_words
from diagmem.ops.draw import Draw
from diagmem.ops.layer import Layer
from diagmem.plot import frontiers_panel, sheet
from diagmem.plot.frontiers import draw, pairs_of
from diagmem.plot.frontiers_panel import Pair
from diagmem.plot.paint import INPUT_LIVE, OUTPUT_LIVE, SHARED_LIVE
from diagmem.plot.shading import Steps
from diagmem.plot.sheet import Sheet

SMALL = "CONV_2D input=1x1x1x1 filter=1x1 output_channels=2"
MIDDLE = "CONV_2D input=1x4x3x2 filter=2x3 stride=2x1 output_channels=5 dtype=int8"
LARGE = "DEPTHWISE_CONV_2D input=1x57x43x16 filter=3x5 depth_multiplier=2"
FLAT = "ADD input1=1x6x5x4 input2=1x1x1x4"


def layer_of(words: str) -> Layer:
    name, *given = words.split()
    return find_operator(name).layer(parse_words(given))


def level(line: Steps, tick: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    found: npt.NDArray[np.int64] = line.edge[
        np.searchsorted(line.tick, np.floor(tick), side="right") - 1
    ]
    return found


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_the_frontiers_are_d_apart_where_it_says(name: str) -> None:
    for seed in range(8):
        layer = OPERATORS[name].of(OPERATORS[name].draw(Draw(f"{name} {seed}", zeros=True)))
        closed = answer(layer).pairs
        for pair, figure in zip(pairs_of(layer, "reference"), closed, strict=False):
            if not len(pair.needed.tick) or not len(pair.written.tick):
                continue
            tick = np.union1d(pair.needed.tick, pair.written.tick)
            tick = tick[tick < pair.needed.tick[-1]].astype(float)
            most = int((level(pair.written, tick) - level(pair.needed, tick)).max())
            assert max(most, 0) == figure.min_displacement_bytes
            if pair.touch is None:
                assert most <= 0
            else:
                _, low, high = pair.touch
                assert high - low == most


def expected(pair: Pair, byte_shift: int) -> npt.NDArray[np.str_]:
    """The colour of every pixel of the right panel, by the unthinned frontiers."""
    x = (np.arange(735) + 0.5) / 735 * 1.06 - 0.03
    y = (np.arange(400)[::-1] + 0.5) / 400 * 1.06 - 0.03
    tick, byte = x * pair.ticks, (y * pair.span_bytes)[:, None]
    inside = (tick >= 0) & (tick < pair.ticks)
    written = level(pair.written, np.maximum(tick, 0))
    needed = level(pair.needed, np.maximum(tick, 0)) + byte_shift
    found = np.full((400, 735), "#ffffff")
    found[inside & (byte >= 0) & (byte < written)] = OUTPUT_LIVE
    end = byte_shift + pair.overlap.input_bytes
    found[inside & (byte >= needed) & (byte < end)] = INPUT_LIVE
    return found


def drawn(path: Path) -> npt.NDArray[np.str_]:
    image = np.round(imread(path)[213:613, 1025:1760, :3] * 255).astype(int)
    return np.array([[f"#{r:02x}{g:02x}{b:02x}" for r, g, b in row] for row in image])


def wrong_pixels(found: npt.NDArray[np.str_], want: npt.NDArray[np.str_]) -> int:
    """Of those with a plain colour, more than two pixels away from another one."""
    fills = ("#ffffff", OUTPUT_LIVE, INPUT_LIVE)
    plain = np.isin(found, fills)
    for axis, by in ((0, 2), (0, -2), (1, 2), (1, -2)):
        plain &= want == np.roll(want, by, axis)
    # The frame.
    plain[:3] = plain[-3:] = plain[:, :3] = plain[:, -3:] = False
    assert plain.mean() > 0.5
    return int((found[plain] != want[plain]).sum())


@pytest.mark.parametrize("words", [SMALL, MIDDLE])
def test_pixels(words: str, tmp_path: Path) -> None:
    layer = layer_of(words)
    draw(layer, "reference", tmp_path / "a.png")
    (pair,) = pairs_of(layer, "reference")
    d = pair.overlap.min_displacement_bytes
    assert d > 0
    found = drawn(tmp_path / "a.png")
    assert wrong_pixels(found, expected(pair, d)) == 0
    assert wrong_pixels(found, expected(pair, d - 1)) > 0, "the check sees a byte's difference"


def test_what_is_written_above_what_is_needed_is_marked(tmp_path: Path) -> None:
    draw(layer_of("RELU input=3x2"), "reference", tmp_path / "a.png")
    draw(layer_of(SMALL), "reference", tmp_path / "b.png")
    colour = np.array([int(SHARED_LIVE[i : i + 2], 16) for i in (1, 3, 5)])
    marked = [
        (np.round(imread(tmp_path / name)[213:613, 140:875, :3] * 255) == colour).all(axis=2)
        for name in ("a.png", "b.png")
    ]
    assert not marked[0].any()
    # Steps 1 to 3 of 4, the lower half of 8 bytes; but for the lines and a letter.
    _, columns = np.nonzero(marked[1])
    scale = 735 / 1.06
    assert columns.min() == pytest.approx((0.03 + 1 / 4) * scale, abs=3)
    assert columns.max() == pytest.approx((0.03 + 3 / 4) * scale, abs=3)
    assert marked[1].sum() == pytest.approx(scale / 2 * 400 / 1.06 / 2, rel=0.08)


@pytest.mark.parametrize("words", [LARGE, FLAT])
def test_thinning_moves_no_line_by_more_than_a_pixel(words: str) -> None:
    for pair in pairs_of(layer_of(words), "reference"):
        everything = (0, pair.ticks), (0, pair.span_bytes)
        for thin, whole in zip(
            frontiers_panel.both_lines(pair, *everything, 0),
            (pair.needed, pair.written),
            strict=True,
        ):
            assert len(thin.tick) <= sheet.WIDTH_PX + 402
            tick = whole.tick.astype(float)
            column = pair.ticks / sheet.WIDTH_PX
            before, after = level(thin, np.maximum(tick - column, 0)), level(thin, tick + column)
            row = pair.span_bytes / 400
            assert (before - row <= whole.edge).all()
            assert (whole.edge <= after + row).all()
            assert thin.edge[-1] == whole.edge[-1]


def test_close_up_only_where_the_whole_is_too_small(tmp_path: Path) -> None:
    (small,), (large,) = (pairs_of(layer_of(words), "reference") for words in (MIDDLE, LARGE))
    assert small.close_up is None
    assert large.close_up is not None
    assert large.touch is not None
    (first, end), (low, high) = large.close_up
    tick, _, byte = large.touch
    assert 0 <= first <= tick < end <= large.ticks
    assert 0 <= low <= byte <= high <= large.span_bytes
    assert high - low == frontiers_panel.CLOSE_UP_CELLS * 4
    draw(layer_of(LARGE), "reference", tmp_path / "a.svg")


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_same_bytes_again(suffix: str, tmp_path: Path) -> None:
    for name in "ab":
        draw(layer_of(FLAT), "reference", tmp_path / f"{name}{suffix}")
    first = (tmp_path / f"a{suffix}").read_bytes()
    assert first == (tmp_path / f"b{suffix}").read_bytes()
    assert str(tmp_path).encode() not in first


def text_of(layer: Layer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All texts that the sheet was asked to write."""
    said: list[str] = []
    write = Sheet.write

    def spy(self: Sheet, x: float, y: float, text: str, **options: Any) -> None:
        said.append(text)
        write(self, x, y, text, **options)

    monkeypatch.setattr(Sheet, "write", spy)
    draw(layer, "reference", tmp_path / "a.png")
    return said


def test_no_elements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = layer_of("CONV_2D input=1x5x4x0 filter=3x2 output_channels=2")
    said = text_of(layer, tmp_path, monkeypatch)
    assert "nothing to draw: no elements in input" in said


def test_nothing_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = "AVERAGE_POOL_2D input=1x1x1x3 filter=1x1 stride=4x4 padding=2,2,2,2"
    layer = layer_of(words)
    said = text_of(layer, tmp_path, monkeypatch)
    assert "no byte of input is read" in said


def test_pairs_that_are_left_out_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = text_of(layer_of("SPLIT input=3x6 count=6 axis=1"), tmp_path, monkeypatch)
    assert "Left out: input over output5, input over output6." in said
    assert any(text.startswith("input over output4: D = ") for text in said)


def test_too_large(tmp_path: Path) -> None:
    with pytest.raises(DiagmemError, match=r"400,000,000 elements .* takes any, without -o"):
        draw(layer_of("RELU input=20000x20000"), "reference", tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_nowhere_to_write(tmp_path: Path) -> None:
    with pytest.raises(DiagmemError, match="cannot be written"):
        draw(layer_of(SMALL), "reference", tmp_path / "no" / "a.png")


def test_no_pyplot(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from diagmem.plot.frontiers import draw\n"
        "assert 'matplotlib' not in sys.modules\n"
        "from diagmem.ops import find_operator\n"
        "layer = find_operator('RELU').layer({'input': '3x2'})\n"
        f"draw(layer, 'reference', Path({str(tmp_path / 'a.svg')!r}))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
