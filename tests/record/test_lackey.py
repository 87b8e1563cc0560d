"""Our events against those of Valgrind's own lackey, access by access.

Both tools see the same intermediate code, so within the program's static data
address, size, kind and order must be equal.  Tolerated: lackey merges a load
and a store of one instruction at one place into a modify (undone before
comparing), and it logs the store of a swap that failed (a test of its own).
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

import diagmem
from diagmem.record.elf import Symbol, find_data
from diagmem.record.places import BufferPlace
from diagmem.record.recorder import Request, record
from diagmem.record.tool import Tool
from diagmem.trace.events import Events
from diagmem.trace.model import Role

PROGRAM = Path(__file__).parent / "programs" / "accesses.c"
# What makes Valgrind translate alike under both tools.
SAME_CODE = ["--vex-iropt-register-updates=allregs-at-mem-access", "--vex-guest-chase=no"]

Event = tuple[str, int, int]

CASES = [
    "scalar", "modify", "narrow", "unaligned", "x87", "string_move", "vector128",
    "non_temporal", "vector256", "masked", "atomic", "wide_swap", "state", "page_crossing",
]  # fmt: skip


@dataclass(frozen=True)
class Logs:
    """The events of each case, by both tools."""

    theirs: list[list[Event]]
    ours: list[list[Event]]


def compile_program(directory: Path, optimisation: str) -> Path:
    # Not position independent, so that static data lies at one address for both.
    binary = directory / "accesses"
    flags = [optimisation, "-no-pie", "-fno-pie", "-fno-strict-aliasing"]
    subprocess.run(["cc", *flags, "-o", binary, PROGRAM], check=True)
    return binary


def by_lackey(program: Path, area: Symbol, log: Path) -> list[list[Event]]:
    """Lackey's events in the area, a list from each odd store to its marker to the next."""
    start, end = area.address, area.address + area.size_bytes
    options = ["--tool=lackey", "--trace-mem=yes", f"--log-file={log}", *SAME_CODE]
    subprocess.run(["valgrind", *options, program], check=True)
    windows: list[list[Event]] = []
    inside = False
    for line in log.read_text().splitlines():
        if line[:3] not in (" L ", " S ", " M "):
            continue
        address, size = line[3:].split(",")
        at, length = int(address, 16), int(size)
        mark = line[1] == "S" and at == start
        if mark and not inside:
            windows.append([])
        if (inside or mark) and start <= at < end:
            kinds = ("load", "store") if line[1] == "M" else (_KIND[line[1]],)
            windows[-1] += [(kind, at, length) for kind in kinds]
        inside ^= mark
    return windows


_KIND = {"L": "load", "S": "store"}


def by_diagmem(program: Path, output: Path) -> list[list[Event]]:
    recorded = record(
        Request(
            command=[str(program)],
            functions=["window"],
            buffers=[BufferPlace("area", Role.OTHER, "symbol:area")],
            every_load=True,
        ),
        output,
    )
    assert (recorded.exit_code, recorded.cut) == (0, "")
    with diagmem.open_trace(output) as trace:
        return [
            [event for piece in trace.events(window.index) for event in as_tuples(piece)]
            for window in trace.windows
        ]


def as_tuples(piece: Events) -> list[Event]:
    columns = piece.store.tolist(), piece.address.tolist(), piece.size.tolist()
    return [("store" if store else "load", at, n) for store, at, n in zip(*columns, strict=True)]


@pytest.fixture(scope="module", params=["-O0", "-O2"])
def logs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, valgrind_tool: Tool
) -> Logs:
    directory = tmp_path_factory.mktemp("lackey")
    program = compile_program(directory, request.param)
    area = find_data(program, "area", None)
    return Logs(
        by_lackey(program, area, directory / "log"), by_diagmem(program, directory / "t.dmt")
    )


def test_every_case_is_a_window(logs: Logs) -> None:
    assert len(logs.theirs) == len(logs.ours) == len(CASES) + 1


@pytest.mark.parametrize("case", CASES)
def test_events_equal_those_of_lackey(case: str, logs: Logs) -> None:
    theirs, ours = (windows[CASES.index(case)] for windows in (logs.theirs, logs.ours))
    assert len(theirs) > 8
    assert ours == theirs


def test_a_failed_swap_stores_nothing(logs: Logs) -> None:
    """Lackey logs a store for a compare-and-swap that failed; nothing was stored."""
    theirs, ours = logs.theirs[-1], logs.ours[-1]
    assert [e for e in ours if e[0] == "store"] == [theirs[0], theirs[-1]]
    assert [e for e in ours if e[0] == "load"] == [e for e in theirs if e[0] == "load"]
    assert sum(e[0] == "store" for e in theirs) == 8 + 2
