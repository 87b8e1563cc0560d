"""The page as a file: complete, safe, the same every time."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from diagmem.cli.main import main
from diagmem.report.page import embedded, page
from tests.report.conftest import PAIR, copying, window_of
from tests.trace.compose import compose

MARKUP = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&amp;$script"


class Elements(HTMLParser):
    """Which elements a page has, and the addresses in them."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]


def elements(text: str) -> Elements:
    found = Elements()
    found.feed(text)
    return found


def test_nothing_is_fetched() -> None:
    found = elements(page("t", "c", []))
    assert found.addresses == ["data:,"]
    assert "link" in found.names
    text = page("t", "c", [])
    assert "default-src 'none'" in text
    assert not re.search(r"https?://", text)


def test_markup_in_names_stays_text() -> None:
    plain = elements(page("t", "c", [])).names
    section = {"kind": "results", "title": MARKUP, "facts": [[MARKUP, MARKUP]], "tables": []}
    text = page(MARKUP, MARKUP, [section])
    assert elements(text).names == plain
    data = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert data is not None
    assert json.loads(data[1])["sections"][0]["title"] == MARKUP


def test_embedded_data_is_json_without_markup() -> None:
    assert "<" not in embedded({"<!--": "</script>"})
    assert json.loads(embedded({"<!--": "</script>"})) == {"<!--": "</script>"}
    with pytest.raises(ValueError, match="JSON"):
        embedded(float("nan"))


def test_a_page_is_the_same_every_time(tmp_path: Path) -> None:
    trace = tmp_path / "copy.dmt"
    compose(trace, [window_of(PAIR, copying(9))])
    target = tmp_path / "report.html"
    made = []
    for _ in range(2):
        assert main(["report", str(trace), "-o", str(target), "--force"]) == 0
        made.append(target.read_bytes())
    assert made[0] == made[1]
