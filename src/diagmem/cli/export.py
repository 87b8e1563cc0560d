"""``diagmem export``: events as Parquet or CSV, a summary's cells likewise."""

from __future__ import annotations

import argparse
from pathlib import Path

from diagmem.cli.common import add_output, check_output, hint, say

_EPILOG = """\
a row per event, in program order:
  window, tick, thread, kind, address, size, buffer, offset, function, file, line
a row per cell of a summary; ticks are empty for what never happened:
  window, buffer, offset, bytes, first_load, last_load, first_store, last_store

buffer is the smallest one that the event touches; offset counts from its start.
Parquet takes far less time and room than CSV, and needs pyarrow:
  pip install 'diagmem[parquet]'
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument("trace", type=Path, metavar="TRACE", help="a trace file")
    add_output(parser, "the table: .parquet, .csv or .csv.gz", required=True)
    parser.add_argument(
        "--window", type=int, metavar="N", help="only window N, counted from 0 [all]"
    )


def run(args: argparse.Namespace) -> int:
    check_output(args.output, args.force, args.trace)
    from diagmem.trace.export import export
    from diagmem.trace.reader import TraceFile

    trace = TraceFile(args.trace)
    try:
        records = trace.windows if args.window is None else [trace.record(args.window)]
        rows = export(trace, args.output, records)
        cut = trace.cut
    finally:
        trace.close()
    if cut:
        say(f"{args.trace}: the trace is not complete: {cut}")
    say(f"{args.output}: {rows:,} rows, {args.output.stat().st_size:,} bytes")
    if args.output.suffix == ".parquet":
        hint(f"python -c \"import pandas; print(pandas.read_parquet('{args.output}'))\"")
    return 0
