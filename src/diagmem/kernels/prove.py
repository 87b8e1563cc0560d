"""Proof by execution: the same bits, truly overlapped and apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from diagmem.errors import DiagmemError
from diagmem.kernels.build import Built, build
from diagmem.kernels.cases import Case, Placement, Result
from diagmem.kernels.model import BufferSpec, Kernel
from diagmem.kernels.run import KernelStoppedError, run_native
from diagmem.trace.model import Role

SATURATED_SHARE = 0.01
"""From this share of output elements at the type's ends damage may stay hidden."""

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
class Proof:
    """What overlapped runs of one input and one output have shown.

    Attributes
    ----------
    min_displacement_bytes : the displacement D that was put to the proof,
        address(input) - address(output).
    proven : at D every compared byte was right, for every input tried.
    tight : proven, and one cell less was wrong for some input; also where
        there is no less (D = 0).
    cell_bytes : one cell, the smaller element of the two buffers.
    whole_cells : D is a multiple of it.
    tight_displacement_bytes : the displacement tried below D; None where none was.
    saturated : damage may stay hidden, see ``saturation``.
    saturation : why, or empty.
    first_difference : at D; None where proven.
    stopped : how the kernel was stopped at D, or empty.
    difference_below : the first difference one cell below D.
    stopped_below : how the kernel was stopped there, or empty.
    """

    input: str
    output: str
    min_displacement_bytes: int
    proven: bool
    tight: bool
    inputs_tried: int
    seed: int
    cell_bytes: int
    whole_cells: bool
    tight_displacement_bytes: int | None
    saturated: bool
    saturation: str
    first_difference: Difference | None
    stopped: str
    difference_below: Difference | None
    stopped_below: str


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


def prove(
    kernel: Kernel,
    *,
    displacement_bytes: int,
    inputs: int = 3,
    seed: int = 0,
    pair: tuple[str, str] | None = None,
) -> Proof:
    """Run a kernel apart and overlapped and compare all bits.

    Parameters
    ----------
    kernel : what to run; it is built if need be.
    displacement_bytes : D, from -input_bytes to output_bytes; where it is
        negative, "below" means one cell nearer to 0.
    inputs : how many seeded inputs to try, ``seed`` upwards.
    pair : names of input and output, where the kernel has several.

    Raises
    ------
    DiagmemError
        The kernel cannot be built or run apart, or two runs apart differ.
    """
    source, target = find_pair(kernel, pair)
    if inputs < 1 or seed < 0:
        raise DiagmemError(f"inputs is {inputs}, seed is {seed}, expected at least 1 and 0")
    placement = Placement(source.name, target.name, displacement_bytes)
    cell = min(source.dtype.size_bytes, target.dtype.size_bytes)
    seeds = range(seed, seed + inputs)
    built = build(kernel)
    expected = _run_apart(built, kernel, seeds)
    difference, stopped = _try(built, kernel, expected, seeds, placement)
    proven = difference is None and not stopped
    below = _nearer(displacement_bytes, cell) if proven else None
    difference_below, stopped_below = None, ""
    if below is not None:
        nearer = Placement(source.name, target.name, below)
        difference_below, stopped_below = _try(built, kernel, expected, seeds, nearer)
    saturation = _saturation(kernel, expected)
    damaged = difference_below is not None or stopped_below != ""
    return Proof(
        input=source.name,
        output=target.name,
        min_displacement_bytes=displacement_bytes,
        proven=proven,
        tight=proven and (below is None or damaged),
        inputs_tried=inputs,
        seed=seed,
        cell_bytes=cell,
        whole_cells=displacement_bytes % cell == 0,
        tight_displacement_bytes=below,
        saturated=saturation != "",
        saturation=saturation,
        first_difference=difference,
        stopped=stopped,
        difference_below=difference_below,
        stopped_below=stopped_below,
    )


def _nearer(displacement_bytes: int, cell: int) -> int | None:
    """One cell nearer to 0, but not beyond; None at 0."""
    if displacement_bytes == 0:
        return None
    if displacement_bytes > 0:
        return max(displacement_bytes - cell, 0)
    return min(displacement_bytes + cell, 0)


def _run_apart(built: Built, kernel: Kernel, seeds: Sequence[int]) -> list[Result]:
    # The first input runs once more at the end: a kernel that keeps state, or
    # reads what nobody wrote, cannot be compared with itself.
    cases = [Case(kernel, seed) for seed in (*seeds, seeds[0])]
    results = run_native(built, cases)
    again = _difference(kernel, results[0], results[-1], seeds[0], spared="")
    if again is not None:
        raise DiagmemError(
            f'{kernel.file}: function "{kernel.function}" gave two results for one input, '
            f'in byte {again.byte} of "{again.buffer}", expected a function of its arguments'
        )
    return results[:-1]


def _try(
    built: Built, kernel: Kernel, expected: list[Result], seeds: Sequence[int], placement: Placement
) -> tuple[Difference | None, str]:
    """The first difference of overlapped runs, and how the kernel was stopped."""
    try:
        found = run_native(built, [Case(kernel, seed, placement) for seed in seeds])
    except KernelStoppedError as error:
        # It ran apart, so this is the overlap's doing: an answer, not an error.
        return None, str(error)
    differences = (
        _difference(kernel, e, f, seed, spared=placement.input)
        for seed, e, f in zip(seeds, expected, found, strict=True)
    )
    return next((d for d in differences if d is not None), None), ""


def _difference(
    kernel: Kernel, expected: Result, found: Result, seed: int, *, spared: str
) -> Difference | None:
    """The first differing byte in all buffers but scratch and the overlapped input."""
    for buffer in kernel.buffers:
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


def _saturation(kernel: Kernel, results: list[Result]) -> str:
    """Why damage to an output could stay hidden; empty where it could not."""
    for buffer in kernel.with_role(Role.OUTPUT):
        joined = np.concatenate([r.buffers[buffer.name] for r in results])
        values = joined.view(buffer.dtype.numpy)
        if buffer.elements > 1 and bool(np.all(values == values[0])):
            return f'all elements of "{buffer.name}" are {values[0]}'
        share = _share_at_ends(buffer, values)
        if share > SATURATED_SHARE:
            return f'{share:.1%} of "{buffer.name}" are at the ends of {buffer.dtype.name}'
    return ""


def _share_at_ends(buffer: BufferSpec, values: npt.NDArray[Any]) -> float:
    if buffer.dtype.name == "bool":
        return 0.0
    low, high = buffer.dtype.extremes
    ends = (values == values.dtype.type(low)) | (values == values.dtype.type(high))
    if buffer.dtype.is_float:
        ends |= ~np.isfinite(values)
    return float(np.mean(ends))
