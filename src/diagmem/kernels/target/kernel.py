"""Described kernels on another processor: compiled for it, run in QEMU."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import replace
from pathlib import Path

from diagmem.errors import DiagmemError
from diagmem.kernels.build import Built
from diagmem.kernels.cases import Case, layout
from diagmem.kernels.description import with_parameters
from diagmem.kernels.model import Kernel
from diagmem.record.places import BufferPlace
from diagmem.record.recorder import Request
from diagmem.record.targets import board
from diagmem.record.tool import apt_command

COMPILER = "arm-none-eabi-gcc"


def for_target(kernel: Kernel, name: str) -> Kernel:
    """The same kernel, compiled for a target: ``cortex-m4`` and the like.

    Its flags are the target's and those of the description that do not speak of
    this machine's own processor (``-m...``); flags and a compiler given on the
    command line stand as they are.

    Raises
    ------
    DiagmemError
        If there is no such target or no compiler, or the kernel has no source.
    """
    target = board(name)
    given = kernel.document.overrides
    if kernel.code.kind != "source":
        raise DiagmemError(
            f'{kernel.file}: "{kernel.code.kind}" is compiled already, expected "source" to'
            f" compile for {name}"
        )
    compiler = given.get("compiler", COMPILER)
    if shutil.which(compiler) is None:
        install = apt_command("gcc-arm-none-eabi", "libnewlib-arm-none-eabi")
        raise DiagmemError(f"there is no {compiler!r} on PATH; mend it with: {install}")
    flags = kernel.code.flags
    if "flags" not in given:
        flags = tuple(flag for flag in flags if not flag.startswith("-m"))
    return with_parameters(kernel, compiler=compiler, flags=shlex.join((*target.flags, *flags)))


def on_target(request: Request, built: Built, case: Case, workdir: Path) -> Request:
    """The request for a run on ``built.target``: the kernel's call is the window,
    its buffers lie where ``case`` places them in the board's memory."""
    arena, placed = board(built.target).arena, layout(case)
    if placed.region_bytes > arena.size_bytes:
        raise DiagmemError(
            f"{case.kernel.file}: the buffers take {placed.region_bytes} bytes, expected at most"
            f" {arena.size_bytes} on {built.target}"
        )
    starts = {name: arena.start + offset for name, offset in placed.offsets.items()}
    return replace(
        request,
        functions=[case.kernel.function],
        buffers=[
            BufferPlace(
                buffer.name,
                buffer.role,
                f"address:0x{starts[buffer.name]:x},bytes:{buffer.size_bytes}",
            )
            for buffer in case.kernel.buffers
        ],
        target=built.target,
        directory=workdir,
    )
