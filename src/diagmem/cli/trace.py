"""``diagmem trace``: watch a described kernel, or any program."""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from diagmem.base.errors import DiagmemError
from diagmem.base.text import counted
from diagmem.cli.common import (
    BUFFER_OPTIONS,
    add_buffers,
    add_json,
    add_output,
    buffers_given,
    check_output,
    hint,
    not_negative,
    positive,
    say,
    show,
)
from diagmem.record.targets import NAMES

if TYPE_CHECKING:
    from diagmem.record.request import Recorded
    from diagmem.trace.mirror import Mirrored

TIME_LIMIT_SECONDS = 120

_EPILOG = """\
a kernel that a TOML file describes (see docs/own-kernel.md), or a bundled one:
  diagmem trace depthwise_conv_2d_f32 in_h=17 in_w=9 -o T.dmt

any program; what follows -- is run, and PLACE says where a buffer lies:
  diagmem trace --function conv --input x=arg:0,bytes:4608 \\
      --output y=arg:2,bytes:4608 -o T.dmt -- ./prog args
  symbol:NAME[@FILE][+OFF][,bytes:B]   a variable of the program or a library
  arg:N[->OFF]...[+OFF],bytes:B        where integer argument N (from 0) points;
                                       each ->OFF follows the pointer found there
  heap:BYTES[#K][+OFF],bytes:B         block K (from 0) of those allocated with
                                       exactly BYTES bytes
  address:0xA,bytes:B                  a fixed address

A program may also mark windows and buffers itself, with diagmem.h.

a kernel or an image on a Cortex-M, in QEMU (see docs/cortex-m.md):
  diagmem trace --target cortex-m4 conv_2d_int8 -o T.dmt
  diagmem trace --target cortex-m4 --function conv --input x=symbol:x \\
      --output y=symbol:y -o T.dmt -- image.elf
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.usage = (
        "diagmem trace [options] KERNEL [key=value ...]\n"
        "       diagmem trace [options] -- PROGRAM [ARGS ...]"
    )
    parser.add_argument(
        "--target",
        choices=NAMES,
        help="run it in QEMU: a kernel compiled for that processor, or an image of it",
    )
    parser.add_argument(
        "--time-limit",
        type=positive,
        metavar="S",
        help="end it after so many seconds [120 with --target, else none]",
    )
    parser.add_argument(
        "kernel", nargs="?", metavar="KERNEL", help="kernel description, or a bundled name"
    )
    parser.add_argument(
        "parameters", nargs="*", metavar="key=value", help="replace one of its parameters"
    )
    add_output(parser, "the trace [KERNEL.dmt or PROGRAM.dmt]")
    parser.add_argument(
        "--mode",
        choices=("events", "summary"),
        default="events",
        help="every event, or first and last load and store of each byte [events]",
    )
    parser.add_argument(
        "--function",
        action="append",
        default=[],
        metavar="NAME",
        help="each outermost call is a window; demangled or mangled, * and ? match, or"
        " OBJECT:NAME, OBJECT+0xOFFSET, 0xADDRESS; may be repeated",
    )
    add_buffers(parser, "PLACE")
    parser.add_argument(
        "--watch",
        action="append",
        default=[],
        metavar="NAME",
        help="of all buffers only those so named (a kernel's weights can double the events);"
        " may be repeated",
    )
    parser.add_argument(
        "--all", action="store_true", help="record accesses outside the buffers too"
    )
    parser.add_argument("--whole-program", action="store_true", help="one window from start to end")
    parser.add_argument(
        "--every-load",
        action="store_true",
        help="keep loads whose value is never used (slower; no D changes by it)",
    )
    parser.add_argument(
        "--raw-copies",
        action="store_true",
        help="record memcpy, memmove and memset by the accesses this machine's C library"
        " makes; else they count as copies, which promise no order",
    )
    parser.add_argument(
        "--mirror",
        action="store_true",
        help="check that nothing was missed: rebuild the buffers from the recorded stores and"
        " compare every load (slow; library copies as with --raw-copies)",
    )
    parser.add_argument(
        "--seed", type=not_negative, default=0, metavar="S", help="of a kernel's contents [0]"
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    if args.target and args.mirror:
        raise DiagmemError("--mirror: QEMU's plugin interface tells no values; not with --target")
    if args.time_limit is None and args.target:
        args.time_limit = TIME_LIMIT_SECONDS
    if args.mirror and args.mode == "summary":
        raise DiagmemError("--mirror goes with --mode events: a summary has no order to follow")
    with tempfile.TemporaryDirectory(prefix="diagmem-") as directory:
        values = Path(directory) / "values" if args.mirror else None
        if args.command:
            recorded = _trace_program(args, values)
        elif args.kernel is not None:
            recorded = _trace_kernel(args, values)
        else:
            raise DiagmemError("expected KERNEL, or -- and a PROGRAM; see diagmem trace --help")
        mirrored = _mirror(recorded, values) if values is not None else None
    for warning in recorded.warnings:
        say(f"warning: {warning}")
    if recorded.cut:
        say(f"warning: the recording was cut: {recorded.cut}")
    size = recorded.path.stat().st_size
    data = {
        "path": str(recorded.path),
        "mode": args.mode,
        "windows": recorded.windows,
        "events": recorded.events,
        "bytes_on_disk": size,
        "exit_code": recorded.exit_code,
        "complete": not recorded.cut,
        "cut": recorded.cut,
        "warnings": list(recorded.warnings),
        "mirror": asdict(mirrored) if mirrored else None,
    }
    windows = counted(recorded.windows, "window")
    line = f"{recorded.path}: {windows}, {recorded.events:,} events, {size:,} bytes"
    show(args, lambda: data, lambda: [line])
    hint("diagmem", "overlap", recorded.path)
    agrees = mirrored is None or not mirrored.mismatches
    return 0 if agrees and not recorded.cut else 1


def _mirror(recorded: Recorded, values: Path) -> Mirrored:
    """Say whether the stores recorded are those that happened."""
    from diagmem.trace.mirror import check

    mirror = check(recorded.path, values)
    for mismatch in mirror.mismatches:
        say(f"mirror: {mismatch}")
    if not mirror.mismatches:
        say(
            f"mirror: {mirror.loads:,} loads and the contents of {mirror.closed:,} buffers agree"
            f" with {mirror.stores:,} recorded stores"
        )
    return mirror


def _trace_kernel(args: argparse.Namespace, values: Path | None) -> Recorded:
    from diagmem.kernels.catalog import find
    from diagmem.kernels.description import load
    from diagmem.kernels.parameters import parse_overrides
    from diagmem.kernels.tracing import KernelDidNotFinishError, trace_kernel

    given = [role for role in BUFFER_OPTIONS if getattr(args, f"{role}_places")]
    given += [name for name in ("function", "all", "whole_program") if getattr(args, name)]
    if given:
        raise DiagmemError(
            f"--{given[0].replace('_', '-')} goes with -- PROGRAM; a kernel's description names"
            " its own function and buffers"
        )
    description = find(args.kernel)
    kernel = load(description, parse_overrides(args.parameters))
    if args.target:
        from diagmem.kernels.cortex_m.on_target import for_target

        kernel = for_target(kernel, args.target)
    output = _output(args, kernel.name, description)
    try:
        return trace_kernel(
            kernel,
            output,
            mode=args.mode,
            watch=args.watch,
            seed=args.seed,
            every_load=args.every_load,
            raw_copies=args.raw_copies,
            values=values,
            time_limit_seconds=args.time_limit,
            keep_when_interrupted=True,
            progress=True,
        )
    except KernelDidNotFinishError as error:
        kept = f"; what was recorded is in {error.kept}" if error.kept else ""
        raise DiagmemError(f"{error}{kept}") from None


def _trace_program(args: argparse.Namespace, values: Path | None) -> Recorded:
    from diagmem.record.recorder import record
    from diagmem.record.request import Request

    if args.kernel is not None:
        raise DiagmemError(
            f"both {args.kernel!r} and -- {args.command[0]}: expected a KERNEL or a PROGRAM"
        )
    if args.all and args.mode == "summary":
        raise DiagmemError("--all goes with --mode events: a summary is made of buffers")
    request = Request(
        command=args.command,
        mode=args.mode,
        functions=args.function,
        buffers=buffers_given(args),
        watch=args.watch,
        everything=args.all,
        whole_program=args.whole_program or (args.all and not args.function),
        every_load=args.every_load,
        raw_copies=args.raw_copies,
        values=values,
        target=args.target or "",
        time_limit_seconds=args.time_limit,
        keep_when_interrupted=True,
    )
    output = _output(args, Path(args.command[0]).name, Path(args.command[0]))
    return record(request, output, progress=True)


def _output(args: argparse.Namespace, stem: str, source: Path) -> Path:
    output: Path = args.output or Path(f"{stem}.dmt")
    check_output(output, args.force, source, endings=(".dmt",))
    return output
