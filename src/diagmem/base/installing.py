"""The commands that install what is missing, as they work on this machine.

A message names a command only through here.  In a checkout that is the checkout's own
target, elsewhere the requirement itself, because the package is on no index.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from importlib import metadata
from pathlib import Path

import diagmem


def checkout() -> Path | None:
    """The source tree that this package is run from; None where it is installed."""
    tree = Path(diagmem.__file__).resolve().parents[2]
    return tree if (tree / "valgrind-tool").is_dir() and (tree / "Makefile").is_file() else None


def make_command(target: str) -> str:
    """The checkout's target, or where to find it."""
    tree = checkout()
    if tree is None:
        return f"make {target} (in diagmem's source folder)"
    return shlex.join(["make", "-C", str(tree), target])


def rebuild_command() -> str:
    """The command that builds the tool and puts it where it belongs."""
    if checkout():
        return make_command("install")
    return f"{_pip('--force-reinstall', '--no-deps', '.')} (in diagmem's source folder)"


def package_command(package: str) -> str:
    """The command that installs an optional package, ``ortools``, in the release we need."""
    tree = checkout()
    if tree and not (tree / ".venv" / "extras").exists():
        return make_command("install")
    return pip_command(package + requirements().get(package, ""))


def pip_command(requirement: str, *, again: bool = False) -> str:
    """The command that installs ``ortools>=9.10``, also over what is there."""
    return _pip(*(["--force-reinstall"] if again else []), requirement)


def apt_command(*packages: str) -> str:
    """The command line that installs Debian packages, with sudo where this user needs it."""
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"{sudo}apt-get install {' '.join(packages)}"


def requirements() -> dict[str, str]:
    """What pyproject.toml requires of each package: ``{"numpy": ">=2.0", ...}``."""
    try:
        lines = metadata.requires("diagmem") or []
    except metadata.PackageNotFoundError:
        return {}  # run from a source tree that was never installed
    matches = (re.match(r"([\w.-]+)((?:>=|==)[\w.]+)", line) for line in lines)
    return {match[1]: match[2] for match in matches if match}


def _pip(*words: str) -> str:
    return shlex.join([sys.executable, "-m", "pip", "install", *words])
