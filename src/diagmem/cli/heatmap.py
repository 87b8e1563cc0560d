"""``diagmem heatmap``: draw when each byte is loaded, stored and still needed."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from diagmem.cli.common import add_json, check_output, hint, print_json
from diagmem.progress import Progress

if TYPE_CHECKING:
    from diagmem.plot.heatmap import Picture


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", type=Path, metavar="TRACE", help="a trace file")
    # Not add_output: --output names a buffer here, as in the other verbs on pairs.
    parser.add_argument(
        "-o",
        dest="file",
        type=Path,
        required=True,
        metavar="FILE",
        help="the picture: .png, .svg or .pdf",
    )
    parser.add_argument("--force", action="store_true", help="overwrite FILE if it exists")
    parser.add_argument(
        "--window", type=int, default=0, metavar="N", help="which window [%(default)s]"
    )
    parser.add_argument("--input", metavar="NAME", help="of the pair to show overlapped")
    parser.add_argument("--output", metavar="NAME", help="of the pair to show overlapped")
    parser.add_argument(
        "--buffer",
        action="append",
        default=[],
        metavar="NAME",
        help="give this buffer a panel, and only those so named (may be repeated)",
    )
    parser.add_argument("--title", metavar="TEXT", help="instead of the function's name")
    # The defaults are the API's, which is not imported for --help.
    parser.add_argument("--width-px", type=int, metavar="N", help="pixels [1800]")
    parser.add_argument("--dpi", type=int, metavar="N", help="pixels per inch [150]")
    add_json(parser)
    parser.epilog = """\
Light: a value that is still needed.  Dark: loads and stores, each at full
strength however small.  The lines are the lowest input byte still needed and
the highest output byte written; the last panels lay the input D bytes above
the output's start, where both just touch.

  diagmem heatmap kernel.dmt -o kernel.png
  diagmem heatmap add.dmt -o add.svg --input input2 --buffer input2 --buffer output
"""


def run(args: argparse.Namespace) -> int:
    from diagmem.api import open_trace
    from diagmem.plot.heatmap import DPI, WIDTH_PX, draw
    from diagmem.plot.sheet import check_extension

    check_extension(args.file)
    check_output(args.file, args.force, args.trace)
    with open_trace(args.trace) as trace:
        progress = Progress("reading")
        trace.report_progress(progress.advance)
        picture = draw(
            trace,
            args.file,
            window=args.window,
            input_=args.input,
            output=args.output,
            buffers=args.buffer,
            title=args.title,
            width_px=WIDTH_PX if args.width_px is None else args.width_px,
            dpi=DPI if args.dpi is None else args.dpi,
        )
        progress.done()
    if args.json:
        print_json(_as_json(picture))
    else:
        print("\n".join(_lines(picture)))
    hint("diagmem prove KERNEL   (runs the kernel truly overlapped)")
    return 0


def _as_json(picture: Picture) -> dict[str, object]:
    data = asdict(picture)
    if picture.pair is not None:
        data["pair"]["safe_overlap_bytes"] = picture.pair.safe_overlap_bytes
    return data


def _lines(picture: Picture) -> list[str]:
    lines = [
        f"{picture.path}: {picture.width_px} x {picture.height_px} pixels,"
        f" window {picture.window} of {picture.function or '(no function)'},"
        f" {picture.events:,} events"
    ]
    pair = picture.pair
    if pair is not None:
        lines.append(
            f"  {pair.input} over {pair.output}: D = {pair.min_displacement_bytes:,} B,"
            f" O_s = {pair.safe_overlap_bytes:,} B"
        )
    return lines + [f"  note: {note}" for note in picture.notes]
