"""Sets of compiled kernels that layers can be traced and run on."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from diagmem.errors import DiagmemError
from diagmem.installing import package_command
from diagmem.ops.layer import Layer
from diagmem.ops.operator import REFERENCE
from diagmem.overlap import Overlap

UInt8Array = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Placed:
    """An input lies so many bytes above an output: address(input) - address(output)."""

    input: str
    output: str
    displacement_bytes: int


@dataclass(frozen=True, slots=True)
class Run:
    """One call of a layer on seeded inputs, apart or with one pair overlapped."""

    layer: Layer
    seed: int
    placed: Placed | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run left behind: uint8 bytes by tensor, all but an overlapped input.

    ``stopped`` says why there are none: refused, crashed; empty where it ran.
    """

    tensors: Mapping[str, UInt8Array]
    stopped: str = ""


@dataclass(frozen=True, slots=True)
class Traced:
    """The overlaps of a layer, one for each input with each output; none where
    ``stopped`` says that it could not be traced."""

    pairs: tuple[Overlap, ...]
    stopped: str = ""


class KernelSet(Protocol):
    """Kernels of one origin."""

    @property
    def name(self) -> str: ...

    def order(self, layer: Layer) -> str:
        """The loop order whose nest this set's kernel has."""
        ...

    def why_none(self, layer: Layer) -> str:
        """Why it has no kernel for the layer; empty where it has."""
        ...

    def run(self, runs: Sequence[Run]) -> list[Outcome]:
        """All runs, natively, whatever becomes of each."""
        ...

    def trace(self, layers: Sequence[Layer], seed: int) -> list[Traced]:
        """Each layer under the tool, apart, in as few processes as can be."""
        ...


C_SETS = {"c": "-O2", "c-O0": "-O0", "c-O2": "-O2", "c-O3": "-O3", "clang": "-O3"}
C_ORDERS = {**dict.fromkeys(C_SETS, REFERENCE), "two-columns": "two-columns"}
CLANG = "clang"
SETS = (*C_ORDERS, "tflm")
"""All that `kernel_set` knows; of C sets also ``c@cortex-m4`` and the like."""


def kernel_set(name: str) -> KernelSet:
    """The set of that name.

    Raises
    ------
    DiagmemError
        There is none, or it is not installed.
    """
    compiled, at, target = name.partition("@")
    if compiled in C_ORDERS:
        from diagmem.check.c_kernels import CKernels
        from diagmem.kernels.target.kernel import check_tools

        compiler = CLANG if compiled == CLANG else ""
        if at and compiler:
            raise DiagmemError(f"{name}: clang compiles for this machine only, expected {CLANG}")
        if at:
            check_tools(target)
        flags = C_SETS.get(compiled, "-O2")
        return CKernels(name, flags, C_ORDERS[compiled], target, compiler)
    if compiled == "tflm" and at:
        raise DiagmemError(
            f"{name}: the wheel's kernels are compiled for this machine, expected C kernels with"
            f" a target: {', '.join(C_ORDERS)}"
        )
    if name == "tflm":
        if importlib.util.find_spec("tflite_micro") is None:
            raise DiagmemError(
                "tflm: tflite-micro is not installed; leave it out with --kernels c, or:"
                f" {package_command('tflite-micro')}"
            )
        from diagmem.check.tflm_kernels import TflmKernels

        return TflmKernels()
    raise DiagmemError(f"unknown kernels {name!r}, expected {', '.join(SETS)}")
