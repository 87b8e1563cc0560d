"""Running a program under the tool and writing what it does to a trace file."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO, Literal

from diagmem import __version__
from diagmem.errors import DiagmemError
from diagmem.progress import Progress
from diagmem.record.dwarf import inlined_into
from diagmem.record.elf import aliases, check_program, is_elf, similar_functions
from diagmem.record.places import BufferPlace, check_names
from diagmem.record.stream import Received, StreamReader, receive
from diagmem.record.tool import Tool, find_tool
from diagmem.trace.copies import names_copy
from diagmem.trace.writer import TraceWriter

Mode = Literal["events", "summary"]
PIPE_BYTES = 1 << 20
_OBJECT_PLACE = re.compile(r".+\+0x[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True)
class Request:
    """What to run and what to watch.

    Attributes
    ----------
    command
        Program and arguments.
    functions
        Each outermost call of a function so named is a window: demangled (with
        or without parameters) or mangled, ``*`` and ``?`` match, or a place in
        an object file (``libfoo.so+0x1234``).  Client requests work besides.
    buffers
        Where the buffers lie; client requests declare more.
    watch
        Of all buffers, whoever declares them, only those so named; empty: all.
    everything
        Record accesses outside the buffers too.
    every_load
        Keep loads whose value is never used, which Valgrind otherwise drops.
    raw_copies
        Record memcpy, memmove and memset by the accesses that this machine's C
        library makes, not as copies without an order.  So it is where one of
        them is itself the traced function.
    """

    command: Sequence[str]
    mode: Mode = "events"
    functions: Sequence[str] = ()
    buffers: Sequence[BufferPlace] = ()
    watch: Sequence[str] = ()
    everything: bool = False
    whole_program: bool = False
    every_load: bool = False
    raw_copies: bool = False
    values: Path | None = None
    """Where the value of every access goes, for `diagmem.trace.mirror`; implies
    raw copies, and is slow."""
    about: dict[str, Any] = field(default_factory=dict)
    """Further facts for the trace's header."""

    @property
    def copies_are_raw(self) -> bool:
        return self.raw_copies or bool(self.traced_copies) or self.values is not None

    @property
    def traced_copies(self) -> tuple[str, ...]:
        return tuple(function for function in self.functions if names_copy(function))


@dataclass(frozen=True, slots=True)
class Recorded:
    """How a run went; the trace file holds the rest."""

    path: Path
    windows: int
    events: int
    exit_code: int
    """Of the program; negative: killed by that signal."""
    cut: str
    """Why the recording is not complete, or empty."""
    warnings: tuple[str, ...]


def find_program(name: str) -> Path:
    """The file that a command's first word means."""
    found = shutil.which(name)
    if found is None:
        if Path(name).is_file():
            raise DiagmemError(f"{name}: is not executable; chmod +x it")
        raise DiagmemError(f"{name}: no such program")
    return Path(found)


def _options(request: Request, program: Path) -> list[str]:
    options = [f"--mode={request.mode}"]
    names = [f for f in request.functions if not _OBJECT_PLACE.fullmatch(f)]
    mangled = [f for f in names if f.startswith("_Z")]
    if mangled and len(mangled) < len(names):
        raise DiagmemError(
            f"function {mangled[0]!r} is a mangled name and others are not; give all of one kind"
        )
    options.append(f"--demangle={'no' if mangled else 'yes'}")
    for function in request.functions:
        if not function:
            raise DiagmemError("an empty function name; expected NAME or OBJECT+0xOFFSET")
        if function in names:
            options.append(f"--function={function}")
            if is_elf(program):
                target = program.resolve()
                options += [f"--function-at={target}+0x{a:x}" for a in aliases(target, function)]
        else:
            options.append(f"--function-at={function}")
    check_names(list(request.buffers))
    for buffer in request.buffers:
        if buffer.needs_function and not request.functions:
            raise DiagmemError(
                f"buffer {buffer.name}={buffer.place}: an argument of which function?"
                " give --function NAME"
            )
        options.append(buffer.tool_option(program.resolve()))
    return options + _switches(request)


