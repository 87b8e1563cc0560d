"""Programs that say which accesses they are about to make: all are there, and no other."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest

import diagmem
from diagmem.record.places import BufferPlace
from diagmem.record.recorder import record
from diagmem.record.request import Mode, Request
from diagmem.trace.mirror import check
from diagmem.trace.window import Role

from .conftest import compile_c

pytestmark = pytest.mark.usefixtures("valgrind_tool")

BATCHES = 1500
# Name, begin and end in `area`: two that touch, one inside another, one a few
# bytes behind, one across a page, one of a single byte.
BUFFERS = [
    ("a", 100, 300),
    ("b", 300, 317),
    ("inner", 120, 130),
    ("near", 330, 1000),
    ("page", 4090, 8200),
    ("byte", 12_000, 12_001),
]

Access = tuple[str, int, int]


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_c("probe.c", tmp_path_factory.mktemp("probe") / "probe", "-pthread")


def run(probe: Path, directory: Path, mode: Mode, values: Path | None = None) -> list[Access]:
    """Trace it; what it said that it would do."""
    said = directory / "said"
    script = f"exec {shlex.quote(str(probe))} 7 {BATCHES} > {shlex.quote(str(said))}"
    request = Request(
        command=["/bin/sh", "-c", script],
        mode=mode,
        functions=["kernel"],
        buffers=[
            BufferPlace(name, Role.OTHER, f"symbol:area@{probe}+{start},bytes:{end - start}")
            for name, start, end in BUFFERS
        ],
        values=values,
    )
    record(request, directory / f"{mode}.dmt")
    lines = [line.split() for line in said.read_text().splitlines()]
    return [(kind, int(at), int(size)) for kind, at, size in lines]


def touching(access: Access) -> bool:
    _, at, size = access
    return any(at < end and at + size > start for _, start, end in BUFFERS)


def test_events_are_what_the_program_said(probe: Path, tmp_path: Path) -> None:
    said = run(probe, tmp_path, "events", tmp_path / "values")
    expected = [access for access in said if touching(access)]
    assert len(expected) > 1000
    with diagmem.open_trace(tmp_path / "events.dmt") as trace:
        (window,) = trace.windows
        area = window.buffers[0].address - BUFFERS[0][1]
        found = [
            ("S" if store else "L", int(address) - area, int(size))
            for piece in trace.events()
            for store, address, size in zip(piece.store, piece.address, piece.size, strict=True)
        ]
    assert found == expected
    assert window.several_threads
    mirrored = check(tmp_path / "events.dmt", tmp_path / "values")
    assert mirrored.mismatches == ()
    assert mirrored.stores == sum(kind == "S" for kind, _, _ in expected)
    assert mirrored.closed == len(BUFFERS)


def test_the_summary_is_that_of_what_it_said(probe: Path, tmp_path: Path) -> None:
    expected = [access for access in run(probe, tmp_path, "summary") if touching(access)]
    with diagmem.open_trace(tmp_path / "summary.dmt") as trace:
        found = {b.name: b.refined(1) for b in trace.liveness()}
    for name, start, end in BUFFERS:
        first = np.full((2, end - start), np.iinfo(np.int64).max)
        last = np.full((2, end - start), -1)
        for tick, (kind, at, size) in enumerate(expected):
            here = slice(max(at - start, 0), max(at + size - start, 0))
            row = int(kind == "S")
            first[row, here] = np.minimum(first[row, here], tick)
            last[row, here] = tick
        live = found[name]
        assert np.array_equal([live.first_load, live.first_store], first)
        assert np.array_equal([live.last_load, live.last_store], last)
