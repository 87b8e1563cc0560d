"""Arena diagrams: what is drawn is where the bytes are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread

from diagmem.arena import Block, Permission, Plan, Problem, Role, Step
from diagmem.base.errors import DiagmemError
from diagmem.networks.measured import (
    FRONTIER_SAMPLES,
    Measured,
    MeasuredOperator,
    MeasuredPair,
    identity,
)
from diagmem.networks.planning import NetworkPlan, Shared, plan_network
from diagmem.plot.arena import draw_arenas
from diagmem.plot.arena_panel import ACTIVATIONS, draw_view, tints_of
from diagmem.plot.arena_shapes import Arena, Band, arena_of
from diagmem.plot.arena_view import View
from diagmem.plot.paint import BOTH, INPUT_LIVE, OTHER_LIVE, OUTPUT_LIVE
from diagmem.plot.sheet import Sheet
from diagmem.tflite.graph import Model
from diagmem.tflite.zoo import open_zoo

FORMATS = (".png", ".svg", ".pdf")
EMPTY = Model("net.tflite", (), (), (), (), "", None, {}, memoryview(b""))
Frontier = tuple[int, ...]


def evenly(size: int, *, ahead: int = 0) -> Frontier:
    """A frontier that rises to the tensor's size, some bytes ahead of evenly."""
    step = size / (FRONTIER_SAMPLES - 1)
    return tuple(min(size, round(step * k) + ahead * (k > 0)) for k in range(FRONTIER_SAMPLES))


def planned(
    blocks: Sequence[tuple[int, int, int, int, Role]],
    permissions: Sequence[Permission] = (),
    *,
    operators: int | None = None,
) -> NetworkPlan:
    """A plan of blocks (offset, bytes, first and end of life, role), numbered as they come."""
    steps = max((end for _, _, _, end, _ in blocks), default=1) if operators is None else operators
    made = tuple(
        Block(i, f"net/layer_{i}/Relu;fused_{i}", size, first, end, role)
        for i, (_, size, first, end, role) in enumerate(blocks)
    )
    problem = Problem(
        blocks=made,
        permissions=tuple(permissions),
        steps=tuple(
            Step(
                "CONV_2D",
                tuple(b.tensor for b in made if b.first < k < b.end or (k == 0 == b.first)),
                tuple(b.tensor for b in made if b.first == k and b.role != "input"),
            )
            for k in range(steps)
        )
        if not permissions
        else tuple(_step(k, permissions) for k in range(steps)),
        align_bytes=1,
    )
    offsets = {i: block[0] for i, block in enumerate(blocks)}
    top = max((offset + size for offset, size, *_ in blocks), default=0)
    shared = []
    for p in permissions:
        (source, i), (target, o) = ((offsets[t], made[t].size_bytes) for t in (p.input, p.output))
        both = min(source + i, target + o) - max(source, target)
        shared.append(Shared(p, source - target, both))
    plan = Plan(offsets, top, top, True, "heuristic")
    return NetworkPlan(EMPTY, problem, plan, {}, tuple(shared), "measured", {})


def _step(k: int, permissions: Sequence[Permission]) -> Step:
    own = [p for p in permissions if p.operator == k]
    return Step(
        "CONV_2D",
        tuple(dict.fromkeys(p.input for p in own)),
        tuple(dict.fromkeys(p.output for p in own)),
    )


def permission(operator: int, source: int, target: int, least: int) -> Permission:
    return Permission(operator, source, target, least, None, least == 0, "measured")


def measured_pair(
    source: int, target: int, least: int, needed: Frontier, written: Frontier
) -> MeasuredPair:
    return MeasuredPair(
        input=source,
        output=target,
        dies=True,
        input_bytes=needed[-1],
        output_bytes=written[-1],
        min_displacement_bytes=least,
        mirror_displacement_bytes=needed[-1],
        in_place=least == 0,
        safe_overlap_bytes=0,
        formula_displacement_bytes=None,
        formula_says="",
        notes=(),
        written=written,
        needed=needed,
    )


