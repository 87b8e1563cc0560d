"""What opens and closes a window, where buffers are found, what ends a run."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

import diagmem
from diagmem.base.errors import DiagmemError
from diagmem.record import valgrind
from diagmem.record.elf import symbols
from diagmem.record.places import BufferPlace
from diagmem.record.recorder import record
from diagmem.record.request import Recorded, Request
from diagmem.record.tool import Tool
from diagmem.trace.window import Role, Window

from .conftest import compile_c

pytestmark = pytest.mark.usefixtures("valgrind_tool")

BYTES = 64  # of in_static and out_static
BY_SYMBOL = ("symbol:in_static", "symbol:out_static")
BY_ARGUMENT = (f"arg:0,bytes:{BYTES}", f"arg:1,bytes:{BYTES}")


class Tracer:
    """Traces one program into a directory of its own."""

    def __init__(self, program: Path, directory: Path) -> None:
        self.program = program
        self.path = directory / "trace.dmt"

    def run(
        self,
        *arguments: str,
        function: str,
        places: Sequence[str] = BY_SYMBOL,
        mode: str = "events",
    ) -> Recorded:
        roles = (Role.INPUT, Role.OUTPUT)
        return record(
            Request(
                command=[str(self.program), *arguments],
                mode="summary" if mode == "summary" else "events",
                functions=[function] if function else [],
                buffers=[
                    BufferPlace(str(role), role, place)
                    for role, place in zip(roles, places, strict=True)
                ],
            ),
            self.path,
        )

    def windows(self) -> tuple[Window, ...]:
        with diagmem.open_trace(self.path) as trace:
            return trace.windows

    def kinds(self, window: int = 0) -> str:
        with diagmem.open_trace(self.path) as trace:
            return "".join(
                "S" if store else "L" for piece in trace.events(window) for store in piece.store
            )


@pytest.fixture
def tracer(windows_program: Path, tmp_path: Path) -> Tracer:
    return Tracer(windows_program, tmp_path)


@pytest.mark.parametrize(
    ("mode", "function", "places"),
    [
        ("copy", "copy", BY_SYMBOL),
        ("copy", "c?py", BY_ARGUMENT),
        ("many", "many", (f"arg:6,bytes:{BYTES}", f"arg:7,bytes:{BYTES}")),
        ("pointed", "pointed", (f"arg:0->8->8,bytes:{BYTES}", f"arg:1->8->8,bytes:{BYTES}")),
        ("heap", "copy", (f"heap:1000#1+8,bytes:{BYTES}", f"heap:2000+0x10,bytes:{BYTES}")),
        ("stack", "copy", BY_ARGUMENT),
    ],
)
def test_places_lead_to_the_buffers(
    mode: str, function: str, places: Sequence[str], tracer: Tracer
) -> None:
    tracer.run(mode, function=function, places=places)
    (window,) = tracer.windows()
    assert window.complete
    # Vectorised or not, every byte of both is touched once.
    with diagmem.open_trace(tracer.path) as trace:
        for buffer, store in (("input", False), ("output", True)):
            touched = [
                (offset, size)
                for piece in trace.accesses(0, buffer)
                for offset, size, stored in zip(piece.offset, piece.size, piece.store, strict=True)
                if stored == store
            ]
            assert sum(size for _, size in touched) == BYTES
            assert sorted(touched)[0][0] == 0


def test_a_place_in_a_stripped_program(windows_program: Path, tmp_path: Path) -> None:
    (copy,) = (s for s in symbols(windows_program) if s.name == "copy")
    stripped = tmp_path / "stripped"
    shutil.copy(windows_program, stripped)
    subprocess.run(["strip", stripped], check=True)
    tracer = Tracer(stripped, tmp_path)
    tracer.run("copy", function=f"stripped+0x{copy.address:x}", places=BY_ARGUMENT)
    (window,) = tracer.windows()
    assert window.events > 0
    with pytest.raises(DiagmemError, match="copy was never called"):
        tracer.run("copy", function="copy", places=BY_ARGUMENT)


@pytest.mark.parametrize("flags", [["-no-pie"], ["-static"], ["-fPIE", "-pie"]])
def test_symbols_are_found_however_the_program_is_linked(flags: list[str], tmp_path: Path) -> None:
    program = compile_c("windows.c", tmp_path / "program", *flags)
    tracer = Tracer(program, tmp_path)
    tracer.run("copy", function="copy")
    assert sorted(set(tracer.kinds())) == ["L", "S"]


def test_a_symbol_of_a_shared_library(tmp_path: Path) -> None:
    compile_c("windows.c", tmp_path / "libwindows.so", "-shared", "-fPIC", "-Dmain=run")
    main = tmp_path / "main.c"
    main.write_text("int run(int, char **); int main(int c, char **v) { return run(c, v); }\n")
    program = tmp_path / "program"
    subprocess.run(
        ["cc", "-o", program, main, f"-L{tmp_path}", "-lwindows", f"-Wl,-rpath,{tmp_path}"],
        check=True,
    )
    tracer = Tracer(program, tmp_path)
    tracer.run("copy", function="copy")
    assert sorted(set(tracer.kinds())) == ["L", "S"]


def test_buffers_may_move_between_windows(tracer: Tracer) -> None:
    tracer.run("twice", function="copy", places=BY_ARGUMENT)
    first, second = ({b.role: b.address for b in w.buffers} for w in tracer.windows())
    assert first[Role.INPUT] == second[Role.OUTPUT]
    assert first[Role.OUTPUT] == second[Role.INPUT]
    assert tracer.kinds(0) == tracer.kinds(1)


def test_longjmp_ends_the_window_and_gives_no_overlap(tracer: Tracer) -> None:
    recorded = tracer.run("jumps", function="jumps", places=BY_ARGUMENT)
    assert "window 0: left by a jump" in recorded.warnings
    (window,) = tracer.windows()
    assert (window.end, window.events) == ("left by a jump", 2)
    with diagmem.open_trace(tracer.path) as trace:
        (pair,) = trace.overlaps()[0].pairs
        assert (pair.exact, pair.safe_overlap_bytes) == (False, 0)


def test_recursion_is_one_window(tracer: Tracer) -> None:
    tracer.run("recurse", function="recurse")
    (window,) = tracer.windows()
    assert window.complete
    assert tracer.kinds().count("S") == 12


def test_a_tail_call_stays_inside(tracer: Tracer) -> None:
    tracer.run("tail", function="tail")
    alone = Tracer(tracer.program, tracer.path.parent)
    (tail,) = tracer.windows()
    alone.run("copy", function="copy")
    (copy,) = alone.windows()
    assert tail.events == copy.events + 2


def test_a_signal_on_another_stack_does_not_end_the_window(tracer: Tracer) -> None:
    tracer.run("interrupted", function="interrupted")
    (window,) = tracer.windows()
    assert window.complete
    assert tracer.kinds() == "LSLSLS"


def test_exit_inside_the_window_is_said(tracer: Tracer) -> None:
    recorded = tracer.run("leaves", function="leaves")
    assert recorded.exit_code == 3
    assert any("exit code 3" in warning for warning in recorded.warnings)
    (window,) = tracer.windows()
    assert window.end == "the call did not return"
    with diagmem.open_trace(tracer.path) as trace:
        (pair,) = trace.overlaps()[0].pairs
        assert (pair.exact, pair.safe_overlap_bytes) == (False, 0)


def test_a_killed_program_leaves_a_cut_trace(tracer: Tracer) -> None:
    recorded = tracer.run("dies", function="dies")
    assert "SIGKILL" in recorded.cut
    with diagmem.open_trace(tracer.path) as trace:
        assert not trace.complete
        assert "SIGKILL" in trace.cut
        (pair,) = trace.overlaps()[0].pairs
        assert pair.safe_overlap_bytes == 0


def test_system_calls_read_and_write_buffers(tracer: Tracer) -> None:
    tracer.run("reads_file", function="reads_file")
    with diagmem.open_trace(tracer.path) as trace:
        kinds = {trace.sites[s].kind for piece in trace.events(0) for s in piece.site}
        assert kinds == {"syscall load", "syscall store"}
        (pair,) = trace.overlaps()[0].pairs
        assert pair.min_displacement_bytes == 0


def test_thousands_of_windows(tracer: Tracer) -> None:
    tracer.run("many_windows", function="copy")
    windows = tracer.windows()
    assert [w.index for w in windows] == list(range(3000))
    assert len({w.events for w in windows}) == 1
    with diagmem.open_trace(tracer.path) as trace:
        assert trace.overlaps(2999)[0].pairs[0].min_displacement_bytes == 0


def test_a_forked_child_is_not_recorded(tracer: Tracer) -> None:
    tracer.run("forks", function="copy")
    assert len(tracer.windows()) == 1


def test_exec_is_followed(tracer: Tracer) -> None:
    tracer.run("becomes", function="copy")
    (window,) = tracer.windows()
    assert window.complete


def test_windows_before_exec_are_kept_and_the_cut_is_said(tracer: Tracer) -> None:
    recorded = tracer.run("goes_on", function="copy")
    assert "executed windows after its first windows" in recorded.cut
    (window,) = tracer.windows()
    assert window.complete


def test_an_interrupt_keeps_what_was_recorded(tracer: Tracer) -> None:
    command = [sys.executable, "-m", "diagmem.cli.main", "trace", "--function", "copy"]
    command += ["--input", "x=symbol:in_static", "--output", "y=symbol:out_static"]
    command += ["-o", str(tracer.path), "--", str(tracer.program), "endless"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while sum(p.stat().st_size for p in tracer.path.parent.glob(".*.part")) <= 20_000:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "cut: the program ended with signal SIGINT" in said
    assert [p.name for p in tracer.path.parent.iterdir()] == [tracer.path.name]
    windows = tracer.windows()
    assert len(windows) > 100
    assert all(window.complete for window in windows[:-1])


def test_a_launcher_is_named(tracer: Tracer) -> None:
    with pytest.raises(DiagmemError, match=r"only started \S+/windows: trace that"):
        tracer.run("starts", function="copy")


def test_summary_and_events_agree(tracer: Tracer) -> None:
    tracer.run("copy", function="copy")
    with diagmem.open_trace(tracer.path) as trace:
        events, by_events = trace.windows[0].events, trace.liveness(0)
    tracer.run("copy", function="copy", mode="summary")
    with diagmem.open_trace(tracer.path) as trace:
        assert trace.windows[0].events == events
        for ours, other in zip(trace.liveness(0), by_events, strict=True):
            cell = min(ours.cell_bytes, other.cell_bytes)
            a, b = ours.refined(cell), other.refined(cell)
            for column in ("first_load", "last_load", "first_store", "last_store"):
                assert (getattr(a, column) == getattr(b, column)).all()
        with pytest.raises(DiagmemError, match="a summary holds no single events"):
            trace.events(0)


@pytest.mark.parametrize("narrow", [1, 7, 20, 32])
def test_a_summary_widens_its_ticks(
    narrow: int, tracer: Tracer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As at 2^32 events, but after so many; nothing else changes."""
    found = []
    for switches in ([], [f"--narrow-ticks={narrow}"]):
        monkeypatch.setattr(valgrind, "_switches", lambda request, given=switches: given)
        tracer.run("copy", function="copy", mode="summary")
        with diagmem.open_trace(tracer.path) as trace:
            columns = ("first_load", "last_load", "first_store", "last_store")
            found.append(
                [(b.name, [getattr(b, c).tolist() for c in columns]) for b in trace.liveness()]
            )
    assert found[0] == found[1]
    assert len(found[0]) == 2


