"""The sets of kernels, by name."""

from __future__ import annotations

import importlib.util

from diagmem.base.errors import DiagmemError
from diagmem.base.installing import package_command
from diagmem.check.kernel_set import KernelSet
from diagmem.ops.operator import REFERENCE

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
        from diagmem.kernels.cortex_m.on_target import check_tools

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
