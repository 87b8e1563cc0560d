"""What messages propose to install works on the machine that they are printed on."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from diagmem.base import installing
from diagmem.base.installing import package_command, pip_command, rebuild_command, requirements

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "diagmem"


def sources() -> Iterator[Path]:
    yield from sorted(PACKAGE.rglob("*.py"))


def arguments_of(function: str) -> set[str]:
    """The literal arguments of all calls of a function in the package."""
    words = set()
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == function:
                words |= {str(a.value) for a in node.args if isinstance(a, ast.Constant)}
    return words


def test_commands_are_made_in_one_place() -> None:
    spelled = re.compile(r"pip install|apt-get install|apt install|diagmem\[")
    for path in sources():
        if path.name == "installing.py":
            continue
        strings = (
            node.value
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        )
        doc = re.compile(r"``?pip install``?|`pip install`")
        named = [text for text in strings if spelled.search(doc.sub("", text))]
        assert named == [], path


def test_optional_packages_resolve_as_proposed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installing, "checkout", lambda: None)
    packages = arguments_of("package_command")
    assert packages == {"ortools", "pyarrow", "tflite-micro"}
    for package in packages:
        command = package_command(package)
        assert shlex.split(command)[0] == sys.executable
        # Everything is installed here, so the command is satisfied without any index.
        done = subprocess.run(
            [*shlex.split(command), "--dry-run", "--no-index", "--no-deps"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert f"Requirement already satisfied: {package}" in done.stdout


def test_a_checkout_names_its_own_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installing, "checkout", lambda: tmp_path)
    assert package_command("ortools") == f"make -C {tmp_path} install"
    assert rebuild_command() == f"make -C {tmp_path} install"
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "extras").touch()
    # The target believes that it has been done, so it would do nothing.
    assert package_command("ortools") == pip_command("ortools" + requirements()["ortools"])


def test_targets_that_messages_name_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    assert {"cortex-m", "x86"} <= arguments_of("make_command") <= targets


def test_debian_has_the_packages_that_are_proposed() -> None:
    wanted = {word for word in arguments_of("apt_command") if not word.startswith("-")}
    script = (ROOT / "scripts" / "system-packages.sh").read_text(encoding="utf-8")
    wanted |= set(re.findall(r"\bwant ([a-z0-9-]+)$", script, re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in re.findall(r"system-packages\.sh((?:[^\n]*\\\n)*[^\n]*)", makefile):
        words = line.replace("\\\n", " ").split()
        wanted |= {w.partition("=")[2] or w for w in words if "$" not in w and "'" not in w}
    assert {"valgrind", "gcc", "g++", "qemu-user"} <= wanted
    try:
        listed = subprocess.run(
            ["apt-cache", "pkgnames"], capture_output=True, text=True, check=True
        ).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        listed = []
    if "zlib1g-dev" not in listed:
        pytest.skip("this machine has no lists of Debian packages")
    assert wanted <= set(listed)


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_the_module_runs_as_the_command(option: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "diagmem", option],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    assert done.stdout.startswith("diagmem ")
