"""``diagmem export``: a trace as a table, or for a viewer of time lines."""

from __future__ import annotations

import argparse
from pathlib import Path

from diagmem.base.errors import DiagmemError
from diagmem.base.files import STDOUT
from diagmem.base.shell import quoted
from diagmem.cli.common import add_output, check_output, hint, say

_ENDINGS = {
    "parquet": (".parquet",),
    "csv": (".csv", ".csv.gz"),
    "perfetto": (".json", ".json.gz"),
}

_EPILOG = """\
parquet and csv: a row per event, in program order:
  window, tick, thread, kind, address, size, buffer, offset, function, file, line
a row per cell of a summary; ticks are empty for what never happened:
  window, buffer, offset, bytes, first_load, last_load, first_store, last_store

buffer is the smallest one that the event touches; offset counts from its start.
Parquet takes far less time and room than CSV, and needs pyarrow.

perfetto: Chrome trace events, a microsecond an event of the trace: windows as
slices, buffers from first to last need, and the bytes alive as counters:
  diagmem export net.dmt -o net.json.gz       open it in ui.perfetto.dev
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument("trace", type=Path, metavar="TRACE", help="a trace file")
    every = [ending for endings in _ENDINGS.values() for ending in endings]
    add_output(
        parser,
        f"the ending says the format: {', '.join(every)}; - is standard output",
        required=True,
    )
    parser.add_argument("--format", choices=tuple(_ENDINGS), help="[by FILE's ending]")
    parser.add_argument(
        "--window", type=int, metavar="N", help="only window N, counted from 0 [all]"
    )


def run(args: argparse.Namespace) -> int:
    chosen = _format(args.output, args.format)
    if args.output != STDOUT:
        check_output(args.output, args.force, args.trace)
    if chosen == "perfetto":
        return _run_perfetto(args)
    from diagmem.trace.export import export
    from diagmem.trace.reader import TraceFile

    trace = TraceFile(args.trace)
    try:
        records = trace.windows if args.window is None else [trace.record(args.window)]
        rows = export(trace, args.output, records)
        cut = trace.cut
    finally:
        trace.close()
    _say_what(args, cut, f"{rows:,} rows")
    if args.output.suffix == ".parquet":
        code = f"import pandas; print(pandas.read_parquet({str(args.output)!r}))"
        hint("python", "-c", code)
    return 0


def _format(output: Path, wanted: str | None) -> str:
    """By the ending, which must be one of the wanted format, if any is named; standard
    output has none, and takes what is text."""
    if output == STDOUT:
        if wanted in ("csv", "perfetto"):
            return wanted
        raise DiagmemError("-: expected --format csv or perfetto for standard output")
    fitting = [name for name, endings in _ENDINGS.items() if output.name.endswith(endings)]
    if fitting and wanted in (None, *fitting):
        return fitting[0]
    expected = [e for name, es in _ENDINGS.items() if wanted in (None, name) for e in es]
    listed = ", ".join(expected[:-1]) + " or " * (len(expected) > 1) + expected[-1]
    raise DiagmemError(f"{output}: the ending says the format; expected {listed}")


def _run_perfetto(args: argparse.Namespace) -> int:
    from diagmem.analysis.trace import open_trace
    from diagmem.base.progress import Progress
    from diagmem.plot.perfetto import export_perfetto

    with open_trace(args.trace) as trace:
        progress = Progress("reading")
        trace.report_progress(progress.advance)
        known = [window.index for window in trace.windows]
        written = export_perfetto(
            trace, args.output, known if args.window is None else [args.window]
        )
        progress.done()
        cut = trace.cut
    _say_what(args, cut, f"{written:,} trace events")
    if args.output != STDOUT:
        say(f"next: open {quoted(args.output)} in https://ui.perfetto.dev or chrome://tracing")
    return 0


def _say_what(args: argparse.Namespace, cut: str, amount: str) -> None:
    if cut:
        say(f"{args.trace}: the trace is not complete: {cut}")
    size = "" if args.output == STDOUT else f", {args.output.stat().st_size:,} bytes"
    say(f"{args.output}: {amount}{size}")
