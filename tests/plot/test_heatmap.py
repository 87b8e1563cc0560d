"""Whole pictures: what they show, in every format, of every kind of trace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.image import imread

from diagmem.analysis.trace import open_trace
from diagmem.base.errors import DiagmemError
from diagmem.base.text import printable
from diagmem.kernels.catalog import find
from diagmem.kernels.description import load
from diagmem.kernels.tracing import trace_kernel
from diagmem.plot.heatmap import Picture, draw
from diagmem.plot.paint import LOAD, STORE
from diagmem.record.tool import Tool
from diagmem.trace.window import Role
from tests.plot.conftest import PAIR, Access, MakeTrace, copying

FORMATS = (".png", ".svg", ".pdf")


def draw_file(trace: Path, picture: Path, **options: Any) -> Picture:
    with open_trace(trace) as opened:
        return draw(opened, picture, **options)


def pixels(picture: Path, colour: str) -> npt.NDArray[np.intp]:
    """Rows and columns of the pixels of exactly this colour."""
    image = np.round(imread(picture)[:, :, :3] * 255).astype(int)
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return np.argwhere((image == wanted).all(axis=2))


@pytest.mark.parametrize("suffix", FORMATS)
def test_same_bytes_again(make_trace: MakeTrace, tmp_path: Path, suffix: str) -> None:
    trace = make_trace(PAIR, copying(ahead=2))
    first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    picture = draw_file(trace, first)
    draw_file(trace, second)
    assert first.read_bytes() == second.read_bytes()
    assert picture.pair is not None
    assert picture.pair.min_displacement_bytes == 8
    assert str(tmp_path).encode() not in first.read_bytes()


def test_the_users_style_does_not_matter(make_trace: MakeTrace, tmp_path: Path) -> None:
    import matplotlib as mpl

    trace = make_trace(PAIR, copying())
    draw_file(trace, tmp_path / "a.png")
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "black", "savefig.bbox": "tight"}):
        draw_file(trace, tmp_path / "b.png")
        assert mpl.rcParams["font.size"] == 30
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_one_store_in_a_hundred_thousand_is_seen(make_trace: MakeTrace, tmp_path: Path) -> None:
    """At full strength, in the output's panel and in the placement, in one cell each."""
    n = 100_000
    rows: list[Access] = [("input", 5000, 4, False)] * n
    rows[77_777] = ("output", 70_000, 4, True)
    buffers = (("input", Role.INPUT, 1 << 18), ("output", Role.OUTPUT, 1 << 18))
    trace = make_trace(buffers, rows)
    picture = tmp_path / "a.png"
    draw_file(trace, picture, buffers=["output"])
    found = pixels(picture, STORE)
    columns = np.unique(found[:, 1])
    legend = columns > 1300
    data = found[found[:, 1] < 1300]
    assert legend.any()
    assert len(data) > 0
    # The panel spans 1800 - (92 + 198) pt * 150 / 72 pixels from 92 pt on.
    middle = (data[:, 1].min() + data[:, 1].max() + 1) / 2
    assert middle == pytest.approx(192 + 1196 * 77_777.5 / n, abs=3)
    assert data[:, 1].max() - data[:, 1].min() < 4


def test_all_accesses_of_a_small_trace_are_seen(make_trace: MakeTrace, tmp_path: Path) -> None:
    rows: list[Access] = [("input", i, 1, False) for i in range(30)]
    trace = make_trace([("input", Role.INPUT, 30)], rows)
    picture = tmp_path / "a.png"
    draw_file(trace, picture)
    found = pixels(picture, LOAD)
    data = found[found[:, 1] < 1380]
    # Thirty cells on the diagonal: as many runs of columns as of rows.
    cell = 1196 / 30
    cells = {(int((column - 192) / cell)) for _, column in data}
    assert cells >= set(range(30))
    order = data[np.argsort(data[:, 1], kind="stable")]
    assert order[0][0] > order[-1][0], "time runs right, bytes run up"


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([], id="none"),
        pytest.param([("input", 3, 4, False)], id="one load"),
        pytest.param([("output", 31, 1, True)], id="one store"),
        pytest.param([("input", -2, 40, False), ("output", -2, 40, True)], id="larger than both"),
    ],
)
def test_few_events(make_trace: MakeTrace, tmp_path: Path, rows: list[Access]) -> None:
    picture = draw_file(make_trace(PAIR, rows), tmp_path / "a.png")
    assert picture.events == len(rows)
    said = "no access to any buffer" in " ".join(picture.notes)
    assert said == (not rows)


