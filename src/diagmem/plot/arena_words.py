"""What a diagram of an arena says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from diagmem.base.text import counted
from diagmem.networks.planning import NO_OVERLAPS
from diagmem.plot.arena_labels import tag
from diagmem.plot.arena_shapes import Arena, Source
from diagmem.plot.sheet import DPI, wrapped
from diagmem.plot.units import bytes_both, bytes_exact

PEAK_BLOCKS = 5
CONFLICTS_NAMED = 5


def title_of(arenas: Sequence[Arena]) -> str:
    names = [Path(arena.plan.model.path).name for arena in arenas]
    return f"{' and '.join(dict.fromkeys(names))}: bytes of the arena, operator by operator"


def subtitles(arenas: Sequence[Arena], board_bytes: int | None) -> list[str]:
    lines = []
    if len(arenas) == 2:
        before, after = (arena.size_bytes for arena in arenas)
        change = "the same" if before == after else "less" if after < before else "more"
        percent = f" ({100 * abs(before - after) / before:.1f} %)" if before else ""
        amount = "" if before == after else f"{bytes_exact(abs(before - after))}{percent} "
        lines.append(f"{amount}{change}: {bytes_exact(before)} before, {bytes_exact(after)} after")
    if board_bytes is not None:
        fits = [f"{a.name} {_against(a.size_bytes, board_bytes)}".lstrip() for a in arenas]
        lines.append(f"board of {bytes_both(board_bytes)}: {', '.join(fits)}")
    return lines


def _against(arena_bytes: int, board_bytes: int) -> str:
    left = board_bytes - arena_bytes
    return f"{bytes_exact(abs(left))} {'left' if left >= 0 else 'too much'}"


def heading(arena: Arena) -> str:
    plan = arena.plan
    kind = "no overlap" if plan.overlaps == NO_OVERLAPS else f"overlaps: {plan.overlaps}"
    best = ", proven smallest" if plan.plan.optimal else ""
    name = f"{arena.name}: " if arena.name else ""
    return f"{name}{bytes_both(arena.size_bytes)}, {kind}, planned by {plan.plan.solver}{best}"


def peak_text(arena: Arena) -> str:
    """What the peak is made of, as a sum that can be checked."""
    peak = arena.peak
    if not peak.blocks:
        return "holds nothing"
    shown = [f"{block.size_bytes:,} ({tag(block)})" for block in peak.blocks[:PEAK_BLOCKS]]
    rest = peak.blocks[PEAK_BLOCKS:]
    if rest:
        shown.append(f"{sum(b.size_bytes for b in rest):,} ({counted(len(rest), 'more block')})")
    less = f" \N{MINUS SIGN} {peak.shared_bytes:,} shared" if peak.shared_bytes else ""
    unused = f" + {peak.unused_bytes:,} unused" if peak.unused_bytes else ""
    total = bytes_exact(arena.size_bytes)
    return (
        f"peak in operator {arena.operator_name(peak.operator)}:"
        f" {' + '.join(shown)}{less}{unused} = {total}"
    )


def notes_on(arenas: Sequence[Arena]) -> list[str]:
    notes = []
    for arena in arenas:
        name = f"{arena.name}: " if arena.name else ""
        meetings = arena.meetings
        if meetings:
            sources = Counter(meeting.source for meeting in meetings)
            words: dict[Source, str] = {
                "measured": "measured",
                "loop nest": "by the reference kernel's loop nest",
                "straight": "straight, for want of a known order",
            }
            texts = [f"{sources[key]:,} {words[key]}" for key in words if sources[key]]
            notes.append(
                f"{name}in {counted(len(meetings), 'operator')} an input dies under an output,"
                f" and time runs from left to right through the call; boundaries:"
                f" {', '.join(texts)}"
            )
        unsafe = [meeting.operator for meeting in meetings if meeting.conflicts]
        if unsafe:
            listed = ", ".join(arena.operator_name(k) for k in unsafe[:CONFLICTS_NAMED])
            more = f" and {len(unsafe) - CONFLICTS_NAMED}" if len(unsafe) > CONFLICTS_NAMED else ""
            notes.append(f"{name}NOT SAFE on these kernels: {listed}{more}")
        empty = sum(1 for block in arena.plan.problem.blocks if not block.size_bytes)
        if empty:
            notes.append(f"{name}{counted(empty, 'tensor')} of 0 B not drawn")
    return notes


def wrapped_to(text: str, width_px: int) -> list[str]:
    return wrapped(text, width_px * 72 / DPI)
