"""Is a plan safe?  Asked without any of the planners' code, nor that of
`diagmem.analysis.safe`: what checks an answer shares nothing with what gave it.

The verifier takes its own view of a plan: it says of each byte of the arena whose value
is there, and lets the operators run over them one by one.  When a tensor is needed last
it reads off the operators, not off the blocks' lives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from diagmem.arena.problem import Permission, Plan, Problem, Step

_NOBODY = -1
_FOREVER = 1 << 60


@dataclass(frozen=True, slots=True)
class Claim:
    """A plan as it is to be verified.

    Attributes
    ----------
    names, sizes, offsets, aligns : for each tensor number (scratch buffers among them);
        sizes, offsets, and what an offset is a multiple of, in bytes.
    steps : the operators in execution order, each with the tensors it reads and writes.
    inputs : tensors that hold their values before the first operator.
    outputs : tensors whose values are needed after the last.
    pinned : tensors whose bytes are nobody else's at any time.
    permissions : the overlaps that are allowed.
    in_place : pairs (input, output) that must lie at one place.
    """

    names: Mapping[int, str]
    sizes: Mapping[int, int]
    offsets: Mapping[int, int]
    aligns: Mapping[int, int]
    steps: Sequence[Step]
    inputs: Sequence[int]
    outputs: Sequence[int]
    pinned: Sequence[int]
    permissions: Sequence[Permission]
    arena_bytes: int
    in_place: Sequence[tuple[int, int]] = ()


def verify_plan(problem: Problem, plan: Plan) -> list[str]:
    """What is wrong with a plan, one line each; nothing if it is safe."""
    # A model's input may be its output, too; then nobody writes it.
    written = {tensor for step in problem.steps for tensor in step.writes}
    given = [b.tensor for b in problem.blocks if b.role in ("input", "output")]
    return verify(
        Claim(
            names={b.tensor: b.name for b in problem.blocks},
            sizes={b.tensor: b.size_bytes for b in problem.blocks},
            offsets=plan.offsets,
            aligns={b.tensor: problem.align_bytes for b in problem.blocks},
            steps=problem.steps,
            inputs=[tensor for tensor in given if tensor not in written],
            outputs=[b.tensor for b in problem.blocks if b.role == "output"],
            pinned=sorted(problem.pinned),
            permissions=problem.permissions,
            arena_bytes=plan.arena_bytes,
            in_place=problem.in_place,
        )
    )


def verify(claim: Claim) -> list[str]:
    """What is wrong, one line each: misplaced tensors, or, if there is none, what
    happens to their values."""
    misplaced = _misplaced(claim)
    if misplaced:
        return misplaced
    walk = _Walk(claim)
    walk.fill_inputs()
    for k, step in enumerate(claim.steps):
        walk.run(k, step)
    walk.read_outputs()
    return _trespasses(claim) + walk.violations


def _misplaced(claim: Claim) -> list[str]:
    faults = []
    for tensor, size in claim.sizes.items():
        name = claim.names[tensor]
        offset = claim.offsets.get(tensor)
        if offset is None:
            faults.append(f"{name} has no place")
        elif offset < 0:
            faults.append(f"{name} lies at {offset}, before the arena")
        elif offset % claim.aligns[tensor]:
            faults.append(f"{name} lies at {offset}, no multiple of {claim.aligns[tensor]}")
        elif offset + size > claim.arena_bytes:
            faults.append(
                f"{name} ends at byte {offset + size}, behind the arena of {claim.arena_bytes}"
            )
    for source, target in claim.in_place:
        here, there = claim.offsets.get(source), claim.offsets.get(target)
        if here != there:
            faults.append(
                f"{claim.names[target]} lies at {there}, not where {claim.names[source]} does, at"
                f" {here}: its operator works in place"
            )
    return faults


def _trespasses(claim: Claim) -> list[str]:
    """Tensors that lie, at whatever time, over a pinned one."""
    faults = []
    for pinned in claim.pinned:
        for tensor in claim.sizes:
            first = max(claim.offsets[pinned], claim.offsets[tensor])
            end = min(
                claim.offsets[pinned] + claim.sizes[pinned],
                claim.offsets[tensor] + claim.sizes[tensor],
            )
            if tensor != pinned and first < end:
                faults.append(
                    f"{claim.names[tensor]} lies over bytes [{first}, {end}) of"
                    f" {claim.names[pinned]}, which is pinned"
                )
    return faults


@dataclass(slots=True)
class _Walk:
    """The arena while the operators run.

    Bytes between two neighbouring ``edges`` of tensors always have one fate: piece i
    is [edges[i], edges[i + 1]), and ``holder[i]`` is the tensor whose value it holds.
    """

    claim: Claim
    violations: list[str] = field(default_factory=list)
    edges: list[int] = field(init=False)
    holder: list[int] = field(init=False)
    piece_at: dict[int, int] = field(init=False)
    last_use: dict[int, int] = field(init=False)
    allowed: dict[tuple[int, int, int], list[Permission]] = field(init=False)

    def __post_init__(self) -> None:
        claim = self.claim
        starts = {claim.offsets[t] for t in claim.sizes}
        ends = {claim.offsets[t] + size for t, size in claim.sizes.items()}
        self.edges = sorted(starts | ends)
        self.holder = [_NOBODY] * len(self.edges)
        self.piece_at = {edge: i for i, edge in enumerate(self.edges)}
        self.last_use = {}
        for k, step in enumerate(claim.steps):
            self.last_use.update(dict.fromkeys((*step.reads, *step.writes), k))
        self.last_use.update(dict.fromkeys(claim.outputs, _FOREVER))
        self.allowed = {}
        for p in claim.permissions:
            self.allowed.setdefault((p.operator, p.input, p.output), []).append(p)

    def pieces_of(self, tensor: int) -> range:
        start = self.claim.offsets[tensor]
        return range(self.piece_at[start], self.piece_at[start + self.claim.sizes[tensor]])

    def take(self, tensor: int) -> None:
        for i in self.pieces_of(tensor):
            self.holder[i] = tensor

    def fill_inputs(self) -> None:
        for tensor in self.claim.inputs:
            for other, where in self.others_in(tensor):
                self.complain("before the first operator", "fills", tensor, other, where)
            self.take(tensor)

    def run(self, k: int, step: Step) -> None:
        """Inputs must be whole; outputs take their bytes."""
        when = f"operator {k} {step.name}"
        for tensor in step.reads:
            for other, where in self.others_in(tensor, nobody=True):
                self.complain(when, "reads", tensor, other, where)
        for tensor in step.writes:
            for other, where in self.others_in(tensor):
                needed = self.last_use.get(other, -1) >= k
                if needed and not self.is_allowed(k, step, other, tensor):
                    why = self.why_not(k, step, other, tensor)
                    self.complain(when, "writes", tensor, other, where, why)
            self.take(tensor)

    def read_outputs(self) -> None:
        for tensor in self.claim.outputs:
            for other, where in self.others_in(tensor, nobody=True):
                self.complain("after the last operator", "reads", tensor, other, where)

    def others_in(self, tensor: int, nobody: bool = False) -> list[tuple[int, int]]:
        """Who else holds bytes of a tensor, and the first such byte of the arena."""
        first: dict[int, int] = {}
        for i in self.pieces_of(tensor):
            first.setdefault(self.holder[i], self.edges[i])
        return [
            (holder, where)
            for holder, where in first.items()
            if holder != tensor and (nobody or holder != _NOBODY)
        ]

    def is_allowed(self, k: int, step: Step, source: int, target: int) -> bool:
        """May the output ``target`` of operator k share bytes with ``source``?"""
        if source not in step.reads or self.last_use[source] != k:
            return False
        away = self.claim.offsets[source] - self.claim.offsets[target]
        for p in self.allowed.get((k, source, target), []):
            mirror = p.mirror_displacement_bytes
            if away >= p.min_displacement_bytes or (away == 0 and p.in_place):
                return True
            if mirror is not None and -away >= mirror:
                return True
        return False

    def why_not(self, k: int, step: Step, source: int, target: int) -> str:
        if source not in step.reads or self.last_use[source] != k:
            return "and is needed later" if self.last_use[source] > k else ""
        away = self.claim.offsets[source] - self.claim.offsets[target]
        allowed = [
            f"from {p.min_displacement_bytes} up"
            + (" or at 0" if p.in_place and p.min_displacement_bytes else "")
            + (
                ""
                if p.mirror_displacement_bytes is None
                else f" or -{p.mirror_displacement_bytes} down"
            )
            for p in self.allowed.get((k, source, target), [])
        ]
        return f"at displacement {away}: allowed {'; '.join(allowed) or 'none that is known'}"

    def complain(
        self, when: str, access: str, tensor: int, other: int, where: int, why: str = ""
    ) -> None:
        names, offsets = self.claim.names, self.claim.offsets
        if other == _NOBODY:
            held = "which nothing was written to"
        else:
            held = f"which holds {names[other]} (at {offsets[other]})"
        self.violations.append(
            f"{when} {access} {names[tensor]} (at {offsets[tensor]}): byte {where} of the arena,"
            f" {held}{why and f', {why}'}"
        )
