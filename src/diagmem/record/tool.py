"""Where the Valgrind tool is, or the one command that brings it there.

`make install` in a checkout, or `pip install` of the package, puts the built
tool into ``_valgrind/`` of the package: the programs and preload libraries that
``VALGRIND_LIB`` must name, ``include/diagmem.h``, and ``valgrind-version``, which
says what Valgrind it was built against.  DIAGMEM_VALGRIND_LIB names another
folder of that kind.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import diagmem
from diagmem.base.errors import DiagmemError
from diagmem.base.files import state_of
from diagmem.base.installing import apt_command, make_command, rebuild_command

LIBEXEC_VARIABLE = "DIAGMEM_VALGRIND_LIB"
PLATFORMS = {"x86_64": "amd64-linux", "aarch64": "arm64-linux"}
"""The machines that the tool is built on, as Valgrind calls them."""
SECOND = {"amd64-linux": "x86-linux"}
"""What a machine runs besides its own programs; built by ``make x86``."""


def host_platform() -> str:
    """This machine's, as Valgrind calls it; empty where the tool cannot be."""
    return PLATFORMS.get(platform.machine(), "") if platform.system() == "Linux" else ""


def tool_files(of: str) -> tuple[str, ...]:
    """What the built tool consists of on one platform, relative to its folder."""
    return (
        f"diagmem-{of}",
        f"diagmem_copies-{of}.so",
        "default.supp",
        f"vgpreload_core-{of}.so",
        f"vgpreload_diagmem-{of}.so",
        "include/diagmem.h",
        "valgrind-version",
    )


class ToolError(DiagmemError):
    """The tool cannot be used; keeps apart what `diagmem doctor` shows apart."""

    def __init__(self, what: str, fix: str, *, missing: bool) -> None:
        super().__init__(f"{what}; mend it with: {fix}")
        self.what = what
        self.fix = fix
        self.missing = missing
        """Whether it is not there at all, rather than there and wrong."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A built tool whose files are all there and fit the launcher."""

    libexec: Path
    """The folder that ``VALGRIND_LIB`` must name."""
    valgrind: Path
    """The ``valgrind`` launcher."""
    platform: str
    """Of the programs to run, as Valgrind calls it: ``amd64-linux``."""
    valgrind_version: str
    """Of the launcher and of the Valgrind the tool was built against, ``3.19.0``."""

    @property
    def include(self) -> Path:
        """The folder to name with ``-I`` so that a program finds ``diagmem.h``."""
        return self.libexec / "include"

    @property
    def command(self) -> list[str]:
        """The start of a command line that runs a program under the tool."""
        return [str(self.valgrind), "--tool=diagmem"]

    def for_program(self, program: Path, wanted: str) -> Tool:
        """The tool for a program of the platform `wanted`, this machine's or its second one.

        Raises
        ------
        DiagmemError
            One line: the program is for another machine, or the tool is not built for it.
        """
        if wanted == self.platform:
            return self
        if wanted != SECOND.get(self.platform):
            raise DiagmemError(
                f"{program}: a program for another platform ({wanted}), expected {self.platform}"
            )
        if not _is_built(self.libexec, wanted):
            raise ToolError(
                f"{program}: a program of 32 bits ({wanted}), for which the tool is not built",
                make_command("x86"),
                missing=True,
            )
        return replace(self, platform=wanted)

    def environment(self, links: Path, *, copies: bool = False) -> dict[str, str]:
        """This process's environment, with Valgrind pointed at the tool.

        Parameters
        ----------
        links
            A folder that lives as long as the run, for links to what the loader could
            not name; from `links_directory`.
        copies
            Load the library whose memcpy and its kin the tool knows by name before the
            program's own.
        """
        libexec = _loadable(self.libexec, links)
        environment = {**os.environ, "VALGRIND_LIB": str(libexec)}
        if copies:
            library = self._copies_of_each(libexec, links)
            before = environment.get("LD_PRELOAD")
            environment["LD_PRELOAD"] = f"{before}:{library}" if before else library
        return environment

    def _copies_of_each(self, libexec: Path, links: Path) -> str:
        """A name of the library that is right in the launcher and in a 32-bit program."""
        if self.platform == host_platform():
            return str(libexec / f"diagmem_copies-{self.platform}.so")
        for of, places in _LIB.items():
            for place in places:
                link = links / place / "copies.so"
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(libexec / f"diagmem_copies-{of}.so")
        return f"{links}/$LIB/copies.so"


@contextlib.contextmanager
def links_directory() -> Iterator[Path]:
    """A temporary folder whose own path the loader takes whole."""
    usual = tempfile.gettempdir()
    place = "/tmp" if _SPLITTING.search(usual) else usual
    with tempfile.TemporaryDirectory(prefix="diagmem-", dir=place) as directory:
        yield Path(directory)


_SPLITTING = re.compile(r"[\s:]")
"""Where ld.so splits the list of libraries in ``LD_PRELOAD``; it knows no quotes."""


