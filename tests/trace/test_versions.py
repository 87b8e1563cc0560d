"""A sample of every format version is kept and read for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from diagmem.analysis.trace import open_trace
from diagmem.trace.format import VERSION
from diagmem.trace.validate import validate

SAMPLES = Path(__file__).parents[2] / "traces" / "versions"

# Version and mode: events, D and O_s in bytes of each window's first pair.
EXPECTED = {
    "1-events.dmt": [(360, 0, 480)],
    "1-summary.dmt": [(17_152, 352, 3488)],
    "2-events.dmt": [(240, 208, 2032), (2, 2240, 0)],
    "2-summary.dmt": [(240, 208, 2032), (2, 2240, 0)],
}


def test_there_is_a_sample_of_each_version() -> None:
    kept = {path.name for path in SAMPLES.glob("*.dmt")}
    assert kept == {
        f"{version}-{mode}.dmt"
        for version in range(1, VERSION + 1)
        for mode in ("events", "summary")
    }
    assert kept == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_it_is_read_as_it_was(name: str) -> None:
    version, mode = name.removesuffix(".dmt").split("-")
    report = validate(SAMPLES / name)
    assert report.valid
    with open_trace(SAMPLES / name) as trace:
        assert (trace.version, trace.mode, trace.complete) == (int(version), mode, True)
        found = [
            (w.events, w.pairs[0].min_displacement_bytes, w.pairs[0].safe_overlap_bytes)
            for w in trace.overlaps()
        ]
    assert found == EXPECTED[name]
    assert sum(events for events, _, _ in found) == report.events
