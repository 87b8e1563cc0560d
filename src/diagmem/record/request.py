"""What to run and what to watch, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from diagmem.base.errors import DiagmemError
from diagmem.base.files import JsonObject
from diagmem.record.names import in_object
from diagmem.record.places import BufferPlace
from diagmem.trace.copies import names_copy

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
    about: JsonObject = field(default_factory=dict)
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


class ProgramStoppedError(DiagmemError):
    """The run is worth nothing: it faulted, hung, or the tool gave up.

    ``why`` is the reason alone; ``kept`` the trace of what came before, if there is one.
    """

    def __init__(self, why: str, kept: Path | None = None) -> None:
        super().__init__(f"{why} (what was recorded before is in {kept})" if kept else why)
        self.why = why
        self.kept = kept
