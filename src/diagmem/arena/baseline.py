"""Planners that let nothing overlap: what a saving is measured against."""

from __future__ import annotations

from dataclasses import replace

from diagmem.arena.bound import lower_bound_units
from diagmem.arena.geometry import Geometry, geometry, make_plan
from diagmem.arena.problem import Options, Plan, Problem
from diagmem.arena.stacking import stack
from diagmem.arena.together import joining


def without_overlap(problem: Problem) -> Problem:
    """The same with no permission but those that must be used: give it to any planner."""
    needed = set(problem.in_place)
    kept = (p for p in problem.permissions if (p.input, p.output) in needed)
    return replace(problem, permissions=tuple(kept))


@joining
def tflm_greedy(problem: Problem, options: Options) -> Plan:
    """The plan of TFLM's `GreedyMemoryPlanner`.

    The largest first (of equals the one defined last), each in the lowest gap between
    those that live with it.  Sizes count rounded up to the alignment, as in TFLM, where
    it is 16.
    """
    shape = geometry(without_overlap(problem))
    order = sorted(range(len(shape.sizes)), key=lambda a: (-shape.sizes[a], -a))
    return _stacked(shape, order, "tflm-greedy")


@joining
def first_fit(problem: Problem, options: Options) -> Plan:
    """Blocks as they come to life, each in the lowest gap."""
    shape = geometry(without_overlap(problem))
    order = sorted(range(len(shape.sizes)), key=lambda a: (problem.blocks[a].first, a))
    return _stacked(shape, order, "first-fit")


def _stacked(shape: Geometry, order: list[int], solver: str) -> Plan:
    return make_plan(
        shape, stack(shape, order), lower_bound_units(shape), proven=False, solver=solver
    )
