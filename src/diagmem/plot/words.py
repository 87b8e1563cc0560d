"""What a heatmap says in words: titles, headings, notes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from diagmem.analysis.liveness import BufferLiveness
from diagmem.analysis.overlap import IN_PLACE, Overlap
from diagmem.base.text import counted
from diagmem.plot.scene import AccessCounts, Scene, span_bytes
from diagmem.plot.shading import is_rewritten
from diagmem.plot.units import bytes_both, bytes_exact
from diagmem.trace.window import Role

if TYPE_CHECKING:
    from diagmem.analysis.trace import Trace

NAMES_AT_MOST, NAME_AT_MOST = 6, 60
"""Names that a note lists, and characters of each."""
OVERLAP_NOTES_AT_MOST = 5


def title_of(trace: Trace, scene: Scene) -> str:
    function = scene.window.function or "(no function)"
    kernel = trace.about.kernel
    return f"{function}  (kernel {kernel})" if kernel not in ("", function) else function


def subtitles(trace: Trace, scene: Scene) -> list[str]:
    """Where this comes from, how much it is and how far it can be trusted."""
    window, pair = scene.window, scene.choice.pair
    if not window.complete:
        state = f"CUT: {trace.cut if window.end == 'cut' and trace.cut else window.end}"
    elif not trace.complete:
        state = f"window complete, file CUT: {trace.cut}"
    else:
        state = "complete"
    # The counts of a window that was cut off with its file are lost.
    kinds = (
        f" ({counted(window.loads, 'load')}, {counted(window.stores, 'store')})"
        if window.loads + window.stores == window.events and window.events
        else ""
    )
    first = [
        PurePath(trace.path).name,
        f"window {window.index} of {len(trace.windows)}",
        counted(scene.ticks, "event") + kinds,
        state,
    ]
    if trace.mode == "summary":
        first.append("summary")
    if pair:
        first.append("exact" if pair.exact else "conservative")
    lines = [" · ".join(first)]
    about = trace.about
    if about.parameters:
        shown = ", ".join(f"{key}={value}" for key, value in about.parameters.items())
        lines.append(" · ".join(filter(None, (shown, " ".join(about.flags)))))
    return lines


def buffer_title(live: BufferLiveness) -> str:
    return live.name if live.name == live.role else f"{live.name} ({live.role})"


def buffer_facts(live: BufferLiveness, counts: AccessCounts) -> str:
    facts = [bytes_both(live.size_bytes)]
    if counts.loads >= 0:
        facts += [counted(counts.loads, "load"), counted(counts.stores, "store")]
    cell = live.cell_bytes
    for untouched, what in ((~live.loaded, "never loaded"), (~live.stored, "never stored")):
        side = Role.INPUT if what == "never loaded" else Role.OUTPUT
        expected = live.role in (side, Role.INOUT)
        cells = int(untouched.sum())
        if expected and cells:
            facts.append(f"{bytes_exact(min(cells * cell, live.size_bytes))} {what}")
    return " · ".join(facts)


def placement_title(pair: Overlap) -> str:
    d = bytes_exact(pair.min_displacement_bytes)
    return f"{pair.input} over {pair.output} at D = {d}"


def placement_facts(pair: Overlap) -> str:
    apart = pair.input_bytes + pair.output_bytes
    return f"{bytes_exact(span_bytes(pair))} instead of {bytes_exact(apart)}"


def notes_on(trace: Trace, scene: Scene, *, shared: bool) -> list[str]:
    """What a reader must know to read the picture right; ``shared``: in some
    cell of the placement, values of both buffers live."""
    choice, window = scene.choice, scene.window
    notes = []
    if scene.ticks == 0:
        notes.append("no access to any buffer was recorded in this window")
    elif trace.mode == "summary":
        notes.append(
            "a summary holds the first and last load and store of each cell and no single"
            " accesses: lives and frontiers are drawn, the accesses cannot be"
        )
    rewritten = [b.name for b in scene.live if b.name in _drawn(scene) and is_rewritten(b)]
    if rewritten:
        notes.append(
            f"{_listed(rewritten)}: bytes are stored to again; their shading spans from"
            " first to last need and leaves no pause where a value is dead before it is replaced"
        )
    if window.several_threads:
        notes.append("several threads touched the buffers; the order shown is one of many")
    notes += _about_pairs(scene, shared)
    if choice.left_out:
        notes.append(
            f"{counted(len(choice.left_out), 'further buffer')} not drawn, --buffer chooses:"
            f" {_listed(choice.left_out)}"
        )
    for name, reason in trace.missing(window.index):
        notes.append(f"buffer {name} was asked for and not there: {reason}")
    return notes


def _drawn(scene: Scene) -> set[str]:
    return {*scene.choice.large, *scene.choice.small}


def _about_pairs(scene: Scene, shared: bool) -> list[str]:
    pair, others = scene.choice.pair, scene.choice.other_pairs
    refused = [
        f"{p.input}: {IN_PLACE}"
        if p.by_construction and not p.refused
        else f"{p.input} over {p.output}: no overlap: {p.refused}"
        for p in others
        if not p.is_placed
    ]
    if pair is None:
        return refused[:NAMES_AT_MOST] or [
            "no pair of an input and an output in this window, so no overlapped placement"
        ]
    notes = [f"overlap: {note}" for note in pair.notes[:OVERLAP_NOTES_AT_MOST]]
    if pair.exact and scene.part(pair.input).live.stored.any():
        notes.append(
            f"the kernel stores to {pair.input}: D is from the lives of all its values, the line"
            " of what is still needed only from last loads, so it may cross the output's"
        )
    if pair.limit is None and pair.min_displacement_bytes == 0:
        notes.append(
            "D = 0: nothing stops the output from starting where the input starts, so no access"
            " is marked as the limit"
        )
    if shared:
        notes.append(
            "where a pixel spans several bytes and ticks, lives of both buffers can meet in it"
            " without sharing a byte"
        )
    open_ = [p for p in others if p.is_placed]
    if open_:
        texts = [
            f"{p.input} over {p.output} D = {bytes_exact(p.min_displacement_bytes)}"
            for p in open_[:NAMES_AT_MOST]
        ]
        notes.append("other pairs, --input and --output choose: " + _listed(texts, len(open_)))
    return notes + refused[:NAMES_AT_MOST]


def _listed(names: Sequence[str], count: int | None = None) -> str:
    count = len(names) if count is None else count
    shown = ", ".join(map(_short, names[:NAMES_AT_MOST]))
    more = count - min(len(names), NAMES_AT_MOST)
    return f"{shown} and {more:,} more" if more else shown


def _short(name: str) -> str:
    """Both ends of a very long name: its end tells numbered ones apart."""
    keep = NAME_AT_MOST // 2
    return name if len(name) <= NAME_AT_MOST else f"{name[:keep]}…{name[-keep:]}"
