"""The wheel and the source distribution are what users get, so they are what is tested.

Builds run on a copy of the tree, without build isolation: offline, and leaving
the tree alone.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import diagmem

ROOT = Path(__file__).resolve().parents[1]
SOURCES = (
    "LICENSE",
    "LICENSES",
    "MANIFEST.in",
    "Makefile",
    "pyproject.toml",
    "qemu-plugin",
    "scripts",
    "setup.py",
    "src",
    "tests",
    "valgrind-tool",
)
GENERATED = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", ".*_cache", ".hypothesis")
INFO = f"diagmem-{diagmem.__version__}.dist-info"
TOOL_FILES = {
    "default.supp",
    "diagmem-amd64-linux",
    "include/diagmem.h",
    "valgrind-version",
    "vgpreload_core-amd64-linux.so",
    "diagmem_copies-amd64-linux.so",
    "diagmem_qemu.so",
    "vgpreload_diagmem-amd64-linux.so",
}

# The wheels are built once for all tests here, so these stay in one process.
pytestmark = pytest.mark.xdist_group("packaging")


def copy_tree(destination: Path) -> Path:
    """The tree as a user has it; src/diagmem/_valgrind stays in, to see it left out."""
    destination.mkdir()
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, destination / name, ignore=GENERATED)
        else:
            shutil.copy2(source, destination / name)
    return destination


def build(tree: Path, kind: str, **variables: str) -> Path:
    """Build ``wheel`` or ``sdist`` as pip does, through the backend's hook."""
    program = f"from setuptools import build_meta; build_meta.build_{kind}('dist')"
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=tree,
        env={**os.environ, **variables},
        check=True,
        capture_output=True,
        text=True,
    )
    (built,) = (tree / "dist").iterdir()
    return built


def install(wheel: Path, target: Path) -> Path:
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*command, "--target", str(target), str(wheel)], check=True)
    return target


def doctor(installed: Path) -> dict[str, dict[str, str]]:
    """What the installed package itself finds, by name; it shadows the source tree."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    environment.pop("DIAGMEM_VALGRIND_LIB", None)
    done = subprocess.run(
        [sys.executable, "-m", "diagmem.cli.main", "doctor", "--json"],
        cwd=installed,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    return {check["name"]: check for check in json.loads(done.stdout)["checks"]}


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def field(wheel: Path, file: str, name: str) -> str | None:
    with zipfile.ZipFile(wheel) as archive:
        return Parser().parsestr(archive.read(f"{INFO}/{file}").decode()).get(name)


def tool_files(wheel: Path) -> set[str]:
    prefix = "diagmem/_valgrind/"
    return {name.removeprefix(prefix) for name in names(wheel) if name.startswith(prefix)}


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(copy_tree(tmp_path_factory.mktemp("sdist") / "tree"), "sdist")


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the unpacked sdist, which thereby proves complete; the path has a space."""
    unpacked = tmp_path_factory.mktemp("a wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    (tree,) = unpacked.iterdir()
    return build(tree, "wheel")


@pytest.fixture(scope="module")
def bare_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built where Valgrind's development files are missing."""
    tree = copy_tree(tmp_path_factory.mktemp("bare") / "tree")
    return build(tree, "wheel", VALGRIND_PC="/nonexistent/valgrind.pc")


def test_wheel_has_the_tool_and_fits_one_platform(wheel: Path) -> None:
    assert wheel.name == f"diagmem-{diagmem.__version__}-py3-none-linux_x86_64.whl"
    assert tool_files(wheel) == TOOL_FILES


def test_wheel_says_where_it_goes(wheel: Path, bare_wheel: Path) -> None:
    assert field(wheel, "WHEEL", "Root-Is-Purelib") == "false"
    assert field(bare_wheel, "WHEEL", "Root-Is-Purelib") == "true"


def test_wheel_has_every_source_file_of_the_package(wheel: Path) -> None:
    package = ROOT / "src" / "diagmem"
    wanted = {
        f"diagmem/{path.relative_to(package)}"
        for path in package.rglob("*")
        if path.suffix in {".py", ".c", ".h", ".toml", ".typed"} and "_valgrind" not in path.parts
    }
    assert wanted <= names(wheel)


def test_wheel_has_nothing_else(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in names(wheel)}
    assert tops == {"diagmem", INFO}


def test_wheel_names_both_licences_and_carries_their_texts(wheel: Path) -> None:
    assert field(wheel, "METADATA", "License-Expression") == "BSD-3-Clause AND GPL-2.0-or-later"
    texts = {"LICENSE", "LICENSES/BSD-3-Clause.txt", "LICENSES/GPL-2.0-or-later.txt"}
    assert {f"{INFO}/licenses/{text}" for text in texts} <= names(wheel)


def test_installed_wheel_can_trace(wheel: Path, tmp_path: Path) -> None:
    installed = install(wheel, tmp_path / "site")
    program = installed / "diagmem" / "_valgrind" / "diagmem-amd64-linux"
    assert program.stat().st_mode & stat.S_IXUSR
    found = doctor(installed)
    assert found["diagmem tool"]["status"] == "ok"
    assert str(installed) in found["diagmem tool"]["found"]
    assert found["QEMU plugin"]["status"] == "ok"
    assert found["diagmem.h"]["found"] == str(program.parent / "include" / "diagmem.h")


def test_without_valgrind_the_wheel_fits_every_machine(bare_wheel: Path) -> None:
    assert bare_wheel.name == f"diagmem-{diagmem.__version__}-py3-none-any.whl"
    assert tool_files(bare_wheel) == {"NOT-BUILT"}


def test_without_valgrind_the_installed_wheel_says_why(bare_wheel: Path, tmp_path: Path) -> None:
    installed = install(bare_wheel, tmp_path / "site")
    reason = (installed / "diagmem" / "_valgrind" / "NOT-BUILT").read_text().strip()
    assert "algrind" in reason
    assert "make:" not in reason
    check = doctor(installed)["diagmem tool"]
    assert check["status"] == "missing"
    assert reason in check["found"]
    assert "pip install --force-reinstall" in check["fix"]


def test_sdist_can_build_the_tool_and_run_the_tests(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "Makefile",
        "scripts/system-packages.sh",
        "tests/conftest.py",
        "valgrind-tool/Makefile",
        "valgrind-tool/diagmem.h",
    } <= inside
    assert not [name for name in inside if "_valgrind/" in name or "/build/" in name]
