"""Reports in a real browser: what is drawn is what was recorded, and all of it works."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diagmem.networks.planning import plan_network, write_plan
from diagmem.report import kernel_section as kernel_module
from diagmem.tflite.zoo import open_zoo
from diagmem.trace.composer import Mode
from diagmem.trace.window import Role
from tests.report.conftest import PAIR, Page, Touch, copying, million, window_of
from tests.trace.compose import compose

OpenReport = Callable[..., Page]
NETWORK = "mobilenet_v1_0.25_128_int8"
TRACES = Path(__file__).resolve().parents[2] / "traces"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net.tflite"
    write_plan(plan_network(open_zoo(NETWORK)), path)
    return path


# ---- pixel truth ----

SPOTS = ((0, 0), (0, 99_999), (999_999, 99_999), (654_321, 50_001))
"""Tick and offset: first and last of both, and one in a million."""


@pytest.mark.parametrize("spot", SPOTS)
@pytest.mark.parametrize("whole", [True, False], ids=["events", "planes"])
def test_one_store_in_a_million_is_where_it_was(
    open_report: OpenReport,
    tmp_path: Path,
    spot: tuple[int, int],
    whole: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not whole:
        monkeypatch.setattr(kernel_module, "WHOLE_EVENTS", 1000)
    size, events = 100_000, 1_000_000
    page = open_report(million(tmp_path / "million.dmt", [spot], size, events))
    store, both = page.colour("store"), page.colour("both")
    tick, offset = spot
    # Beside it, in one cell of two pixels, there may be loads of byte 0.
    assert page.pixel("data", tick + 0.5, offset + 0.5) in {store, both}
    for aside in (-events // 100, events // 100):
        if 0 <= tick + aside < events:
            assert page.pixel("data", tick + aside, offset + 0.5) not in {store, both}
    for aside in (-size // 50, size // 50):
        if 0 <= offset + aside < size:
            assert page.pixel("data", tick + 0.5, offset + aside) not in {store, both}


def test_a_picture_with_its_store_elsewhere_is_caught(
    open_report: OpenReport, tmp_path: Path
) -> None:
    page = open_report(million(tmp_path / "million.dmt", [(600_000, 50_001)], 100_000, 1_000_000))
    found = page.pixel("data", 654_321.5, 50_001.5)
    assert found not in {page.colour("store"), page.colour("both")}


def test_each_cell_of_a_small_trace_has_its_colour(open_report: OpenReport, tmp_path: Path) -> None:
    path = tmp_path / "small.dmt"
    touches: list[Touch] = [
        ("data", 3, 2, True),
        ("data", 0, 1, False),
        ("data", 4, 1, False),
        ("data", 7, 4, True),
        ("data", -2, 3, False),
    ]
    compose(path, [window_of([("data", Role.SCRATCH, 9)], touches)])
    page = open_report(path)
    expected = {"load": page.colour("load"), "store": page.colour("store")}
    expected |= {"live": page.colour("other-live"), "dead": page.colour("plot")}
    alive = {(byte, tick) for byte, end in ((0, 5), (4, 3)) for tick in range(end)}
    for tick, (_, offset, size, store) in enumerate(touches):
        for byte in range(9):
            if offset <= byte < offset + size:
                kind = "store" if store else "load"
            else:
                kind = "live" if (byte, tick) in alive else "dead"
            found = page.pixel("data", tick + 0.5, byte + 0.5)
            assert found == expected[kind], (tick, byte, kind)


def test_around_the_limit_a_long_trace_shows_single_accesses(
    open_report: OpenReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_module, "WHOLE_EVENTS", 1000)
    monkeypatch.setattr(kernel_module, "CLOSE_TICKS", 200)
    elements, ahead = 4000, 5
    # From the middle on, stores run ahead; what they leave out comes last.
    middle = elements // 2
    order = [*range(middle), *range(middle + ahead, elements), *range(middle, middle + ahead)]
    touches: list[Touch] = []
    for i, stored in enumerate(order):
        touches.append(("output", 4 * stored, 4, True))
        touches.append(("input", 4 * i, 4, False))
    path = tmp_path / "ahead.dmt"
    buffers = (("input", Role.INPUT, 4 * elements), ("output", Role.OUTPUT, 4 * elements))
    compose(path, [window_of(buffers, touches)])
    page = open_report(path)
    page.press("Go to the limiting access")
    low, high, bottom, top = page.view("input over")
    assert high - low == 128
    assert low < elements < high
    seen = 0
    for tick in range(int(low), int(high)):
        name, offset, _, store = touches[tick]
        byte = offset + (4 * (ahead + 1) if name == "input" else 0) + 2
        # The ring lies over the middle.
        if bottom < byte < top and abs(tick - (low + high) / 2) > 10:
            kind = page.colour("store" if store else "load")
            assert page.pixel("input over", tick + 0.5, byte) == kind, tick
            seen += 1
    assert seen > 10


# ---- what a reader does ----


def test_hovering_tells_tick_offset_size_kind_and_source(
    open_report: OpenReport, copy_trace: Path
) -> None:
    page = open_report(copy_trace)
    told = page.hover("input over", 20.5, 41.5)
    assert "tick 20" in told
    assert "input: bytes [40, 42)" in told or "input: byte" in told
    assert "tick 20: load of 4 B at offset 40 by kernel, kernel.c:7" in told
    assert "is needed in ticks" in told
    told = page.hover("output", 21.5, 41.5)
    assert "tick 21: store of 4 B at offset 40 by kernel, kernel.c:9" in told


def test_keys_zoom_and_pan_and_read_out(open_report: OpenReport, copy_trace: Path) -> None:
    page = open_report(copy_trace)
    whole = page.view("input over")
    page.keys("input over", "+", "+")
    near = page.view("input over")
    assert near[1] - near[0] < (whole[1] - whole[0]) / 2
    assert page.view("output")[:2] == near[:2]
    page.keys("input over", "\ue014")
    assert page.view("input over")[0] > near[0]
    assert page.view("input over")[2:] == near[2:]
    page.keys("input over", "\ue008\ue012\ue008")
    status = page.script(
        "return arguments[0].parentElement.querySelector('[role=status]').textContent",
        page.canvas("input over"),
    )
    assert "tick" in status
    page.keys("input over", "0")
    assert page.view("input over") == whole


def test_the_wheel_zooms_a_chosen_picture_only(open_report: OpenReport, copy_trace: Path) -> None:
    page = open_report(copy_trace)
    wheel = """
      const [canvas, x, y] = arguments;
      const box = canvas.getBoundingClientRect();
      canvas.dispatchEvent(new WheelEvent("wheel", {
        deltaY: -100, clientX: box.x + x, clientY: box.y + y, bubbles: true, cancelable: true,
      }));
    """
    whole = page.view("output")
    at = page.place("output", 30, 60)
    page.script(wheel, page.canvas("output"), *at)
    page.until_drawn()
    assert page.view("output") == whole
    page.script("arguments[0].focus()", page.canvas("output"))
    page.script(wheel, page.canvas("output"), *at)
    page.until_drawn()
    low, high, *_ = page.view("output")
    assert (low, high) != (whole[0], whole[1])
    assert low <= 30 < high


def test_the_button_goes_to_the_limiting_access(open_report: OpenReport, tmp_path: Path) -> None:
    path = tmp_path / "limited.dmt"
    buffers = (("input", Role.INPUT, 4000), ("output", Role.OUTPUT, 4000))
    touches = copying(1000)
    touches.insert(1001, ("output", 2400, 4, True))
    compose(path, [window_of(buffers, touches)])
    page = open_report(path)
    page.press("Go to the limiting access")
    low, high, bottom, top = page.view("input over")
    assert high - low <= 128
    assert low <= 1001 < high
    assert bottom < 2400 < top


def test_tables_sort_filter_and_download(open_report: OpenReport, model: Path) -> None:
    page = open_report(model)
    body = '//section[@aria-label="Operators"]//tbody/tr'

    def column(number: int) -> list[str]:
        rows = page.driver.find_elements("xpath", f"{body}/td[{number}]")
        return [row.get_attribute("textContent") or "" for row in rows]

    assert column(1) == [str(k) for k in range(31)]
    page.press("live (B)")
    live = [int(text.replace(",", "")) for text in column(5)]
    assert live == sorted(live)
    page.press("live (B)")
    live = [int(text.replace(",", "")) for text in column(5)]
    assert live == sorted(live, reverse=True)
    assert page.button("live (B)").find_element("xpath", "..").get_attribute("aria-sort") == (
        "descending"
    )
    search = page.driver.find_element("css selector", 'input[aria-label="Filter Operators"]')
    search.send_keys("depthwise")
    assert set(column(2)) == {"DEPTHWISE_CONV_2D"}
    page.press("CSV")
    with page.saved("net.tflite_Operators.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0][:5] == ["operator", "name", "reads (B)", "writes (B)", "live (B)"]
    assert len(rows) == 1 + len(column(2))


def test_all_data_and_all_events_can_be_saved(open_report: OpenReport, copy_trace: Path) -> None:
    page = open_report(copy_trace)
    page.press("Download tables and facts (JSON)")
    data = json.loads(page.saved("report.json").read_text(encoding="utf-8"))
    assert data["made"][0] == ["command", "diagmem report"]
    titles = [table["title"] for table in data["sections"][0]["tables"]]
    assert titles == ["Windows", "Pairs of an input and an output", "Buffers"]
    page.press("Download all events (CSV)")
    with page.saved("copy.dmt_window_0_events.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 120
    assert rows[0] == {
        "buffer": "input",
        "tick": "0",
        "kind": "load",
        "offset": "0",
        "size_bytes": "4",
        "function": "kernel",
        "where": "kernel.c:7",
    }


def test_colours_can_be_chosen(open_report: OpenReport, copy_trace: Path) -> None:
    page = open_report(copy_trace)
    light = page.pixel("output", 100.5, 10.5)
    assert light == page.colour("output-live") == "#fbe0c8"
    page.press("Colours: auto")
    page.press("Colours: light")
    assert page.script("return document.documentElement.dataset.theme") == "dark"
    assert page.pixel("output", 100.5, 10.5) == page.colour("output-live") != light


def test_an_arena_tells_its_tensors(open_report: OpenReport, model: Path) -> None:
    page = open_report(model, board_bytes=70_000)
    found = plan_network(open_zoo(NETWORK), "none")
    block = max(found.problem.blocks, key=lambda b: b.size_bytes)
    middle = found.plan.offsets[block.tensor] + block.size_bytes / 2
    told = page.hover("without overlap", (block.first + block.end) / 2, middle)
    assert block.name in told
    assert f"{block.size_bytes:,} B" in told
    assert f"operators {block.first} to {block.end - 1}" in told
    page.press("Go to the peak")
    low, high, *_ = page.view("with overlap")
    assert high - low == 5
    told = page.hover("Bytes in use", low + 2.5, 1000)
    assert "with overlap: 65,552 B" in told
    assert "plan in the file: 65,552 B" in told


# ---- odd ones ----


@pytest.mark.parametrize("mode", ["events", "summary"])
@pytest.mark.parametrize("touches", [[], copying(1)[:1], copying(60)], ids=["0", "1", "120"])
def test_small_traces_open(
    open_report: OpenReport, tmp_path: Path, mode: Mode, touches: list[Touch]
) -> None:
    path = tmp_path / "small.dmt"
    compose(path, [window_of(PAIR, touches)], mode=mode)
    page = open_report(path)
    body = page.driver.find_element("tag name", "body").text
    assert ("a summary holds" in body) == (mode == "summary" and bool(touches))
    assert ("no access to any buffer was recorded" in body) == (not touches)
    if touches and mode == "events":
        assert page.pixel("input. ", 0.5, 1.5) == page.colour("load")


def test_a_trace_without_windows_says_so(open_report: OpenReport, tmp_path: Path) -> None:
    path = tmp_path / "bare.dmt"
    compose(path, [])
    page = open_report(path)
    assert "holds no window" in page.driver.find_element("tag name", "body").text


def test_a_hundred_buffers_are_chosen_from(open_report: OpenReport, tmp_path: Path) -> None:
    path = tmp_path / "buffers.dmt"
    buffers = [(f"b{i}", Role.SCRATCH, 8 + i) for i in range(100)]
    compose(path, [window_of(buffers, [(name, 3, 4, True) for name, _, _ in buffers])])
    page = open_report(path)
    boxes = page.driver.find_elements("css selector", "input[type=checkbox]")
    assert len(boxes) == 100
    page.script("arguments[0].click()", boxes[57])
    page.until_drawn()
    assert page.pixel("b57", 57.5, 4.5) == page.colour("store")


def test_markup_in_names_is_shown_as_text(open_report: OpenReport, tmp_path: Path) -> None:
    name = '<img src=x onerror="document.title=1">&amp;</script>'
    path = tmp_path / "markup.dmt"
    compose(path, [window_of([(name, Role.INPUT, 8)], [(name, 0, 4, False)], function=name)])
    page = open_report(path)
    assert page.driver.title == "report"
    assert page.driver.find_elements("tag name", "img") == []
    assert name in page.driver.find_element("tag name", "body").text


def test_several_windows_and_pairs_are_chosen(open_report: OpenReport, tmp_path: Path) -> None:
    from selenium.webdriver.support.select import Select

    path = tmp_path / "many.dmt"
    buffers = (*PAIR, ("more", Role.OUTPUT, 80))
    touches = {n: [*copying(n)[:-1], ("more", 0, 4, True)] for n in (10, 20)}
    compose(path, [window_of(buffers, touches[n], function=f"f{n}") for n in touches])
    page = open_report(path)
    assert page.view("input over")[1] == 20
    window, pair = page.driver.find_elements("tag name", "select")
    Select(window).select_by_index(1)
    page.until_drawn()
    assert page.view("input over")[1] == 40
    _, pair = page.driver.find_elements("tag name", "select")
    Select(pair).select_by_index(1)
    page.until_drawn()
    told = {option.text for option in Select(pair).options}
    assert told == {"input over output", "input over more"}


def test_a_picture_shows_the_trace_from_end_to_end(
    open_report: OpenReport, copy_trace: Path
) -> None:
    page = open_report(copy_trace)
    assert page.view("output") == [0, 120, 0, 240]
    assert page.view("input over") == [0, 120, 0, 240]


# ---- as a whole ----

KEPT = Path(__file__).parent / "kept"
FAR_APART = 6.0
"""Of 255, the mean difference of pictures that are not the same; fonts make some."""


def difference(page: Page, name: str) -> float:
    """Of what is seen now and a kept picture, both small.

    ``DIAGMEM_KEEP`` in the environment keeps what is seen now.
    """
    seen = Image.open(io.BytesIO(page.driver.get_screenshot_as_png())).convert("RGB")
    small = seen.resize((150, 125), Image.Resampling.BOX)
    if "DIAGMEM_KEEP" in os.environ:
        small.save(KEPT / name, optimize=True)
    kept = Image.open(KEPT / name).convert("RGB")
    return float(np.abs(np.asarray(small, float) - np.asarray(kept, float)).mean())


def test_pages_look_as_they_did(open_report: OpenReport, model: Path) -> None:
    page = open_report(TRACES / "depthwise_conv_2d_f32.dmt")
    assert difference(page, "kernel.png") < FAR_APART
    page = open_report(model, board_bytes=100_000)
    assert difference(page, "network.png") < FAR_APART


def test_another_page_is_told_from_the_kept_one(open_report: OpenReport, model: Path) -> None:
    if "DIAGMEM_KEEP" in os.environ:
        pytest.skip("pictures are being kept, not compared")
    page = open_report(model, board_bytes=100_000)
    assert difference(page, "kernel.png") > FAR_APART
    page.press("Colours: auto")
    page.press("Colours: light")
    assert difference(page, "network.png") > FAR_APART
