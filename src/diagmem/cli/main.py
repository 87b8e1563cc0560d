"""``diagmem VERB``: find the verb, hand over, turn errors into exit codes.

A verb is one module of this package: ``configure(parser)`` adds its arguments
and ``run(args)`` does the work and returns the exit code: 0 done, 1 the answer
is "no", 2 the input or the call is wrong.  Its one line of help stands here, so
that ``diagmem --help`` imports no verb.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from io import TextIOWrapper
from types import FrameType
from typing import NoReturn, TextIO

from diagmem import __version__
from diagmem.base.errors import DiagmemError
from diagmem.base.text import printable_lines

VERBS: dict[str, str] = {
    "trace": "run a kernel or a program under Valgrind or QEMU and record its loads and stores",
    "import": "make a trace of an old log of valgrind --tool=lackey --trace-mem=yes",
    "overlap": "the minimum displacement and safe overlap found in a trace",
    "heatmap": "draw a trace: when each byte is loaded, stored and still needed",
    "prove": "run a kernel truly overlapped and compare the bits",
    "formula": "the minimum displacement and safe overlap of an operator, from its shapes",
    "check": "the formulas against traced kernels and overlapped runs, on random layers",
    "zoo": "eleven well-known networks to try things on",
    "measure": "a network's overlaps, on the compiled kernels that run it",
    "plan": "place a network's tensors in the smallest arena, overlapped where that is safe",
    "verify": "run a planned network beside the original on TFLM and compare the bits",
    "fit": "which micro-controllers a network fits, with and without overlap",
    "report": "one offline page that explains traces and networks: pictures, tables, data",
    "info": "what a trace holds",
    "validate": "check a trace file against the format's invariants",
    "export": "write the events as Parquet or CSV, or a time line for Perfetto",
    "doctor": "what is installed, what is missing, and the command that mends it",
}

_MODULES = {"import": "import_log"}
"""Verbs that cannot be the name of a module."""

EPILOG = """\
a first session:
  diagmem trace kernel.toml -o kernel.dmt     watch a kernel
  diagmem overlap kernel.dmt                  how far may output reach into input?
  diagmem heatmap kernel.dmt -o kernel.png    see why
  diagmem prove kernel.toml                   run it overlapped, compare bits

'diagmem VERB --help' explains a verb.  Exit codes: 0 done, 1 the answer is
no, 2 the input or the call is wrong.
"""


class OneLineParser(argparse.ArgumentParser):
    """A wrong call gets one line, like every other mistake."""

    def error(self, message: str) -> NoReturn:
        _complain(f"{self.prog}: {message}; see {self.prog} --help")
        sys.exit(2)


def build_parser() -> argparse.ArgumentParser:
    """The parser for what comes before a verb; it knows the verbs by name only."""
    parser = OneLineParser(
        prog="diagmem",
        description="Diagonal memory optimisation, measured on the compiled kernel.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-V", "--version", action="version", version=f"diagmem {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    for name, summary in VERBS.items():
        verbs.add_parser(name, help=summary, add_help=False)
    return parser


def parse_verb(verb: str, words: list[str]) -> argparse.Namespace:
    """The arguments of one verb; only its module is imported.

    Words may stand before, between and after options; what follows ``--`` is
    a command to run and is taken as it stands.
    """
    module = importlib.import_module(f"diagmem.cli.{_MODULES.get(verb, verb)}")
    summary = VERBS[verb]
    parser = OneLineParser(
        prog=f"diagmem {verb}",
        description=summary[0].upper() + summary[1:] + ".",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.configure(parser)
    parser.set_defaults(run=module.run, verb=verb, command=[])
    command = None
    if "--" in words:
        at = words.index("--")
        words, command = words[:at], words[at + 1 :]
    args = parser.parse_intermixed_args(words)
    if command is not None:
        if verb != "trace":
            parser.error("a command behind -- goes with diagmem trace only")
        args.command = command
    return args


class _Ended(BaseException):
    """A signal asks the process to end; not to be caught, like KeyboardInterrupt."""

    def __init__(self, number: int) -> None:
        self.number = signal.Signals(number)


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    if not _have_streams():
        _complain("diagmem: standard output is closed, expected it open")
        return 2
    if not words or words[0] not in VERBS:
        parser = build_parser()
        if words:
            parser.parse_args(words)  # help, version, or an error about the word
        parser.print_help()
        return 0
    args = parse_verb(words[0], words[1:])
    try:
        with _signals_raise():
            # A context of its own: which outputs are to be new is this call's business.
            code = int(copy_context().run(args.run, args))
            sys.stdout.flush()
        return code
    except DiagmemError as error:
        return _failed(args.verb, str(error), 2)
    except KeyboardInterrupt:
        return _failed(args.verb, "interrupted", 128 + signal.SIGINT)
    except _Ended as ended:
        return _failed(args.verb, f"ended by {ended.number.name}", 128 + ended.number)
    except BrokenPipeError:
        # The reader of our output went away, as `| head` does; that is no error.
        _give_up(sys.stdout)
        return 0
    except MemoryError:
        return _failed(args.verb, "there is not enough memory for this", 2)
    except OSError as error:
        # A full disk, a file that may not be read: the machine's, not a bug of ours.
        place = f"{error.filename}: " if error.filename else ""
        return _failed(args.verb, f"{place}{error.strerror or error}", 2)


def _failed(verb: str, why: str, code: int) -> int:
    """One line, behind what was printed so far."""
    try:
        sys.stdout.flush()
    except OSError:
        _give_up(sys.stdout)
    _complain(f"diagmem {verb}: {printable_lines(why)}")
    return code


def _complain(line: str) -> None:
    """Where nobody can be told, the exit code remains."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        _give_up(sys.stderr)


def _give_up(stream: TextIO) -> None:
    """What could not be written is not tried again, and complained about, at exit: since
    Python 3.13 that would also change the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _have_streams() -> bool:
    """Whether standard output is open; the other two are, from now on.

    A file that is opened takes the lowest free number: it must not become a standard
    stream, which our programs write to.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
    if isinstance(sys.stdout, TextIOWrapper):
        # Names of files may hold bytes that are no text.
        sys.stdout.reconfigure(errors="backslashreplace")
    return sys.stdout is not None


@contextmanager
def _signals_raise() -> Iterator[None]:
    """SIGTERM and SIGHUP unwind as Ctrl-C does, so that no part of a file stays."""
    process = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        if os.getpid() == process:
            raise _Ended(number)
        # A forked worker ends at once; its parent tidies up.
        os._exit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield  # only there can handlers be set
        return
    numbers = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) == signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main())