@pytest.mark.parametrize("role", list(Role))
def test_one_buffer_and_no_pair(make_trace: MakeTrace, tmp_path: Path, role: Role) -> None:
    rows = [("b", 0, 1, True), ("b", 0, 2, False), ("b", 1, 1, True)]
    picture = draw_file(make_trace([("b", role, 5)], rows), tmp_path / "a.svg")
    assert picture.buffers == ("b",)
    assert picture.pair is None
    said = "b: in place by construction" if role is Role.INOUT else "no pair"
    assert any(said in note for note in picture.notes)


def test_a_hundred_buffers(make_trace: MakeTrace, tmp_path: Path) -> None:
    roles = (Role.INPUT, Role.OUTPUT, Role.WEIGHTS, Role.SCRATCH)
    # Few inputs and outputs: pairs are the square of them.
    buffers = [(f"b{i}", roles[i] if i < 4 else roles[2 + i % 2], 40) for i in range(100)]
    rows = [(f"b{i}", 0, 4, i % 4 == 1) for i in range(100)]
    picture = draw_file(make_trace(buffers, rows), tmp_path / "a.png")
    assert len(picture.buffers) == 6
    assert picture.buffers[:2] == ("b0", "b1")
    assert len(picture.left_out) == 94
    assert any("94 further buffers" in note for note in picture.notes)
    chosen = draw_file(make_trace(buffers, rows), tmp_path / "b.png", buffers=["b77", "b3"])
    assert chosen.buffers == ("b77", "b3")


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("name", ["$x^2_", "<b>&amp;-->", r"\frac{1}{0}$$", "%s{}", "日本\n\x00é"])
def test_names_are_no_markup(make_trace: MakeTrace, tmp_path: Path, suffix: str, name: str) -> None:
    buffers = ((name + "i", Role.INPUT, 8), (name + "o", Role.OUTPUT, 8))
    rows = [(name + "i", 0, 4, False), (name + "o", 0, 4, True)]
    trace = make_trace(buffers, rows, function=name * 40)
    picture = draw_file(trace, tmp_path / f"a{suffix}")
    assert picture.function == printable(name) * 40
    titled = draw_file(trace, tmp_path / f"b{suffix}", title=name)
    assert titled.buffers == (printable(name) + "i", printable(name) + "o")


def test_svg_is_well_formed(make_trace: MakeTrace, tmp_path: Path) -> None:
    from xml.etree import ElementTree

    trace = make_trace(
        (("a--b", Role.INPUT, 8), ("</svg>", Role.OUTPUT, 8)), [("a--b", 0, 4, False)]
    )
    draw_file(trace, tmp_path / "a.svg")
    ElementTree.parse(tmp_path / "a.svg")


def test_several_inputs(make_trace: MakeTrace, tmp_path: Path) -> None:
    buffers = (("a", Role.INPUT, 32), ("b", Role.INPUT, 32), ("out", Role.OUTPUT, 64))
    rows = [
        access
        for part, name in enumerate("ab")
        for i in range(8)
        for access in ((name, 4 * i, 4, False), ("out", 32 * part + 4 * i, 4, True))
    ]
    trace = make_trace(buffers, rows)
    default = draw_file(trace, tmp_path / "a.png")
    assert default.pair is not None
    assert (default.pair.input, default.pair.min_displacement_bytes) == ("a", 0)
    assert any("b over out D = 32 B" in note for note in default.notes)
    other = draw_file(trace, tmp_path / "b.png", input_="b")
    assert other.pair is not None
    assert other.pair.input == "b"
    assert other.buffers[:2] == ("b", "out")


