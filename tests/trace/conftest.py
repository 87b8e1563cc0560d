"""Small traces of both modes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trace.compose import compose
from tests.trace.surgery import NESTED, random_window

WINDOWS = (random_window(1, NESTED, 60), random_window(2, NESTED[3:], 40))


@pytest.fixture
def events_trace(tmp_path: Path) -> Path:
    """Two windows in several small blocks."""
    path = tmp_path / "events.dmt"
    compose(path, WINDOWS, block_events=32)
    return path


@pytest.fixture
def summary_trace(tmp_path: Path) -> Path:
    path = tmp_path / "summary.dmt"
    compose(path, WINDOWS, mode="summary")
    return path
