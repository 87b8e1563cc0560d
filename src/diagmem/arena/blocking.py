"""What is in the way when a plan does not fit the arena."""

from __future__ import annotations

from dataclasses import dataclass

from diagmem.arena.problem import Block, Plan, Problem


@dataclass(frozen=True, slots=True)
class Crowded:
    """An operator during which a plan needs more than the arena has.

    ``top_bytes`` is where its highest block ends; ``blocks`` are those alive, the
    highest first.
    """

    operator: int
    name: str
    top_bytes: int
    blocks: tuple[Block, ...]


def blocking(problem: Problem, plan: Plan, arena_bytes: int) -> tuple[Crowded, ...]:
    """The operators over the limit, in execution order; none if the plan fits."""
    crowded = []
    for k, step in enumerate(problem.steps):
        alive = [b for b in problem.blocks if b.first <= k < b.end and b.size_bytes]
        alive.sort(key=lambda b: (-plan.offsets[b.tensor], b.tensor))
        top = max((plan.offsets[b.tensor] + b.size_bytes for b in alive), default=0)
        if top > arena_bytes:
            crowded.append(Crowded(k, step.name, top, tuple(alive)))
    return tuple(crowded)
