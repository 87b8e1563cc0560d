"""What is installed, what is missing, and the command that mends it.

Only the standard library is imported here at the top: this module must run
where the rest cannot.
"""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from diagmem.base.errors import DiagmemError
from diagmem.base.installing import (
    apt_command,
    pip_command,
    rebuild_command,
    requirements,
)
from diagmem.record.emulator import (
    PluginMissingError,
    emulator_of,
    emulator_version,
    find_emulator,
    find_plugin,
)
from diagmem.record.targets import LINUX
from diagmem.record.tool import (
    Tool,
    ToolError,
    find_launcher,
    find_tool,
    launcher_version,
    libexec_directory,
    links_directory,
)

Status = Literal["ok", "missing", "wrong"]

OLDEST_PYTHON = (3, 11)
TARGETS_NAMED = "cortex-m4"
"""One QEMU has all the Cortex-M."""
COMPILER_NAMES = ("cc", "gcc", "clang")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    status: Status
    found: str
    """The version or place that was found, or what is wrong with it."""
    needed_for: str
    required: bool
    fix: str = ""
    """The command that mends it; empty when `status` is ``ok``."""


@dataclass(frozen=True, slots=True)
class Package:
    """A Python package that diagmem uses."""

    name: str
    module: str
    needed_for: str
    required: bool = True


LIBRARIES = (
    Package("numpy", "numpy", "every analysis"),
    Package("pandas", "pandas", "tables of events and results"),
    Package("matplotlib", "matplotlib", "heatmaps"),
    Package("pyelftools", "elftools", "function names and source lines of traced programs"),
    Package("zstandard", "zstandard", "trace files"),
    Package("ortools", "ortools", "proofs that a plan is optimal", required=False),
    Package("pyarrow", "pyarrow", "Parquet export", required=False),
    Package("tflite-micro", "tflite_micro", "tracing TensorFlow Lite Micro's kernels", False),
)


def examine() -> list[Check]:
    """Look at everything, in the order in which it should be mended."""
    asked = requirements()
    return [
        check_python(sys.version_info[:3]),
        *(check_library(library, asked.get(library.name, "")) for library in LIBRARIES),
        check_compiler(),
        check_launcher(),
        check_tool(),
        check_header(),
        check_cross_compiler(),
        check_emulator(TARGETS_NAMED, "kernels on a Cortex-M"),
        check_emulator(LINUX, "Linux programs for 32-bit Arm"),
        check_plugin(),
    ]


def is_well(checks: Sequence[Check]) -> bool:
    """Whether all that is required works."""
    return all(check.status == "ok" for check in checks if check.required)


def check_python(version: tuple[int, ...]) -> Check:
    found = ".".join(map(str, version))
    if version[:2] >= OLDEST_PYTHON:
        return Check("python", "ok", found, "everything", True)
    oldest = ".".join(map(str, OLDEST_PYTHON))
    fix = f"{apt_command('python3')} (of a release that has {oldest} or newer)"
    return Check("python", "wrong", f"{found}, expected {oldest} or newer", "everything", True, fix)


def check_library(library: Package, requirement: str) -> Check:
    """Whether it can be imported, and is of the release that `requirement` asks for.

    Parameters
    ----------
    requirement
        As in pyproject.toml, ``>=2.0`` or ``==1.2``; empty where it is not known.
    """
    status: Status = "ok"
    try:
        found = metadata.version(library.name)
    except metadata.PackageNotFoundError:
        status, found = "missing", "not installed"
    else:
        complaint = _import_error(library.module)
        if not satisfies(found, requirement):
            status, found = "wrong", f"{found}, expected {requirement}"
        elif complaint:
            status, found = "wrong", f"{found}, but importing it fails: {complaint}"
    fix = ""
    if status != "ok":
        fix = pip_command(library.name + requirement, again=status == "wrong")
    return Check(library.name, status, found, library.needed_for, library.required, fix)


def check_compiler() -> Check:
    compiler = next(filter(None, map(shutil.which, COMPILER_NAMES)), None)
    status, found = _built_with(compiler)
    if compiler and status == "wrong":
        found = f"{compiler} {found}"
    fix = apt_command("gcc", "libc6-dev") if status != "ok" else ""
    return Check("C compiler", status, found, "the kernels that come with diagmem", True, fix)


