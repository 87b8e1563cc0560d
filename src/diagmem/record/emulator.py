"""Finding QEMU and the plugin, or saying what is missing.

The standard library alone, like `diagmem.record.tool`: `diagmem doctor` asks.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from diagmem.base.errors import DiagmemError
from diagmem.base.installing import apt_command, make_command
from diagmem.record.targets import LINUX
from diagmem.record.tool import libexec_directory

PLUGIN_VARIABLE = "DIAGMEM_QEMU_PLUGIN"


class EmulatorError(DiagmemError):
    """QEMU or the plugin is not there, or does not fit."""


class PluginMissingError(EmulatorError):
    """There is no plugin; ``what`` says where, ``fix`` is the command that mends it."""

    def __init__(self, plugin: Path, fix: str) -> None:
        self.what = f"not at {plugin}"
        self.fix = fix
        super().__init__(f"{plugin}: the QEMU plugin is not built; mend it with: {fix}")


def emulator_of(target: str) -> tuple[str, str]:
    """The program that runs a target's code, and the Debian package that has it."""
    return ("qemu-arm", "qemu-user") if target == LINUX else ("qemu-system-arm",) * 2


def find_emulator(target: str) -> Path:
    """The QEMU that runs a target's code."""
    name, package = emulator_of(target)
    path = shutil.which(name)
    if path is None:
        raise EmulatorError(f"there is no {name!r} on PATH; mend it with: {apt_command(package)}")
    return Path(path)


def find_plugin() -> Path:
    """The built plugin; DIAGMEM_QEMU_PLUGIN names another than the installed one."""
    given = os.environ.get(PLUGIN_VARIABLE)
    plugin = Path(given) if given else libexec_directory() / "diagmem_qemu.so"
    if not plugin.is_file():
        raise PluginMissingError(
            plugin, f"unset {PLUGIN_VARIABLE}" if given else make_command("cortex-m")
        )
    return plugin.absolute()


@cache
def emulator_version(emulator: Path) -> str:
    """What ``--version`` says: ``7.2.22``."""
    done = subprocess.run([emulator, "--version"], capture_output=True, text=True, check=False)
    match = re.search(r"version ([\w.]+)", done.stdout)
    if done.returncode or not match:
        raise EmulatorError(f"{emulator}: does not say its version; is it a QEMU?")
    return match[1]