def measured_of(plan: NetworkPlan, pairs: Sequence[Sequence[MeasuredPair]]) -> Measured:
    operators = tuple(
        MeasuredOperator(k, "CONV_2D", 0.0, 1, 0, 0, 0, 0, tuple(own))
        for k, own in enumerate(pairs)
    )
    return Measured(identity(plan.model), {}, {}, operators)


def diagonal(displacement: int = 128) -> tuple[NetworkPlan, Measured]:
    """An input of 1024 bytes over an output of 1024, each used at an even pace."""
    plan = planned(
        [(displacement, 1024, 0, 1, "input"), (0, 1024, 0, 2, "output")],
        [permission(0, 0, 1, 128)],
        operators=2,
    )
    pair = measured_pair(0, 1, 128, evenly(1024), evenly(1024, ahead=128))
    return plan, measured_of(plan, [[pair], []])


def band_of(found: Arena, tensor: int) -> Band:
    return next(band for block, band in found.shapes if block.tensor == tensor)


def area(band: Band) -> float:
    height = band.high - band.low
    return float(((height[1:] + height[:-1]) / 2 * np.diff(band.time)).sum())


def crossings(found: Arena) -> list[tuple[int, int]]:
    """Pairs of blocks that hold a byte at one time, looked for between all samples."""
    wrong = []
    for (a, one), (b, other) in combinations(found.shapes, 2):
        start, end = max(a.first, b.first), min(a.end, b.end)
        if start >= end:
            continue
        # Off the operators' edges, where a band may jump.
        within = np.linspace(1e-6, 1 - 1e-6, 257)
        time = (np.arange(start, end)[:, None] + within).ravel()
        low = np.maximum(*(np.interp(time, s.time, s.low) for s in (one, other)))
        high = np.minimum(*(np.interp(time, s.time, s.high) for s in (one, other)))
        if (high - low > 1e-3).any():
            wrong.append((a.tensor, b.tensor))
    return wrong


# ---- the shapes ----


def test_a_dying_input_ends_along_what_is_needed_of_it() -> None:
    plan, measured = diagonal()
    found = arena_of(plan, measured)
    given, made = band_of(found, 0), band_of(found, 1)
    assert given.time[0] == 0
    assert given.time[-1] == 1
    half = FRONTIER_SAMPLES // 2
    assert (given.time[half], given.low[half], given.high[half]) == (0.5, 128 + 512, 1152)
    assert (made.low[half], made.high[half]) == (0, 640)
    assert (made.time[-1], made.low[-1], made.high[-1]) == (2, 0, 1024)
    assert area(given) == pytest.approx(512)
    assert crossings(found) == []
    assert found.meetings[0].conflicts == ()


def test_frontiers_too_close_are_shown_as_a_conflict() -> None:
    """The check above can fail: one byte less, and the same frontiers cross."""
    plan, measured = diagonal(127)
    found = arena_of(plan, measured)
    assert crossings(found) == [(0, 1)]
    (conflict,) = found.meetings[0].conflicts
    assert (conflict.high - conflict.low).max() == 1


def test_a_block_that_shares_nothing_is_a_rectangle() -> None:
    plan = planned([(64, 100, 1, 4, "activation")], operators=5)
    band = band_of(arena_of(plan), 0)
    assert (*band.time, *band.low, *band.high) == (1, 4, 64, 64, 164, 164)


@pytest.mark.parametrize("above", [False, True])
def test_without_frontiers_an_output_grows_from_the_side_away(above: bool) -> None:
    """Straight, never over the input, and marked as such."""
    offsets = (0, 300) if above else (300, 0)
    mirror = Permission(0, 0, 1, 2000, 300, False, "measured")
    plan = planned(
        [(offsets[0], 700, 0, 1, "input"), (offsets[1], 900, 0, 1, "output")],
        [mirror if above else permission(0, 0, 1, 300)],
    )
    found = arena_of(plan, measured_of(plan, [[]]))
    (meeting,) = found.meetings
    assert meeting.source == "straight"
    assert crossings(found) == []
    assert area(band_of(found, 1)) == pytest.approx(450)
    assert area(band_of(found, 0)) > 0


