"""What a site touched before is remembered while a window is open: never for too long.

The same few instructions walk over buffers that move from window to window, that touch,
nest and overlap, from 1 to 128 of them, aligned and not, so that cells are refined; and
ticks widen after a few events.  Both modes must say what the program was told to do.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

import diagmem
from diagmem.kernels.build import header_directory
from diagmem.record import valgrind
from diagmem.record.recorder import record
from diagmem.record.request import Mode, Request

from .conftest import compile_c

pytestmark = pytest.mark.usefixtures("valgrind_tool")

Buffer = tuple[int, int]
Access = tuple[str, int, int]
Window = tuple[list[Buffer], list[Access]]


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    binary = tmp_path_factory.mktemp("moving") / "moving"
    return compile_c("moving.c", binary, f"-I{header_directory()}")


def buffers_of(rng: random.Random) -> list[Buffer]:
    count = rng.choice([1, 1, 2, 2, 3, 8, 40, 128])
    unit = rng.choice([1, 4, 16, 64])
    at = rng.randrange(0, 1 << 12) * rng.choice([1, 16, 64])
    made = []
    for _ in range(count):
        size = unit * rng.randrange(1, 40)
        made.append((at, at + size))
        at += size + rng.choice([0, 0, 0, unit, 70, 300, 5000])
    if rng.random() < 0.4:  # one inside another, and one over two
        start, end = made[rng.randrange(count)]
        middle = rng.randrange(start, end)
        made.append((middle, rng.randrange(middle, end) + 1))
        made.append((made[0][0], made[min(1, count - 1)][1]))
    return list(dict.fromkeys(made))


def accesses_of(rng: random.Random, buffers: list[Buffer], count: int) -> list[Access]:
    """Runs through the buffers, as kernels make them, with odd ones between."""
    made: list[Access] = []
    while len(made) < count:
        start, end = rng.choice(buffers)
        kind, size = rng.choice("LS"), rng.choice([1, 2, 4, 8])
        step = rng.choice([size, size, -size, 3])
        at = rng.randrange(max(start - 9, 0), end + 2)
        if rng.random() < 0.7:
            at -= (at - start) % size
        for _ in range(rng.randrange(1, 30)):
            if 0 <= at < (1 << 20) - 8:
                made.append((kind, size, at))
            at += step
    return made[:count]


def windows_of(seed: int) -> list[Window]:
    rng = random.Random(seed)
    made = []
    for _ in range(12):
        buffers = buffers_of(rng)
        made.append((buffers, accesses_of(rng, buffers, 400)))
        if rng.random() < 0.3:  # the same accesses, other buffers
            moved = [(start + 8, end + 8) for start, end in buffers]
            made.append((moved, made[-1][1]))
    return made


def traced(moving: Path, windows: list[Window], mode: Mode, directory: Path) -> Path:
    script = directory / "script"
    with script.open("w") as file:
        for buffers, accesses in windows:
            print(len(buffers), *(f"{a} {b}" for a, b in buffers), file=file)
            print(len(accesses), *(f"{k} {s} {at}" for k, s, at in accesses), file=file)
    request = Request(command=[str(moving), str(script)], mode=mode)
    return record(request, directory / f"{mode}.dmt").path


def ticks(buffer: Buffer, events: list[Access]) -> list[list[int]]:
    """First and last load and store of each byte, by the definition."""
    start, end = buffer
    never = np.iinfo(np.int64).max
    first = {kind: [never] * (end - start) for kind in "LS"}
    last = {kind: [-1] * (end - start) for kind in "LS"}
    for tick, (kind, size, at) in enumerate(events):
        for byte in range(max(at, start), min(at + size, end)):
            last[kind][byte - start] = tick
            first[kind][byte - start] = min(first[kind][byte - start], tick)
    return [first["L"], last["L"], first["S"], last["S"]]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("narrow", [0, 1, 300])
def test_both_modes_say_what_was_done(
    seed: int, narrow: int, moving: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    switches = [f"--narrow-ticks={narrow}"] if narrow else []
    monkeypatch.setattr(valgrind, "_switches", lambda request: switches)
    windows = windows_of(seed)
    modes: tuple[Mode, ...] = ("summary",) if narrow else ("events", "summary")
    for mode in modes:
        with diagmem.open_trace(traced(moving, windows, mode, tmp_path)) as trace:
            assert len(trace.windows) == len(windows)
            for window, (buffers, accesses) in zip(trace.windows, windows, strict=True):
                events = [
                    (kind, size, at)
                    for kind, size, at in accesses
                    if any(at < end and at + size > start for start, end in buffers)
                ]
                assert window.events == len(events)
                live = {b.name: b.refined(1) for b in trace.liveness(window.index)}
                for number, buffer in enumerate(buffers):
                    of = live[f"b{number}"]
                    columns = of.first_load, of.last_load, of.first_store, of.last_store
                    assert [c.tolist() for c in columns] == ticks(buffer, events)
