"""When a displacement is safe, by its definition and by trying it out.

Two judges that share nothing with `diagmem.analysis` (`overlap`, `safe`), nor with each
other, but the question they are asked.  Both are hopelessly slow and meant to be.

`definition` follows the words of the specification: a value lives from its
definition (the window's start, or a store) to its last use (its last load; the
window's end for an output's final value), and a displacement is safe when in
every shared cell no store falls into the life of the other byte's value, and no
output value from before the window is needed where an input byte lies: whoever
filled the input has overwritten it.

`execution` knows of no lives.  It runs the events as a program over symbols in
one shared memory and looks whether every load and the final output are the same
as with the buffers apart.

They must agree
---------------
The input always lies on top of what the output held before.  Then the two judges
must agree on every displacement, in both directions:

* A store into the life of a value puts a fresh symbol where a later load (or the
  end) expects another, and only a store to the *same* byte could bring the
  expected one, which would begin a new life.
* The other way round, a load that sees a wrong symbol sees one that was stored
  over a value it still needed, or the other byte's initial value.

A store of a value nobody reads is a store all the same: it ends no life of its
own cell early, it harms the other's, and both judges see it.

One event that *stores* to both buffers at once (it straddles their common edge)
has no meaning at another displacement and is refused; one that loads from both
is an over-read, and welcome.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

BEFORE_ALL = -1
"""The definition of what was there before: earlier than tick 0."""


class Event(NamedTuple):
    """One load or store; its tick is its index in the list."""

    address: int
    size: int
    store: bool


class Place(NamedTuple):
    """The bytes ``[address, address + size)`` of a buffer."""

    address: int
    size: int

    @property
    def end(self) -> int:
        return self.address + self.size

    def inside(self, event: Event) -> range:
        """Offsets of the bytes of this buffer that the event touches."""
        first = max(event.address, self.address)
        end = min(event.address + event.size, self.end)
        return range(first - self.address, max(first, end) - self.address)


@dataclass(frozen=True, slots=True)
class Case:
    """What a kernel did to one input and one output that lie apart."""

    input: Place
    output: Place
    events: tuple[Event, ...]

    def __post_init__(self) -> None:
        if self.input.address < self.output.end and self.output.address < self.input.end:
            raise ValueError("the buffers must lie apart")
        for event in self.events:
            if event.store and self.input.inside(event) and self.output.inside(event):
                raise ValueError(f"{event} stores to both buffers")

    @property
    def displacements(self) -> range:
        """All at which any cell is shared, and one safe one beyond each end."""
        return range(-self.input.size, self.output.size + 1)


# By definition.


class Life(NamedTuple):
    """Half-open: the value is needed by nobody from ``end`` on."""

    start: int
    end: int


@dataclass(slots=True)
class Byte:
    """One byte's stores, and the life of each value that was ever in it."""

    stores: list[int]
    lives: list[Life]

    @property
    def initial_needed(self) -> bool:
        """The first value is the one that was there before; its life is empty if unused."""
        return self.lives[0].end > BEFORE_ALL


def histories(case: Case, place: Place, *, needed_after: bool) -> list[Byte]:
    """What happened to each byte of a buffer; ``needed_after``: it is an output."""
    loads: list[list[int]] = [[] for _ in range(place.size)]
    stores: list[list[int]] = [[] for _ in range(place.size)]
    for tick, event in enumerate(case.events):
        for i in place.inside(event):
            (stores if event.store else loads)[i].append(tick)
    window_end = len(case.events)
    return [
        Byte(stores[i], lives_of(loads[i], stores[i], window_end, needed_after=needed_after))
        for i in range(place.size)
    ]


def lives_of(
    loads: list[int], stores: list[int], window_end: int, *, needed_after: bool
) -> list[Life]:
    """One life for each value; that of a value nobody reads is empty."""
    lives = []
    for made, gone in pairwise([BEFORE_ALL, *stores, window_end]):
        lives.append(Life(made, max((t for t in loads if made < t < gone), default=made)))
    if needed_after:
        lives[-1] = Life(lives[-1].start, window_end)
    return lives


