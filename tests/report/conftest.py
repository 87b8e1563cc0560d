"""Traces to report on, and a browser that opens the pages."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest

from diagmem.report.page import page, write_page
from diagmem.report.sections import sections_of
from diagmem.trace.window import Buffer, Role, Site
from tests.tools import missing, need_package
from tests.trace.compose import SyntheticWindow, compose

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

Touch = tuple[str, int, int, bool]
"""Buffer, offset, size in bytes, store."""
SITES = (
    Site("load", 4, 0x10, "kernel", "libkernel.so", 0x10, "kernel.c", 7),
    Site("store", 4, 0x14, "kernel", "libkernel.so", 0x14, "kernel.c", 9),
)
"""Of accesses of 4 bytes."""


def window_of(
    buffers: Sequence[tuple[str, Role, int]], touches: Sequence[Touch], **options: Any
) -> SyntheticWindow:
    """A window with its buffers far apart."""
    placed = {
        name: Buffer(name, role, (number + 1) << 32, size)
        for number, (name, role, size) in enumerate(buffers)
    }
    return SyntheticWindow(
        options.pop("function", "kernel"),
        list(placed.values()),
        [placed[name].address + offset for name, offset, _, _ in touches],
        [size for _, _, size, _ in touches],
        [store for *_, store in touches],
        **options,
    )


def million(path: Path, touched: Sequence[tuple[int, int]], size_bytes: int, events: int) -> Path:
    """A trace of one buffer: loads of byte 0, but for single stores at (tick, offset)."""
    offset = np.zeros(events, np.int64)
    store = np.zeros(events, np.bool_)
    for tick, at in touched:
        offset[tick], store[tick] = at, True
    buffer = Buffer("data", Role.SCRATCH, 0x10000, size_bytes)
    address: npt.NDArray[np.int64] = buffer.address + offset
    compose(path, [SyntheticWindow("kernel", [buffer], address, np.ones(events), store)])
    return path


def copying(elements: int) -> list[Touch]:
    """A kernel that copies 4 bytes at a time, each load before its store."""
    pairs = ((("input", 4 * i, 4, False), ("output", 4 * i, 4, True)) for i in range(elements))
    return [touch for pair in pairs for touch in pair]


PAIR = (("input", Role.INPUT, 240), ("output", Role.OUTPUT, 240))


@pytest.fixture
def copy_trace(tmp_path: Path) -> Path:
    """A trace with source lines, of one window."""
    path = tmp_path / "copy.dmt"
    touches = copying(60)
    window = window_of(PAIR, touches, site=[int(store) for *_, store in touches])
    compose(path, [window], sites=SITES)
    return path


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    """One browser for all tests; they skip where there is none."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        missing("chromium or chromedriver is not installed")
    need_package("selenium", "selenium")
    webdriver: Any = importlib.import_module("selenium.webdriver")

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    saved = tmp_path_factory.mktemp("saved")
    for word in (
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        "--force-device-scale-factor=1",
        "--window-size=1200,1000",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(word)
    # More than one download from a page is allowed without asking.
    automatic = "profile.default_content_setting_values.automatic_downloads"
    prefs = {"download.default_directory": str(saved), automatic: 1}
    options.add_experimental_option("prefs", prefs)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(executable_path=driver)
    )
    opened.saved = saved
    yield opened
    opened.quit()