_LIB = {
    "amd64-linux": ("lib/x86_64-linux-gnu", "lib64"),
    "x86-linux": ("lib/i386-linux-gnu", "lib32", "lib"),
}
"""What the loaders of Debian and of other systems put for ``$LIB``, ld.so(8)."""


def _loadable(path: Path, links: Path) -> Path:
    """The path, or a link to it where the loader would split it."""
    if not _SPLITTING.search(str(path)):
        return path
    link = links / re.sub(_SPLITTING, "_", path.name)
    if not link.is_symlink():
        link.symlink_to(path)
    return link


def find_tool() -> Tool:
    """The tool, ready to run.

    Raises
    ------
    ToolError
        One line: what is missing or does not fit, and the command that mends it.
    """
    own = host_platform()
    if not own:
        raise ToolError(
            "the Valgrind tool is for x86-64 and arm64 Linux and this is"
            f" {platform.system()} on {platform.machine()}",
            "record the trace there, then analyse its file here",
            missing=True,
        )
    libexec = libexec_directory()
    launcher = find_launcher()
    _check_files(libexec, own)
    built_for = (libexec / "valgrind-version").read_text(encoding="utf-8").strip()
    running = launcher_version(launcher)
    if running != built_for:
        raise ToolError(
            f"{libexec}: the tool was built for Valgrind {built_for} but {launcher} is {running},"
            " and Valgrind keeps no interface between releases",
            rebuild_command(),
            missing=False,
        )
    return Tool(libexec, launcher, own, running)


def libexec_directory() -> Path:
    """Where the tool ought to be."""
    elsewhere = os.environ.get(LIBEXEC_VARIABLE)
    if elsewhere:
        return Path(elsewhere).absolute()
    return Path(diagmem.__file__).resolve().parent / "_valgrind"


def find_launcher() -> Path:
    """The ``valgrind`` on PATH, else a `ToolError` with the command that installs it."""
    path = shutil.which("valgrind")
    if path is None:
        fix = apt_command("valgrind")
        if not _is_built(libexec_directory(), host_platform()):
            fix += f" && {rebuild_command()}"
        raise ToolError("there is no 'valgrind' on PATH", fix, missing=True)
    return Path(path)


def launcher_version(launcher: Path) -> str:
    """What ``valgrind --version`` says, without its name: ``3.19.0``."""
    return _launcher_version(launcher, state_of(launcher))


@cache
def _launcher_version(launcher: Path, state: tuple[int, int]) -> str:
    # The answer comes from Valgrind's own default tool, so its own folder counts.
    environment = {name: value for name, value in os.environ.items() if name != "VALGRIND_LIB"}
    try:
        done = subprocess.run(
            [launcher, "--version"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _bad_launcher(launcher, f"cannot be run: {error}") from error
    name, _, version = done.stdout.strip().partition("-")
    if done.returncode != 0 or name != "valgrind":
        first_line = [*(done.stderr or done.stdout).splitlines(), "nothing"][0]
        raise _bad_launcher(launcher, f"--version said {first_line!r}, expected 'valgrind-3...'")
    return version


def _bad_launcher(launcher: Path, what: str) -> ToolError:
    fix = apt_command("--reinstall", "valgrind")
    return ToolError(f"{launcher}: {what}", fix, missing=False)


def _is_built(libexec: Path, of: str) -> bool:
    return all((libexec / name).is_file() for name in tool_files(of))


def _check_files(libexec: Path, of: str) -> None:
    reason = libexec / "NOT-BUILT"
    if reason.is_file():
        why = reason.read_text(encoding="utf-8").strip()
        raise ToolError(
            f"{libexec}: diagmem was installed without its Valgrind tool ({why})",
            _build_fix(),
            missing=True,
        )
    missing = [name for name in tool_files(of) if not (libexec / name).is_file()]
    if missing:
        none = len(missing) == len(tool_files(of))
        what = "the tool is not built" if none else f"the tool lacks {', '.join(missing)}"
        raise ToolError(f"{libexec}: {what}", _files_fix(), missing=none)
    program = libexec / f"diagmem-{of}"
    if not os.access(program, os.X_OK):
        raise ToolError(f"{program}: is not executable", _files_fix(), missing=False)


def _build_fix() -> str:
    """Builds the tool, on a machine that may lack what that takes."""
    libraries = map(Path, ("/usr/local/lib", "/usr/lib64", "/usr/lib"))
    places = [*libraries, *Path("/usr/lib").glob("*-linux-gnu")]
    there = {
        "valgrind": any((place / "pkgconfig" / "valgrind.pc").is_file() for place in places),
        "gcc": shutil.which("gcc") or shutil.which("cc"),
        "libc6-dev": Path("/usr/include/stdio.h").is_file(),
        "make": shutil.which("make"),
    }
    lacking = [package for package, present in there.items() if not present]
    return " && ".join([*([apt_command(*lacking)] if lacking else []), rebuild_command()])


def _files_fix() -> str:
    """Building puts nothing into a folder that only the environment names."""
    if os.environ.get(LIBEXEC_VARIABLE):
        return f"unset {LIBEXEC_VARIABLE}"
    return rebuild_command()
