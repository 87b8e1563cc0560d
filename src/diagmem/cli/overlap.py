"""``diagmem overlap``: the minimum displacement and safe overlap in a trace."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diagmem.cli.common import add_json, hint, print_json, quoted, say
from diagmem.errors import DiagmemError
from diagmem.progress import Progress

if TYPE_CHECKING:
    from diagmem.api import Trace, WindowOverlaps
    from diagmem.overlap import Overlap

_EPILOG = """\
D, the minimum displacement, is how many bytes above the output's start the
input must begin: from D on every distance is safe.  O_s, the safe overlap, is
what the two may then share: output bytes - D, at most the input.

A traced D holds for the binary that was traced, with its buffers apart; a
compiler may branch on the distance.  'diagmem prove' runs the kernel overlapped.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument("trace", type=Path, metavar="T.dmt")
    parser.add_argument("--window", type=int, metavar="N", help="only this window, from 0")
    parser.add_argument(
        "--align", type=int, default=1, metavar="A", help="also round D up to A bytes [1]"
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from diagmem.api import open_trace

    if args.align < 1:
        raise DiagmemError(f"--align {args.align}: expected at least 1")
    with open_trace(args.trace) as trace:
        progress = Progress("reading")
        trace.report_progress(progress.advance)
        windows = trace.overlaps(args.window)
        progress.done()
        if not any(window.pairs for window in windows):
            raise DiagmemError(f"{args.trace}: {_why_no_pair(trace)}")
        if not trace.complete:
            say(f"warning: {args.trace} is cut: {trace.cut}")
        if args.json:
            print_json({"windows": [_as_json(window, args.align) for window in windows]})
        else:
            print("\n".join(_lines(trace, windows, args.align)))
    picture = args.trace.with_suffix(".png")
    hint(f"diagmem heatmap {quoted(args.trace)} -o {quoted(picture)}")
    return 0


def _why_no_pair(trace: Trace) -> str:
    for window in trace.windows:
        for name, reason in trace.missing(window.index):
            return f"buffer {name!r} was not there in window {window.index}: {reason}"
    if not trace.windows and not trace.complete:
        return f"it was cut before the first window: {trace.cut}"
    return (
        "no window has both an input and an output; their roles are given when tracing"
        " (--input, --output)"
    )


def _as_json(window: WindowOverlaps, align: int) -> dict[str, Any]:
    return {
        "index": window.index,
        "function": window.function,
        "events": window.events,
        "pairs": [_pair_as_json(pair, align) for pair in window.pairs],
    }


def _pair_as_json(pair: Overlap, align: int) -> dict[str, Any]:
    limit = pair.limit
    return {
        "input": pair.input,
        "output": pair.output,
        "input_bytes": pair.input_bytes,
        "output_bytes": pair.output_bytes,
        "min_displacement_bytes": pair.min_displacement_bytes,
        "safe_overlap_bytes": pair.safe_overlap_bytes,
        "exact": pair.exact,
        "proven": False,
        "align_bytes": align,
        "aligned_displacement_bytes": pair.aligned_displacement_bytes(align),
        "aligned_overlap_bytes": pair.aligned_overlap_bytes(align),
        "mirror_displacement_bytes": pair.mirror_displacement_bytes,
        "isolated_safe_displacements": list(pair.isolated_safe_displacements),
        "limit": None
        if limit is None
        else {
            "input_offset_bytes": limit.input_offset,
            "input_tick": limit.input_tick,
            "output_offset_bytes": limit.output_offset,
            "output_tick": limit.output_tick,
        },
        "notes": list(pair.notes),
    }


def _lines(trace: Trace, windows: tuple[WindowOverlaps, ...], align: int) -> list[str]:
    lines = []
    for window in windows:
        lines.append(f"window {window.index}: {window.function}, {window.events:,} events")
        if not window.pairs:
            lines.append("  no pair of an input and an output")
        for pair in window.pairs:
            lines += _pair_lines(pair, align)
        lines += [
            f"  buffer {name} was not there: {reason}"
            for name, reason in trace.missing(window.index)
        ]
    return lines


def _pair_lines(pair: Overlap, align: int) -> list[str]:
    shared = min(pair.input_bytes, pair.output_bytes)
    share = f" ({100 * pair.safe_overlap_bytes / shared:.1f} %)" if shared else ""
    bound = "" if pair.exact else "at most " if pair.min_displacement_bytes else ""
    lines = [
        f"  {pair.input} ({pair.input_bytes:,} B) over {pair.output} ({pair.output_bytes:,} B)",
        f"    minimum displacement  D   = {bound}{pair.min_displacement_bytes:,} B",
    ]
    lines.append(f"    safe overlap          O_s = {pair.safe_overlap_bytes:,} B{share}")
    if align > 1:
        lines.append(
            f"    aligned to {align:<10} D   = {pair.aligned_displacement_bytes(align):,} B,"
            f" O_s = {pair.aligned_overlap_bytes(align):,} B"
        )
    if pair.limit is not None:
        lines.append(f"    limited by            {_limit(pair)}")
    if pair.mirror_displacement_bytes < pair.input_bytes:
        lines.append(
            f"    input below output    safe from {pair.mirror_displacement_bytes:,} B below on"
        )
    if pair.isolated_safe_displacements:
        shown = ", ".join(f"{d:,}" for d in pair.isolated_safe_displacements[:8])
        more = " ..." if len(pair.isolated_safe_displacements) > 8 else ""
        lines.append(f"    also safe, isolated   {shown}{more}")
    return lines + [f"    note: {note}" for note in pair.notes]


def _limit(pair: Overlap) -> str:
    limit = pair.limit
    assert limit is not None
    when = (
        "needed from before the window"
        if limit.output_tick < 0
        else f"written at tick {limit.output_tick:,}"
    )
    return (
        f"{pair.output}[{limit.output_offset:,}] {when}, before"
        f" {pair.input}[{limit.input_offset:,}] is last needed at tick {limit.input_tick:,}"
    )
