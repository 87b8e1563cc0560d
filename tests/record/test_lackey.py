"""Our events against those of Valgrind's own lackey, access by access.

Both tools see the same intermediate code, so within the program's static data
address, size, kind and order must be equal.  Tolerated, each with a test that the
difference is there:

- lackey merges a load and a store of one instruction at one place into a modify;
  it is taken apart before comparing;
- lackey logs the store of a swap that failed;
- a load whose value is never used is there in both only if Valgrind is told to keep
  it, and then in both;
- lackey does not see what system calls read and write.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import diagmem
from diagmem.record.elf import Symbol, find_data
from diagmem.record.places import BufferPlace
from diagmem.record.recorder import record
from diagmem.record.request import Request
from diagmem.record.tool import Tool
from diagmem.trace.events import Events
from diagmem.trace.window import Role

PROGRAM = Path(__file__).parent / "programs" / "accesses.c"
# What makes Valgrind translate alike under both tools.
SAME_CODE = ["--vex-iropt-register-updates=allregs-at-mem-access", "--vex-guest-chase=no"]

Event = tuple[str, int, int]

CASES = [
    "scalar", "modify", "narrow", "unaligned", "x87", "string_move", "vector128",
    "non_temporal", "vector256", "masked", "atomic", "wide_swap", "state", "page_crossing",
    "gathered", "string_back",
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


def test_masked_lanes_are_no_accesses(logs: Logs) -> None:
    ours = logs.ours[CASES.index("gathered")]
    start = ours[0][1]
    loads = [at - start for kind, at, _ in ours if kind == "load"]
    base = min(loads)
    assert loads == [base + 4 * i + 4 * lane for i in range(8) for lane in (60, 7, 33, 0)]


def test_strings_may_run_backwards(logs: Logs) -> None:
    ours = logs.ours[CASES.index("string_back")][1:-1]
    assert [kind for kind, _, _ in ours] == ["load", "store"] * 32
    for kind in ("load", "store"):
        places = [at for k, at, _ in ours if k == kind]
        assert places == list(range(places[0], places[0] - 32, -1))


def test_a_failed_swap_stores_nothing(logs: Logs) -> None:
    """Lackey logs a store for a compare-and-swap that failed; nothing was stored."""
    theirs, ours = logs.theirs[-1], logs.ours[-1]
    assert [e for e in ours if e[0] == "store"] == [theirs[0], theirs[-1]]
    assert [e for e in ours if e[0] == "load"] == [e for e in theirs if e[0] == "load"]
    assert sum(e[0] == "store" for e in theirs) == 8 + 2


def test_lackey_merges_modifies(valgrind_tool: Tool, tmp_path: Path) -> None:
    log = lackey_log(compile_program(tmp_path, "-O0"), tmp_path)
    assert sum(line.startswith(" M ") for line in log) > 10


DEAD_LOAD = """
int area[4];
__attribute__((noinline)) void window(void)
{
    __asm__ volatile("mov area(%%rip), %%eax\\n\\t"
                     "movl $1, 4+area(%%rip)\\n\\t"
                     "xor %%eax, %%eax" ::: "rax", "memory");
}
int main(void) { window(); return 0; }
"""


@pytest.mark.parametrize("every_load", [False, True])
def test_a_load_that_nobody_uses(every_load: bool, valgrind_tool: Tool, tmp_path: Path) -> None:
    """Valgrind drops it before any tool can see it, unless told not to."""
    (tmp_path / "dead.c").write_text(DEAD_LOAD)
    program = tmp_path / "dead"
    flags = ["-O1", "-no-pie", "-fno-pie"]
    subprocess.run(["cc", *flags, "-o", program, tmp_path / "dead.c"], check=True)
    area = find_data(program, "area", None)
    theirs = [
        line[1]
        for line in lackey_log(program, tmp_path, SAME_CODE[0 if every_load else 1 :])
        if line[:3] in (" L ", " S ")
        and area.address <= int(line[3:].split(",")[0], 16) < area.address + 16
    ]
    places = [BufferPlace("area", Role.OTHER, "symbol:area")]
    request = Request([str(program)], functions=["window"], buffers=places, every_load=every_load)
    record(request, tmp_path / "t.dmt")
    with diagmem.open_trace(tmp_path / "t.dmt") as trace:
        ours = ["S" if store else "L" for piece in trace.events() for store in piece.store]
    assert ours == theirs == (["L", "S"] if every_load else ["S"])


def test_lackey_sees_no_system_calls(valgrind_tool: Tool, tmp_path: Path) -> None:
    """Ours are in tests/record/test_awkward.py; lackey's log has none of them."""
    program = tmp_path / "awkward"
    source = PROGRAM.parent / "awkward.c"
    flags = ["-O2", "-no-pie", "-fno-pie", "-pthread"]
    subprocess.run(["cc", *flags, "-o", program, source, "-ldl"], check=True)
    buffers = [find_data(program, name, None) for name in ("in", "out")]
    touched = [
        line
        for line in lackey_log(program, tmp_path, words=["calls"])
        if line[:3] in (" L ", " S ", " M ")
        and any(
            b.address <= int(line[3:].split(",")[0], 16) < b.address + b.size_bytes for b in buffers
        )
    ]
    assert touched == []


def lackey_log(
    program: Path,
    directory: Path,
    options: Sequence[str] = SAME_CODE,
    words: Sequence[str] = (),
) -> list[str]:
    log = directory / "lackey.txt"
    tool = ["--tool=lackey", "--trace-mem=yes", f"--log-file={log}"]
    subprocess.run(["valgrind", *tool, *options, program, *words], check=True)
    return log.read_text().splitlines()
