"""Random placement problems: operators, sizes, and which overlaps are allowed."""

from __future__ import annotations

from hypothesis import strategies as st

from diagmem.arena import Block, Permission, Problem, Role, Step


@st.composite
def problems(
    draw: st.DrawFn, max_operators: int = 8, max_size: int = 12, max_blocks: int = 24
) -> Problem:
    """Operators that read some of what is there and write one or two tensors.

    Up to two model inputs; every tensor may be read by several operators, twice by one
    that reads it, or by none; some are empty, some operators have scratch, some model
    inputs and outputs are pinned.
    """
    operators = draw(st.integers(1, max_operators))
    inputs = draw(st.integers(1, 2))
    sizes = st.integers(0, max_size)
    first = [0] * inputs
    roles: list[Role] = ["input"] * inputs
    steps = []
    for k in range(operators):
        tensors = [t for t, role in enumerate(roles) if role != "scratch"]
        reads = draw(st.lists(st.sampled_from(tensors[-5:]), min_size=1, max_size=3))
        writes = []
        for role in draw(st.sampled_from(WRITTEN)):
            if len(first) < max_blocks:
                writes.append(len(first))
                first.append(k)
                roles.append(role)
        steps.append(Step(f"OP_{k}", tuple(reads), tuple(writes)))
    end = [k + 1 for k in first]
    for k, step in enumerate(steps):
        for t in step.reads:
            end[t] = k + 1
    for t in range(inputs, len(first)):
        if roles[t] == "activation" and (t == len(first) - 1 or draw(st.integers(0, 9)) == 0):
            roles[t], end[t] = "output", operators
    pinned = frozenset(
        t for t, r in enumerate(roles) if r in ("input", "output") and draw(st.integers(0, 5)) == 0
    )
    for t in pinned:
        first[t], end[t] = 0, operators
    blocks = tuple(
        Block(t, f"t{t}", draw(sizes), first[t], end[t], role) for t, role in enumerate(roles)
    )
    return Problem(
        blocks,
        draw(permissions_of(blocks, tuple(steps), pinned)),
        tuple(steps),
        align_bytes=draw(st.sampled_from([1, 1, 2, 3, 4])),
        pinned=pinned,
    )


WRITTEN: list[list[Role]] = [
    ["activation"],
    ["activation"],
    ["activation", "activation"],
    ["activation", "scratch"],
    [],
]
"""What an operator writes."""
MOST = st.sampled_from([True, True, True, False])


@st.composite
def permissions_of(
    draw: st.DrawFn, blocks: tuple[Block, ...], steps: tuple[Step, ...], pinned: frozenset[int]
) -> tuple[Permission, ...]:
    """For most of the pairs that may have one."""
    found = []
    for k, step in enumerate(steps):
        for source in dict.fromkeys(step.reads):
            for target in step.writes:
                free = not {source, target} & pinned
                if free and may_overlap(k, blocks[source], blocks[target]) and draw(MOST):
                    found.append(draw(permission(k, blocks[source], blocks[target])))
    return tuple(found)


def may_overlap(k: int, source: Block, target: Block) -> bool:
    dies = source.end == k + 1 and source.role != "output"
    return dies and target.first == k and target.role != "scratch"


def permission(k: int, source: Block, target: Block) -> st.SearchStrategy[Permission]:
    """Bounds up to a little more than would ever be needed."""
    return st.builds(
        Permission,
        operator=st.just(k),
        input=st.just(source.tensor),
        output=st.just(target.tensor),
        min_displacement_bytes=st.integers(0, target.size_bytes + 2),
        mirror_displacement_bytes=st.none() | st.integers(0, source.size_bytes + 2),
        in_place=st.booleans(),
        source=st.just("drawn"),
    )