def test_backwards_in_place_is_not_taken_for_a_conflict() -> None:
    """A kernel that starts at the end has written up to there at once."""
    plan = planned(
        [(0, 512, 0, 1, "input"), (0, 512, 0, 1, "output")],
        [Permission(0, 0, 1, 512, None, True, "measured")],
    )
    needed = (0,) * (FRONTIER_SAMPLES - 1) + (512,)
    written = (0,) + (512,) * (FRONTIER_SAMPLES - 1)
    pair = replace(measured_pair(0, 1, 512, needed, written), in_place=True)
    found = arena_of(plan, measured_of(plan, [[pair]]))
    assert found.meetings[0].source == "straight"
    assert found.meetings[0].conflicts == ()
    bad = replace(pair, in_place=False)
    assert arena_of(plan, measured_of(plan, [[bad]])).meetings[0].conflicts


def test_an_end_that_is_never_read_may_lie_under_a_growing_output() -> None:
    plan = planned(
        [(0, 1000, 0, 1, "input"), (900, 400, 0, 1, "output")],
        [Permission(0, 0, 1, 2000, 900, False, "measured")],
    )
    pair = measured_pair(0, 1, 2000, evenly(1000), evenly(400))
    pair = replace(pair, mirror_displacement_bytes=900)
    found = arena_of(plan, measured_of(plan, [[pair]]))
    assert found.meetings[0].source == "measured"
    assert crossings(found) == []
    assert band_of(found, 0).high.max() == 900
    unsafe = replace(pair, mirror_displacement_bytes=901)
    assert arena_of(plan, measured_of(plan, [[unsafe]])).meetings[0].conflicts


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_safe_pair_never_overlaps(data: st.DataObject) -> None:
    """For any frontiers, D is the most that one is above the other."""
    sizes = [data.draw(st.integers(1, 5000)) for _ in range(2)]
    needed, written = (
        tuple(sorted(data.draw(st.lists(st.integers(0, size), min_size=31, max_size=31))))
        for size in sizes
    )
    needed, written = (0, *needed, sizes[0]), (0, *written, sizes[1])
    least = max(0, *(w - n for w, n in zip(written, needed, strict=True)))
    up = least + data.draw(st.integers(0, 50))
    plan = planned(
        [(up, sizes[0], 0, 1, "activation"), (0, sizes[1], 0, 1, "activation")],
        [permission(0, 0, 1, least)],
    )
    found = arena_of(plan, measured_of(plan, [[measured_pair(0, 1, least, needed, written)]]))
    assert found.meetings[0].source == "measured"
    assert crossings(found) == []
    assert found.meetings[0].conflicts == ()


@pytest.mark.parametrize("name", ["mobilenet_v1_0.25_128_int8", "mobilenet_v2_0.35_224_int8"])
def test_no_two_blocks_of_a_network_hold_a_byte_at_one_time(name: str) -> None:
    model = open_zoo(name)
    found = arena_of(plan_network(model, "exact", solver="heuristic"))
    assert len(found.meetings) > 15
    assert {meeting.source for meeting in found.meetings} == {"loop nest"}
    assert crossings(found) == []


def test_the_peak_is_a_sum_that_adds_up() -> None:
    plan = plan_network(open_zoo("mobilenet_v1_0.25_128_int8"), "exact")
    peak = arena_of(plan).peak
    assert peak.operator == 2
    assert [block.size_bytes for block in peak.blocks] == [65536, 32768]
    assert (peak.shared_bytes, peak.unused_bytes) == (32752, 0)
    assert plan.plan.arena_bytes == 65536 + 32768 - 32752


