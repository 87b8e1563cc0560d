"""Memory profiles: every byte counted, every level named, any network readable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from diagmem.arena import Block, Plan, Problem, Role, Step
from diagmem.base.errors import DiagmemError
from diagmem.networks.measured import Measured, MeasuredOperator, identity
from diagmem.networks.planning import NetworkPlan, plan_network
from diagmem.plot.profile import draw_profile
from diagmem.plot.profile_bytes import covered_bytes, live_bytes, occupied_bytes, profile_of
from diagmem.plot.profile_panel import NEEDED
from diagmem.tflite.graph import Model
from diagmem.tflite.zoo import open_zoo

FORMATS = (".png", ".svg", ".pdf")
EMPTY = Model("net.tflite", (), (), (), (), "", None, {}, memoryview(b""))
Placed = tuple[int, int, int, int, Role]
"""Offset, bytes, first operator, end of life, role."""


def planned(
    blocks: Sequence[Placed], *, names: Sequence[str] | None = None, operators: int = 1
) -> NetworkPlan:
    made = tuple(
        Block(i, f"t{i}", size, first, end, role)
        for i, (_, size, first, end, role) in enumerate(blocks)
    )
    names = ["ADD"] * operators if names is None else names
    steps = []
    for k, name in enumerate(names):
        born = tuple(b.tensor for b in made if b.first == k and b.role != "input")
        read = tuple(b.tensor for b in made if b.first <= k < b.end and b.tensor not in born)
        steps.append(Step(name, read, born))
    top = max((offset + size for offset, size, *_ in blocks), default=0)
    plan = Plan({i: b[0] for i, b in enumerate(blocks)}, top, top, True, "heuristic")
    problem = Problem(made, (), tuple(steps), align_bytes=1)
    return NetworkPlan(EMPTY, problem, plan, {"first-fit": plan}, (), "none", {})


CHAIN: list[Placed] = [
    (0, 100, 0, 1, "input"),
    (100, 60, 0, 3, "activation"),
    (0, 80, 1, 2, "activation"),
    (160, 20, 2, 3, "output"),
]


def measured_on(plan: NetworkPlan, needed: Sequence[int]) -> Measured:
    operators = tuple(
        MeasuredOperator(k, "ADD", 0.0, 0, 0, 0, count, count, ()) for k, count in enumerate(needed)
    )
    return Measured(identity(plan.model), {}, {}, operators)


def test_bytes_of_each_operator() -> None:
    plan = planned(CHAIN, operators=3)
    assert live_bytes(plan.problem).tolist() == [160, 140, 80]
    assert occupied_bytes(plan).tolist() == [160, 140, 80]
    # The second tensor half over the first: 50 bytes are shared in operator 0.
    offsets = {**plan.plan.offsets, 1: 50}
    over = replace(plan, plan=replace(plan.plan, offsets=offsets))
    assert occupied_bytes(over).tolist() == [110, 110, 80]


PLACES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 20), st.integers(0, 4)), max_size=6)


@given(PLACES)
def test_occupied_bytes_by_counting(places: list[tuple[int, int, int]]) -> None:
    blocks: list[Placed] = [
        (offset, size, first, min(first + 2, 5), "activation") for offset, size, first in places
    ]
    plan = planned(blocks, operators=5)
    for k in range(5):
        here = [(o, s) for o, s, first, end, _ in blocks if first <= k < end]
        cells = {at for offset, size in here for at in range(offset, offset + size)}
        assert occupied_bytes(plan)[k] == len(cells)
        assert live_bytes(plan.problem)[k] == sum(size for _, size in here)


@given(st.lists(st.tuples(st.integers(-9, 30), st.integers(0, 12)), max_size=8))
def test_covered_bytes(ranges: list[tuple[int, int]]) -> None:
    expected = {at for low, size in ranges for at in range(low, low + size)}
    assert covered_bytes((low, low + size) for low, size in ranges) == len(expected)


def test_a_network_takes_no_more_than_is_alive() -> None:
    """And without overlap just that; with it, no less than the largest tensor."""
    model = open_zoo("mobilenet_v1_0.25_128_int8")
    plans = {"apart": plan_network(model, "none"), "exact": plan_network(model)}
    profile = profile_of(plans)
    assert int(profile.live.max()) == 98304
    assert np.array_equal(profile.occupied["apart"], profile.live)
    assert (profile.occupied["exact"] <= profile.live).all()
    assert int(profile.occupied["exact"].max()) <= plans["exact"].plan.arena_bytes
    assert int(profile.occupied["exact"].max()) < 98304


@pytest.mark.parametrize("suffix", FORMATS)
def test_same_bytes_again(tmp_path: Path, suffix: str) -> None:
    plan = planned(CHAIN, operators=3)
    one, two = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    for path in (one, two):
        draw_profile(
            {"a": plan, "b": plan}, path, measured=measured_on(plan, [9, 9, 9]), board_bytes=170
        )
    assert one.read_bytes() == two.read_bytes()
    assert str(tmp_path).encode() not in one.read_bytes()


def test_heights_are_bytes(tmp_path: Path) -> None:
    """The area of what is needed reaches up to its bytes, in each operator's columns."""
    plan = planned(CHAIN, operators=3)
    path = tmp_path / "a.png"
    draw_profile({"a": plan}, path, measured=measured_on(plan, [40, 80, 20]))
    image = np.round(imread(path)[:, :, :3] * 255).astype(int)
    wanted = [int(NEEDED[i : i + 2], 16) for i in (1, 3, 5)]
    green = (image == wanted).all(axis=2)
    # The panel spans 1800 - (130 + 370) pixels from 130 on, and 560 for 180 * 1.04 bytes.
    heights = [int(green[:, 130 + round(1300 * (k + 0.3) / 3)].sum()) for k in range(3)]
    assert heights == pytest.approx([560 * n / (180 * 1.04) for n in (40, 80, 20)], abs=3)


