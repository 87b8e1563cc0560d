"""Running a program under the tool and writing what it does to a trace file."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from diagmem import __version__
from diagmem.errors import DiagmemError
from diagmem.files import beside
from diagmem.progress import Progress
from diagmem.record.dwarf import inlined_into
from diagmem.record.elf import aliases, is_elf, platform_of, similar_functions
from diagmem.record.places import BufferPlace, check_names
from diagmem.record.ring import Ring
from diagmem.record.run import Run, Runner, exit_text
from diagmem.record.stream import Received
from diagmem.record.tool import find_tool, links_directory
from diagmem.trace.copies import names_copy
from diagmem.trace.writer import TraceWriter

Mode = Literal["events", "summary"]
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
    target: str = ""
    """Run an image for that target (`diagmem.record.targets`) in QEMU; empty: a
    program of this machine under Valgrind."""
    later_buffers: Sequence[Sequence[BufferPlace]] = ()
    """Of the second window, the third and so on, instead of ``buffers``; the last ones
    stay for all that follow.  Only with a target."""
    time_limit_seconds: float | None = None
    directory: Path | None = None
    """Where the program runs; None: here."""

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


def _header(request: Request, recorder: Recorder) -> dict[str, Any]:
    return {
        "diagmem": __version__,
        **recorder.header,
        "mode": request.mode,
        "everything": request.everything,
        "raw_copies": request.copies_are_raw,
        "functions": list(request.functions),
        "asked": [f"{b.name}={b.place} ({b.role})" for b in request.buffers],
        "command": list(request.command),
        **request.about,
    }


class ProgramStoppedError(DiagmemError):
    """The run is worth nothing: it faulted, hung, or the tool gave up.

    ``why`` is the reason alone; ``kept`` the trace of what came before, if there is one.
    """

    def __init__(self, why: str, kept: Path | None = None) -> None:
        super().__init__(f"{why} (what was recorded before is in {kept})" if kept else why)
        self.why = why
        self.kept = kept


class Recorder(Runner, Protocol):
    """A runner that also says what it is and what may be wrong with a request."""

    @property
    def header(self) -> dict[str, Any]:
        """What ran the program, for the trace's header."""
        ...

    def why_no_window(self, received: Received, run: Run) -> str:
        """One line for a run that recorded nothing."""
        ...


def _recorder(request: Request) -> Recorder:
    if not request.target:
        return _UnderValgrind(request)
    from diagmem.record.qemu import InQemu

    return InQemu(request)


def record(request: Request, output: Path, *, progress: bool = False) -> Recorded:
    """Run a program under the tool; write ``output``.

    The file grows beside its final place as ``.NAME.RANDOM.part`` and is moved there
    at the end, so that an older file of that name is not lost to a run that fails;
    if the recorder itself is killed, the part can be read.  A recording that was cut
    replaces no file: where there is one it becomes ``NAME.cut.dmt`` (or ``NAME.cut-2.dmt``
    and so on), and `Recorded.path` says so.

    Raises
    ------
    DiagmemError
        If the program, a symbol or the tool is not there, no window opened, or the
        file cannot be written.
    """
    recorder = _recorder(request)
    with links_directory() as directory, beside(output) as part:
        run = Run(
            recorder,
            directory,
            values=request.values,
            time_limit_seconds=request.time_limit_seconds,
        )
        writer = TraceWriter(part.file, _header(request, recorder))
        received, cut = run.into(writer, Progress("recording") if progress else None)
        if received.windows == 0:
            raise ProgramStoppedError(recorder.why_no_window(received, run))
        path = output
        if cut:
            path = part.take_free(output, "cut")
        else:
            part.take(output)
    if received.error:
        raise ProgramStoppedError(received.error, path)
    warnings = _warnings(request, received, run.exit_code)
    if path != output:
        warnings += (f"{output} is as it was: the cut recording is in {path}",)
    return Recorded(path, received.windows, writer.events, run.exit_code, cut, warnings)


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
        said.append(f"the program ended with {exit_text(exit_code)}")
    return tuple(said)


class _UnderValgrind:
    """Runs a program of this machine under Valgrind with the tool."""

    ring: Ring | None = None

    def __init__(self, request: Request) -> None:
        self._request = request
        self._tool = find_tool()
        self._program = find_program(request.command[0])
        if is_elf(self._program):
            platform = platform_of(self._program)
            self._tool = self._tool.for_program(self._program, platform)
        self._options = _options(request, self._program)

    @property
    def header(self) -> dict[str, Any]:
        return {"valgrind": self._tool.valgrind_version, "platform": self._tool.platform}

    def start(self, fifo: Path, log: Path) -> subprocess.Popen[bytes]:
        command = [
            *self._tool.command,
            "--quiet",
            # Nobody debugs through it, and its pipes would stay behind a kill.
            "--vgdb=no",
            f"--log-file={log}",
            # A program that executes another is followed into it.
            "--trace-children=yes",
            "--child-silent-after-fork=yes",
            f"--stream={fifo}",
            *self._options,
            "--",
            *self._request.command,
        ]
        # The program's output is not ours: it goes to our standard error (2), so
        # that standard output stays data.
        copies = () if self._request.copies_are_raw else (self._tool.copies,)
        environment = self._tool.environment(fifo.parent, *copies)
        return subprocess.Popen(command, env=environment, stdout=2, cwd=self._request.directory)

    def complete(self, record: dict[str, Any]) -> None:
        """The tool says it all."""

    def why_stopped(self, received: Received, log: Path, *, late: bool) -> str:
        if late:
            return f"{self._program}: still running after {self._request.time_limit_seconds:g} s"
        return ""

    def why_no_window(self, received: Received, run: Run) -> str:
        program, exit_code = self._program, run.exit_code
        if received.error:
            return received.error
        if not received.hello:
            return f"{program}: did not start under Valgrind: {last_words(run.log, exit_code)}"
        names = ", ".join(self._request.functions)
        ended = f" (the program ended with {exit_text(exit_code)})" if exit_code else ""
        if not names:
            return (
                f"{program}: no window opened{ended}: name a function with --function, or mark one"
                " in the program with DIAGMEM_WINDOW_BEGIN (diagmem.h)"
            )
        line = f"{program}: {names} was never called{ended}"
        children = _children(run.fifo)
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


def _children(fifo: Path) -> list[str]:
    path = Path(f"{fifo}.children")
    if not path.exists():
        return []
    return list(dict.fromkeys(path.read_text(encoding="utf-8").split()))


def last_words(log: Path, exit_code: int) -> str:
    """What a runner said last, on one line; its exit code where it said nothing."""
    if not log.exists():
        return f"exit code {exit_code}"
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    said = [re.sub(r"^==\d+== ?", "", line).strip() for line in lines]
    return " ".join(s for s in said if s)[:300] or f"exit code {exit_code}"
