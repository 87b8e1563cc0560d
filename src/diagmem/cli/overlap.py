"""``diagmem overlap``: the minimum displacement and safe overlap in a trace."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from diagmem.analysis.overlap import IN_PLACE
from diagmem.base.errors import DiagmemError
from diagmem.base.files import JsonObject
from diagmem.base.progress import Progress
from diagmem.base.text import counted
from diagmem.cli.common import add_json, hint, say, show

if TYPE_CHECKING:
    from diagmem.analysis.overlap import Overlap
    from diagmem.analysis.trace import Trace
    from diagmem.analysis.union import Source, Union
    from diagmem.analysis.window_overlaps import WindowOverlaps

NOT_PROVEN = "(traced, not proven)"
"""Beside every figure that only a trace stands for."""
NAMED = 8
"""So many windows, traces or figures are listed one by one."""
BUILD = ("kernel", "parameters", "flags", "compiler", "functions", "platform")
"""What a trace's header says of the program that was traced."""

_EPILOG = """\
D, the minimum displacement, is how many bytes above the output's start the
input must begin: from D on every distance is safe.  O_s, the safe overlap, is
what the two may then share: output bytes - D, at most the input.

A traced D holds for the binary that was traced, with its buffers apart; a
compiler may branch on the distance.  'diagmem prove' runs the kernel overlapped.
Isolated displacements below D are those at which this trace shows no conflict; a
vectorised kernel may go another way there, so none of them is safe until it is
proven by itself: prove --displacement.

Several windows, of one trace or of several (runs on other inputs, say), are also
answered together: safe is what is safe in each.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument("traces", type=Path, nargs="+", metavar="T.dmt")
    parser.add_argument("--window", type=int, metavar="N", help="only this window, from 0")
    parser.add_argument(
        "--align", type=int, default=1, metavar="A", help="also round D up to A bytes [1]"
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from diagmem.analysis.union import merge

    if args.align < 1:
        raise DiagmemError(f"--align {args.align}: expected at least 1")
    if args.window is not None and len(args.traces) > 1:
        raise DiagmemError("--window goes with one trace: each has windows of its own")
    windows = _all_windows(args.traces, args.window)
    unions = merge((window.source, window.overlaps) for window in windows)
    show(args, lambda: _as_json(windows, unions, args), lambda: _lines(windows, unions, args))
    for window in windows:
        if window.overlaps.events == 0:
            which = _names([window.source], args.traces)
            say(f"warning: {which} has no event: nothing touched its buffers")
    picture = args.traces[0].with_suffix(".png")
    hint("diagmem", "heatmap", args.traces[0], "-o", picture)
    return 0


@dataclass(frozen=True)
class _TracedWindow:
    """A window of one of the traces."""

    source: Source
    overlaps: WindowOverlaps
    missing: tuple[tuple[str, str], ...]


def _all_windows(paths: list[Path], window: int | None) -> list[_TracedWindow]:
    from diagmem.analysis.trace import open_trace
    from diagmem.analysis.union import Source

    for i, path in enumerate(paths):
        if path.exists() and any(p.exists() and path.samefile(p) for p in paths[:i]):
            raise DiagmemError(f"{path}: is named twice; expected different traces")
    progress = Progress("reading")
    windows = []
    made: dict[str, object] = {}
    for path in paths:
        with open_trace(path) as trace:
            trace.report_progress(progress.advance)
            answers = trace.overlaps(window)
            if not any(overlaps.pairs for overlaps in answers):
                raise DiagmemError(f"{path}: {_why_no_pair(trace)}")
            if not trace.complete:
                say(f"warning: {path} is cut: {trace.cut}")
            _tell_apart(made, path, trace)
            windows += [
                _TracedWindow(Source(str(path), each.index), each, trace.missing(each.index))
                for each in answers
            ]
    progress.done()
    return windows


def _tell_apart(made: dict[str, object], path: Path, trace: Trace) -> None:
    """Runs of another build are merged as asked, but not without a word."""
    mine = {key: getattr(trace.about, key) for key in BUILD}
    others = [key for key, value in mine.items() if made.setdefault(key, value) != value]
    if others:
        say(f"warning: {path} was made with other {', '.join(others)} than the first")


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


def _as_json(
    windows: list[_TracedWindow], unions: tuple[Union, ...], args: argparse.Namespace
) -> JsonObject:
    return {
        "windows": [
            {
                "trace": window.source.trace,
                "index": window.overlaps.index,
                "function": window.overlaps.function,
                "events": window.overlaps.events,
                "pairs": [_pair_as_json(pair, args.align) for pair in window.overlaps.pairs],
            }
            for window in windows
        ],
        "merged": [_union_as_json(union, args.align) for union in unions],
    }


def _figures_as_json(pair: Overlap | Union, align: int, **more: object) -> JsonObject:
    return {
        **pair.as_json(),
        "exact": pair.exact,
        "proven": False,
        "align_bytes": align,
        "aligned_displacement_bytes": pair.aligned_displacement_bytes(align),
        "aligned_overlap_bytes": pair.aligned_overlap_bytes(align),
        "mirror_displacement_bytes": pair.mirror_displacement_bytes,
        "isolated_safe_displacements": list(pair.isolated_safe_displacements),
        **more,
        "refused": pair.refused,
        "in_place_by_construction": pair.by_construction,
    }


def _union_as_json(union: Union, align: int) -> JsonObject:
    return {
        "function": union.function,
        **_figures_as_json(union, align),
        "windows": len(union.windows),
        "differ": union.differ,
        "displacements": [
            {"min_displacement_bytes": d, "windows": n} for d, n in union.displacements
        ],
        "decided_by": [
            {"trace": source.trace, "window": source.window} for source in union.decided_by
        ],
    }


def _pair_as_json(pair: Overlap, align: int) -> JsonObject:
    return {
        **_figures_as_json(pair, align, limit=pair.limit and pair.limit.as_json()),
        "notes": list(pair.notes),
    }


def _lines(
    windows: list[_TracedWindow], unions: tuple[Union, ...], args: argparse.Namespace
) -> list[str]:
    lines = []
    for alike in _alike(windows):
        first = alike[0].overlaps
        lines.append(
            f"{_names([window.source for window in alike], args.traces)}: {first.function},"
            f" {_events(alike)}"
        )
        if not first.pairs:
            lines.append("  no pair of an input and an output")
        for pair in first.pairs:
            lines += _pair_lines(pair, args.align)
        lines += [f"  buffer {name} was not there: {reason}" for name, reason in alike[0].missing]
    for union in unions:
        if len(union.windows) > 1:
            lines += _union_lines(union, args)
    return lines


def _alike(windows: list[_TracedWindow]) -> list[list[_TracedWindow]]:
    """Windows that say the same, so that thousands of them are not a thousand blocks."""
    groups: dict[object, list[_TracedWindow]] = {}
    for window in windows:
        pairs = tuple(replace(pair, limit=None, notes=()) for pair in window.overlaps.pairs)
        groups.setdefault((window.overlaps.function, pairs, window.missing), []).append(window)
    return list(groups.values())


def _names(sources: Sequence[Source], traces: list[Path]) -> str:
    """Windows by number, in runs; by trace where there are several."""
    of_trace: dict[str, list[int]] = {}
    for source in sources:
        of_trace.setdefault(source.trace, []).append(source.window)
    named = []
    for trace, numbers in of_trace.items():
        text = f"window{'s' if len(numbers) > 1 else ''} {_runs(numbers)}"
        named.append(f"{trace} {text}" if len(traces) > 1 else text)
    shown = ", ".join(named[:NAMED])
    return shown if len(named) <= NAMED else f"{shown} and in {len(named) - NAMED} more traces"


def _runs(numbers: list[int]) -> str:
    """0, 1, 2, 5 as "0-2, 5"; at most `NAMED` of them."""
    ends: list[list[int]] = []
    for n in numbers:
        if ends and ends[-1][1] == n - 1:
            ends[-1][1] = n
        else:
            ends.append([n, n])
    shown = [f"{a}" if a == b else f"{a}-{b}" for a, b in ends]
    more = [f"... ({len(numbers):,} in all)"] if len(shown) > NAMED else []
    return ", ".join(shown[:NAMED] + more)


def _events(alike: list[_TracedWindow]) -> str:
    counts = [window.overlaps.events for window in alike]
    low, high = min(counts), max(counts)
    if low != high:
        return f"{low:,} to {high:,} events"
    return counted(low, "event")


def _union_lines(union: Union, args: argparse.Namespace) -> list[str]:
    lines = [
        f"all {len(union.windows):,} windows of {union.function} together:"
        f" {union.input}{'' if union.by_construction else f' over {union.output}'}",
        *_figures(union, args.align),
    ]
    if union.differ and not union.refused:
        figures = ", ".join(f"{d:,} B in {n:,}" for d, n in union.displacements[-NAMED:])
        more = (
            f"{len(union.displacements) - NAMED} others, "
            if len(union.displacements) > NAMED
            else ""
        )
        lines += [
            f"    the windows differ        D = {more}{figures}: data or shape steer the kernel;"
            " other inputs may need more",
        ]
    if union.differ:
        lines.append(f"    decided by                {_names(union.decided_by, args.traces)}")
    return lines


def _pair_lines(pair: Overlap, align: int) -> list[str]:
    over = "" if pair.by_construction else f" over {pair.output} ({pair.output_bytes:,} B)"
    lines = [
        f"  {pair.input} ({pair.input_bytes:,} B){over}",
        *_figures(pair, align),
    ]
    if pair.limit is not None:
        lines.append(f"    limited by            {_limit(pair)}")
    return lines + [
        f"    note: {note}" for note in pair.notes if note not in (pair.refused, IN_PLACE)
    ]


def _figures(pair: Overlap | Union, align: int) -> list[str]:
    if pair.refused:
        return [f"    no overlap: {pair.refused}"]
    if pair.by_construction:
        return [f"    {IN_PLACE}"]
    shared = min(pair.input_bytes, pair.output_bytes)
    share = f" ({100 * pair.safe_overlap_bytes / shared:.1f} %)" if shared else ""
    bound = "" if pair.exact else "at most " if pair.min_displacement_bytes else ""
    lines = [
        f"    minimum displacement  D   = {bound}{pair.min_displacement_bytes:,} B {NOT_PROVEN}",
        f"    safe overlap          O_s = {pair.safe_overlap_bytes:,} B{share}",
    ]
    if align > 1:
        lines.append(
            f"    aligned to {align:<10} D   = {pair.aligned_displacement_bytes(align):,} B,"
            f" O_s = {pair.aligned_overlap_bytes(align):,} B"
        )
    if pair.mirror_displacement_bytes < pair.input_bytes:
        lines.append(
            f"    input below output    safe from {pair.mirror_displacement_bytes:,} B below on"
            f" {NOT_PROVEN}"
        )
    if pair.isolated_safe_displacements:
        shown = ", ".join(f"{d:,}" for d in pair.isolated_safe_displacements[:8])
        more = " ..." if len(pair.isolated_safe_displacements) > 8 else ""
        lines += [
            f"    isolated              {shown}{more}: no conflict in this trace, each by itself;",
            "                          not safe until diagmem prove --displacement says so",
        ]
    return lines


def _limit(pair: Overlap) -> str:
    limit = pair.limit
    assert limit is not None
    when = (
        "needed from before the window"
        if limit.output_tick < 0
        else f"written at tick {limit.output_tick:,}"
    )
    until = (
        f"where {pair.input}[{limit.input_offset:,}] lies"
        if limit.input_tick < 0
        else f"before {pair.input}[{limit.input_offset:,}] is last needed at tick"
        f" {limit.input_tick:,}"
    )
    return f"{pair.output}[{limit.output_offset:,}] {when}, {until}"
