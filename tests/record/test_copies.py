"""The C library's copies count as what they promise, whatever they do here."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

import diagmem
from diagmem.cli.main import main
from diagmem.record.places import BufferPlace
from diagmem.record.recorder import record
from diagmem.record.request import Request
from diagmem.record.tool import Tool
from diagmem.trace.window import Role

from .conftest import PROGRAMS, compile_c

pytestmark = pytest.mark.usefixtures("valgrind_tool")

IN, OUT = 40 * 52, 40 * 56  # bytes of the two buffers
MEMCPY = [("memcpy store", "out", IN), ("memcpy load", "in", IN)]
MEMMOVE = [("memmove load", "in", IN), ("memmove store", "out", IN)]
MEMSET = [("memset store", "out", OUT)]

EXPECTED = {
    "memcpy": MEMCPY,
    "mempcpy": MEMCPY,
    "memcpy_chk": MEMCPY,
    "tail": MEMCPY,
    "memmove": MEMMOVE,
    "memmove_chk": MEMMOVE,
    "bcopy": MEMMOVE,
    "memset": MEMSET,
    "memset_chk": MEMSET,
    "bzero": MEMSET,
    "explicit_bzero": MEMSET,
    "tail set": MEMSET,
    "nothing": [],
    # Nothing is promised; what is read was there before.
    "overlapping": [
        ("memcpy load", "in", 100),
        ("memcpy store", "in", 100),
        ("memcpy load", "in", 100),
    ],
    "after": [("memcpy store", "out", 16), ("memcpy load", "in", 16), ("load", "in", 1)],
}
"""What one call of each leaves: kind, buffer and bytes of its events."""

Events = list[tuple[str, str, int]]


def trace(
    program: Path,
    to: Path,
    *cases: str,
    mode: Literal["events", "summary"] = "events",
    raw: bool = False,
    function: str = "kernel",
) -> diagmem.Trace:
    buffers = [
        BufferPlace("in", Role.INPUT, "symbol:in"),
        BufferPlace("out", Role.OUTPUT, "symbol:out"),
    ]
    command = [str(program), *cases]
    record(Request(command, mode, [function], buffers, raw_copies=raw), to)
    return diagmem.open_trace(to)


def events(opened: diagmem.Trace, window: int) -> Events:
    found = []
    buffers = opened.windows[window].buffers
    for piece in opened.events(window):
        for address, size, site in zip(piece.address, piece.size, piece.site, strict=True):
            (name,) = (b.name for b in buffers if b.address <= address < b.end)
            found.append((opened.sites[site].kind, name, int(size)))
    return found


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The program, built with some flags once."""
    directory = tmp_path_factory.mktemp("copies")
    built: dict[tuple[str, ...], Path] = {}

    def build(*flags: str) -> Path:
        if flags not in built:
            built[flags] = directory / f"copies{len(built)}"
            compile_c("copies.c", built[flags], "-O1", "-g", "-fno-builtin", *flags)
        return built[flags]

    return build


def test_each_is_what_it_promises(programs: Callable[..., Path], tmp_path: Path) -> None:
    with trace(programs(), tmp_path / "t.dmt", *EXPECTED) as opened:
        assert all(window.end == "returned" for window in opened.windows)
        found = {case: events(opened, i) for i, case in enumerate(EXPECTED)}
    assert found == EXPECTED


def test_a_static_program_has_one_code_for_two(
    programs: Callable[..., Path], tmp_path: Path
) -> None:
    """memmove's own rule promises more than memcpy's, and nobody can tell which it was."""
    expected = {**EXPECTED, "memmove": MEMCPY}
    with trace(programs("-static"), tmp_path / "t.dmt", *expected) as opened:
        found = {case: events(opened, i) for i, case in enumerate(expected)}
    assert found == expected


def test_a_copy_of_the_programs_own(programs: Callable[..., Path], tmp_path: Path) -> None:
    with trace(programs("-DOWN"), tmp_path / "t.dmt", "own") as opened:
        assert events(opened, 0) == [("memcpy store", "out", 8), ("memcpy load", "in", 8)]


