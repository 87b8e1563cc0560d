"""Cases for the driver: where every buffer lies and what it holds.

A case is one call.  All its buffers lie in one region, with guard zones between
them whose bytes must not change.  The files are described in
``harness/driver.c``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from diagmem.analysis.safe import Placement
from diagmem.base.errors import DiagmemError
from diagmem.kernels.driver import pack, signature
from diagmem.kernels.fills import UInt8Array, contents
from diagmem.kernels.kernel import BufferSpec, Kernel
from diagmem.trace.window import Role

GUARD_BYTES = 1024
ALIGN_BYTES = 64
LEADS = (0, 16, 32, 48)
"""Where an arena's tensors may lie modulo `ALIGN_BYTES`: runtimes align them to 16."""
MAX_REGION_BYTES = 1 << 31


@dataclass(frozen=True, slots=True)
class Together:
    """Buffers that lie so far from one place, in bytes, and may share bytes; the place
    is a multiple of `ALIGN_BYTES`."""

    offsets: Mapping[str, int]

    def shifted(self, by_bytes: int) -> Together:
        """All of them so many bytes higher."""
        return Together({name: at + by_bytes for name, at in self.offsets.items()})


@dataclass(frozen=True, slots=True)
class Case:
    """One call of a kernel.

    ``contents`` replaces seeded contents by buffer name.  Without ``placement``
    all buffers lie apart.
    """

    kernel: Kernel
    seed: int = 0
    placement: Placement | Together | None = None
    contents: Mapping[str, bytes] = field(default_factory=dict)

    def before(self, buffer: BufferSpec) -> UInt8Array:
        """What the buffer holds before the call, uint8."""
        given = self.contents.get(buffer.name)
        if given is None:
            return contents(buffer, self.seed)
        if len(given) != buffer.size_bytes:
            raise DiagmemError(
                f'{self.kernel.file}: contents for "{buffer.name}" have {len(given)} bytes, '
                f"expected {buffer.size_bytes}"
            )
        return np.frombuffer(given, np.uint8)


@dataclass(frozen=True, slots=True)
class RegionLayout:
    """Offsets of the buffers from the region's start, in bytes."""

    offsets: Mapping[str, int]
    region_bytes: int


@dataclass(frozen=True, slots=True)
class Result:
    """What one call left behind: its return value and every buffer's bytes.

    An overlapped input holds what the output has written over it.
    """

    status: int
    buffers: Mapping[str, UInt8Array]


