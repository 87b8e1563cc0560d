"""Running a program under the tool and writing what it does to a trace file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from diagmem import __version__
from diagmem.errors import DiagmemError
from diagmem.files import beside
from diagmem.progress import Progress
from diagmem.record.names import in_object
from diagmem.record.places import BufferPlace
from diagmem.record.remarks import remarks
from diagmem.record.run import Run, Runner
from diagmem.record.stream import Received
from diagmem.record.tool import links_directory
from diagmem.trace.copies import names_copy
from diagmem.trace.writer import TraceWriter

Mode = Literal["events", "summary"]


@dataclass(frozen=True, slots=True)
class Request:
    """What to run and what to watch.

    Attributes
    ----------
    command
        Program and arguments.
    functions
        Each outermost call of a function so named is a window: demangled (with
        or without parameters and return type) or mangled, ``*`` and ``?`` match,
        of one object file alone (``libfoo.so:NAME``); or a place in an object file
        (``libfoo.so+0x1234``), or an address.  Client requests work besides.
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
    keep_when_interrupted: bool = False
    """Ctrl-C and its kin end the program, and what it did so far is recorded; else they
    end everything, as they do elsewhere."""

    @property
    def copies_are_raw(self) -> bool:
        return self.raw_copies or bool(self.traced_copies) or self.values is not None

    @property
    def traced_copies(self) -> tuple[str, ...]:
        return tuple(f for f in self.functions if names_copy(in_object(f)[1]))


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
    wrong: str = ""
    """What is wrong with the run, by whoever judged it, or empty."""


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
        from diagmem.record.valgrind import UnderValgrind

        return UnderValgrind(request)
    from diagmem.record.qemu import InQemu

    return InQemu(request)


def record(
    request: Request,
    output: Path,
    *,
    progress: bool = False,
    judge: Callable[[int, int], str] = lambda exit_code, windows: "",
) -> Recorded:
    """Run a program under the tool; write ``output``.

    ``judge`` says of exit code and number of windows what is wrong with the run, or "".

    The file grows beside its final place as ``.NAME.RANDOM.part`` and is moved there
    at the end, so that an older file of that name is not lost to a run that fails;
    if the recorder itself is killed, the part can be read.  A recording that was cut, or
    is of a run that is wrong, replaces no file: where there is one it becomes
    ``NAME.cut.dmt`` or ``NAME.wrong.dmt`` (``NAME.cut-2.dmt`` and so on), and
    `Recorded.path` says so.

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
            keep_when_interrupted=request.keep_when_interrupted,
        )
        writer = TraceWriter(part.file, _header(request, recorder))
        received, cut = run.into(writer, Progress("recording") if progress else None)
        if received.windows == 0:
            raise ProgramStoppedError(recorder.why_no_window(received, run))
        wrong = judge(run.exit_code, received.windows)
        path = output
        if cut or wrong:
            path = part.take_free(output, "cut" if cut else "wrong")
        else:
            part.take(output)
    if received.error:
        raise ProgramStoppedError(received.error, path)
    warnings = remarks(request, received, run.exit_code)
    if path != output:
        warnings += (f"{output} is as it was: this recording is in {path}",)
    return Recorded(path, received.windows, writer.events, run.exit_code, cut, warnings, wrong)
