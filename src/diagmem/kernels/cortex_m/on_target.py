"""Described kernels on another processor: compiled for it, run in QEMU."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from diagmem.base.errors import DiagmemError
from diagmem.base.installing import apt_command
from diagmem.kernels.build import Built
from diagmem.kernels.cases import Case, layout
from diagmem.kernels.description import with_parameters
from diagmem.kernels.kernel import Kernel
from diagmem.record.emulator import find_emulator, find_plugin
from diagmem.record.places import BufferPlace
from diagmem.record.request import Request
from diagmem.record.targets import board

COMPILER = "arm-none-eabi-gcc"
TARGET = "target"
"""A parameter of this name is told the target's."""


def check_tools(name: str) -> None:
    """See that described kernels can be compiled for a target and traced there.

    Raises
    ------
    DiagmemError
        There is no such target, or a tool is missing; the message says how to get it.
    """
    board(name)
    find_emulator(name)
    find_plugin()
    _find_compiler(COMPILER)


def _find_compiler(compiler: str) -> None:
    if shutil.which(compiler) is None:
        install = apt_command("gcc-arm-none-eabi", "libnewlib-arm-none-eabi")
        raise DiagmemError(f"there is no {compiler!r} on PATH; mend it with: {install}")


def for_target(kernel: Kernel, name: str) -> Kernel:
    """The same kernel, compiled for a target: ``cortex-m4`` and the like.

    Its flags are the target's and those of the description that do not speak of
    this machine's own processor (``-m...``); flags and a compiler given on the
    command line stand as they are.  A parameter `TARGET` becomes the target's name.

    Raises
    ------
    DiagmemError
        If there is no such target or no compiler, or the kernel has no source.
    """
    target = board(name)
    if TARGET in kernel.parameters:
        kernel = with_parameters(kernel, **{TARGET: name})
    given = kernel.document.overrides
    if kernel.code.kind != "source":
        raise DiagmemError(
            f'{kernel.file}: "{kernel.code.kind}" is compiled already, expected "source" to'
            f" compile for {name}"
        )
    compiler = given.get("compiler", COMPILER)
    _find_compiler(compiler)
    flags = kernel.code.flags
    if "flags" not in given:
        flags = tuple(flag for flag in flags if not flag.startswith("-m"))
    return with_parameters(kernel, compiler=compiler, flags=shlex.join((*target.flags, *flags)))


def on_target(request: Request, built: Built, cases: Sequence[Case], workdir: Path) -> Request:
    """The request for a run on ``built.target``: each case's call is a window, its
    buffers lie where the case places them in the board's memory."""
    buffers = [_places(built.target, case) for case in cases]
    return replace(
        request,
        functions=[cases[0].kernel.function],
        buffers=buffers[0],
        later_buffers=buffers[1:],
        target=built.target,
        directory=workdir,
    )


def why_too_large(target: str, case: Case) -> str:
    """Why the board has no room for the buffers; empty where it has."""
    needed, there = layout(case).region_bytes, board(target).arena.size_bytes
    if needed <= there:
        return ""
    return f"the buffers take {needed} bytes, expected at most {there} on {target}"


def _places(target: str, case: Case) -> list[BufferPlace]:
    start, offsets = board(target).arena.start, layout(case).offsets
    return [
        BufferPlace(
            buffer.name,
            buffer.role,
            f"address:0x{start + offsets[buffer.name]:x},bytes:{buffer.size_bytes}",
        )
        for buffer in case.kernel.buffers
    ]
