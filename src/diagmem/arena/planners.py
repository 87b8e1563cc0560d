"""All planners by name, and the one that picks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from diagmem.arena.baseline import first_fit, tflm_greedy
from diagmem.arena.exact import exact, improved, ortools_is_installed
from diagmem.arena.heuristic import heuristic
from diagmem.arena.problem import Options, Plan, Problem
from diagmem.arena.together import Planner, joining

AUTO_TIME_LIMIT_S = 10.0
"""The most that `auto` gives the exact planner."""


@joining
def auto(problem: Problem, options: Options) -> Plan:
    """The heuristic; where that is not proven optimal and OR-tools is installed, the
    exact planner for a few seconds."""
    plan = heuristic(problem, options)
    if plan.optimal or not ortools_is_installed():
        return plan
    limit = min(options.time_limit_s, AUTO_TIME_LIMIT_S)
    return improved(problem, plan, replace(options, time_limit_s=limit))


PLANNERS: Mapping[str, Planner] = MappingProxyType(
    {
        "auto": auto,
        "heuristic": heuristic,
        "exact": exact,
        "tflm-greedy": tflm_greedy,
        "first-fit": first_fit,
    }
)
