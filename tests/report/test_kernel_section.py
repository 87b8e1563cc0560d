"""What the page carries of a trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diagmem.analysis.trace import open_trace
from diagmem.base.errors import DiagmemError
from diagmem.plot.shading import CellLives, lives_of
from diagmem.report import kernel_section as kernel_module
from diagmem.report import shapes as shapes_module
from diagmem.report.kernel_section import kernel_section
from diagmem.report.packed import characters, unpack
from diagmem.trace.window import Role
from tests.report.conftest import PAIR, Touch, copying, window_of
from tests.trace.compose import SyntheticWindow, compose

ENOUGH = 1_000_000
TRACES = Path(__file__).resolve().parents[2] / "traces"
SAMPLES = sorted(TRACES.glob("*.dmt"))


def section(path: Path, characters_at_most: int = ENOUGH, **options: Any) -> dict[str, Any]:
    with open_trace(path) as trace:
        return kernel_section(trace, characters_at_most=characters_at_most, **options)


def events_in(window: dict[str, Any], name: str) -> list[tuple[int, int, int, bool]]:
    """Tick, offset, size, store of a buffer's embedded events."""
    found = []
    (buffer,) = (b for b in window["buffers"] if b["name"] == name)
    for piece in buffer["pieces"]:
        columns = (unpack(piece[key]).tolist() for key in ("tick", "offset", "class"))
        for tick, offset, what in zip(*columns, strict=True):
            store, size, _ = window["classes"][what]
            found.append((tick + piece["start"], offset, size, bool(store)))
    return found


def events_of(path: Path, name: str) -> list[tuple[int, int, int, bool]]:
    with open_trace(path) as trace:
        return [
            (int(tick), int(offset), int(size), bool(store))
            for piece in trace.accesses(0, name)
            for tick, offset, size, store, _ in zip(
                piece.tick, piece.offset, piece.size, piece.store, piece.site, strict=True
            )
        ]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_trace_is_on_the_page_event_by_event(path: Path) -> None:
    (window,) = section(path)["windows"]
    summary = window["mode"] == "summary"
    for buffer in window["buffers"]:
        expected = [] if summary else events_of(path, buffer["name"])
        assert events_in(window, buffer["name"]) == expected


def test_places_are_those_of_the_sites(copy_trace: Path) -> None:
    found = section(copy_trace)
    (window,) = found["windows"]
    places = {found["places"][place]["where"]: store for store, _, place in window["classes"]}
    assert places == {"kernel.c:7": 0, "kernel.c:9": 1}


def test_the_limit_is_named_with_its_source_lines(tmp_path: Path) -> None:
    path = tmp_path / "limited.dmt"
    touches: list[Touch] = [("input", 4, 4, False), ("output", 8, 4, True), ("input", 0, 4, False)]
    compose(path, [window_of(PAIR, touches)])
    (window,) = section(path)["windows"]
    (pair,) = window["pairs"]
    assert pair["min_displacement_bytes"] == 240
    assert pair["limit"] is not None
    assert pair["limit_texts"][0] == "limit of D = 240 B"


def test_a_long_window_has_planes_and_the_events_around_its_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_module, "WHOLE_EVENTS", 100)
    monkeypatch.setattr(kernel_module, "CLOSE_TICKS", 10)
    path = tmp_path / "long.dmt"
    buffers = (("input", Role.INPUT, 4000), ("output", Role.OUTPUT, 4000))
    compose(path, [window_of(buffers, copying(1000))])
    (window,) = section(path)["windows"]
    assert not window["whole"]
    assert any("single events are here" in note for note in window["notes"])
    for name in ("input", "output"):
        every = events_of(path, name)
        near = [event for event in every if event[0] < 10 or event[0] >= 1990]
        assert events_in(window, name) == near
    for buffer, kind in zip(window["buffers"], ("loads", "stores"), strict=True):
        plane = buffer["plane"]
        cells = unpack(plane[kind]).reshape(plane["columns"], plane["rows"])
        assert np.count_nonzero(cells) > 0
        assert unpack(plane["stores" if kind == "loads" else "loads"]).max() == 0


