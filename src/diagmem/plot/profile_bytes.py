"""How many bytes each operator of a network needs, and each plan takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from diagmem.arena import Problem
from diagmem.base.errors import DiagmemError
from diagmem.networks.measured import Measured, identity
from diagmem.networks.planning import NetworkPlan
from diagmem.tflite.graph import Model
from diagmem.trace.window import Int64Array

PLANS_AT_MOST = 4


@dataclass(frozen=True, slots=True)
class Profile:
    """Bytes of each operator, int64 of shape (operators,).

    Attributes
    ----------
    live : the sizes of all tensors (and scratch) alive there; what a plan without
        overlap needs at least.
    needed : of these, the most that hold a value still needed at one time; None where
        that was not measured.
    occupied : by plan, the bytes of the arena that any tensor lies in; shared ones once.
    """

    live: Int64Array
    needed: Int64Array | None
    occupied: Mapping[str, Int64Array]


def profile_of(plans: Mapping[str, NetworkPlan], measured: Measured | None = None) -> Profile:
    """The bytes of each operator; ``plans`` by the names to show.

    The last plan's tensors and scratch count as alive.

    Raises
    ------
    DiagmemError
        No plans or too many, or plans or overlaps of different networks.
    """
    if not 1 <= len(plans) <= PLANS_AT_MOST:
        raise DiagmemError(f"{len(plans)} plans to draw, expected 1 to {PLANS_AT_MOST}")
    last = list(plans.values())[-1]
    graph = identity(last.model)["graph_sha256"]
    for name, plan in plans.items():
        other = plan.problem.operators != last.problem.operators
        if other or identity(plan.model)["graph_sha256"] != graph:
            raise DiagmemError(f"plan {name!r}: is of another network than the last plan")
    check_graph(measured, last.model)
    needed = [operator.needed_bytes for operator in measured.operators] if measured else None
    return Profile(
        live_bytes(last.problem),
        None if needed is None else np.array(needed, np.int64),
        {name: occupied_bytes(plan) for name, plan in plans.items()},
    )


def check_graph(measured: Measured | None, model: Model) -> None:
    """Refuse overlaps that were measured on another graph."""
    if measured and measured.model.get("graph_sha256") != identity(model)["graph_sha256"]:
        raise DiagmemError(
            f"overlaps of {str(measured.model.get('name'))[:60]!r}: expected ones that were"
            f" measured on the graph of {model.path}"
        )


def live_bytes(problem: Problem) -> Int64Array:
    """The sizes of all blocks alive in each operator, int64 of shape (operators,)."""
    change = np.zeros(problem.operators + 1, np.int64)
    for block in problem.blocks:
        change[block.first] += block.size_bytes
        change[block.end] -= block.size_bytes
    return np.cumsum(change)[:-1]


def occupied_bytes(plan: NetworkPlan) -> Int64Array:
    """The bytes of the arena in any block alive in each operator; shared ones once."""
    alive: list[list[tuple[int, int]]] = [[] for _ in range(plan.problem.operators)]
    by_offset = sorted(
        (plan.plan.offsets[b.tensor], b.size_bytes, b.first, b.end) for b in plan.problem.blocks
    )
    for offset, size, first, end in by_offset:
        for ranges in alive[first:end]:
            ranges.append((offset, offset + size))
    return np.array([covered_bytes(ranges) for ranges in alive], np.int64)


def covered_bytes(ranges: Iterable[tuple[int, int]]) -> int:
    """Bytes in any of the ranges ``[low, high)``; what several share counts once."""
    ordered = sorted(ranges)
    total, reached = 0, ordered[0][0] if ordered else 0
    for low, high in ordered:
        total += max(high - max(low, reached), 0)
        reached = max(reached, high)
    return total
