"""One recorded run: a process that streams, the trace it becomes, how it ended."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import BinaryIO, Protocol

from diagmem.base.progress import Progress
from diagmem.record.ring import Ring
from diagmem.record.stream import Received, StreamReader, receive
from diagmem.trace.records import Record
from diagmem.trace.writer import TraceWriter

PIPE_BYTES = 1 << 20
GRACE_SECONDS = 5.0
"""From being asked to end to being killed."""


class Runner(Protocol):
    """What runs the program: Valgrind with the tool, or QEMU with the plugin.

    ``ring`` is where its stream goes once it has started; None: all goes through the
    FIFO.
    """

    ring: Ring | None

    def start(self, fifo: Path, log: Path) -> subprocess.Popen[bytes]:
        """Start the program; frames go to ``fifo``, the runner's own words to ``log``."""
        ...

    def complete(self, record: Record, received: Received) -> None:
        """Add to a record of the stream what only the program's file tells."""
        ...

    def why_stopped(self, received: Received, log: Path, *, late: bool) -> str:
        """Why the run is worth nothing, or empty; ``late``: its time was over."""
        ...


class Run:
    """One process under a runner.

    ``values`` is where the values moved go, if anywhere; after
    ``time_limit_seconds``, if not None, the process is ended; ``keep_when_interrupted``:
    a signal to this process ends only the other.
    """

    def __init__(
        self,
        runner: Runner,
        directory: Path,
        *,
        values: Path | None = None,
        time_limit_seconds: float | None = None,
        keep_when_interrupted: bool = False,
    ) -> None:
        self._runner = runner
        self.fifo = directory / "stream"
        self.log = directory / "log"
        self._values = values
        self._time_limit = time_limit_seconds
        self._keep = keep_when_interrupted
        self.exit_code = 0

    def into(self, writer: TraceWriter, progress: Progress | None) -> tuple[Received, str]:
        """Run it; what was received, and why the recording was cut ("" if not)."""
        os.mkfifo(self.fifo)
        # Opened for both, so that opening does not wait and the stream does not
        # end when a program executes another.
        fd = os.open(self.fifo, os.O_RDWR)
        try:
            _widen(fd)
            sys.stderr.flush()
            process = self._runner.start(self.fifo, self.log)
            try:
                with (
                    _passing_on_signals(process) if self._keep else contextlib.nullcontext(),
                    _values_file(self._values) as values,
                    _Limit(process, self._time_limit) as limit,
                ):
                    received = receive(
                        StreamReader(fd, process, self._runner.ring),
                        writer,
                        progress,
                        values,
                        self._runner.complete,
                    )
                    self.exit_code = process.wait()
                received.error = received.error or self._runner.why_stopped(
                    received, self.log, late=limit.over
                )
                cut = self._why_cut(received)
                writer.close(complete=not cut, reason=cut)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
                if progress is not None:
                    progress.done()
        finally:
            os.close(fd)
            if self._runner.ring is not None:
                self._runner.ring.close()
        return received, cut

    def _why_cut(self, received: Received) -> str:
        if received.error or received.cut:
            return received.error or received.cut
        if self.exit_code < 0:
            return f"the program ended with {exit_text(self.exit_code)}"
        if received.ended:
            return ""
        if received.hello:
            return "the tool stopped before the end"
        return ""


def exit_text(exit_code: int) -> str:
    """``signal SIGSEGV`` for a negative code, else ``exit code 3``."""
    if exit_code < 0:
        return f"signal {signal.Signals(-exit_code).name}"
    return f"exit code {exit_code}"


class _Limit:
    """Ends a process that takes too long; ``over`` says that it did."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float | None) -> None:
        self.over = False
        self._process = process
        self._timers = []
        if seconds is not None:
            self._timers = [
                threading.Timer(seconds, self._end, [signal.SIGTERM]),
                threading.Timer(seconds + GRACE_SECONDS, self._end, [signal.SIGKILL]),
            ]

    def _end(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            self.over = True
            self._process.send_signal(number)

    def __enter__(self) -> _Limit:
        for timer in self._timers:
            timer.daemon = True
            timer.start()
        return self

    def __exit__(self, *raised: object) -> None:
        for timer in self._timers:
            timer.cancel()


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
