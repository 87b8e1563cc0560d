"""Tensors that must lie at one place, planned as one block.

A kernel that works in place wants its output where its input lies.  Planners know
nothing of that: they get a problem in which such tensors are one block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import wraps

from diagmem.arena.problem import Block, Options, Permission, Plan, Problem, Step

Planner = Callable[[Problem, Options], Plan]


def roots_of(pairs: Iterable[tuple[int, int]]) -> dict[int, int]:
    """For each output of the pairs (input, output) the tensor that its place begins with."""
    known = {output: source for source, output in pairs}
    roots = {}
    for output in known:
        root = output
        while root in known:
            root = known[root]
        roots[output] = root
    return roots


def joined(problem: Problem, roots: Mapping[int, int] | None = None) -> Problem:
    """The same, with the lives of all tensors of one place made one.

    ``roots``: by `roots_of`; None: as the problem's ``in_place`` says.  Of permissions
    those stay that still are between an input that dies and an output that is born.
    """
    roots = roots_of(problem.in_place) if roots is None else roots
    if not roots:
        return problem
    groups: dict[int, list[Block]] = {}
    for block in problem.blocks:
        groups.setdefault(roots.get(block.tensor, block.tensor), []).append(block)
    blocks = {root: _merged(root, group) for root, group in groups.items()}
    steps = tuple(
        replace(
            step,
            reads=tuple(dict.fromkeys(roots.get(t, t) for t in step.reads)),
            writes=tuple(dict.fromkeys(roots.get(t, t) for t in step.writes)),
        )
        for step in problem.steps
    )
    moved = (
        replace(p, input=roots.get(p.input, p.input), output=roots.get(p.output, p.output))
        for p in problem.permissions
    )
    return replace(
        problem,
        blocks=tuple(blocks[b.tensor] for b in problem.blocks if b.tensor in blocks),
        permissions=tuple(p for p in moved if _meets_once(p, blocks, steps[p.operator])),
        steps=steps,
        pinned=frozenset(roots.get(t, t) for t in problem.pinned),
        in_place=(),
    )


def _merged(root: int, group: list[Block]) -> Block:
    first = next(block for block in group if block.tensor == root)
    return replace(
        first,
        first=min(block.first for block in group),
        end=max(block.end for block in group),
        role="output" if any(block.role == "output" for block in group) else first.role,
    )


def _meets_once(permission: Permission, blocks: Mapping[int, Block], step: Step) -> bool:
    """Do the two lives still meet at the permission's operator only?"""
    source, target = blocks[permission.input], blocks[permission.output]
    k = permission.operator
    if source.tensor in step.writes or target.tensor in step.reads:
        return False
    return source.end == k + 1 and target.first == k


def joining(planner: Planner) -> Planner:
    """The planner, for problems with tensors that must lie at one place, too."""

    @wraps(planner)
    def planned(problem: Problem, options: Options) -> Plan:
        roots = roots_of(problem.in_place)
        plan = planner(joined(problem, roots), options)
        offsets = {b.tensor: plan.offsets[roots.get(b.tensor, b.tensor)] for b in problem.blocks}
        return replace(plan, offsets=offsets)

    return planned