def _built_with(compiler: str | None, *options: str) -> tuple[Status, str]:
    """Whether it links a program, which takes the C library and its headers too, and its
    version or what is wrong."""
    if compiler is None:
        return "missing", "not on PATH"
    program = '#include <string.h>\nint main(void) { return (int)strlen(""); }\n'
    command = [compiler, *options, "-x", "c", "-", "-o", "/dev/null"]
    done = subprocess.run(command, input=program, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return "wrong", f"cannot build a program: {_first_line(done.stderr)}"
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False)
    return "ok", _first_line(version.stdout)


def check_launcher() -> Check:
    needed_for = "recording traces"
    try:
        launcher = find_launcher()
        found = f"{launcher_version(launcher)} at {launcher}"
    except ToolError as error:
        return _tool_problem("valgrind", error, needed_for)
    return Check("valgrind", "ok", found, needed_for, True)


def check_tool() -> Check:
    """Whether the tool is built, fits the launcher and starts."""
    try:
        return check_start(find_tool())
    except ToolError as error:
        return _tool_problem("diagmem tool", error, "recording traces")


def check_header() -> Check:
    needed_for = "programs that name their own buffers"
    header = libexec_directory() / "include" / "diagmem.h"
    if header.is_file():
        return Check("diagmem.h", "ok", str(header), needed_for, True)
    found = f"not at {header}"
    return Check("diagmem.h", "missing", found, needed_for, True, rebuild_command())


def check_cross_compiler() -> Check:
    """A compiler for Cortex-M, with the library that images are linked with."""
    name = "arm-none-eabi-gcc"
    options = ("-mcpu=cortex-m4", "-mthumb", "--specs=rdimon.specs")
    status, found = _built_with(shutil.which(name) and name, *options)
    packages = ("gcc-arm-none-eabi", "libnewlib-arm-none-eabi")
    fix = apt_command(*packages) if status != "ok" else ""
    return Check(name, status, found, "kernels on a Cortex-M", False, fix)


def check_emulator(target: str, needed_for: str) -> Check:
    """The QEMU that runs a target's code."""
    name, package = emulator_of(target)
    try:
        emulator = find_emulator(target)
        found = f"{emulator_version(emulator)} at {emulator}"
    except DiagmemError as error:
        status: Status = "wrong" if shutil.which(name) else "missing"
        found = str(error) if status == "wrong" else "not on PATH"
        return Check(name, status, found, needed_for, False, apt_command(package))
    return Check(name, "ok", found, needed_for, False)


def check_plugin() -> Check:
    needed_for = "tracing in QEMU"
    try:
        return Check("QEMU plugin", "ok", str(find_plugin()), needed_for, False)
    except PluginMissingError as error:
        return Check("QEMU plugin", "missing", error.what, needed_for, False, error.fix)


def check_start(tool: Tool) -> Check:
    """Run the smallest program under the tool: Valgrind may still be kept from starting."""
    needed_for, complaint = "recording traces", ""
    command = [*tool.command, "-q", shutil.which("true") or "/bin/true"]
    try:
        with links_directory() as links:
            done = subprocess.run(
                command,
                env=tool.environment(links),
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        complaint = str(error)
    else:
        if done.returncode != 0:
            complaint = f"exit code {done.returncode}: {_first_line(done.stderr)}"
    if complaint:
        found = f"{shlex.join(command)}: {complaint}"
        return Check("diagmem tool", "wrong", found, needed_for, True, rebuild_command())
    found = f"for Valgrind {tool.valgrind_version} at {tool.libexec}"
    return Check("diagmem tool", "ok", found, needed_for, True)


def _tool_problem(name: str, error: ToolError, needed_for: str) -> Check:
    status: Status = "missing" if error.missing else "wrong"
    return Check(name, status, error.what, needed_for, True, error.fix)


def satisfies(version: str, requirement: str) -> bool:
    """Whether a version is what ``>=2.0`` or ``==1.2`` asks for; an empty one asks for nothing."""
    operator, wanted = requirement[:2], requirement[2:]
    if operator == "==":
        return version == wanted
    return operator != ">=" or _release(version) >= _release(wanted)


def _release(version: str) -> tuple[int, ...]:
    """The numbers at a version's front, without trailing zeros: 2.0 and 2 are the same."""
    front = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(part) for part in front.group().split(".")] if front else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _import_error(module: str) -> str:
    """Why a module cannot be imported; empty when it can.

    Anything may be raised there, such as numpy's complaint about another ABI;
    a mere warning is none of ours, even where Python runs with ``-W error``.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            importlib.import_module(module)
    except Exception as error:
        return f"{type(error).__name__}: {_first_line(str(error))}"
    return ""


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no message")
