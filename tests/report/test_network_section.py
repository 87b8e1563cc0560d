"""What the page carries of a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagmem.networks.planning import plan_network, write_plan
from diagmem.plot.arena_shapes import Band, arena_of
from diagmem.report.network_section import _thinned, network_section
from diagmem.tflite.zoo import open_zoo

NETWORK = "mobilenet_v1_0.25_128_int8"


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return network_section(open_zoo(NETWORK), board_bytes=80_000)


def test_both_arenas_are_those_of_the_planner(found: dict[str, Any]) -> None:
    model = open_zoo(NETWORK)
    for arena, overlaps in zip(found["arenas"], ("none", "exact"), strict=True):
        plan = plan_network(model, overlaps)
        assert arena["arena_bytes"] == plan.plan.arena_bytes
        assert {b["tensor"]: b["offset"] for b in arena["blocks"]} == plan.plan.offsets
        assert len(arena["shared"]) == len(plan.shared)


def test_the_profile_is_what_each_operator_holds(found: dict[str, Any]) -> None:
    lines = {line["name"]: line["bytes"] for line in found["profile"]}
    for name, arena in zip(("without overlap", "with overlap"), found["arenas"], strict=True):
        for k in range(len(found["operators"])):
            alive = [b for b in arena["blocks"] if b["first"] <= k < b["end"]]
            assert lines[name][k] == max(b["offset"] + b["bytes"] for b in alive)
            assert lines["live tensors"][k] == sum(b["bytes"] for b in alive)


def test_tables_have_every_operator_and_tensor(found: dict[str, Any]) -> None:
    operators, pairs, tensors = found["tables"]
    assert len(operators["rows"]) == len(found["operators"]) == 31
    assert len(tensors["rows"]) == len(found["arenas"][1]["blocks"])
    shared = sum(row[pairs["columns"].index("shared (B)")] for row in pairs["rows"])
    assert shared == sum(one["bytes"] for one in found["arenas"][1]["shared"])
    for table in found["tables"]:
        assert {len(row) for row in table["rows"]} == {len(table["columns"])}


def test_a_plan_in_the_file_is_one_of_the_lines(tmp_path: Path) -> None:
    from diagmem.tflite.graph import read_model

    plan = plan_network(open_zoo(NETWORK))
    path = tmp_path / "planned.tflite"
    write_plan(plan, path)
    section = network_section(read_model(path))
    lines = {line["name"]: line["bytes"] for line in section["profile"]}
    assert lines["plan in the file"] == lines["with overlap"]
    assert ["plan in the file: proven", "no"] in section["facts"]


RISING = st.lists(st.integers(0, 3), min_size=1, max_size=12)


@given(RISING, st.lists(st.integers(0, 40), min_size=13, max_size=13), st.integers(0, 9))
def test_a_thinned_outline_is_the_same_outline(
    steps: list[int], edges: list[int], jump: int
) -> None:
    """Also where it stands still, jumps, or has a point twice."""
    time = np.cumsum([0, *steps]).astype(np.float64)
    low = np.array(edges[: len(time)], np.float64)
    low[: len(low) // 2] = jump
    band = Band(time, low, low + 50)
    kept = _thinned(band)
    corners = list(zip(*kept, strict=True))
    points = list(zip(time.tolist(), low.tolist(), (low + 50).tolist(), strict=True))
    assert corners[0] == points[0]
    assert corners[-1][0] == points[-1][0]
    remaining = iter(points)
    assert all(corner in remaining for corner in corners)
    for at, below, above in points:
        assert any(
            _on(at, below, a[0], a[1], b[0], b[1]) and _on(at, above, a[0], a[2], b[0], b[2])
            for a, b in zip(corners, [*corners[1:], corners[-1]], strict=True)
        )


def _on(x: float, y: float, x0: float, y0: float, x1: float, y1: float) -> bool:
    """Is the point on the line between the two?"""
    if not x0 <= x <= x1:
        return False
    if x0 == x1:
        return min(y0, y1) <= y <= max(y0, y1)
    return abs(y0 + (y1 - y0) * (x - x0) / (x1 - x0) - y) < 1e-6


def test_outlines_of_a_network_end_where_its_blocks_do(found: dict[str, Any]) -> None:
    arena = arena_of(plan_network(open_zoo(NETWORK)))
    for block, (original, band) in zip(found["arenas"][1]["blocks"], arena.shapes, strict=True):
        assert block["tensor"] == original.tensor
        assert (block["time"][0], block["time"][-1]) == (block["first"], block["end"])
        assert max(block["high"]) == round(float(band.high.max()))
        assert min(block["low"]) == round(float(band.low.min()))