def _switches(request: Request) -> list[str]:
    switches = {
        "--all=yes": request.everything,
        "--whole-program=yes": request.whole_program,
        "--vex-iropt-register-updates=allregs-at-mem-access": request.every_load,
        "--values=yes": request.values is not None,
        "--raw-copies=yes": request.copies_are_raw,
    }
    watched = [f"--watch={name}" for name in request.watch]
    return watched + [switch for switch, on in switches.items() if on]


def _header(request: Request, tool: Tool) -> dict[str, Any]:
    return {
        "diagmem": __version__,
        "valgrind": tool.valgrind_version,
        "platform": tool.platform,
        "mode": request.mode,
        "everything": request.everything,
        "raw_copies": request.copies_are_raw,
        "functions": list(request.functions),
        "asked": [f"{b.name}={b.place} ({b.role})" for b in request.buffers],
        "command": list(request.command),
        **request.about,
    }


def record(request: Request, output: Path, *, progress: bool = False) -> Recorded:
    """Run a program under the tool; write ``output``.

    The file grows beside its final place as ``.NAME.part`` and is moved there
    at the end, so that an older trace of that name is not lost to a run that
    fails; if the recorder itself is killed, the part can be read.

    Raises
    ------
    DiagmemError
        If the program, a symbol or the tool is not there, or no window opened.
    """
    tool = find_tool()
    program = find_program(request.command[0])
    if is_elf(program):
        check_program(program)
    options = _options(request, program)
    part = output.with_name(f".{output.name}.part")
    with tempfile.TemporaryDirectory(prefix="diagmem-") as directory:
        run = _Run(request, tool, options, Path(directory))
        try:
            writer = TraceWriter(part, _header(request, tool))
        except OSError as error:
            raise DiagmemError(f"{part}: cannot write: {error.strerror}") from None
        try:
            received, cut = run.into(writer, Progress("recording") if progress else None)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        if received.windows == 0:
            part.unlink()
            raise DiagmemError(run.why_no_window(received, program))
        events = writer.events
    part.replace(output)
    if received.error:
        raise DiagmemError(f"{received.error} (what was recorded before is in {output})")
    return Recorded(
        output,
        received.windows,
        events,
        run.exit_code,
        cut,
        _warnings(request, received, run.exit_code),
    )


def _warnings(request: Request, received: Received, exit_code: int) -> tuple[str, ...]:
    said = [
        f"{name} is itself what is traced: copies are recorded by their own accesses"
        for name in request.traced_copies
    ]
    for name in request.watch:
        if name not in received.present and name not in received.missing:
            said.append(f"nothing declared a buffer {name!r}, which was to be watched")
    for name, reason in received.missing.items():
        if name in received.present:
            said.append(f"buffer {name!r} was not there in every window: {reason}")
        else:
            said.append(f"buffer {name!r} was not there in any window: {reason}")
    said += [f"window {index}: {how}" for index, how in received.unfinished.items()][:3]
    if exit_code:
        said.append(f"the program ended with {_exit_text(exit_code)}")
    return tuple(said)


def _exit_text(exit_code: int) -> str:
    if exit_code < 0:
        return f"signal {signal.Signals(-exit_code).name}"
    return f"exit code {exit_code}"


