"""Running a program under the tool and writing what it does to a trace file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from diagmem import __version__
from diagmem.base.files import JsonObject, beside
from diagmem.base.progress import Progress
from diagmem.record.qemu import InQemu
from diagmem.record.remarks import remarks
from diagmem.record.request import ProgramStoppedError, Recorded, Request
from diagmem.record.run import Run, Runner
from diagmem.record.stream import Received
from diagmem.record.tool import links_directory
from diagmem.record.valgrind import UnderValgrind
from diagmem.trace.writer import TraceWriter


def _header(request: Request, recorder: Recorder) -> JsonObject:
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


class Recorder(Runner, Protocol):
    """A runner that also says what it is and what may be wrong with a request."""

    @property
    def header(self) -> JsonObject:
        """What ran the program, for the trace's header."""
        ...

    def why_no_window(self, received: Received, run: Run) -> str:
        """One line for a run that recorded nothing."""
        ...


def _recorder(request: Request) -> Recorder:
    return InQemu(request) if request.target else UnderValgrind(request)


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