def test_cut(make_trace: MakeTrace, tmp_path: Path) -> None:
    trace = make_trace(PAIR, copying(), end=None, cut="the program was killed by SIGABRT")
    picture = draw_file(trace, tmp_path / "a.png")
    assert not picture.complete
    assert picture.events == 16
    assert any("cut" in note for note in picture.notes)


def test_summary_says_what_it_cannot_show(make_trace: MakeTrace, tmp_path: Path) -> None:
    trace = make_trace(PAIR, copying(ahead=2), mode="summary")
    picture = draw_file(trace, tmp_path / "a.png")
    assert picture.pair is not None
    assert picture.pair.min_displacement_bytes == 8
    assert "single accesses" in picture.notes[0]
    found = pixels(tmp_path / "a.png", LOAD)
    assert len(found) == 0, "no load is drawn, nor explained"


def test_conservative_and_rewritten(make_trace: MakeTrace, tmp_path: Path) -> None:
    rows = [r for r in copying() for _ in range(2)]
    rows += [("input", 0, 4, True)]
    picture = draw_file(make_trace(PAIR, rows, mode="summary"), tmp_path / "a.png")
    assert picture.pair is not None
    assert not picture.pair.exact
    assert any("stored to again" in note for note in picture.notes)
    assert any("conservative" in note for note in picture.notes)


def test_a_real_kernel(
    valgrind_tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kernel = load(find("depthwise_conv_2d_f32"), {"in_w": "12"})
    trace_kernel(kernel, tmp_path / "t.dmt")
    picture = draw_file(tmp_path / "t.dmt", tmp_path / "t.png", width_px=1000, dpi=100)
    assert picture.pair is not None
    assert picture.pair.min_displacement_bytes == 416
    assert picture.pair.safe_overlap_bytes == 4192
    assert imread(tmp_path / "t.png").shape == (picture.height_px, 1000, 4)


def test_an_input_that_is_stored_to(make_trace: MakeTrace, tmp_path: Path) -> None:
    rows: list[Access] = [("input", 0, 4, False), ("output", 0, 4, True), ("input", 0, 4, True)]
    picture = draw_file(make_trace(PAIR, rows), tmp_path / "a.png")
    assert picture.pair is not None
    assert picture.pair.exact
    assert any("the kernel stores to input" in note for note in picture.notes)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"window": 1}, "there is no window 1; it holds window 0"),
        ({"input_": "output"}, "window 0: there is no input 'output' in the window; it has input"),
        ({"output": "x"}, "there is no output 'x' in the window; it has output"),
        ({"buffers": ["x"]}, "there is no buffer 'x' in the window; it has input, output"),
        ({"dpi": 10}, "10 dots per inch, expected 50 to 1200"),
        ({"width_px": 100}, "a width of 100 pixels at 150 dots per inch, expected 1350 to 20000"),
    ],
)
def test_wrong_calls(
    make_trace: MakeTrace, tmp_path: Path, options: dict[str, object], complaint: str
) -> None:
    with pytest.raises(DiagmemError) as error:
        draw_file(make_trace(PAIR, copying()), tmp_path / "a.png", **options)
    assert complaint in str(error.value)
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.PNGG"])
def test_unknown_extension(make_trace: MakeTrace, tmp_path: Path, name: str) -> None:
    with pytest.raises(DiagmemError, match=r"expected \.png, \.svg or \.pdf"):
        draw_file(make_trace(PAIR, copying()), tmp_path / name)


def test_nowhere_to_write(make_trace: MakeTrace, tmp_path: Path) -> None:
    with pytest.raises(DiagmemError, match="cannot be written"):
        draw_file(make_trace(PAIR, copying()), tmp_path / "no" / "a.png")


def test_no_pyplot(make_trace: MakeTrace, tmp_path: Path) -> None:
    """Importing the module is cheap, and drawing never imports pyplot."""
    trace = make_trace(PAIR, copying())
    code = (
        "import sys\n"
        "from diagmem.plot.heatmap import draw\n"
        "assert 'matplotlib' not in sys.modules\n"
        "from diagmem.analysis.trace import open_trace\n"
        f"draw(open_trace({str(trace)!r}), {str(tmp_path / 'a.svg')!r})\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