@pytest.mark.parametrize(
    ("blocks", "operators"),
    [
        pytest.param([], 0, id="nothing"),
        pytest.param([], 1, id="no tensors"),
        pytest.param([(0, 0, 0, 1, "input")], 1, id="no bytes"),
        pytest.param([(0, 1, 0, 1, "input")], 1, id="a byte"),
        pytest.param([(0, 1 << 40, k, k + 1, "activation") for k in range(700)], 700, id="many"),
    ],
)
def test_smallest_and_largest(tmp_path: Path, blocks: list[Placed], operators: int) -> None:
    plan = planned(blocks, operators=operators)
    draw_profile({"a": plan}, tmp_path / "a.png", board_bytes=1000)
    assert imread(tmp_path / "a.png").shape[1] == 1800


@pytest.mark.parametrize("name", ["$x^2_", "$a$", r"$\frac{1}{0}$", "<b>&amp;", "%s{}" * 60])
@pytest.mark.parametrize("suffix", FORMATS)
def test_names_are_no_markup(tmp_path: Path, suffix: str, name: str) -> None:
    plan = planned(CHAIN, names=[name] * 3)
    over = replace(plan, plan=replace(plan.plan, offsets={**plan.plan.offsets, 1: 50}))
    draw_profile({name: plan, f"{name} over": over}, tmp_path / f"a{suffix}", title=name)


def test_refusals(tmp_path: Path) -> None:
    plan = planned(CHAIN, operators=3)
    other = planned(CHAIN, operators=4)
    foreign = replace(measured_on(plan, [1, 2, 3]), model={"name": "x", "graph_sha256": "0"})
    for plans, measured, name, said in (
        ({}, None, "a.png", "0 plans to draw, expected 1 to 4"),
        ({str(i): plan for i in range(5)}, None, "a.png", "5 plans to draw"),
        ({"a": other, "b": plan}, None, "a.png", "plan 'a': is of another network"),
        ({"a": plan}, foreign, "a.png", "overlaps of 'x': expected ones"),
        ({"a": plan}, None, "a.gif", r"expected \.png, \.svg or \.pdf"),
        ({"a": plan}, None, "no/a.png", "cannot be written"),
    ):
        with pytest.raises(DiagmemError, match=said):
            draw_profile(plans, tmp_path / name, measured=measured)
    assert not list(tmp_path.iterdir())
