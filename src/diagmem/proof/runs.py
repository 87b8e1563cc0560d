"""Running a kernel truly overlapped: are the bits those of a run apart?"""

from __future__ import annotations

import resource
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from diagmem.analysis.safe import Placement
from diagmem.base.errors import DiagmemError
from diagmem.kernels.build import Built, build
from diagmem.kernels.cases import LEADS, Case, Result, Together, layout
from diagmem.kernels.kernel import BufferSpec, Kernel
from diagmem.kernels.native import run_each, run_native
from diagmem.trace.window import Role

SATURATED_SHARE = 0.01
"""From this share of output elements at the type's ends damage may stay hidden."""
BATCH_BYTES = 32 << 20
"""So many bytes of regions go to one process at a time."""
PATIENCE = 50.0
"""A kernel that takes so much longer overlapped than apart has lost its way."""
PATIENCE_SECONDS = 10.0

_COMPARED = (Role.INPUT, Role.OUTPUT, Role.INOUT, Role.WEIGHTS, Role.OTHER)


@dataclass(frozen=True, slots=True)
class Difference:
    """The first byte that an overlapped run got wrong.

    ``seed`` made the input, ``byte`` counts from the start of ``buffer``,
    ``differing_bytes`` are all wrong bytes of that buffer.
    """

    seed: int
    buffer: str
    byte: int
    expected: int
    found: int
    differing_bytes: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What overlapped runs have shown.

    ``difference`` is the first, None where there was none; ``stopped`` says how
    the kernel was stopped, or is empty.
    """

    difference: Difference | None
    stopped: str

    @property
    def holds(self) -> bool:
        """Every compared byte was right, for every input."""
        return self.difference is None and not self.stopped


@dataclass(frozen=True, slots=True)
class Trial:
    """What they have shown at one displacement; fields as in `Outcome`."""

    displacement_bytes: int
    difference: Difference | None
    stopped: str

    @property
    def holds(self) -> bool:
        """As `Outcome.holds`."""
        return Outcome(self.difference, self.stopped).holds


def find_pair(kernel: Kernel, pair: tuple[str, str] | None = None) -> tuple[BufferSpec, BufferSpec]:
    """The input and output to overlap, or twice a buffer that is both; may be left out
    where there is one choice only."""
    both = kernel.with_role(Role.INOUT)
    named = [b for b in both if pair is None or pair == (b.name, b.name)]
    if len(named) == 1 and (pair or not kernel.with_role(Role.OUTPUT)):
        return named[0], named[0]
    chosen = []
    for place, role in enumerate((Role.INPUT, Role.OUTPUT)):
        buffers = kernel.with_role(role)
        if pair is not None:
            buffers = tuple(b for b in buffers if b.name == pair[place])
        if len(buffers) != 1:
            names = ", ".join(b.name for b in kernel.with_role(role)) or "none"
            found = f'"{pair[place]}"' if pair else "no choice among them"
            raise DiagmemError(f"{kernel.file}: {role} is {found}, expected one of: {names}")
        chosen.append(buffers[0])
    return chosen[0], chosen[1]


class Results:
    """The right results of a kernel on seeded inputs, and how runs with its buffers
    placed otherwise compare.

    Outputs, inputs, weights and what the call returns are compared bit by bit; scratch
    memory and inputs that are spared are free to differ.

    Parameters
    ----------
    built : another build than the one that the description makes now.
    alike : buffers that hold what another one does, by its name.

    Raises
    ------
    DiagmemError
        The kernel cannot be built or run apart, or two runs apart differ.
    """

    def __init__(
        self,
        kernel: Kernel,
        seeds: Sequence[int],
        *,
        built: Built | None = None,
        alike: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        if not seeds or min(seeds) < 0:
            raise DiagmemError(
                f"inputs is {len(seeds)}, seed is {min(seeds, default=0)},"
                " expected at least 1 and 0"
            )
        self.kernel = kernel
        self._built = built or build(kernel)
        self.seeds = seeds
        self._contents = [_contents(kernel, seed) for seed in seeds]
        for contents in self._contents:
            contents.update({name: contents[other] for name, other in alike.items()})
        self._expected, self.seconds = self._apart()

    def case(self, number: int, placement: Placement | Together | None) -> Case:
        """The run of one input with its buffers placed so."""
        return Case(self.kernel, self.seeds[number], placement, self._contents[number])

    def _apart(self) -> tuple[list[Result], float]:
        """The right results, and the processor time that one took."""
        # The first input runs once more at the end: a kernel that keeps state, or
        # reads what nobody wrote, cannot be compared with itself.
        numbers = [*range(len(self.seeds)), 0]
        before = _children_seconds()
        results = run_native(self._built, [self.case(number, None) for number in numbers])
        seconds = (_children_seconds() - before) / len(numbers)
        other = self._other_value(results[0], results[-1])
        if other:
            raise DiagmemError(f"{other} for one input, expected a function of its arguments")
        again = self._difference(results[0], results[-1], self.seeds[0], spared=())
        if again is not None:
            raise DiagmemError(
                f'{self.kernel.file}: function "{self.kernel.function}" gave two results for one'
                f' input, in byte {again.byte} of "{again.buffer}", expected a function of its'
                " arguments"
            )
        return results[:-1], seconds

    def each(
        self, placements: Sequence[Placement | Together], spared: Collection[str]
    ) -> list[Outcome]:
        """Run every input with its buffers placed in every one of these ways."""
        outcomes = [Outcome(None, "")] * len(placements)
        for number, seed in enumerate(self.seeds):
            # What one input refutes need not be run on the others.
            left = [i for i, outcome in enumerate(outcomes) if outcome.holds]
            results = run_each(
                self._built,
                [self.case(number, placements[i]) for i in left],
                timeout_seconds=PATIENCE_SECONDS + PATIENCE * self.seconds * len(left),
            )
            for i, result in zip(left, results, strict=True):
                if isinstance(result, DiagmemError):
                    # It ran apart, so this is the overlap's doing: an answer, not an error.
                    outcomes[i] = Outcome(None, str(result))
                else:
                    right = self._expected[number]
                    wrong = self._difference(right, result, seed, spared=spared)
                    outcomes[i] = Outcome(wrong, self._other_value(right, result))
        return outcomes

    def _other_value(self, expected: Result, result: Result) -> str:
        """What the call returned, where that is not what it returned apart; else empty."""
        if result.status == expected.status:
            return ""
        return (
            f'{self.kernel.file}: function "{self.kernel.function}" returned {result.status}, and'
            f" {expected.status} in another run"
        )

    def _difference(
        self, expected: Result, result: Result, seed: int, *, spared: Collection[str]
    ) -> Difference | None:
        """The first differing byte in all buffers but scratch and those that are spared."""
        for buffer in self.kernel.buffers:
            if buffer.role not in _COMPARED or buffer.name in spared:
                continue
            right, data = expected.buffers[buffer.name], result.buffers[buffer.name]
            wrong = right != data
            if wrong.any():
                byte = int(np.argmax(wrong))
                return Difference(
                    seed,
                    buffer.name,
                    byte,
                    int(right[byte]),
                    int(data[byte]),
                    int(np.count_nonzero(wrong)),
                    buffer.size_bytes,
                )
        return None

    def unchanged(self, name: str) -> bool:
        """Did every run apart leave that buffer as it was filled?"""
        return all(
            result.buffers[name].tobytes() == contents[name]
            for result, contents in zip(self._expected, self._contents, strict=True)
        )

    @cached_property
    def saturation(self) -> str:
        """Why damage to an output could stay hidden; empty where it could not."""
        for buffer in self.kernel.outputs:
            joined = np.concatenate([r.buffers[buffer.name] for r in self._expected])
            values = joined.view(buffer.dtype.numpy)
            if buffer.elements > 1 and bool(np.all(values == values[0])):
                return f'all elements of "{buffer.name}" are {values[0]}'
            share = _share_at_ends(buffer, values)
            if share > SATURATED_SHARE:
                return f'{share:.1%} of "{buffer.name}" are at the ends of {buffer.dtype.name}'
        return ""


class Runs:
    """Runs of one kernel with one pair overlapped, on seeded inputs.

    The overlapped input is free to differ.
    """

    def __init__(self, results: Results, pair: tuple[str, str] | None = None) -> None:
        self.input, self.output = find_pair(results.kernel, pair)
        self.cell_bytes = min(self.input.dtype.size_bytes, self.output.dtype.size_bytes)
        self.seconds, self.saturation = results.seconds, results.saturation
        # Then equal bits prove nothing.
        self.wrote_nothing = results.unchanged(self.output.name)
        self._results = results
        self._known: dict[int, Trial] = {}

    def _placed(self, displacement_bytes: int, lead_bytes: int = 0) -> Placement:
        return Placement(self.input.name, self.output.name, displacement_bytes, lead_bytes)

    def case_bytes(self, displacement_bytes: int) -> int:
        """Bytes of the region of one run there."""
        return layout(self._results.case(0, self._placed(displacement_bytes))).region_bytes

    def at(self, displacement_bytes: int) -> Trial:
        """Run every input overlapped at one displacement, at all of `LEADS`; once."""
        if displacement_bytes not in self._known:
            [self._known[displacement_bytes]] = self._tried({displacement_bytes: LEADS})
        return self._known[displacement_bytes]

    def each(self, displacements: Sequence[int]) -> Iterator[Trial]:
        """Run every input at every displacement, many to a process: at all of `LEADS`
        where a runtime may place tensors, at one in turn elsewhere."""
        if not displacements:
            return
        per_case = max(self.case_bytes(d) for d in {displacements[0], displacements[-1]})
        at_once = max(1, BATCH_BYTES // per_case)
        for start in range(0, len(displacements), at_once):
            batch = displacements[start : start + at_once]
            yield from self._tried({d: self._leads(d) for d in batch})

    def _leads(self, displacement_bytes: int) -> Sequence[int]:
        if displacement_bytes % LEADS[1] == 0:
            return LEADS
        return (LEADS[displacement_bytes // self.cell_bytes % len(LEADS)],)

    def _tried(self, leads: Mapping[int, Sequence[int]]) -> Iterator[Trial]:
        placements = [self._placed(d, lead) for d, each in leads.items() for lead in each]
        outcomes = self._results.each(placements, (self.input.name,))
        for displacement, each in leads.items():
            mine, outcomes = outcomes[: len(each)], outcomes[len(each) :]
            worst = next((outcome for outcome in mine if not outcome.holds), mine[0])
            yield Trial(displacement, worst.difference, worst.stopped)


def _children_seconds() -> float:
    """Processor time of processes that ended: no matter what else the machine does."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _contents(kernel: Kernel, seed: int) -> dict[str, bytes]:
    case = Case(kernel, seed)
    return {buffer.name: case.before(buffer).tobytes() for buffer in kernel.buffers}


def _share_at_ends(buffer: BufferSpec, values: npt.NDArray[Any]) -> float:
    if buffer.dtype.name == "bool":
        return 0.0
    low, high = buffer.dtype.extremes
    ends = (values == values.dtype.type(low)) | (values == values.dtype.type(high))
    if buffer.dtype.is_float:
        ends |= ~np.isfinite(values)
    return float(np.mean(ends))


def nearer(displacement_bytes: int, cell: int) -> int | None:
    """One cell nearer to 0, but not beyond; None at 0."""
    if displacement_bytes == 0:
        return None
    if displacement_bytes > 0:
        return max(displacement_bytes - cell, 0)
    return min(displacement_bytes + cell, 0)
