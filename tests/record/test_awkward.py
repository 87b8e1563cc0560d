"""Kernels in awkward company: the right answer, or the right refusal."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import diagmem
from diagmem.base.errors import DiagmemError
from diagmem.record.places import BufferPlace
from diagmem.record.recorder import record
from diagmem.record.request import Request
from diagmem.trace.window import Role

from .conftest import PROGRAMS, compile_c

pytestmark = pytest.mark.usefixtures("valgrind_tool")

Event = tuple[str, str, int, int]
BY_SYMBOL = ("symbol:in", "symbol:out")


def load(at: int, size: int = 4) -> Event:
    return ("load", "in", at, size)


def store(at: int, size: int = 4) -> Event:
    return ("store", "out", at, size)


class Run:
    """A trace of one run: its windows, and their events by buffer and offset."""

    def __init__(self, trace: diagmem.Trace) -> None:
        self.windows = trace.windows
        self.pairs = [w.pairs[0] if w.pairs else None for w in trace.overlaps()]
        self.missing = [trace.missing(w.index) for w in trace.windows]
        self.events = [self._events(trace, w.index) for w in trace.windows]

    @staticmethod
    def _events(trace: diagmem.Trace, window: int) -> list[Event]:
        buffers = trace.windows[window].buffers
        return [
            (trace.sites[site].kind, buffer.name, int(address) - buffer.address, int(size))
            for piece in trace.events(window)
            for address, size, site in zip(piece.address, piece.size, piece.site, strict=True)
            for buffer in buffers
            if buffer.address <= address < buffer.end
        ]


@pytest.fixture
def traced(tmp_path: Path) -> Any:
    def trace(
        program: Path,
        *words: str,
        function: str = "kernel",
        places: Sequence[str] = BY_SYMBOL,
    ) -> Run:
        buffers = [
            BufferPlace("in", Role.INPUT, places[0]),
            BufferPlace("out", Role.OUTPUT, places[1]),
        ]
        record(
            Request([str(program), *words], functions=[function], buffers=buffers),
            tmp_path / "t.dmt",
        )
        with diagmem.open_trace(tmp_path / "t.dmt") as opened:
            return Run(opened)

    return trace


@pytest.fixture(scope="module")
def awkward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    binary = tmp_path_factory.mktemp("awkward") / "awkward"
    return compile_c("awkward.c", binary, "-pthread", "-ldl")


@pytest.fixture(scope="module")
def exceptions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    binary = tmp_path_factory.mktemp("exceptions") / "exceptions"
    subprocess.run(["c++", "-O2", "-g", "-o", binary, PROGRAMS / "exceptions.cc"], check=True)
    return binary


# ---- threads ----


def test_two_threads_in_one_window_are_refused(traced: Any, awkward: Path) -> None:
    run = traced(awkward, "thread")
    assert run.events == [[load(0), store(0), store(4), load(8), store(8)]]
    assert run.windows[0].several_threads
    assert (run.pairs[0].exact, run.pairs[0].safe_overlap_bytes) == (False, 0)
    assert "several threads touched" in run.pairs[0].notes[0]


def test_a_thread_that_touches_no_buffer_is_nobodys_business(traced: Any, awkward: Path) -> None:
    run = traced(awkward, "thread elsewhere")
    assert run.events == [[load(0), store(0), load(8), store(8)]]
    assert not run.windows[0].several_threads
    assert run.pairs[0].exact


def test_openmp(traced: Any, tmp_path: Path) -> None:
    program = compile_c("awkward.c", tmp_path / "p", "-fopenmp", "-pthread", "-ldl")
    alone = traced(program, "omp 1")
    assert alone.pairs[0].exact
    assert alone.pairs[0].min_displacement_bytes == 0
    assert sorted(alone.events[0]) == sorted(
        [load(4 * i) for i in range(16)] + [store(4 * i) for i in range(16)]
    )
    several = traced(program, "omp 2")
    assert len(several.events[0]) == 32
    assert several.windows[0].several_threads
    assert several.pairs[0].safe_overlap_bytes == 0


def test_the_function_called_by_one_thread_after_the_other(traced: Any, awkward: Path) -> None:
    run = traced(awkward, "each thread")
    assert [w.end for w in run.windows] == ["returned"] * 3
    assert len({w.thread for w in run.windows} - {1}) >= 1
    assert run.events == [[load(0), store(0)]] * 3


# ---- leaving, and not leaving, the window ----


def test_a_handler_belongs_to_the_window(traced: Any, awkward: Path) -> None:
    run = traced(awkward, "handler")
    assert run.windows[0].end == "returned"
    # SIGUSR1 is number 10.
    assert run.events == [[load(0), store(0), load(12), store(40), load(4), store(4)]]


def test_a_jump_from_a_handler_out_of_the_window(traced: Any, awkward: Path) -> None:
    run = traced(awkward, "jump out")
    assert run.windows[0].end == "left by a jump"
    assert run.pairs[0].safe_overlap_bytes == 0
    assert "did not finish: left by a jump" in run.pairs[0].notes[0]


def test_a_jump_from_a_handler_inside_the_window(traced: Any, awkward: Path) -> None:
    run = traced(awkward, "jump inside")
    assert run.windows[0].end == "returned"
    assert run.events == [[load(0), store(0), load(8), store(8)]]


@pytest.mark.parametrize("function", ["net::kernel", "net::kernel(bool)", "_ZN3net6kernelEb"])
def test_an_exception_caught_inside(function: str, traced: Any, exceptions: Path) -> None:
    run = traced(exceptions, "inside", function=function)
    assert run.windows[0].end == "returned"
    assert run.events == [[load(0), store(0), load(4), store(4), load(8), store(8)]]
    assert run.pairs[0].exact


def test_an_exception_that_leaves_the_window(traced: Any, exceptions: Path) -> None:
    run = traced(exceptions, "outside", function="net::kernel")
    assert run.windows[0].end == "left by a jump"
    # What main does when it has caught it is not the kernel's.
    assert run.events == [[load(0), store(0)]]
    assert run.pairs[0].safe_overlap_bytes == 0


def test_a_window_without_events(traced: Any, awkward: Path) -> None:
    run = traced(awkward, "nothing")
    assert run.events == [[]]
    assert run.pairs[0].safe_overlap_bytes == 0
    assert "touched neither of the two" in run.pairs[0].notes[0]


# ---- code that comes and goes ----


def test_code_that_is_written_while_it_runs(traced: Any, awkward: Path) -> None:
    """The second code lies where the first one lay."""
    run = traced(awkward, "made code")
    assert run.events == [[load(0), store(4), load(8), store(12)]]


def test_libraries_opened_and_closed(traced: Any, awkward: Path, tmp_path: Path) -> None:
    paths = []
    for offset in (1, 5):
        paths.append(str(tmp_path / f"lib{offset}.so"))
        compile_c("plugin.c", Path(paths[-1]), "-shared", "-fPIC", f"-DOFFSET={offset}")
    run = traced(awkward, "plugins", *paths, function="plugin_kernel")
    assert run.events == [[load(4), store(4)], [load(20), store(20)]]
    assert [w.end for w in run.windows] == ["returned"] * 2


# ---- memory that is given back ----


def test_heap_blocks_are_known_by_their_order(traced: Any, awkward: Path) -> None:
    """Windows: x y, x again y, the same with y grown, y alone."""
    run = traced(awkward, "reused", places=("heap:1000#1,bytes:1000", "heap:2000,bytes:2000"))
    found = [{b.name for b in w.buffers} for w in run.windows]
    assert found == [{"out"}, {"in", "out"}, {"in"}, set()]
    assert run.events[1] == [load(0), store(0)]
    assert run.events[2] == [load(0)]
    reasons = [dict(missing) for missing in run.missing]
    assert "freed" in reasons[3]["in"]
    assert "freed" in reasons[2]["out"]
    first = traced(awkward, "reused", places=("heap:1000#0,bytes:1000", "heap:3000,bytes:3000"))
    assert [{b.name for b in w.buffers} for w in first.windows] == [
        {"in"},
        set(),
        {"out"},
        {"out"},
    ]


# ---- the kernel of the system ----


def test_system_calls_count_for_what_they_touch(traced: Any, awkward: Path) -> None:
    run = traced(awkward, "calls")
    assert run.events == [
        [
            ("syscall load", "in", 0, 8),
            ("syscall load", "in", 16, 12),
            ("syscall store", "out", 0, 20),
            ("syscall load", "in", 0, 8),
            ("syscall load", "in", 16, 12),
            ("syscall store", "out", 0, 8),
            ("syscall store", "out", 32, 12),
            ("syscall store", "out", 48, 16),
        ]
    ]


# ---- functions that the compiler changed ----


@pytest.fixture(scope="module")
def vanished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_c("vanished.c", tmp_path_factory.mktemp("vanished") / "vanished")


def test_a_specialised_copy_is_suggested_and_can_be_traced(traced: Any, vanished: Path) -> None:
    with pytest.raises(DiagmemError, match=r"specialised was never called; did you mean") as error:
        traced(vanished, function="specialised")
    name = str(error.value).split("did you mean ")[1].split("?")[0].split(",")[0]
    assert name.startswith("specialised.")
    for function in (name, "specialised.*"):
        run = traced(vanished, function=function)
        assert run.events == [[*(load(4 * i) for i in range(16)), store(4)]]


def test_an_inlined_function_is_named_with_its_callers(traced: Any, vanished: Path) -> None:
    with pytest.raises(DiagmemError) as error:
        traced(vanished, function="merged")
    assert str(error.value).endswith(
        "merged was never called; it was inlined into layer, main: trace one of these, or compile"
        " it noinline"
    )
    run = traced(vanished, function="layer")
    assert run.events == [[load(8), store(8)]]


def test_without_debugging_information_inlining_is_a_guess(traced: Any, tmp_path: Path) -> None:
    program = compile_c("vanished.c", tmp_path / "p", "-g0")
    with pytest.raises(DiagmemError, match=r"may have been inlined: compile it noinline$"):
        traced(program, function="merged")