def test_the_peak_names_gaps() -> None:
    plan = planned([(0, 50, 0, 2, "activation"), (80, 20, 1, 2, "activation")])
    peak = arena_of(plan).peak
    assert (peak.operator, peak.shared_bytes, peak.unused_bytes) == (1, 0, 30)
    assert sum(b.size_bytes for b in peak.blocks) + peak.unused_bytes == plan.plan.arena_bytes


def test_overlaps_of_another_graph_are_refused() -> None:
    plan, measured = diagonal()
    other = replace(measured, model={"name": "other.tflite", "graph_sha256": "0"})
    with pytest.raises(DiagmemError, match=r"'other.tflite'.*net.tflite"):
        arena_of(plan, other)


def test_touching_activations_have_different_tints() -> None:
    found = arena_of(plan_network(open_zoo("inception_v4_int8"), "none", solver="first-fit"))
    tints, offsets = tints_of(found), found.plan.plan.offsets
    blocks = [block for block, _ in found.shapes if block.role == "activation"]
    for a, b in combinations(blocks, 2):
        across = a.first < b.end and b.first < a.end
        up = offsets[a.tensor], offsets[b.tensor]
        meet = up[0] + a.size_bytes == up[1] or up[1] + b.size_bytes == up[0]
        if across and meet:
            assert tints[a.tensor] != tints[b.tensor]


# ---- the picture ----


def drawn_views(monkeypatch: pytest.MonkeyPatch) -> list[View]:
    """Collects the panels of what is drawn from now on."""
    views: list[View] = []

    def keep(sheet: Sheet, view: View, *rest: Any) -> None:
        views.append(view)
        draw_view(sheet, view, *rest)

    monkeypatch.setattr("diagmem.plot.arena.draw_view", keep)
    return views


def colour_at(image: npt.NDArray[np.float32], view: View, operator: float, byte: float) -> str:
    left, top, width, height = view.rect
    x = left + (operator - view.start) / (view.end - view.start) * width
    y = top + height - byte / view.top_bytes * height
    red, green, blue = np.round(image[int(y), int(x), :3] * 255).astype(int)
    return f"#{red:02x}{green:02x}{blue:02x}"


def test_pixels_lie_where_the_bytes_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    views = drawn_views(monkeypatch)
    plan, measured = diagonal()
    draw_arenas({"": plan}, tmp_path / "a.png", measured=measured)
    image, (view,) = imread(tmp_path / "a.png"), views
    per_pixel = view.top_bytes / view.rect[3]
    near = 8 * per_pixel
    # At 3/4 of operator 0 the output reaches 768 + 128, the input begins there.
    for time, edge in ((0.25, 384), (0.75, 896)):
        assert colour_at(image, view, time, edge - near) == OUTPUT_LIVE
        assert colour_at(image, view, time, edge + near) == INPUT_LIVE
    assert colour_at(image, view, 0.75, 1152 - near) == INPUT_LIVE
    assert colour_at(image, view, 1.5, 1024 - near) == OUTPUT_LIVE
    assert colour_at(image, view, 1.5, 1024 + near) == "#ffffff"
    assert colour_at(image, view, 1.25, near) == OUTPUT_LIVE
    # The arena's line is dark and dashed along its very pixel row.
    row = view.rect[1] + view.rect[3] - round(1152 / per_pixel)
    line = image[row - 1 : row + 1, view.rect[0] : view.rect[0] + view.rect[2], :3]
    assert 0.4 < (line.mean(axis=(0, 2)) < 0.6).mean() < 0.9


def test_conflicts_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    views = drawn_views(monkeypatch)
    plan, measured = diagonal(0)
    draw_arenas({"": plan}, tmp_path / "a.png", measured=measured)
    assert colour_at(imread(tmp_path / "a.png"), views[0], 0.5, 512 + 64) == BOTH


