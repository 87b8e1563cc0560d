"""A network as a section of the page: its arena without and with overlap, and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath

import numpy as np

from diagmem.arena import Block, Problem
from diagmem.base.files import JsonObject
from diagmem.networks.measured import Measured
from diagmem.networks.planning import NO_OVERLAPS, NetworkPlan, plan_network
from diagmem.plot.arena_shapes import Arena, Band, arena_of
from diagmem.plot.profile_bytes import live_bytes
from diagmem.report.tables import Cell, PageTable
from diagmem.tflite.graph import PLANNED_ONLINE, Model
from diagmem.tflite.write import read_provenance

Layouts = Mapping[str, Mapping[int, int]]
"""Ways to lay out the arena, by name: offsets in bytes by tensor number."""


def network_section(
    model: Model, measured: Measured | None = None, *, board_bytes: int | None = None
) -> JsonObject:
    """A network planned without overlap and with it.

    Parameters
    ----------
    measured : the overlaps to plan with; without them, those of the closed forms.
    board_bytes : the arena that there is room for.

    Raises
    ------
    DiagmemError
        The model cannot be planned.
    """
    apart = plan_network(model, NO_OVERLAPS)
    plan = plan_network(model, measured or "exact")
    arenas = (
        arena_of(apart, name="without overlap"),
        arena_of(plan, measured, f"with overlap ({plan.overlaps})"),
    )
    layouts = _layouts(model, apart, plan)
    tops = {name: _tops(plan.problem, offsets) for name, offsets in layouts.items()}
    lines = {"live tensors": live_bytes(plan.problem).tolist(), **tops}
    return {
        "kind": "network",
        "title": PurePath(model.path).name,
        "facts": _facts(model, plan),
        "notes": _notes(model, plan, arenas[1]),
        "cards": _cards(apart, plan),
        "board_bytes": board_bytes,
        "operators": [step.name for step in plan.problem.steps],
        "arenas": [_arena_json(arena) for arena in arenas],
        "profile": [{"name": name, "bytes": line} for name, line in lines.items()],
        "tables": [
            t.as_json()
            for t in (
                _operator_table(plan.problem, lines, measured),
                _pair_table(plan, measured),
                _tensor_table(plan.problem, layouts),
            )
        ],
    }


def _facts(model: Model, plan: NetworkPlan) -> list[list[str]]:
    activations = len(model.activations)
    facts = [
        ["model", f"{model.path}: {len(model.operators):,} operators, {activations:,} activations"],
        ["solver", plan.plan.solver + (", proven optimal" if plan.plan.optimal else "")],
        ["alignment", f"{plan.problem.align_bytes} B"],
        ["graph", f"sha256 {plan.provenance['graph_sha256']}"],
    ]
    facts += [[f"measured: {name}", value] for name, value in sorted(plan.kernels.items())]
    provenance = read_provenance(model) if model.plan is not None else None
    facts += [
        [f"plan in the file: {key}", str(value)]
        for key, value in (provenance or {}).items()
        if not isinstance(value, list)
    ]
    return facts


def _notes(model: Model, plan: NetworkPlan, arena: Arena) -> list[str]:
    notes = []
    if plan.overlaps == "exact":
        notes.append(
            "these overlaps are a formula's, for the loop order of TFLite's reference kernels;"
            " diagmem measure finds those of the kernels that run, --overlaps takes them"
        )
    if plan.overlaps == "measured":
        notes.append("these overlaps hold for the kernels they were measured on, and no others")
    notes += [f"limited by {limit}" for limit in plan.limits]
    straight = sum(meeting.source == "straight" for meeting in arena.meetings)
    if straight:
        notes.append(
            f"at {straight:,} operators the frontiers are not known or run backwards: the picture"
            " has the output grow evenly there"
        )
    crossing = [meeting.operator for meeting in arena.meetings if meeting.conflicts]
    if crossing:
        numbers = ", ".join(map(str, crossing))
        notes.append(f"the sampled frontiers cross at operators {numbers}: look there first")
    if model.plan is not None:
        notes.append("the file holds a plan already; it is one of the lines and columns below")
    return notes


def _cards(apart: NetworkPlan, plan: NetworkPlan) -> list[list[str]]:
    placed = plan.plan
    shared = sum(pair.shared_bytes for pair in plan.shared)
    saved = plan.saving_percent("tflm-greedy")
    best = apart.plan.arena_bytes
    against_best = 100 * (1 - placed.arena_bytes / best) if best else 0.0
    state = "proven optimal" if placed.optimal else f"at least {placed.lower_bound_bytes:,} B"
    return [
        ["Arena with overlap", f"{placed.arena_bytes:,} B", state],
        ["Best arena without", f"{best:,} B", f"{against_best:.1f} % saved"],
        ["TFLM's planner", f"{plan.baselines['tflm-greedy']:,} B", f"{saved:.1f} % saved"],
        ["Overlapping pairs", f"{len(plan.shared):,}", f"share {shared:,} B"],
    ]


# ---- pictures ----


def _layouts(model: Model, apart: NetworkPlan, plan: NetworkPlan) -> Layouts:
    """The plans to compare, the one with overlap first."""
    layouts: dict[str, Mapping[int, int]] = {
        "with overlap": plan.plan.offsets,
        "without overlap": apart.plan.offsets,
        "TFLM's planner": plan.baseline_plans["tflm-greedy"].offsets,
        "first fit": plan.baseline_plans["first-fit"].offsets,
    }
    if model.plan is not None:
        offsets = dict(enumerate(model.plan))
        layouts["plan in the file"] = {
            block.tensor: offsets[block.tensor]
            for block in plan.problem.blocks
            if offsets.get(block.tensor, PLANNED_ONLINE) != PLANNED_ONLINE
        }
    return layouts


def _tops(problem: Problem, offsets: Mapping[int, int]) -> list[int]:
    """The end of the highest block alive in each operator, in bytes."""
    tops = [0] * problem.operators
    for block in problem.blocks:
        if block.tensor in offsets and block.size_bytes:
            end = offsets[block.tensor] + block.size_bytes
            for k in range(block.first, block.end):
                tops[k] = max(tops[k], end)
    return tops


def _arena_json(arena: Arena) -> JsonObject:
    plan, peak = arena.plan, arena.peak
    return {
        "name": arena.name,
        "arena_bytes": arena.size_bytes,
        "peak": {
            "operator": peak.operator,
            "tensors": [block.tensor for block in peak.blocks],
            "shared_bytes": peak.shared_bytes,
            "unused_bytes": peak.unused_bytes,
        },
        "blocks": [_block_json(plan, block, band) for block, band in arena.shapes],
        "shared": [
            {
                "operator": pair.permission.operator,
                "input": pair.permission.input,
                "output": pair.permission.output,
                "bytes": pair.shared_bytes,
            }
            for pair in plan.shared
        ],
    }


def _block_json(plan: NetworkPlan, block: Block, band: Band) -> JsonObject:
    """``time``, ``low``, ``high``: the outline, operators and bytes."""
    time, low, high = _thinned(band)
    return {
        "tensor": block.tensor,
        "name": block.name,
        "role": block.role,
        "bytes": block.size_bytes,
        "offset": plan.plan.offsets[block.tensor],
        "first": block.first,
        "end": block.end,
        "time": time,
        "low": low,
        "high": high,
    }


def _thinned(band: Band) -> tuple[list[float], list[int], list[int]]:
    """A band without the points that lie on a straight line between their neighbours."""
    points = np.stack([band.time, band.low, band.high])
    moved = np.any(np.diff(points) != 0, axis=0)
    # A point that is there twice has no slope to its neighbour; the last one always stays.
    points = points[:, np.append(moved, True)]
    steps = np.diff(points)
    # Slopes compared crosswise, so that a jump, which takes no time, is no division by 0.
    before, after = steps[:, :-1], steps[:, 1:]
    bent = np.any(~np.isclose(before * after[0], after * before[0], rtol=1e-9, atol=1e-6), axis=0)
    jump = (before[0] == 0) | (after[0] == 0)
    corner = np.zeros(points.shape[1], np.bool_)
    corner[1:-1] = bent | jump
    corner[[0, -1]] = True
    time, low, high = points[:, corner]
    return (
        [round(float(t), 4) for t in time],
        [round(float(b)) for b in low],
        [round(float(b)) for b in high],
    )


# ---- tables ----


def _operator_table(
    problem: Problem, lines: Mapping[str, Sequence[int]], measured: Measured | None
) -> PageTable:
    live, *tops = lines.values()
    names = ["operator", "name", "reads (B)", "writes (B)", "live (B)"]
    names += [f"top, {name} (B)" for name in [*lines][1:]]
    if measured:
        names += ["scratch (B)", "weights read (B)", "needed at once (B)", "events", "seconds"]
    sizes = {block.tensor: block.size_bytes for block in problem.blocks}
    rows: list[list[Cell]] = []
    for k, step in enumerate(problem.steps):
        reads = sum(sizes[tensor] for tensor in set(step.reads))
        writes = sum(sizes[tensor] for tensor in step.writes)
        row: list[Cell] = [k, step.name, reads, writes, live[k], *(top[k] for top in tops)]
        if measured:
            operator = measured.operators[k]
            row += [operator.scratch_bytes, operator.weights_read_bytes, operator.needed_bytes]
            row += [operator.events, operator.seconds]
        rows.append(row)
    return PageTable("Operators", names, rows)


def _pair_table(plan: NetworkPlan, measured: Measured | None) -> PageTable:
    """All inputs that may lie over an output, whether the plan makes use of it or not."""
    names = ["operator", "name", "input", "output", "D (B)", "mirror D (B)", "in place"]
    names += ["displacement (B)", "shared (B)", "source"]
    if measured:
        names += ["formula D (B)", "formula says"]
    tensors = {block.tensor: block.name for block in plan.problem.blocks}
    shared = {(s.permission.input, s.permission.output): s for s in plan.shared}
    known = {
        (operator.index, pair.input, pair.output): pair
        for operator in (measured.operators if measured else ())
        for pair in operator.pairs
    }
    rows: list[list[Cell]] = []
    for allowed in plan.problem.permissions:
        used = shared.get((allowed.input, allowed.output))
        row: list[Cell] = [allowed.operator, plan.problem.steps[allowed.operator].name]
        row += [tensors[allowed.input], tensors[allowed.output], allowed.min_displacement_bytes]
        row += [allowed.mirror_displacement_bytes, allowed.in_place]
        row += [used.displacement_bytes, used.shared_bytes] if used else [None, 0]
        row.append(allowed.source)
        if measured:
            pair = known.get((allowed.operator, allowed.input, allowed.output))
            row += [pair.formula_displacement_bytes, pair.formula_says] if pair else [None, None]
        rows.append(row)
    return PageTable("Pairs that may overlap", names, rows)


def _tensor_table(problem: Problem, layouts: Layouts) -> PageTable:
    names = ["tensor", "name", "role", "size (B)", "first operator", "last operator"]
    names += [f"offset, {name} (B)" for name in layouts]
    rows: list[list[Cell]] = []
    for block in problem.blocks:
        row: list[Cell] = [block.tensor, block.name, block.role, block.size_bytes]
        row += [block.first, block.end - 1]
        row += [offsets.get(block.tensor) for offsets in layouts.values()]
        rows.append(row)
    return PageTable("Tensors", names, rows)