def harms(stores: list[int], lives: list[Life]) -> bool:
    """Does a store fall into the life of another byte's value?"""
    return any(life.start <= tick < life.end for tick in stores for life in lives)


def conflict(r: Byte, w: Byte) -> bool:
    """May these two bytes not share a memory cell?"""
    return harms(r.stores, w.lives) or harms(w.stores, r.lives) or w.initial_needed


class Definition:
    """The judge that goes by the specification's words."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.reads = histories(case, case.input, needed_after=False)
        self.writes = histories(case, case.output, needed_after=True)

    def conflict(self, r: int, w: int) -> bool:
        return conflict(self.reads[r], self.writes[w])

    def safe(self, displacement: int) -> bool:
        return not any(self.conflict(r, w) for r, w in shared(self.case, displacement))


def shared(case: Case, displacement: int) -> Iterator[tuple[int, int]]:
    """The pairs (input byte, output byte) that share a cell: w = displacement + r."""
    for r in range(case.input.size):
        w = displacement + r
        if 0 <= w < case.output.size:
            yield r, w


# By execution.

Symbol = tuple[str, int, int]
"""What a byte holds: who made it, when, and which byte of it."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run saw: for each (tick, cell) that it loaded, and in the end."""

    loads: dict[tuple[int, str, int], Symbol]
    final: list[Symbol]


def run(case: Case, cell_of: Callable[[str, int], int]) -> Run:
    """Execute the events; ``cell_of`` says where byte i of a buffer lies."""
    places = {"input": case.input, "output": case.output}
    memory: dict[int, Symbol] = {}
    # What is put there last lies on top.
    for name in ("output", "input"):
        for i in range(places[name].size):
            memory[cell_of(name, i)] = (name, BEFORE_ALL, i)
    loads = {}
    for tick, event in enumerate(case.events):
        for name, place in places.items():
            for i in place.inside(event):
                if event.store:
                    memory[cell_of(name, i)] = (f"{name} stored", tick, i)
                else:
                    loads[tick, name, i] = memory[cell_of(name, i)]
    return Run(loads, [memory[cell_of("output", w)] for w in range(case.output.size)])


class Execution:
    """The judge that tries it out."""

    def __init__(self, case: Case) -> None:
        self.case = case
        # Any distance that leaves the two apart.
        far = -case.input.size - 1
        self.apart = run(case, lambda name, i: i + (far if name == "input" else 0))

    def safe(self, displacement: int) -> bool:
        def cell_of(name: str, i: int) -> int:
            return i + (displacement if name == "input" else 0)

        return run(self.case, cell_of) == self.apart


# What follows from the answers.


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answers for all displacements, and what the package reports of them."""

    input_bytes: int
    output_bytes: int
    safe: dict[int, bool]

    @property
    def minimum(self) -> int:
        """D: the smallest displacement >= 0 from which every larger is safe."""
        return 1 + max((d for d, ok in self.safe.items() if d >= 0 and not ok), default=-1)

    @property
    def mirror(self) -> int:
        """The smallest m >= 0 with every displacement <= -m safe."""
        return 1 + max((-d for d, ok in self.safe.items() if d <= 0 and not ok), default=-1)

    @property
    def isolated(self) -> list[int]:
        """Safe ones strictly between the two bounds."""
        return [d for d, ok in self.safe.items() if ok and -self.mirror < d < self.minimum]

    @property
    def safe_overlap(self) -> int:
        return min(max(self.output_bytes - self.minimum, 0), self.input_bytes)


def judge(case: Case, safe: Callable[[int], bool]) -> Verdict:
    answers = {d: safe(d) for d in case.displacements}
    return Verdict(case.input.size, case.output.size, answers)