def test_events_that_do_not_fit_give_way_to_planes(tmp_path: Path) -> None:
    path = tmp_path / "random.dmt"
    random = np.random.default_rng(0)
    touches = [("input", int(at), 1, False) for at in random.integers(0, 240, 30_000)]
    compose(path, [window_of(PAIR, touches)])
    budget = 20_000
    (window,) = section(path, budget)["windows"]
    assert not window["whole"]
    drawn = [(b["pieces"], b["plane"], b["lives"], b["frontier"]) for b in window["buffers"]]
    # The events around both ends are there at any budget.
    near = characters([pieces for pieces, *_ in drawn])
    assert characters(drawn) - near <= budget


def brute_lives(lives: CellLives, cells: int) -> list[tuple[int, int]]:
    alive = [
        (int(start), int(end)) if end > start else None
        for start, end in zip(lives.start, lives.end, strict=True)
    ]
    groups = [[a for a in alive[i : i + cells] if a] for i in range(0, len(alive), cells)]
    return [(min(a for a, _ in g), max(b for _, b in g)) if g else (0, 0) for g in groups]


@pytest.mark.parametrize("drawn", [1, 2, 7, 60])
def test_merged_lives_span_those_of_their_cells(
    tmp_path: Path, drawn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shapes_module, "LIVES_DRAWN", drawn)
    path = tmp_path / "copy.dmt"
    compose(path, [window_of(PAIR, copying(37)[5:])])
    (window,) = section(path)["windows"]
    with open_trace(path) as trace:
        live = trace.liveness(0)
    for buffer, whole in zip(window["buffers"], live, strict=True):
        lives = lives_of(whole, window["ticks"])
        packed = buffer["lives"]
        found = zip(unpack(packed["start"]).tolist(), unpack(packed["end"]).tolist(), strict=True)
        cells = packed["cell_bytes"] // whole.cell_bytes
        assert list(found) == brute_lives(lives, cells)
        assert packed["exact"] == (cells == 1)
        assert packed["start"]["count"] <= drawn


def test_windows_are_chosen_and_the_rest_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "many.dmt"
    compose(path, [window_of(PAIR, copying(3), function=f"f{i}") for i in range(9)])
    assert [w["index"] for w in section(path)["windows"]] == [0, 1, 2, 3]
    chosen = section(path, windows=[7, 2])
    assert [w["function"] for w in chosen["windows"]] == ["f7", "f2"]
    assert len(chosen["tables"][0]["rows"]) == 9
    assert "7 of 9 windows" in chosen["tables"][0]["note"]
    with pytest.raises(DiagmemError, match="no window 9, expected 0 to 8"):
        section(path, windows=[9])


@pytest.mark.parametrize("mode", ["events", "summary"])
@pytest.mark.parametrize("touches", [[], copying(1)[:1]], ids=["empty", "one event"])
def test_next_to_nothing(tmp_path: Path, mode: Any, touches: list[Touch]) -> None:
    path = tmp_path / "small.dmt"
    compose(path, [window_of(PAIR, touches)], mode=mode)
    (window,) = section(path)["windows"]
    assert [b["name"] for b in window["buffers"]] == ["input", "output"]
    if not touches:
        assert "no access to any buffer was recorded in this window" in window["notes"]


def test_no_window_and_no_buffer(tmp_path: Path) -> None:
    path = tmp_path / "bare.dmt"
    compose(path, [])
    assert section(path)["windows"] == []
    compose(path, [SyntheticWindow("f", [], [], [], [])])
    (window,) = section(path)["windows"]
    assert window["buffers"] == []


def test_many_buffers(tmp_path: Path) -> None:
    path = tmp_path / "buffers.dmt"
    buffers = [(f"b{i}", Role.SCRATCH, 8 + i) for i in range(150)]
    touches = [(name, 0, 4, True) for name, _, _ in buffers]
    compose(path, [window_of(buffers, touches)])
    (window,) = section(path)["windows"]
    assert len(window["buffers"]) == kernel_module.BUFFERS_DRAWN
    assert any("22 further buffers" in note for note in window["notes"])
    (_, table) = window["tables"]
    assert len(table["rows"]) == 150
