"""Running a kernel truly overlapped: are the bits those of a run apart?"""

from __future__ import annotations

import resource
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from diagmem.errors import DiagmemError
from diagmem.kernels.build import build
from diagmem.kernels.cases import Case, Placement, Result, layout
from diagmem.kernels.model import BufferSpec, Kernel
from diagmem.kernels.run import run_each, run_native
from diagmem.trace.model import Role

SATURATED_SHARE = 0.01
"""From this share of output elements at the type's ends damage may stay hidden."""
BATCH_BYTES = 32 << 20
"""So many bytes of regions go to one process at a time."""
PATIENCE = 50.0
"""A kernel that takes so much longer overlapped than apart has lost its way."""
PATIENCE_SECONDS = 10.0

_COMPARED = (Role.INPUT, Role.OUTPUT, Role.WEIGHTS, Role.OTHER)


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
class Trial:
    """What overlapped runs at one displacement have shown.

    ``difference`` is the first, None where there was none; ``stopped`` says how
    the kernel was stopped, or is empty.
    """

    displacement_bytes: int
    difference: Difference | None
    stopped: str

    @property
    def holds(self) -> bool:
        """Every compared byte was right, for every input."""
        return self.difference is None and not self.stopped


def find_pair(kernel: Kernel, pair: tuple[str, str] | None = None) -> tuple[BufferSpec, BufferSpec]:
    """The input and output to overlap; may be left out where there is one of each."""
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


class Runs:
    """Runs of one kernel, apart and with one pair overlapped, on seeded inputs.

    Outputs, other inputs and weights are compared bit by bit; scratch memory and
    the overlapped input are free to differ.

    Raises
    ------
    DiagmemError
        The kernel cannot be built or run apart, or two runs apart differ.
    """

    def __init__(
        self, kernel: Kernel, seeds: Sequence[int], pair: tuple[str, str] | None = None
    ) -> None:
        if not seeds or min(seeds) < 0:
            raise DiagmemError(
                f"inputs is {len(seeds)}, seed is {min(seeds, default=0)},"
                " expected at least 1 and 0"
            )
        self.kernel = kernel
        self.input, self.output = find_pair(kernel, pair)
        self.cell_bytes = min(self.input.dtype.size_bytes, self.output.dtype.size_bytes)
        self._built = build(kernel)
        self._seeds = seeds
        self._contents = [_contents(kernel, seed) for seed in seeds]
        self._expected, self.seconds = self._apart()

    def _case(self, number: int, displacement_bytes: int | None) -> Case:
        placement = None
        if displacement_bytes is not None:
            placement = Placement(self.input.name, self.output.name, displacement_bytes)
        return Case(self.kernel, self._seeds[number], placement, self._contents[number])

    def _apart(self) -> tuple[list[Result], float]:
        """The right results, and the processor time that one took."""
        # The first input runs once more at the end: a kernel that keeps state, or
        # reads what nobody wrote, cannot be compared with itself.
        numbers = [*range(len(self._seeds)), 0]
        before = _children_seconds()
        results = run_native(self._built, [self._case(number, None) for number in numbers])
        seconds = (_children_seconds() - before) / len(numbers)
        again = self._difference(results[0], results[-1], self._seeds[0], spared="")
        if again is not None:
            raise DiagmemError(
                f'{self.kernel.file}: function "{self.kernel.function}" gave two results for one'
                f' input, in byte {again.byte} of "{again.buffer}", expected a function of its'
                " arguments"
            )
        return results[:-1], seconds

    def case_bytes(self, displacement_bytes: int) -> int:
        """Bytes of the region of one run there."""
        return layout(self._case(0, displacement_bytes)).region_bytes

    def at(self, displacement_bytes: int) -> Trial:
        """Run every input overlapped at one displacement."""
        return next(self.each([displacement_bytes]))

    def each(self, displacements: Sequence[int]) -> Iterator[Trial]:
        """Run every input at every displacement, many to a process."""
        if not displacements:
            return
        per_case = max(self.case_bytes(d) for d in {displacements[0], displacements[-1]})
        at_once = max(1, BATCH_BYTES // per_case)
        for start in range(0, len(displacements), at_once):
            batch = displacements[start : start + at_once]
            trials = {d: Trial(d, None, "") for d in batch}
            for number in range(len(self._seeds)):
                # What one input refutes need not be run on the others.
                left = [d for d in batch if trials[d].holds]
                trials.update(zip(left, self._one_input(number, left), strict=True))
            yield from trials.values()

    def _one_input(self, number: int, displacements: Sequence[int]) -> Iterator[Trial]:
        outcomes = run_each(
            self._built,
            [self._case(number, d) for d in displacements],
            timeout_seconds=PATIENCE_SECONDS + PATIENCE * self.seconds * len(displacements),
        )
        seed, expected = self._seeds[number], self._expected[number]
        for displacement, found in zip(displacements, outcomes, strict=True):
            if isinstance(found, DiagmemError):
                # It ran apart, so this is the overlap's doing: an answer, not an error.
                yield Trial(displacement, None, str(found))
            else:
                wrong = self._difference(expected, found, seed, spared=self.input.name)
                yield Trial(displacement, wrong, "")

    def _difference(
        self, expected: Result, found: Result, seed: int, *, spared: str
    ) -> Difference | None:
        """The first differing byte in all buffers but scratch and the overlapped input."""
        for buffer in self.kernel.buffers:
            if buffer.role not in _COMPARED or buffer.name == spared:
                continue
            right, seen = expected.buffers[buffer.name], found.buffers[buffer.name]
            wrong = right != seen
            if wrong.any():
                byte = int(np.argmax(wrong))
                return Difference(
                    seed,
                    buffer.name,
                    byte,
                    int(right[byte]),
                    int(seen[byte]),
                    int(np.count_nonzero(wrong)),
                    buffer.size_bytes,
                )
        return None

    @property
    def saturation(self) -> str:
        """Why damage to an output could stay hidden; empty where it could not."""
        for buffer in self.kernel.with_role(Role.OUTPUT):
            joined = np.concatenate([r.buffers[buffer.name] for r in self._expected])
            values = joined.view(buffer.dtype.numpy)
            if buffer.elements > 1 and bool(np.all(values == values[0])):
                return f'all elements of "{buffer.name}" are {values[0]}'
            share = _share_at_ends(buffer, values)
            if share > SATURATED_SHARE:
                return f'{share:.1%} of "{buffer.name}" are at the ends of {buffer.dtype.name}'
        return ""


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