@pytest.fixture
def open_report(chromium: WebDriver, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Makes a page of files and opens it; fails if the browser complained."""

    def opened(*paths: Path, **options: Any) -> Page:
        target = tmp_path / "report.html"
        write_page(page("report", "diagmem report", sections_of(paths, **options)), target)
        chromium.set_window_size(1200, 1000)
        chromium.get(target.as_uri())
        found = Page(chromium)
        found.until_drawn()
        return found

    yield opened
    # Selenium does not annotate get_log.
    complaints = chromium.get_log("browser")  # type: ignore[no-untyped-call]
    # That one is about the tests, which read pixels.
    assert [c for c in complaints if "willReadFrequently" not in c["message"]] == []


class Page:
    """An opened report; pictures are named by how their label begins."""

    def __init__(self, driver: WebDriver) -> None:
        self.driver = driver

    def script(self, text: str, *arguments: Any) -> Any:
        return self.driver.execute_script(text, *arguments)

    def until_drawn(self) -> None:
        """Every picture in sight is painted, and nothing is left to be."""
        self.driver.set_script_timeout(20)
        self.driver.execute_async_script(
            """
            const done = arguments[arguments.length - 1];
            const ready = () => document.documentElement.dataset.ready
              && !document.getElementById("sections").textContent.includes("unpacking …")
              && [...document.querySelectorAll("canvas")]
                .every((canvas) => !canvas.clientWidth || canvas.dataset.view);
            const look = () => requestAnimationFrame(() => requestAnimationFrame(
              () => (ready() ? done() : look())));
            look();
            """
        )

    def canvas(self, name: str) -> Any:
        return self.driver.find_element("css selector", f'canvas[aria-label^="{name}"]')

    def view(self, name: str) -> list[float]:
        """Lowest and highest x, lowest and highest y."""
        return [float(word) for word in self.canvas(name).get_attribute("data-view").split()]

    def place(self, name: str, x: float, y: float) -> tuple[float, float]:
        """The pixels of values, from the canvas's left and top."""
        left, top, width, height = map(float, self.canvas(name).get_attribute("data-plot").split())
        x_low, x_high, y_low, y_high = self.view(name)
        return (
            left + (x - x_low) / (x_high - x_low) * width,
            top + (1 - (y - y_low) / (y_high - y_low)) * height,
        )

    def pixel(self, name: str, x: float, y: float) -> str:
        """The colour at values, as #rrggbb."""
        px, py = self.place(name, x, y)
        red, green, blue, _ = self.script(
            "return [...arguments[0].getContext('2d').getImageData("
            "Math.floor(arguments[1]), Math.floor(arguments[2]), 1, 1).data]",
            self.canvas(name),
            px,
            py,
        )
        return f"#{red:02x}{green:02x}{blue:02x}"

    def colour(self, name: str) -> str:
        """What page.css calls by that name now."""
        found = self.script(
            "return getComputedStyle(document.documentElement).getPropertyValue(arguments[0])",
            f"--{name}",
        )
        return str(found).strip()

    def hover(self, name: str, x: float, y: float) -> str:
        """Move the mouse there; what the picture then tells."""
        from selenium.webdriver import ActionChains

        canvas = self.canvas(name)
        self.script("arguments[0].scrollIntoView({block: 'center'})", canvas)
        px, py = self.place(name, x, y)
        size = canvas.size
        ActionChains(self.driver).move_to_element_with_offset(
            canvas, round(px - size["width"] / 2), round(py - size["height"] / 2)
        ).perform()
        tip = self.script("return arguments[0].parentElement.querySelector('.tip')", canvas)
        return str(tip.text)

    def keys(self, name: str, *keys: str) -> None:
        """Focus a picture and press keys."""
        canvas = self.canvas(name)
        self.script("arguments[0].focus()", canvas)
        canvas.send_keys(*keys)
        self.until_drawn()

    def press(self, text: str) -> None:
        """The first button of that text."""
        self.script("arguments[0].click()", self.button(text))
        self.until_drawn()

    def button(self, text: str) -> Any:
        return self.driver.find_element("xpath", f'//button[normalize-space()="{text}"]')

    def saved(self, name: str) -> Path:
        """A download of that name, when it is there."""
        import time

        # The fixture puts it there: a session has one browser, one folder of downloads.
        path: Path = self.driver.saved / name  # type: ignore[attr-defined]
        for _ in range(100):
            if path.exists():
                return path
            time.sleep(0.05)
        raise AssertionError(f"{name} was not saved")
