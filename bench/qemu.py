"""Recording in QEMU against QEMU with plugins that do nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.rows import Row, quietly, seconds
from diagmem.analysis.trace import open_trace
from diagmem.kernels.build import build
from diagmem.kernels.cases import Case
from diagmem.kernels.catalog import find
from diagmem.kernels.cortex_m.on_target import for_target, on_target
from diagmem.kernels.description import load
from diagmem.kernels.native import driver_command
from diagmem.record.qemu import image_command
from diagmem.record.recorder import record
from diagmem.record.request import Mode, Request

TARGET = "cortex-m4"
SHAPE = {"in_h": "112", "in_w": "112", "in_c": "32", "out_c": "64"}


def qemu_rows(directory: Path, runs: int) -> list[Row]:
    """An int8 convolution on a Cortex-M4."""
    for program in ("qemu-system-arm", "arm-none-eabi-gcc"):
        if shutil.which(program) is None:
            return [Row("QEMU", f"there is no {program}: make cortex-m", "", True)]
    kernel = for_target(load(find("conv_2d_int8"), SHAPE), TARGET)
    built, case = build(kernel), Case(kernel)
    directory.mkdir()
    image = driver_command(built, [case], directory)
    command = image_command(TARGET, built.binary)

    def under(plugin: str, *flags: str) -> float:
        library = _plugin(directory / plugin, *flags)
        words = [*command, "-plugin", str(library)]
        return seconds(lambda: quietly(words, cwd=directory), runs)

    def traced(mode: Mode) -> float:
        request = on_target(Request(command=image, mode=mode), built, [case], directory)
        return seconds(lambda: record(request, directory / f"{mode}.dmt"), runs)

    empty = under("empty.so")
    callbacks = under("callbacks.so", "-DCALLBACKS")
    events, summary = traced("events"), traced("summary")
    with open_trace(directory / "events.dmt") as trace:
        count = sum(window.events for window in trace.windows)
    return [
        Row(
            f"{TARGET} in QEMU, {count / 1e6:.0f} M events, an empty plugin",
            f"{empty:.2f} s",
            "",
            True,
        ),
        Row("  a plugin with an empty callback for each access", f"{callbacks:.2f} s", "", True),
        Row(
            "  event mode, to the finished file",
            f"{events:.2f} s = {events / empty:.1f} x, {events / callbacks:.1f} x",
            "<= 3 x",
            events <= 3 * empty,
        ),
        Row(
            "  summary mode",
            f"{summary:.2f} s = {100e6 * summary / count:.1f} s for 10^8 events",
            "<= 60 s",
            100e6 * summary <= 60 * count,
        ),
    ]


def _plugin(library: Path, *flags: str) -> Path:
    here = Path(__file__).parent
    include = here.parent / "qemu-plugin"
    source = here / "qemu_plugin.c"
    quietly(
        ["cc", "-O2", "-shared", "-fPIC", f"-I{include}", *flags, str(source), "-o", str(library)]
    )
    return library
