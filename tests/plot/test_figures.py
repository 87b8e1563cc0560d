"""The gallery's pictures: drawn by its script, the same bytes each time, all shown."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "make_figures", ROOT / "scripts" / "make_figures.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "name", ["softmax_f32.png", "summary.png", "conv_2d_f32_O2_O3.png", "profile_mobilenet_v1.png"]
)
def test_the_same_bytes_again(script: ModuleType, name: str, tmp_path: Path) -> None:
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    for path in (one, two):
        script.MADE[name](path)
    assert one.read_bytes() == two.read_bytes()


def test_the_gallery_shows_what_there_is(script: ModuleType) -> None:
    shown = re.findall(r"!\[[^]]+\]\(figures/([^)]+)\)", (ROOT / "docs/gallery.md").read_text())
    assert len(shown) == len(set(shown))
    assert set(script.MADE) <= set(shown)
    assert [name for name in shown if not (ROOT / "docs/figures" / name).is_file()] == []
