"""Images for Cortex-M, compiled once; without the cross tools these tests are skipped."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools import need_programs

PROGRAMS = Path(__file__).parent / "programs"
PLUGIN_SOURCES = Path(__file__).resolve().parents[3] / "qemu-plugin"
CORTEX_M = ("arm-none-eabi-gcc", "qemu-system-arm")
ARMHF = ("arm-linux-gnueabihf-gcc", "qemu-arm")


def need(*programs: str) -> None:
    """Each on PATH, or the test is skipped; in CI it fails."""
    need_programs(*programs, target="cortex-m")


@pytest.fixture(scope="session", autouse=True)
def qemu_plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The plugin of this source tree, which the recorder is told to use."""
    build = tmp_path_factory.mktemp("qemu-plugin")
    subprocess.run(["make", "-s", "-C", PLUGIN_SOURCES, f"BUILD={build}"], check=True)
    plugin = build / "diagmem_qemu.so"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIAGMEM_QEMU_PLUGIN", str(plugin))
        yield plugin


def compile_image(place: Path, *flags: str, cpu: str = "cortex-m4") -> Path:
    """`image.c` for a processor, with that processor's start-up."""
    need(*CORTEX_M)
    image = place / f"image-{cpu}{''.join(flags)}.elf"
    script = place / f"{cpu}.ld"
    text = (PROGRAMS / "board.ld").read_text()
    # An MPS3 board starts in the secure state, where its memory has other addresses.
    script.write_text(text.replace("0x2000", "0x3000") if cpu == "cortex-m55" else text)
    command = ["arm-none-eabi-gcc", f"-mcpu={cpu}", "-mthumb", "-O2", "-g", "-Wall", "-Wextra"]
    if cpu == "cortex-m55":
        command.append("-mfloat-abi=hard")
    command += ["-fno-builtin", "-nostartfiles", "-T", str(script), *flags]
    subprocess.run([*command, str(PROGRAMS / "image.c"), "-o", str(image)], check=True)
    return image


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_image(tmp_path_factory.mktemp("image"))
