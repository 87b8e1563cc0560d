"""``diagmem validate``: does a trace file keep what the format promises?"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from diagmem.base.errors import DiagmemError
from diagmem.base.text import counted
from diagmem.cli.common import add_json, hint, say, show

if TYPE_CHECKING:
    from diagmem.trace.validate import Report

_EPILOG = """\
The invariants are listed in docs/trace-format.md, and by --list.  A trace that
was cut short is valid as far as it goes.
Exit codes: 0 valid, 1 an invariant is broken, 2 not a trace or not readable.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument("trace", nargs="?", type=Path, metavar="TRACE", help="a trace file")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="EVENTS",
        help="the same kernel with --mode events: is TRACE, a summary, what those add up to?",
    )
    parser.add_argument("--list", action="store_true", help="list the invariants instead")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from diagmem.trace.invariants import INVARIANTS

    if args.list:
        listed = [f"{name}: {text}" for name, text in INVARIANTS.items()]
        show(args, lambda: INVARIANTS, lambda: listed)
        return 0
    if args.trace is None:
        raise DiagmemError("expected a trace file, or --list")
    from diagmem.trace.validate import validate

    report = validate(args.trace)
    wrong = _recounted(args.trace, args.against) if args.against and report.valid else []
    show(
        args,
        lambda: {**_as_json(report), "miscounts": wrong},
        lambda: [*_lines(report), *wrong],
    )
    if wrong:
        return 1
    if args.against and report.valid:
        say(f"{args.trace} is what the events of {args.against} add up to")
    if report.valid:
        hint("diagmem", "info", args.trace)
    else:
        say("what a broken invariant means: docs/trace-format.md")
    return 0 if report.valid else 1


def _recounted(summary: Path, events: Path) -> list[str]:
    """What a summary and the events of another run do not agree about."""
    from diagmem.analysis.recount import miscounts
    from diagmem.analysis.trace import open_trace

    with open_trace(summary) as counted, open_trace(events) as expected:
        for trace, mode in ((counted, "summary"), (expected, "events")):
            if trace.mode != mode:
                raise DiagmemError(f"{trace.path}: a trace of {trace.mode}, expected one of {mode}")
        return [str(miscount) for miscount in miscounts(counted, expected)]


def _as_json(report: Report) -> dict[str, object]:
    return {
        "path": report.path,
        "valid": report.valid,
        "complete": not report.cut,
        "cut": report.cut,
        "version": report.version,
        "mode": report.mode,
        "blocks": report.blocks,
        "windows": report.windows,
        "events": report.events,
        "broken": report.broken,
        "findings": [{**asdict(f), "place": f.place} for f in report.findings],
    }


def _lines(report: Report) -> list[str]:
    from diagmem.trace.invariants import INVARIANTS

    counts = {"block": report.blocks, "window": report.windows, "event": report.events}
    held = ", ".join(counted(number, noun) for noun, number in counts.items())
    verdict = "valid" if report.valid else "NOT valid"
    if report.cut:
        verdict += f", but cut: {report.cut}" if report.valid else f", and cut: {report.cut}"
    lines = [f"{report.path}: {verdict}", f"  format {report.version}; {held}"]
    for name, times in report.broken.items():
        lines.append(f"{name}: {INVARIANTS[name]}")
        listed = [f for f in report.findings if f.invariant == name]
        lines += [f"  {f.place}: found {f.found}, expected {f.expected}" for f in listed]
        if times > len(listed):
            lines.append(f"  and {times - len(listed):,} more")
    return lines