def test_a_copy_that_cannot_be_done_whole_is_not_one(
    programs: Callable[..., Path], tmp_path: Path
) -> None:
    """It faults on a page, and the program's handler touches a buffer meanwhile."""
    with trace(programs(), tmp_path / "t.dmt", "faulting") as opened:
        found = events(opened, 0)
        (pair,) = opened.overlaps()[0].pairs
    assert {kind for kind, _, _ in found} == {"load"}
    assert ("load", "in", 1) in found
    assert any("memcpy touched the buffers" in note for note in pair.notes)


def test_concat_by_memcpy_does_not_depend_on_this_machines_library(
    programs: Callable[..., Path], tmp_path: Path
) -> None:
    """Row j goes to 56 j .. 56 j + 52: until its end input from 52 j on is needed."""
    ours = 39 * (56 - 52) + 52
    with trace(programs(), tmp_path / "t.dmt", "concat") as opened:
        (pair,) = opened.overlaps()[0].pairs
    assert pair.min_displacement_bytes == ours
    line = next(
        number
        for number, text in enumerate((PROGRAMS / "copies.c").read_text().splitlines(), 1)
        if "the copy that decides" in text
    )
    assert any(f"D is decided by memcpy at copies.c:{line}:" in note for note in pair.notes)

    with trace(programs(), tmp_path / "raw.dmt", "concat", raw=True) as opened:
        (raw,) = opened.overlaps()[0].pairs
        assert {s.kind for s in opened.sites} == {"load", "store"}
        assert opened.header["raw_copies"] is True
    assert raw.min_displacement_bytes < ours
    assert not any("D is decided by" in note for note in raw.notes)


def test_a_summary_knows_which_copies_there_were(
    programs: Callable[..., Path], tmp_path: Path
) -> None:
    with (
        trace(programs(), tmp_path / "t.dmt", "concat") as whole,
        trace(programs(), tmp_path / "s.dmt", "concat", mode="summary") as summary,
    ):
        (exact,) = whole.overlaps()[0].pairs
        (pair,) = summary.overlaps()[0].pairs
        assert summary.windows[0].events == whole.windows[0].events
    assert pair.min_displacement_bytes == exact.min_displacement_bytes
    assert any(note.startswith("memcpy at copies.c:") for note in pair.notes)


def test_a_summary_knows_the_copies_of_each_window(
    programs: Callable[..., Path], tmp_path: Path
) -> None:
    """Also of one that an earlier window has made already."""
    path = tmp_path / "s.dmt"
    with trace(programs(), path, "memcpy", "bzero", "nothing", "memcpy", mode="summary") as opened:
        pairs = [window.pairs[0] for window in opened.overlaps()]
    notes = [
        [note.split(" at ")[0] for note in pair.notes if "counts as what it promises" in note]
        for pair in pairs
    ]
    assert notes == [["memcpy"], ["memset"], [], ["memcpy"]]
    assert main(["validate", str(path)]) == 0


def test_a_copy_that_does_not_decide_is_not_named(
    programs: Callable[..., Path], tmp_path: Path
) -> None:
    """Input byte 0, read by a loop at the end, keeps the whole output off."""
    with trace(programs(), tmp_path / "t.dmt", "not deciding") as opened:
        (pair,) = opened.overlaps()[0].pairs
    assert pair.min_displacement_bytes == OUT
    assert not any("D is decided by" in note for note in pair.notes)


def test_the_toolkit_may_lie_in_a_folder_with_a_space(
    programs: Callable[..., Path],
    tmp_path: Path,
    valgrind_tool: Tool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    libexec = tmp_path / "my: tools"
    shutil.copytree(valgrind_tool.libexec, libexec)
    monkeypatch.setenv("DIAGMEM_VALGRIND_LIB", str(libexec))
    with trace(programs(), tmp_path / "t.dmt", "memcpy") as opened:
        assert events(opened, 0) == MEMCPY


def test_a_traced_copy_is_shown_as_it_is(programs: Callable[..., Path], tmp_path: Path) -> None:
    name = "__memcpy_avx_unaligned"
    assert Request(["p"], functions=[name]).traced_copies == (name,)
    assert Request(["p"], functions=["memcpy", "__memset_chk"]).copies_are_raw
    # A kernel of somebody's own is none.
    assert not Request(["p"], functions=["memcpy_rows", "my_memset", "memcpy*"]).copies_are_raw
    with trace(programs("-DOWN"), tmp_path / "t.dmt", "own", function=name) as opened:
        assert opened.header["raw_copies"] is True
        assert events(opened, 0) == [("load", "in", 1), ("store", "out", 1)] * 8