def test_source_lines(tracer: Tracer) -> None:
    tracer.run("copy", function="copy")
    with diagmem.open_trace(tracer.path) as trace:
        assert {site.file for site in trace.sites} == {"windows.c"}
        assert {site.function for site in trace.sites} == {"copy"}


@pytest.mark.parametrize(
    ("function", "places", "said"),
    [
        ("cop", BY_SYMBOL, "cop was never called; did you mean copy"),
        ("copy", ("symbol:in_stat", "symbol:out_static"), "no data symbol 'in_stat'; did you mean"),
        ("copy", ("symbol:in_static,bytes:65", "symbol:out_static"), "reaches beyond the 64 bytes"),
        ("copy", ("arg:0", "arg:1,bytes:4"), "its size is missing"),
        ("copy", ("arg:0,bytes:0", "arg:1,bytes:4"), "it has zero bytes"),
        ("copy", ("arg:0,bytes:x", "arg:1,bytes:4"), "is not bytes:B"),
        ("copy", ("argument:0,bytes:4", "arg:1,bytes:4"), "is no place; expected symbol:NAME"),
        ("", BY_SYMBOL, "no window opened: name a function"),
        ("", BY_ARGUMENT, "an argument of which function"),
    ],
)  # fmt: skip
def test_bad_requests_get_one_clear_line(
    function: str, places: Sequence[str], said: str, tracer: Tracer
) -> None:
    with pytest.raises(DiagmemError, match=said) as error:
        tracer.run("copy", function=function, places=places)
    assert "\n" not in str(error.value)
    assert list(tracer.path.parent.iterdir()) == []


