"""The processors that QEMU stands in for, and the boards that carry them."""

from __future__ import annotations

from dataclasses import dataclass

from diagmem.base.errors import DiagmemError


@dataclass(frozen=True, slots=True)
class Memory:
    """A stretch ``[start, start + size_bytes)`` of a board's memory."""

    start: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Target:
    """A processor with the board of QEMU that carries it.

    Attributes
    ----------
    machine : as ``qemu-system-arm -M`` calls the board.
    flags : of ``arm-none-eabi-gcc``, for code that this processor runs.
    architectures : values of the build attribute ``Tag_CPU_arch`` that it runs.
    has_fpu : it has floating-point instructions.
    vectors : where the vector table may lie.
    code, data, arena : where a kernel's image puts its code, its data and stack,
        and the buffers under test.
    """

    name: str
    machine: str
    flags: tuple[str, ...]
    architectures: frozenset[int]
    has_fpu: bool
    vectors: tuple[int, ...]
    code: Memory
    data: Memory
    arena: Memory


_V6_M = frozenset({11, 12})
_V7_M = _V6_M | {10}
_V7E_M = _V7_M | {13}
_V8_1_M = _V7E_M | {16, 17, 21}
"""ARM's "Addenda to, and errata in, the ABI", Tag_CPU_arch."""

_MIB = 1 << 20


def _mps2(
    name: str, machine: str, architectures: frozenset[int], *, fpu: bool, psram: int = 0x2100_0000
) -> Target:
    """An MPS2 board: ZBT SSRAM for code and data, PSRAM for the buffers (AN385, AN386, AN500)."""
    return Target(
        name=name,
        machine=machine,
        flags=_flags(name, fpu=fpu),
        architectures=architectures,
        has_fpu=fpu,
        vectors=(0,),
        code=Memory(0, 4 * _MIB),
        data=Memory(0x2000_0000, 4 * _MIB),
        arena=Memory(psram, 16 * _MIB),
    )


def _flags(cpu: str, *, fpu: bool) -> tuple[str, ...]:
    return f"-mcpu={cpu}", "-mthumb", f"-mfloat-abi={'hard' if fpu else 'soft'}"


_ALL = (
    _mps2("cortex-m3", "mps2-an385", _V7_M, fpu=False),
    _mps2("cortex-m4", "mps2-an386", _V7E_M, fpu=True),
    _mps2("cortex-m7", "mps2-an500", _V7E_M, fpu=True, psram=0x6000_0000),
    # An MPS3 board starts in the secure state: its tightly coupled memories and
    # DDR at their secure addresses (AN547).
    Target(
        name="cortex-m55",
        machine="mps3-an547",
        flags=_flags("cortex-m55", fpu=True),
        architectures=_V8_1_M,
        has_fpu=True,
        vectors=(0, 0x1000_0000),
        code=Memory(0, _MIB // 2),
        data=Memory(0x3000_0000, _MIB // 2),
        arena=Memory(0x7000_0000, 256 * _MIB),
    ),
)
TARGETS = {target.name: target for target in _ALL}
LINUX = "armhf"
"""A Linux program for 32-bit Arm, in QEMU's user mode."""
NAMES = (*TARGETS, LINUX)


def board(name: str) -> Target:
    """The processor of that name.

    Raises
    ------
    DiagmemError
        If there is none.
    """
    if name not in TARGETS:
        raise DiagmemError(f"target {name!r}: expected one of {', '.join(TARGETS)}")
    return TARGETS[name]
