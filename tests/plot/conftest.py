"""Traces to draw, composed from events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from diagmem.trace.window import Buffer, Role
from tests.trace.compose import SyntheticWindow, compose

Access = tuple[str, int, int, bool]
"""Buffer, offset, size in bytes, store."""
MakeTrace = Callable[..., Path]


@pytest.fixture
def make_trace(tmp_path: Path) -> MakeTrace:
    """Writes a trace of one window from accesses by buffer name."""

    def make(
        buffers: Sequence[tuple[str, Role, int]],
        accesses: Sequence[Access],
        *,
        name: str = "trace",
        function: str = "kernel",
        end: str | None = "returned",
        **options: Any,
    ) -> Path:
        places, at = {}, 0x1000
        for buffer, role, size in buffers:
            places[buffer] = Buffer(buffer, role, at, size)
            at = (at + size + 0x1000) & ~0xFFF
        path = tmp_path / f"{name}.dmt"
        window = SyntheticWindow(
            function,
            list(places.values()),
            [places[b].address + offset for b, offset, _, _ in accesses],
            [size for _, _, size, _ in accesses],
            [store for _, _, _, store in accesses],
            end=end,
        )
        compose(path, [window], **options)
        return path

    return make


PAIR = (("input", Role.INPUT, 32), ("output", Role.OUTPUT, 32))


def copying(count: int = 8, size: int = 4, *, ahead: int = 0) -> list[Access]:
    """Loads and stores element by element; every store `ahead` of its load."""
    found: list[Access] = []
    for i in range(count):
        found.append(("input", i * size, size, False))
        found.append(("output", min(i + ahead, count - 1) * size, size, True))
    return found
