"""``diagmem report``: one offline page that explains traces and networks."""

from __future__ import annotations

import argparse
from pathlib import Path

from diagmem.base.files import STDOUT
from diagmem.base.shell import command
from diagmem.cli.common import (
    add_json,
    add_output,
    check_text_output,
    hint,
    not_negative,
    positive,
    show,
)

_EPILOG = """\
  diagmem report kernel.dmt -o report.html                      a kernel
  diagmem report net.tflite --overlaps overlaps.json -o report.html
  diagmem report net.tflite kernel.dmt results.csv -o report.html   side by side

The page needs no network and no other file.  Pictures zoom and pan, by keyboard too;
tables sort, and all data can be saved from it as CSV or JSON.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="TRACE|MODEL|RESULTS",
        help="traces, .tflite models, results of diagmem check -o or of make results",
    )
    parser.add_argument(
        "--overlaps",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="measured overlaps of a model given, instead of the formulas (may be repeated)",
    )
    parser.add_argument(
        "--window",
        action="append",
        type=not_negative,
        default=[],
        metavar="N",
        help="of a trace, draw this window, and only those so named [the first four]",
    )
    parser.add_argument(
        "--arena", type=positive, metavar="BYTES", help="draw the room there is as a line"
    )
    parser.add_argument("--title", metavar="TEXT", help="of the page [the files' names]")
    add_output(parser, "the page: FILE.html; - is standard output", required=True)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from diagmem.report.page import page, write_page
    from diagmem.report.sections import sections_of

    check_text_output(args, *args.files, *args.overlaps, endings=(".html", ".htm"))
    sections = sections_of(
        args.files, overlaps=args.overlaps, windows=args.window, board_bytes=args.arena
    )
    title = args.title or ", ".join(dict.fromkeys(path.name for path in args.files))
    size_bytes = write_page(page(title, _command(args), sections), args.output)
    kinds = [
        {"path": str(path), "kind": section["kind"]}
        for path, section in zip(args.files, sections, strict=True)
    ]
    data = {"path": str(args.output), "bytes": size_bytes, "sections": kinds}
    lines = [f"{args.output}: {size_bytes:,} bytes"]
    lines += [f"  {entry['kind']:8} {entry['path']}" for entry in kinds]
    show(args, lambda: data, lambda: lines)
    if args.output != STDOUT:
        hint("xdg-open", args.output)
    return 0


def _command(args: argparse.Namespace) -> str:
    """The call that makes this page again."""
    words: list[object] = ["diagmem", "report", *args.files]
    for path in args.overlaps:
        words += ["--overlaps", path]
    for window in args.window:
        words += ["--window", window]
    if args.arena is not None:
        words += ["--arena", args.arena]
    if args.title is not None:
        words += ["--title", args.title]
    return command(*words, "-o", args.output)