def test_two_plans_share_one_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    views = drawn_views(monkeypatch)
    plan, measured = diagonal()
    apart = planned([(1024, 1024, 0, 1, "input"), (0, 1024, 0, 2, "output")], operators=2)
    draw_arenas(
        {"before": apart, "after": plan}, tmp_path / "a.png", measured=measured, board_bytes=2000
    )
    before, after = views
    assert before.top_bytes == after.top_bytes > 2048
    assert before.rect[1:] == after.rect[1:]
    assert before.rect[0] + before.rect[2] < after.rect[0]
    assert [(level.kind, level.at_bytes) for level in after.levels] == [
        ("peak", 1152),
        ("other", 2048),
        ("board", 2000),
    ]


def test_a_board_far_above_does_not_flatten_the_arena(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = drawn_views(monkeypatch)
    plan, measured = diagonal()
    draw_arenas({"": plan}, tmp_path / "a.png", measured=measured, board_bytes=1 << 20)
    assert views[0].top_bytes < 1300
    assert [level.kind for level in views[0].levels] == ["peak"]


def test_many_operators_get_a_close_up_of_the_peak(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = drawn_views(monkeypatch)
    blocks: list[tuple[int, int, int, int, Role]] = [
        (k % 7 * 100, 100, k, min(k + 2, 600), "activation") for k in range(600)
    ]
    blocks[301] = (700, 4000, 301, 302, "activation")
    draw_arenas({"": planned(blocks)}, tmp_path / "a.png")
    whole, near = views
    assert (whole.start, whole.end, whole.frame) == (0, 600, (293, 310))
    assert (near.start, near.end, near.frame) == (293, 310, None)
    assert whole.top_bytes == near.top_bytes


CASES = {
    "nothing to place": planned([], operators=1),
    "one operator": planned([(0, 64, 0, 1, "input"), (64, 16, 0, 1, "output")]),
    "only empty tensors": planned([(0, 0, 0, 1, "input"), (0, 0, 0, 1, "output")]),
    "an empty one among others": planned(
        [(0, 64, 0, 1, "input"), (32, 0, 0, 2, "activation"), (64, 8, 1, 2, "output")]
    ),
    "scratch": planned([(0, 64, 0, 1, "input"), (64, 999, 0, 1, "scratch")]),
    "one byte": planned([(0, 1, 0, 3, "activation")], operators=3),
}


@pytest.mark.parametrize("case", CASES)
def test_edge_cases_are_drawn(case: str, tmp_path: Path) -> None:
    draw_arenas({"": CASES[case]}, tmp_path / "a.png", board_bytes=64, title="$x_1$ \n \N{SNOWMAN}")
    assert imread(tmp_path / "a.png").shape[1] == 1800


def test_two_empty_arenas_are_drawn(tmp_path: Path) -> None:
    plans = {"before": CASES["nothing to place"], "after": CASES["only empty tensors"]}
    draw_arenas(plans, tmp_path / "a.png")
    assert imread(tmp_path / "a.png").shape[1] == 1800


def test_scratch_is_hatched_grey(tmp_path: Path) -> None:
    draw_arenas({"": CASES["scratch"]}, tmp_path / "a.png")
    image = np.round(imread(tmp_path / "a.png")[:, :, :3] * 255).astype(int)
    grey = [int(OTHER_LIVE[i : i + 2], 16) for i in (1, 3, 5)]
    assert (image == grey).all(axis=2).sum() > 1000
    assert OTHER_LIVE not in ACTIVATIONS


@pytest.mark.parametrize("suffix", FORMATS)
def test_same_bytes_again(tmp_path: Path, suffix: str) -> None:
    plan, measured = diagonal()
    apart = CASES["one operator"]
    for name in ("a", "b"):
        draw_arenas(
            {"before": apart, "after": plan}, tmp_path / f"{name}{suffix}", measured=measured
        )
    first, second = (tmp_path / f"{name}{suffix}" for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    assert str(tmp_path).encode() not in first.read_bytes()


def test_unknown_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DiagmemError, match=r"expected .png, .svg or .pdf"):
        draw_arenas({"": CASES["one operator"]}, tmp_path / "a.bmp")
