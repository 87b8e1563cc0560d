"""Programs of 32 bits on x86-64: their windows, arguments, heap and copies."""

from __future__ import annotations

from pathlib import Path

import pytest

import diagmem
from diagmem.base.errors import DiagmemError
from diagmem.record.places import BufferPlace
from diagmem.record.recorder import record
from diagmem.record.request import Request
from diagmem.record.tool import Tool, host_platform, tool_files
from diagmem.trace.window import Role
from tests.tools import missing

from .conftest import compile_c

pytestmark = pytest.mark.skipif(
    host_platform() != "amd64-linux", reason="only x86-64 has a second platform"
)
PLACES = {
    "copy": ("arg:0,bytes:64", "arg:1,bytes:64"),
    "many": ("arg:6,bytes:64", "arg:7,bytes:64"),
    "heap": ("heap:1000#1+8,bytes:64", "heap:2000+0x10,bytes:64"),
}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, valgrind_tool: Tool) -> Path:
    if not all((valgrind_tool.libexec / name).is_file() for name in tool_files("x86-linux")):
        missing("the tool is not built for 32-bit programs; make x86 does it")
    return compile_c("windows.c", tmp_path_factory.mktemp("x86") / "windows", "-m32")


def traced(program: Path, case: str, to: Path) -> list[tuple[int, int, bool]]:
    """Offset, size and kind of every event in either buffer."""
    roles = (Role.INPUT, Role.OUTPUT)
    places = [BufferPlace(str(r), r, p) for r, p in zip(roles, PLACES[case], strict=True)]
    function = "many" if case == "many" else "copy"
    recorded = record(Request([str(program), case], "events", [function], places), to)
    assert recorded.warnings == ()
    with diagmem.open_trace(to) as trace:
        return [
            event
            for role in roles
            for piece in trace.accesses(0, str(role))
            for event in zip(
                piece.offset.tolist(), piece.size.tolist(), piece.store.tolist(), strict=True
            )
        ]


@pytest.mark.parametrize("case", PLACES)
def test_a_program_of_32_bits_does_what_one_of_64_does(
    case: str, program: Path, windows_program: Path, tmp_path: Path
) -> None:
    # The scalar build: x86-64 vectorises, plain i686 does not.
    scalar = compile_c("windows.c", tmp_path / "scalar", "-fno-tree-vectorize")
    assert traced(program, case, tmp_path / "32.dmt") == traced(scalar, case, tmp_path / "64.dmt")


def test_copies_count_as_what_they_promise(
    program: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    copies = compile_c("copies.c", tmp_path / "copies", "-m32", "-O1", "-fno-builtin")
    buffers = [
        BufferPlace(n, r, f"symbol:{n}") for n, r in (("in", Role.INPUT), ("out", Role.OUTPUT))
    ]
    record(
        Request([str(copies), "memcpy", "memmove"], "events", ["kernel"], buffers), tmp_path / "t"
    )
    with diagmem.open_trace(tmp_path / "t") as trace:
        kinds = [
            [trace.sites[site].kind for piece in trace.events(w) for site in piece.site]
            for w in range(2)
        ]
    assert kinds == [["memcpy store", "memcpy load"], ["memmove load", "memmove store"]]
    assert "ld.so" not in capfd.readouterr().err


def test_without_the_tool_for_it_one_line_says_how_to_get_it(
    valgrind_tool: Tool, tmp_path: Path
) -> None:
    program = tmp_path / "program"
    lacking = Tool(tmp_path, valgrind_tool.valgrind, valgrind_tool.platform, "3.19.0")
    with pytest.raises(DiagmemError, match=r"32 bits \(x86-linux\).* x86$"):
        lacking.for_program(program, "x86-linux")
    with pytest.raises(DiagmemError, match=r"another platform \(arm64-linux\)"):
        lacking.for_program(program, "arm64-linux")
