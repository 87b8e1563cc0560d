"""The placement problem: blocks that live for some operators, and which may overlap.

Operators run in the order of their indices.  A block occupies
``[offset, offset + size_bytes)`` of the arena in operators ``[first, end)``.  Two
blocks whose lives meet share no byte, unless a `Permission` says at which
displacements they may.  Nothing here knows of model files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Literal

Role = Literal["input", "output", "activation", "scratch"]


@dataclass(frozen=True, slots=True)
class Block:
    """A tensor (or scratch buffer) that lives in operators [first, end).

    ``tensor`` is its number, different for each block; scratch buffers take numbers
    that no tensor has.
    """

    tensor: int
    name: str
    size_bytes: int
    first: int
    end: int
    role: Role


@dataclass(frozen=True, slots=True)
class Permission:
    """An operator's input, dying there, may lie over an output born there.

    With displacement = offset(input) - offset(output), in bytes, that is so when the
    displacement is >= ``min_displacement_bytes``, or <=
    -``mirror_displacement_bytes`` (None: never), or 0 if ``in_place``; else the two are
    apart.  ``source`` says where the numbers come from.  See `diagmem.analysis.overlap`.
    """

    operator: int
    input: int
    output: int
    min_displacement_bytes: int
    mirror_displacement_bytes: int | None
    in_place: bool
    source: str


@dataclass(frozen=True, slots=True)
class Step:
    """One operator: the blocks it reads, and those it writes, its scratch among them."""

    name: str
    reads: tuple[int, ...]
    writes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is to be placed; checked when made.

    Attributes
    ----------
    blocks : in the order in which they are defined: tensors by number, then scratch
        buffers, as TFLM lists them.
    permissions : at most one for an input and an output.
    steps : the operators, in execution order.
    align_bytes : every offset is a multiple of it.
    pinned : tensors that nothing may touch from the first operator to the last.
    in_place : pairs (input, output) that must lie at one place, by kernels that have one
        buffer for both; each has a permission, too.

    Raises
    ------
    ValueError
        If lives, sizes, steps or permissions contradict each other.
    """

    blocks: tuple[Block, ...]
    permissions: tuple[Permission, ...]
    steps: tuple[Step, ...]
    align_bytes: int = 16
    pinned: frozenset[int] = frozenset()
    in_place: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if self.align_bytes < 1:
            raise ValueError(f"alignment of {self.align_bytes} bytes; expected at least 1")
        blocks = {b.tensor: b for b in self.blocks}
        if len(blocks) != len(self.blocks):
            raise ValueError("two blocks have the same tensor number")
        for block in self.blocks:
            _check_block(block, self.operators)
        for k, step in enumerate(self.steps):
            _check_step(k, step, blocks)
        for tensor in sorted(self.pinned):
            _check_pinned(tensor, blocks, self.operators)
        pairs = {(p.input, p.output) for p in self.permissions}
        if len(pairs) != len(self.permissions):
            raise ValueError("two permissions for one input and one output")
        for permission in self.permissions:
            _check_permission(permission, self, blocks)
        permitted = {(p.input, p.output) for p in self.permissions if p.in_place}
        _check_in_place(self.in_place, permitted, blocks)

    @property
    def operators(self) -> int:
        return len(self.steps)


@dataclass(frozen=True, slots=True)
class Plan:
    """Where each block lies.

    Attributes
    ----------
    offsets : bytes from the arena's start, for each tensor number.
    arena_bytes : the end of the highest block, rounded up to the alignment.
    lower_bound_bytes : no plan by the same rules (without overlap, for a planner that
        makes none) has a smaller arena.
    optimal : the arena is proven to be the smallest by these rules.
    solver : the planner's name.
    """

    offsets: Mapping[int, int]
    arena_bytes: int
    lower_bound_bytes: int
    optimal: bool
    solver: str


@dataclass(frozen=True, slots=True)
class Options:
    """What a planner may spend.

    Attributes
    ----------
    iterations : of the heuristic's search; not its time, so that a plan is the same on
        every machine.
    time_limit_s : of the exact planner.
    seed : of both.
    """

    iterations: int = 3000
    time_limit_s: float = 60.0
    seed: int = 0


def _check_block(block: Block, operators: int) -> None:
    if block.size_bytes < 0:
        raise ValueError(f"{block.name}: a size of {block.size_bytes} bytes")
    if not 0 <= block.first < block.end <= operators:
        raise ValueError(
            f"{block.name}: lives in operators [{block.first}, {block.end});"
            f" expected some of [0, {operators})"
        )


def _check_step(k: int, step: Step, blocks: Mapping[int, Block]) -> None:
    for tensor in (*step.reads, *step.writes):
        block = blocks.get(tensor)
        if block is None:
            raise ValueError(f"operator {k} {step.name}: no block for tensor {tensor}")
        if not block.first <= k < block.end:
            raise ValueError(
                f"operator {k} {step.name}: uses {block.name}, which lives in operators"
                f" [{block.first}, {block.end})"
            )


def _check_pinned(tensor: int, blocks: Mapping[int, Block], operators: int) -> None:
    block = blocks.get(tensor)
    if block is None:
        raise ValueError(f"tensor {tensor} is pinned; there is no block for it")
    if (block.first, block.end) != (0, operators):
        raise ValueError(
            f"{block.name} is pinned but lives in operators [{block.first}, {block.end});"
            f" expected [0, {operators})"
        )


def _check_in_place(
    pairs: Sequence[tuple[int, int]],
    permitted: Set[tuple[int, int]],
    blocks: Mapping[int, Block],
) -> None:
    for pair in pairs:
        if pair not in permitted:
            raise ValueError(f"{pair} must lie at one place and there is no permission for it")
        if blocks[pair[0]].size_bytes != blocks[pair[1]].size_bytes:
            raise ValueError(f"{pair} must lie at one place and are of different sizes")
    for side in zip(*pairs, strict=True):
        if len(set(side)) != len(side):
            raise ValueError("a tensor must lie at one place with two others")


def _check_permission(
    permission: Permission, problem: Problem, blocks: Mapping[int, Block]
) -> None:
    k = permission.operator
    where = f"permission at operator {k}, input {permission.input}, output {permission.output}"
    if not 0 <= k < problem.operators:
        raise ValueError(f"{where}: expected an operator of [0, {problem.operators})")
    step = problem.steps[k]
    if permission.input not in step.reads or permission.output not in step.writes:
        raise ValueError(f"{where}: the operator does not read the one and write the other")
    if permission.input in step.writes or permission.output in step.reads:
        raise ValueError(f"{where}: the operator also writes the input or reads the output")
    source, target = blocks[permission.input], blocks[permission.output]
    if source.end != k + 1:
        raise ValueError(f"{where}: the input lives on to operator {source.end}")
    if target.first != k:
        raise ValueError(f"{where}: the output lives from operator {target.first}")
    if source.role == "output" or {source.tensor, target.tensor} & problem.pinned:
        raise ValueError(f"{where}: the input is a model output, or one of the two is pinned")
    mirror = permission.mirror_displacement_bytes
    if permission.min_displacement_bytes < 0 or (mirror is not None and mirror < 0):
        raise ValueError(f"{where}: a negative displacement bound")
