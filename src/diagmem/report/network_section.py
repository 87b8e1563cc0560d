"""A network as a section of the page: its arena without and with overlap, and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np

from diagmem.arena import Block, Problem
from diagmem.networks.measured import Measured, MeasuredPair
from diagmem.networks.planning import NO_OVERLAPS, NetworkPlan, plan_network
from diagmem.plot.arena_shapes import Arena, Band, arena_of
from diagmem.report.tables import Cell, PageTable
from diagmem.tflite.graph import PLANNED_ONLINE, Model
from diagmem.tflite.write import read_provenance


@dataclass(frozen=True, slots=True)
class Placed:
    """One way to lay out the arena: offsets in bytes by tensor number."""

    name: str
    offsets: Mapping[int, int]
    arena_bytes: int


def network_section(
    model: Model, measured: Measured | None = None, *, board_bytes: int | None = None
) -> dict[str, Any]:
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
    arenas = arena_of(apart), arena_of(plan, measured)
    layouts = _layouts(model, apart, plan)
    return {
        "kind": "network",
        "title": PurePath(model.path).name,
        "facts": _facts(model, plan),
        "notes": _notes(model, plan, arenas[1]),
        "cards": _cards(apart, plan),
        "board_bytes": board_bytes,
        "operators": [step.name for step in plan.problem.steps],
        "arenas": [
            _arena_json("without overlap", arenas[0]),
            _arena_json(f"with overlap ({plan.overlaps})", arenas[1]),
        ],
        "profile": _profile(plan.problem, layouts),
        "tables": [
            t.as_json()
            for t in (
                _operator_table(plan.problem, layouts, measured),
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
    shared = sum(one.shared_bytes for one in plan.shared)
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


def _layouts(model: Model, apart: NetworkPlan, plan: NetworkPlan) -> list[Placed]:
    """The plans to compare, the one with overlap first."""
    plans = {
        "with overlap": plan.plan,
        "without overlap": apart.plan,
        "TFLM's planner": plan.baseline_plans["tflm-greedy"],
        "first fit": plan.baseline_plans["first-fit"],
    }
    layouts = [Placed(name, plan.offsets, plan.arena_bytes) for name, plan in plans.items()]
    if model.plan is not None:
        sizes = {block.tensor: block.size_bytes for block in plan.problem.blocks}
        offsets = {
            t: model.plan[t]
            for t in sizes
            if t < len(model.plan) and model.plan[t] != PLANNED_ONLINE
        }
        top = max((offset + sizes[t] for t, offset in offsets.items()), default=0)
        layouts.append(Placed("plan in the file", offsets, top))
    return layouts


def _live(problem: Problem) -> list[int]:
    """The sum of the blocks alive in each operator, in bytes."""
    change = np.zeros(problem.operators + 1, np.int64)
    for block in problem.blocks:
        change[block.first] += block.size_bytes
        change[block.end] -= block.size_bytes
    return [int(total) for total in np.cumsum(change)[:-1]]


def _tops(problem: Problem, placed: Placed) -> list[int]:
    """The end of the highest block alive in each operator, in bytes."""
    tops = np.zeros(problem.operators, np.int64)
    for block in problem.blocks:
        if block.tensor in placed.offsets and block.size_bytes:
            part = tops[block.first : block.end]
            np.maximum(part, placed.offsets[block.tensor] + block.size_bytes, out=part)
    return [int(top) for top in tops]


def _profile(problem: Problem, layouts: Sequence[Placed]) -> list[dict[str, Any]]:
    lines = [{"name": "live tensors", "bytes": _live(problem)}]
    lines += [{"name": placed.name, "bytes": _tops(problem, placed)} for placed in layouts]
    return lines


def _arena_json(name: str, arena: Arena) -> dict[str, Any]:
    plan, peak = arena.plan, arena.peak
    return {
        "name": name,
        "arena_bytes": plan.plan.arena_bytes,
        "peak": {
            "operator": peak.operator,
            "tensors": [block.tensor for block in peak.blocks],
            "shared_bytes": peak.shared_bytes,
            "unused_bytes": peak.unused_bytes,
        },
        "blocks": [_block_json(plan, block, band) for block, band in arena.shapes],
        "shared": [
            {
                "operator": one.permission.operator,
                "input": one.permission.input,
                "output": one.permission.output,
                "bytes": one.shared_bytes,
            }
            for one in plan.shared
        ],
    }


def _block_json(plan: NetworkPlan, block: Block, band: Band) -> dict[str, Any]:
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
    problem: Problem, layouts: Sequence[Placed], measured: Measured | None
) -> PageTable:
    names = ["operator", "name", "reads (B)", "writes (B)", "live (B)"]
    names += [f"top, {placed.name} (B)" for placed in layouts]
    if measured:
        names += ["scratch (B)", "weights read (B)", "needed at once (B)", "events", "seconds"]
    sizes = {block.tensor: block.size_bytes for block in problem.blocks}
    live, tops = _live(problem), [_tops(problem, placed) for placed in layouts]
    rows: list[list[Cell]] = []
    for k, step in enumerate(problem.steps):
        reads = sum(sizes[tensor] for tensor in set(step.reads))
        writes = sum(sizes[tensor] for tensor in step.writes)
        row: list[Cell] = [k, step.name, reads, writes, live[k], *(top[k] for top in tops)]
        if measured:
            one = measured.operators[k]
            row += [one.scratch_bytes, one.weights_read_bytes, one.needed_bytes]
            row += [one.events, one.seconds]
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
    known = _measured_pairs(measured)
    rows: list[list[Cell]] = []
    for one in plan.problem.permissions:
        used = shared.get((one.input, one.output))
        row: list[Cell] = [one.operator, plan.problem.steps[one.operator].name]
        row += [tensors[one.input], tensors[one.output], one.min_displacement_bytes]
        row += [one.mirror_displacement_bytes, one.in_place]
        row += [used.displacement_bytes, used.shared_bytes] if used else [None, 0]
        row.append(one.source)
        if measured:
            pair = known.get((one.operator, one.input, one.output))
            row += [pair.formula_displacement_bytes, pair.formula_says] if pair else [None, None]
        rows.append(row)
    return PageTable("Pairs that may overlap", names, rows)


def _measured_pairs(measured: Measured | None) -> dict[tuple[int, int, int], MeasuredPair]:
    operators = measured.operators if measured else ()
    return {
        (operator.index, pair.input, pair.output): pair
        for operator in operators
        for pair in operator.pairs
    }


def _tensor_table(problem: Problem, layouts: Sequence[Placed]) -> PageTable:
    names = ["tensor", "name", "role", "size (B)", "first operator", "last operator"]
    names += [f"offset, {placed.name} (B)" for placed in layouts]
    rows: list[list[Cell]] = []
    for block in problem.blocks:
        row: list[Cell] = [block.tensor, block.name, block.role, block.size_bytes]
        row += [block.first, block.end - 1]
        row += [placed.offsets.get(block.tensor) for placed in layouts]
        rows.append(row)
    return PageTable("Tensors", names, rows)