def layout(case: Case) -> RegionLayout:
    """Place all buffers, each aligned to 64 bytes, those that lie together as one."""
    kernel, placement = case.kernel, case.placement
    placed = _offsets(kernel, placement)
    sizes = {buffer.name: buffer.allocated_bytes for buffer in kernel.buffers}
    offsets: dict[str, int] = {}
    cursor = GUARD_BYTES
    for buffer in kernel.buffers:
        if buffer.name in offsets:
            continue
        group = placed if buffer.name in placed else {buffer.name: 0}
        anchor = -(-(cursor - min(group.values())) // ALIGN_BYTES) * ALIGN_BYTES
        offsets.update({name: anchor + relative for name, relative in group.items()})
        cursor = max(offsets[name] + sizes[name] for name in group) + GUARD_BYTES
    if cursor > MAX_REGION_BYTES:
        raise DiagmemError(
            f"{kernel.file}: the buffers take {cursor} bytes, expected at most {MAX_REGION_BYTES}"
        )
    return RegionLayout(offsets, cursor)


def _offsets(kernel: Kernel, placement: Placement | Together | None) -> Mapping[str, int]:
    """Of the buffers that it places, from one place on."""
    if placement is None:
        return {}
    if isinstance(placement, Together):
        return placement.offsets
    source, target = kernel.buffer(placement.input), kernel.buffer(placement.output)
    if source is None or target is None or source is target:
        raise DiagmemError(
            f'{kernel.file}: no pair of buffers "{placement.input}" and "{placement.output}"'
        )
    low, high = -source.allocated_bytes, target.allocated_bytes
    if not low <= placement.displacement_bytes <= high:
        raise DiagmemError(
            f"{kernel.file}: displacement {placement.displacement_bytes} bytes of "
            f'"{source.name}" to "{target.name}", expected {low} to {high}'
        )
    return placement.offsets(source.dtype.size_bytes, target.dtype.size_bytes)


def region_before(case: Case, placed: RegionLayout) -> UInt8Array:
    """The region's bytes before the call; an overlapped input lies on its output."""
    region = _canaries(placed.region_bytes, case.seed)
    for buffer in sorted(case.kernel.buffers, key=lambda b: b.role is Role.INPUT):
        start = placed.offsets[buffer.name]
        region[start : start + buffer.size_bytes] = case.before(buffer)
    return region


def _canaries(size_bytes: int, seed: int) -> UInt8Array:
    # No period that a power of two divides, and no order in any bit, so that shifted copies
    # do not match; other bytes for each seed, so that no constant matches always.
    pattern = np.random.default_rng(seed).integers(0, 256, 251, np.uint8)
    return np.resize(pattern, size_bytes)


def write_cases(cases: Sequence[Case], path: Path) -> None:
    """Write the driver's case file."""
    placed = [layout(case) for case in cases]
    with path.open("wb") as file:
        file.write(b"DMCASES1")
        _words(file, signature(cases[0].kernel), len(cases), max(p.region_bytes for p in placed))
        for case, place in zip(cases, placed, strict=True):
            _words(file, place.region_bytes)
            for buffer in case.kernel.buffers:
                _words(file, place.offsets[buffer.name], buffer.size_bytes)
            file.write(pack(case.kernel))
            file.write(region_before(case, place).data)


def _words(file: BinaryIO, *words: int) -> None:
    file.write(np.array(words, "<u8").tobytes())


def complete_results(cases: Sequence[Case], path: Path) -> int:
    """How many cases a results file holds whole, also of a driver that died."""
    left = (path.stat().st_size if path.is_file() else 0) - 24
    for number, case in enumerate(cases):
        left -= 8 + layout(case).region_bytes
        if left < 0:
            return number
    return len(cases)


def read_results(cases: Sequence[Case], path: Path) -> list[Result]:
    """Read the driver's results and check the guard zones and return values.

    Raises
    ------
    DiagmemError
        The file is not whole, the kernel wrote outside of its buffers, or it
        returned something else than ``success``.
    """
    done = complete_results(cases, path)
    if done != len(cases):
        raise DiagmemError(
            f'{cases[0].kernel.file}: function "{cases[0].kernel.function}" ended the program '
            f"in case {done + 1} of {len(cases)}, expected it to return"
        )
    results = []
    for result in read_each(cases, path):
        if isinstance(result, DiagmemError):
            raise result
        results.append(result)
    return results


def read_each(cases: Sequence[Case], path: Path) -> list[Result | DiagmemError]:
    """What became of each case that a results file holds whole: its result, or
    that the kernel wrote outside of its buffers or returned an error."""
    done = complete_results(cases, path)
    results: list[Result | DiagmemError] = []
    if done == 0:
        return results
    with path.open("rb") as file:
        file.seek(24)
        for case in cases[:done]:
            status = int(np.frombuffer(file.read(8), "<i8")[0])
            region = np.frombuffer(file.read(layout(case).region_bytes), np.uint8)
            try:
                results.append(_result(case, status, region))
            except DiagmemError as error:
                results.append(error)
    return results


def _result(case: Case, status: int, region: UInt8Array) -> Result:
    kernel, placed = case.kernel, layout(case)
    if kernel.success is not None and status != kernel.success:
        raise DiagmemError(
            f'{kernel.file}: function "{kernel.function}" returned {status}, '
            f"expected {kernel.success}"
        )
    _check_guards(case, placed, region)
    ends = {b.name: placed.offsets[b.name] + b.size_bytes for b in kernel.buffers}
    return Result(status, {name: region[placed.offsets[name] : end] for name, end in ends.items()})


def _check_guards(case: Case, placed: RegionLayout, region: UInt8Array) -> None:
    damaged = region != _canaries(placed.region_bytes, case.seed)
    for buffer in case.kernel.buffers:
        start = placed.offsets[buffer.name]
        damaged[start : start + buffer.size_bytes] = False
    if not damaged.any():
        return
    at = int(np.argmax(damaged))
    near = min(case.kernel.buffers, key=lambda b: _distance(b, placed, at))
    raise DiagmemError(
        f'{case.kernel.file}: function "{case.kernel.function}" wrote outside of its buffers '
        f'near "{near.name}": at byte {at - placed.offsets[near.name]}, '
        f"expected 0 to {near.size_bytes - 1}"
        f"{'' if near.live_bytes is None else ', its live bytes'}"
    )


def _distance(buffer: BufferSpec, placed: RegionLayout, at: int) -> int:
    start = placed.offsets[buffer.name]
    return max(start - at, at - (start + buffer.size_bytes) + 1)
