"""The mirror finds every store that was missed, invented, misplaced or out of order."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from diagmem.base.errors import DiagmemError
from diagmem.trace.mirror import CLOSING, EVENTS, FRAME, HEAD, OPENING, Mirrored, check
from diagmem.trace.window import Buffer, Role
from tests.trace.compose import SyntheticWindow, compose

# Touching, and with a gap that belongs to nobody.
BUFFERS = [
    Buffer("x", Role.INPUT, 0x1000, 24),
    Buffer("y", Role.OUTPUT, 0x1018, 16),
    Buffer("z", Role.OTHER, 0x1030, 8),
    Buffer("far", Role.OTHER, 0x9000, 5),
]


@dataclass(frozen=True)
class Moved:
    """One access, and the bytes that it moved."""

    store: bool
    address: int
    value: bytes


def some_run(seed: int) -> tuple[bytearray, list[Moved], bytearray]:
    """Memory before, accesses, memory after; memory begins at 0xff8."""
    rng = random.Random(seed)
    memory = bytearray(rng.randbytes(0x9010 - 0xFF8))
    before, moved = bytearray(memory), []
    for _ in range(60):
        buffer = rng.choice(BUFFERS)
        size = rng.choice([1, 2, 4, 8])
        address = rng.randrange(buffer.address - size + 1, buffer.end)
        at = address - 0xFF8
        if rng.random() < 0.5:
            memory[at : at + size] = rng.randbytes(size)
            moved.append(Moved(True, address, bytes(memory[at : at + size])))
        else:
            moved.append(Moved(False, address, bytes(memory[at : at + size])))
    return before, moved, memory


def mirrored(tmp_path: Path, run: tuple[bytearray, list[Moved], bytearray]) -> Mirrored:
    before, moved, after = run
    trace, values = tmp_path / "t.dmt", tmp_path / "values"
    window = SyntheticWindow(
        "f",
        BUFFERS,
        [m.address for m in moved],
        [len(m.value) for m in moved],
        [m.store for m in moved],
    )
    compose(trace, [window])
    with values.open("wb") as file:

        def frame(part: int, buffer: int, data: bytes) -> None:
            file.write(FRAME.pack(HEAD.size + len(data)) + HEAD.pack(0, part, buffer, 0) + data)

        def contents(part: int, memory: bytearray) -> None:
            for number, buffer in enumerate(BUFFERS):
                frame(part, number, bytes(memory[buffer.address - 0xFF8 : buffer.end - 0xFF8]))

        contents(OPENING, before)
        joined = b"".join(m.value for m in moved)
        frame(EVENTS, 0, joined[:70])
        if joined[70:]:
            frame(EVENTS, 0, joined[70:])
        contents(CLOSING, after)
    return check(trace, values)


@pytest.mark.parametrize("seed", range(5))
def test_a_right_trace_agrees(seed: int, tmp_path: Path) -> None:
    run = some_run(seed)
    found = mirrored(tmp_path, run)
    assert found.mismatches == ()
    assert (found.windows, found.closed) == (1, 4)
    assert found.stores == sum(m.store for m in run[1])
    assert found.loads + found.stores == len(run[1])


def inside(run: tuple[bytearray, list[Moved], bytearray], **kind: bool) -> list[int]:
    """The accesses of one kind that lie whole in a buffer."""
    return [
        i
        for i, m in enumerate(run[1])
        if m.store == kind["store"]
        and any(b.address <= m.address and m.address + len(m.value) <= b.end for b in BUFFERS)
    ]


@pytest.mark.parametrize("seed", range(4))
def test_a_missed_store_shows(seed: int, tmp_path: Path) -> None:
    run = some_run(seed)
    for i in inside(run, store=True)[::3]:
        left = run[1][:i] + run[1][i + 1 :]
        # A later store may cover it all before anybody looks.
        covered = all(
            any(n.store and n.address <= a < n.address + len(n.value) for n in run[1][i + 1 :])
            for a in range(run[1][i].address, run[1][i].address + len(run[1][i].value))
        )
        found = mirrored(tmp_path, (run[0], left, run[2]))
        assert covered or found.mismatches


@pytest.mark.parametrize("seed", range(4))
def test_an_invented_store_shows(seed: int, tmp_path: Path) -> None:
    run = some_run(seed)
    where = BUFFERS[1].address + 3
    wrong = bytes([run[2][where - 0xFF8] ^ 1])
    found = mirrored(tmp_path, (run[0], [*run[1], Moved(True, where, wrong)], run[2]))
    (mismatch,) = found.mismatches
    assert (mismatch.buffer, mismatch.offset, mismatch.tick) == ("y", 3, None)
    assert f"y[3] is {run[2][where - 0xFF8]:#04x}, by the recorded stores {wrong[0]:#04x}" in str(
        mismatch
    )


@pytest.mark.parametrize("seed", range(4))
def test_a_misplaced_access_shows(seed: int, tmp_path: Path) -> None:
    run = some_run(seed)
    caught = 0
    chosen = [i for i in inside(run, store=True) + inside(run, store=False) if run[1][i].value[1:]]
    for i in chosen[::4]:
        moved = list(run[1])
        moved[i] = replace(moved[i], address=moved[i].address - 1)
        caught += bool(mirrored(tmp_path, (run[0], moved, run[2])).mismatches)
    # All but those that later stores hide.
    assert caught > 0.7 * len(chosen[::4])


def test_a_store_behind_its_load_shows(tmp_path: Path) -> None:
    before = bytearray(0x9010 - 0xFF8)
    after = bytearray(before)
    after[8] = 5
    store, load = Moved(True, 0x1000, b"\5"), Moved(False, 0x1000, b"\5")
    assert mirrored(tmp_path, (before, [store, load], after)).mismatches == ()
    (mismatch,) = mirrored(tmp_path, (before, [load, store], after)).mismatches
    assert (mismatch.tick, mismatch.buffer, mismatch.offset) == (0, "x", 0)


def test_values_of_another_run_are_refused(tmp_path: Path) -> None:
    run = some_run(0)
    short = list(run[1])
    mirrored(tmp_path, run)
    (tmp_path / "other").mkdir()
    mirrored(tmp_path / "other", (run[0], short[:-9], run[2]))
    with pytest.raises(DiagmemError, match=r"not those of its \d+ events"):
        check(tmp_path / "t.dmt", tmp_path / "other" / "values")
    with pytest.raises(DiagmemError, match=r"not those of its \d+ events"):
        check(tmp_path / "other" / "t.dmt", tmp_path / "values")