class _Run:
    """One process under the tool."""

    def __init__(self, request: Request, tool: Tool, options: list[str], directory: Path) -> None:
        self._request = request
        self._tool = tool
        self._fifo = directory / "stream"
        self._log = directory / "log"
        self._options = options
        self.exit_code = 0

    def _start(self) -> subprocess.Popen[bytes]:
        command = [
            *self._tool.command,
            "--quiet",
            # Nobody debugs through it, and its pipes would stay behind a kill.
            "--vgdb=no",
            f"--log-file={self._log}",
            # A program that executes another is followed into it.
            "--trace-children=yes",
            "--child-silent-after-fork=yes",
            f"--stream={self._fifo}",
            *self._options,
            "--",
            *self._request.command,
        ]
        # The program's output is not ours: it goes to our standard error (2), so
        # that standard output stays data.
        environment = self._tool.environment(self._preload())
        return subprocess.Popen(command, env=environment, stdout=2)

    def _preload(self) -> Path | None:
        """The library that takes the program's copies, where the loader can name it."""
        if self._request.copies_are_raw:
            return None
        copies = self._tool.copies
        if not re.search(r"[\s:]", str(copies)):
            return copies
        # The loader splits its list there.
        link = self._fifo.with_name("copies.so")
        link.symlink_to(copies)
        return link

    def into(self, writer: TraceWriter, progress: Progress | None) -> tuple[Received, str]:
        """Run it; what was received, and why the recording was cut ("" if not)."""
        os.mkfifo(self._fifo)
        # Opened for both, so that opening does not wait and the stream does not
        # end when a program executes another.
        fd = os.open(self._fifo, os.O_RDWR)
        try:
            _widen(fd)
            sys.stderr.flush()
            process = self._start()
            try:
                with _passing_on_signals(process), _values_file(self._request.values) as values:
                    received = receive(StreamReader(fd, process), writer, progress, values)
                    self.exit_code = process.wait()
                cut = self._why_cut(received)
                writer.close(complete=not cut, reason=cut)
            except OSError as error:
                raise DiagmemError(f"the trace cannot be written: {error.strerror}") from None
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
                if progress is not None:
                    progress.done()
        finally:
            os.close(fd)
        return received, cut

    def _why_cut(self, received: Received) -> str:
        if received.error or received.cut:
            return received.error or received.cut
        if self.exit_code < 0:
            return f"the program ended with {_exit_text(self.exit_code)}"
        if received.ended:
            return ""
        if received.hello:
            return "the tool stopped before the end"
        return ""

    def why_no_window(self, received: Received, program: Path) -> str:
        """One line for a run that recorded nothing."""
        if received.error:
            return received.error
        if not received.hello:
            return f"{program}: did not start under Valgrind: {self._last_words()}"
        names = ", ".join(self._request.functions)
        ended = f" (the program ended with {_exit_text(self.exit_code)})" if self.exit_code else ""
        if not names:
            return (
                f"{program}: no window opened{ended}: name a function with --function, or mark one"
                " in the program with DIAGMEM_WINDOW_BEGIN (diagmem.h)"
            )
        line = f"{program}: {names} was never called{ended}"
        children = self._children()
        if children:
            return line + f"; it only started {', '.join(children)}: trace that instead"
        callers = inlined_into(program, self._request.functions[0])
        if callers:
            return (
                f"{line}; it was inlined into {', '.join(callers[:5])}: trace one of these, or"
                " compile it noinline"
            )
        similar = similar_functions(self._request.functions[0], program, received.objects)
        if similar:
            return line + f"; did you mean {', '.join(similar)}?"
        return line + "; if the function is there, it may have been inlined: compile it noinline"

    def _children(self) -> list[str]:
        path = Path(f"{self._fifo}.children")
        if not path.exists():
            return []
        return list(dict.fromkeys(path.read_text(encoding="utf-8").split()))

    def _last_words(self) -> str:
        if not self._log.exists():
            return f"exit code {self.exit_code}"
        lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        said = [re.sub(r"^==\d+== ?", "", line).strip() for line in lines]
        return " ".join(s for s in said if s)[:300] or f"exit code {self.exit_code}"


def _values_file(path: Path | None) -> contextlib.AbstractContextManager[BinaryIO | None]:
    return contextlib.nullcontext() if path is None else path.open("wb")


@contextlib.contextmanager
def _passing_on_signals(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Ctrl-C ends the program, not the recording: what it did so far is kept.

    A second one kills the program.
    """
    asked = 0

    def end_program(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked += 1
        if process.poll() is None:
            process.send_signal(number if asked == 1 else signal.SIGKILL)

    if threading.current_thread() is not threading.main_thread():
        yield  # only there can handlers be set
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, end_program) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _widen(fd: int) -> None:
    """Let the pipe hold more, so that tool and recorder wait less for each other."""
    # An unprivileged user's quota may refuse; the default works, a little slower.
    with contextlib.suppress(OSError):
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