def test_a_failed_run_keeps_the_older_trace(tracer: Tracer) -> None:
    tracer.run("copy", function="copy")
    before = tracer.path.read_bytes()
    with pytest.raises(DiagmemError):
        tracer.run("copy", function="nothing_of_that_name")
    assert tracer.path.read_bytes() == before


def test_a_buffer_that_is_not_there(tracer: Tracer) -> None:
    recorded = tracer.run("copy", function="copy", places=("heap:12345,bytes:8", BY_SYMBOL[1]))
    assert "'input' was not there in any window: no such heap block" in recorded.warnings[0]
    with diagmem.open_trace(tracer.path) as trace:
        assert trace.missing(0)[0][0] == "input"


def test_programs_that_cannot_run(tmp_path: Path, valgrind_tool: Tool) -> None:
    output = tmp_path / "t.dmt"
    with pytest.raises(DiagmemError, match="no such program"):
        record(Request(command=["no-such-program"]), output)
    foreign = tmp_path / "foreign"
    # An ELF header of a 32-bit ARM program.
    foreign.write_bytes(
        bytes.fromhex("7f454c4601010100") + bytes(8) + bytes.fromhex("02002800" + "01000000")
        + bytes(12) + bytes.fromhex("00020005340020000000280000000000")
    )  # fmt: skip
    foreign.chmod(0o755)
    with pytest.raises(DiagmemError, match="for another platform"):
        record(Request(command=[str(foreign)]), output)
    text = tmp_path / "text"
    text.write_text("hello\n")
    with pytest.raises(DiagmemError, match="is not executable"):
        record(Request(command=[str(text)]), output)


def test_two_buffers_of_one_name(tracer: Tracer) -> None:
    place = BufferPlace("x", Role.INPUT, "arg:0,bytes:4")
    request = Request(command=[str(tracer.program)], functions=["copy"], buffers=[place, place])
    with pytest.raises(DiagmemError, match="two buffers are named 'x'"):
        record(request, tracer.path)
