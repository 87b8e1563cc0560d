"""``diagmem heatmap``: draw when each byte is loaded, stored and still needed."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diagmem.base.files import JsonObject
from diagmem.base.progress import Progress
from diagmem.cli.common import add_json, check_output, hint, show

if TYPE_CHECKING:
    from diagmem.analysis.trace import Trace
    from diagmem.plot.compare import Comparison
    from diagmem.plot.heatmap import Picture

Result = tuple[JsonObject, list[str]]
"""As data, and as lines."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "traces", type=Path, metavar="TRACE", nargs="+", help="a trace file; several: side by side"
    )
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
        "--window",
        action="append",
        type=int,
        dest="windows",
        metavar="N",
        help="which window [0]; may be repeated: side by side",
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
    parser.add_argument(
        "--width-px", type=int, metavar="N", help="pixels [1800; side by side 1200 each]"
    )
    parser.add_argument("--dpi", type=int, metavar="N", help="pixels per inch [150]")
    add_json(parser)
    parser.epilog = """\
Light: a value that is still needed.  Dark: loads and stores, each at full
strength however small.  The lines are the lowest input byte still needed and
the highest output byte written; the last panels lay the input D bytes above
the output's start, where both just touch.

Several traces or windows are drawn side by side at one scale: of each the input,
the output and the placement.

  diagmem heatmap kernel.dmt -o kernel.png
  diagmem heatmap add.dmt -o add.svg --input input2 --buffer input2 --buffer output
  diagmem heatmap ours.dmt theirs.dmt -o both.png
"""


def run(args: argparse.Namespace) -> int:
    from diagmem.analysis.trace import open_trace
    from diagmem.plot.sheet import check_extension

    check_extension(args.file)
    check_output(args.file, args.force, *args.traces)
    with ExitStack() as stack:
        progress = Progress("reading")
        traces = [stack.enter_context(open_trace(path)) for path in args.traces]
        for trace in traces:
            trace.report_progress(progress.advance)
        shown = [(trace, window) for trace in traces for window in args.windows or [0]]
        result = _picture(args, *shown[0]) if len(shown) == 1 else _comparison(args, shown)
        progress.done()
    data, lines = result
    show(args, lambda: data, lambda: lines)
    hint("diagmem", "prove", "KERNEL", note="runs the kernel truly overlapped")
    return 0


def _picture(args: argparse.Namespace, trace: Trace, window: int) -> Result:
    from diagmem.plot.heatmap import draw
    from diagmem.plot.sheet import WIDTH_PX

    width_px = WIDTH_PX if args.width_px is None else args.width_px
    picture = draw(trace, args.file, window=window, width_px=width_px, **_choices(args))
    return _as_json(picture), [f"{_size(picture)}, {_window(picture)}", *_lines(picture)]


def _comparison(args: argparse.Namespace, shown: list[tuple[Trace, int]]) -> Result:
    """Several windows side by side."""
    from diagmem.plot.compare import draw_side_by_side

    comparison = draw_side_by_side(shown, args.file, width_px=args.width_px, **_choices(args))
    pictures = [
        {"trace": t.path, **_as_json(p)}
        for (t, _), p in zip(shown, comparison.pictures, strict=True)
    ]
    lines = [f"{_size(comparison)}, {len(shown)} windows, {comparison.ticks:,} ticks across"]
    for (trace, _), picture in zip(shown, comparison.pictures, strict=True):
        lines += [f"{trace.path}: {_window(picture)}", *_lines(picture)]
    return {**asdict(comparison), "pictures": pictures}, lines


def _choices(args: argparse.Namespace) -> dict[str, Any]:
    from diagmem.plot.sheet import DPI

    return {
        "input_": args.input,
        "output": args.output,
        "buffers": args.buffer,
        "title": args.title,
        "dpi": DPI if args.dpi is None else args.dpi,
    }


def _as_json(picture: Picture) -> JsonObject:
    data = asdict(picture)
    if picture.pair is not None:
        # The order of the fields is that of the first release.
        pair, names = data["pair"], ("isolated_safe_displacements", "limit", "notes", "refused")
        last = {name: pair.pop(name) for name in names}
        data["pair"] = {**pair, **last, "safe_overlap_bytes": picture.pair.safe_overlap_bytes}
    return data


def _size(drawn: Picture | Comparison) -> str:
    return f"{drawn.path}: {drawn.width_px} x {drawn.height_px} pixels"


def _window(picture: Picture) -> str:
    function = picture.function or "(no function)"
    return f"window {picture.window} of {function}, {picture.events:,} events"


def _lines(picture: Picture) -> list[str]:
    lines = []
    pair = picture.pair
    if pair is not None:
        lines.append(
            f"  {pair.input} over {pair.output}: D = {pair.min_displacement_bytes:,} B,"
            f" O_s = {pair.safe_overlap_bytes:,} B"
        )
    lines += [
        f"  limit: tick {access.tick:,}, {access.buffer}, {access}" for access in picture.limit
    ]
    return lines + [f"  note: {note}" for note in picture.notes]
