"""``diagmem import``: make a trace of an old log."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from diagmem.base.errors import DiagmemError
from diagmem.base.files import replacing
from diagmem.base.filetypes import FileType, refuse_other
from diagmem.base.progress import Progress
from diagmem.base.text import counted
from diagmem.cli.common import (
    add_buffers,
    add_json,
    add_output,
    buffers_given,
    check_output,
    hint,
    say,
    show,
)

if TYPE_CHECKING:
    from diagmem.trace.composer import Composer
    from diagmem.trace.lackey import LackeyLog, LogLines
    from diagmem.trace.window import Buffer

_EPILOG = """\
The log is what 'valgrind --tool=lackey --trace-mem=yes PROGRAM' writes to its
standard error (.gz and .xz are read as they are; - is standard input):
  diagmem import old.txt -o old.dmt --input x=address:0x10c040,bytes:480 \\
      --output y=address:0x10c240,bytes:480 --from 0x109189 --to 0x109250

--from is the address of the kernel's first instruction, --to that of the first one
behind its call; every time control comes by a window opens and closes.  Without them
the whole log is one window, in which filling the input and looking at the output
count, too.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument("log", type=Path, metavar="LACKEY.txt")
    add_output(parser, "the trace", required=True)
    add_buffers(parser, "address:0xA,bytes:B")
    for end, what in (("from", "opens"), ("to", "closes")):
        parser.add_argument(
            f"--{end}",
            dest=f"{end}_pc",
            type=_address,
            metavar="0xPC",
            help=f"the instruction at this address {what} a window",
        )
    parser.add_argument(
        "--mode",
        choices=("events", "summary"),
        default="events",
        help="every event, or first and last load and store of each byte [events]",
    )
    add_json(parser)


def _address(text: str) -> int:
    number = int(text, 0)
    if number < 0:
        raise ValueError
    return number


def run(args: argparse.Namespace) -> int:
    from diagmem.trace.composer import Composer
    from diagmem.trace.lackey import LackeyLog

    buffers = _buffers(args)
    if (args.from_pc is None) != (args.to_pc is None):
        raise DiagmemError("--from and --to go together: where a window opens and where it closes")
    check_output(args.output, args.force, args.log, endings=(".dmt",))
    refuse_other(args.log, FileType.LOG, maybe=[FileType.GZIP, FileType.XZ])
    log = LackeyLog(args.log)
    header = {"imported": "a lackey log"}
    with (
        replacing(args.output) as file,
        Composer(args.output, file=file, mode=args.mode, header=header) as composer,
    ):
        windows = _Windows(composer, buffers, args.from_pc, args.to_pc)
        progress = Progress("reading")
        for lines in log.read():
            windows.take(lines)
            progress.advance(len(lines.address))
        progress.done()
        cut = _end(args, log, windows)
        composer.close(cut=cut)
    return _report(args, log, windows, cut)


def _buffers(args: argparse.Namespace) -> list[Buffer]:
    from diagmem.record.places import check_names
    from diagmem.trace.window import Buffer

    places = buffers_given(args)
    check_names(places)
    if not places:
        raise DiagmemError("no buffer to look at; give --input NAME=address:0xA,bytes:B and so on")
    return [Buffer(p.name, p.role, *p.fixed_range()) for p in places]


class _Windows:
    """Sorts a log's accesses into windows."""

    def __init__(
        self, composer: Composer, buffers: list[Buffer], from_pc: int | None, to_pc: int | None
    ) -> None:
        self._composer = composer
        self._buffers = buffers
        self._from, self._to = from_pc, to_pc
        self.open = False
        self.count = 0
        self.events = 0
        if from_pc is None:
            self._begin()

    def _begin(self) -> None:
        name = "whole log" if self._from is None else f"{self._from:#x}"
        self._composer.open_window(name, self._buffers)
        self.open = True
        self.count += 1

    def close(self) -> None:
        self._composer.close_window("requested")
        self.open = False

    def take(self, lines: LogLines) -> None:
        import numpy as np

        if self._from is None:
            self._add(lines, 0, len(lines.address))
            return
        marks = np.flatnonzero(
            lines.instruction & ((lines.address == self._from) | (lines.address == self._to))
        )
        at = 0
        for mark in marks.tolist():
            opens = lines.address[mark] == self._from
            if self.open and not opens:
                self._add(lines, at, mark)
                self.close()
            elif opens and not self.open:
                self._begin()
                at = mark
        if self.open:
            self._add(lines, at, len(lines.address))

    def _add(self, lines: LogLines, start: int, end: int) -> None:
        """The accesses among some lines that touch a buffer."""
        import numpy as np

        part = slice(start, end)
        address, size = lines.address[part], lines.size[part]
        touching = np.zeros(len(address), np.bool_)
        for buffer in self._buffers:
            touching |= (address < buffer.end) & (address + size > buffer.address)
        which = np.flatnonzero(touching & ~lines.instruction[part])
        load, store = lines.load[part][which], lines.store[part][which]
        # A modify is two: the load comes first.
        times = load.astype(np.int64) + store
        event = np.repeat(which, times)
        second = np.arange(len(event)) > np.repeat(np.cumsum(times) - times, times)
        self._composer.add(address[event], size[event], np.repeat(~load, times) | second)
        self.events += len(event)


def _end(args: argparse.Namespace, log: LackeyLog, windows: _Windows) -> str:
    """Close what is open at the log's end; why the trace is cut, or empty."""
    if windows.count == 0:
        raise DiagmemError(
            f"{args.log}: no instruction at {args.from_pc:#x} in {log.lines:,} lines"
            f" ({log.passed_over:,} of other text); expected one where --from says"
        )
    if log.lines == log.passed_over:
        raise DiagmemError(
            f"{args.log}: no access in {log.lines:,} lines, expected lines like ' L 1ffefffe70,8'"
        )
    if log.torn:
        return "the log ends within a line"
    if windows.open and args.from_pc is not None:
        return f"the log ends before the instruction at {args.to_pc:#x}"
    if windows.open:
        windows.close()
    return ""


def _report(args: argparse.Namespace, log: LackeyLog, windows: _Windows, cut: str) -> int:
    size = args.output.stat().st_size
    if cut:
        say(f"warning: {args.log} is cut: {cut}")
    data = {
        "path": str(args.output),
        "mode": args.mode,
        "windows": windows.count,
        "events": windows.events,
        "lines": log.lines,
        "lines_passed_over": log.passed_over,
        "bytes_on_disk": size,
        "complete": not cut,
        "cut": cut,
    }
    line = (
        f"{args.output}: {counted(windows.count, 'window')}, {windows.events:,} events,"
        f" {size:,} bytes, from {log.lines:,} lines ({log.passed_over:,} of other text)"
    )
    show(args, lambda: data, lambda: [line])
    hint("diagmem", "overlap", args.output)
    return 1 if cut else 0
