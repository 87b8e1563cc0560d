"""The parts of a bootable image that are not the kernel's or the driver's."""

from __future__ import annotations

from pathlib import Path

from diagmem.kernels.kernel import Code
from diagmem.record.targets import TARGETS, Target, board

START_UP = Path(__file__).with_name("startup.c")
FAULT_EXIT_CODE = 100
"""How an image ends whose kernel faulted."""
CASES_FILE = "cases.bin"
RESULTS_FILE = "results.bin"

_SCRIPT = """\
MEMORY {{
    code (rx) : ORIGIN = {code.start:#x}, LENGTH = {code.size_bytes:#x}
    data (rw) : ORIGIN = {data.start:#x}, LENGTH = {data.size_bytes:#x}
}}
ENTRY(dm_reset)
SECTIONS {{
    .text : {{ KEEP(*(.vectors)) *(.text .text.* .rodata .rodata.*) . = ALIGN(8); }} > code
    .ARM.extab : {{ *(.ARM.extab*) }} > code
    .ARM.exidx : {{ __exidx_start = .; *(.ARM.exidx*) __exidx_end = .; }} > code
    .data : {{
        *(.data .data.*)
        . = ALIGN(4);
        __preinit_array_start = .; KEEP(*(.preinit_array)) __preinit_array_end = .;
        __init_array_start = .; KEEP(*(SORT(.init_array.*))) KEEP(*(.init_array))
        __init_array_end = .;
        __fini_array_start = .; KEEP(*(.fini_array)) __fini_array_end = .;
    }} > data
    .bss (NOLOAD) : {{ bss_start = .; *(.bss .bss.* COMMON) . = ALIGN(8); bss_end = .; }} > data
    end = .;
    stack_top = ORIGIN(data) + LENGTH(data);
}}
"""


def target_of(code: Code) -> str:
    """The target that code is compiled for; empty for this machine.

    An ``arm-none-eabi`` compiler with an ``-mcpu`` that QEMU has a board for says so.
    """
    if "arm-none-eabi" not in Path(code.compiler).name:
        return ""
    given = [flag.removeprefix("-mcpu=") for flag in code.flags if flag.startswith("-mcpu=")]
    return given[-1] if given and given[-1] in TARGETS else ""


def _target(code: Code) -> Target | None:
    name = target_of(code)
    return board(name) if name else None


def image_files(code: Code) -> list[Path]:
    """What an image's build depends on besides the driver's own files."""
    return [START_UP, Path(__file__)] if target_of(code) else []


def start_up(code: Code) -> list[Path]:
    """Sources to compile beside the driver."""
    return [START_UP] if target_of(code) else []


def definitions(code: Code) -> list[str]:
    """Compiler options for the driver and the start-up code."""
    target = _target(code)
    if target is None:
        return []
    return [
        f"-DDM_ARENA_START={target.arena.start:#x}u",
        f"-DDM_ARENA_BYTES={target.arena.size_bytes:#x}u",
        f"-DFAULT_EXIT_CODE={FAULT_EXIT_CODE}",
        f'-DCASES_FILE="{CASES_FILE}"',
        f'-DRESULTS_FILE="{RESULTS_FILE}"',
    ]


def link_options(code: Code, directory: Path) -> list[str]:
    """Linker options; writes the linker script into ``directory``."""
    target = _target(code)
    if target is None:
        return []
    script = directory / "image.ld"
    script.write_text(_SCRIPT.format(code=target.code, data=target.data))
    return ["--specs=rdimon.specs", "-nostartfiles", "-T", str(script)]
