"""The wheel and the source distribution are what users get, so they are what is tested.

Builds run on a copy of the tree, without build isolation: offline, and leaving
the tree alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import stat
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import pytest

import diagmem
from diagmem.record.tool import host_platform, tool_files

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
TOOL_FILES = {*tool_files(host_platform()), "diagmem_qemu.so"}

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


def shipped_tool(wheel: Path) -> set[str]:
    prefix = "diagmem/_valgrind/"
    return {name.removeprefix(prefix) for name in names(wheel) if name.startswith(prefix)}


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(copy_tree(tmp_path_factory.mktemp("sdist") / "tree"), "sdist")


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the unpacked sdist, which thereby proves complete; the path has a space."""
    unpacked = tmp_path_factory.mktemp("a wheel")
    # Debian 12's Python is older than tarfile's filters.
    subprocess.run(["tar", "-C", unpacked, "-xf", sdist], check=True)
    (tree,) = unpacked.iterdir()
    return build(tree, "wheel")


@pytest.fixture(scope="module")
def bare_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built where Valgrind's development files are missing."""
    tree = copy_tree(tmp_path_factory.mktemp("bare") / "tree")
    return build(tree, "wheel", VALGRIND_PC="/nonexistent/valgrind.pc")


def test_wheel_has_the_tool_and_fits_one_platform(wheel: Path) -> None:
    assert wheel.name == f"diagmem-{diagmem.__version__}-py3-none-linux_{platform.machine()}.whl"
    assert shipped_tool(wheel) == TOOL_FILES


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
    program = installed / "diagmem" / "_valgrind" / f"diagmem-{host_platform()}"
    assert program.stat().st_mode & stat.S_IXUSR
    found = doctor(installed)
    assert found["diagmem tool"]["status"] == "ok"
    assert str(installed) in found["diagmem tool"]["found"]
    assert found["QEMU plugin"]["status"] == "ok"
    assert found["diagmem.h"]["found"] == str(program.parent / "include" / "diagmem.h")


def python_for(user: int) -> Path | None:
    """An interpreter of this release that another user may start, with our libraries."""
    libraries = sysconfig.get_path("purelib")
    for python in (Path(sys.executable).resolve(), Path("/usr/bin/python3")):
        program = "import sys, numpy; print(*sys.version_info[:2])"
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(
                [python, "-c", program],
                env={"PYTHONPATH": libraries},
                user=user,
                cwd="/",
                capture_output=True,
                text=True,
                check=True,
            )
            if done.stdout.split() == [str(n) for n in sys.version_info[:2]]:
                return python
    return None


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A folder with a space in its name that every user can read and write."""
    with tempfile.TemporaryDirectory(prefix="a home ", dir="/tmp") as name:
        Path(name).chmod(0o777)
        yield Path(name)


def test_the_wheel_works_for_another_user_without_the_checkout(
    wheel: Path, open_directory: Path
) -> None:
    """In a fresh virtual environment whose path has a space; its user has no home."""
    nobody = 65534
    python = python_for(nobody) if os.geteuid() == 0 else None
    user = nobody if python else None
    environment = open_directory / "a venv"
    command = [python or sys.executable, "-m", "venv", "--without-pip", environment]
    subprocess.run(command, check=True, user=user, cwd="/")
    (site,) = environment.glob("lib/python*/site-packages")
    install(wheel, site)
    # The libraries of this environment, without what makes its own diagmem importable.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def diagmem_says(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [environment / "bin" / "python", "-m", "diagmem", *words],
            cwd=open_directory,
            env={"PATH": os.environ["PATH"], "HOME": "/dev/null"},
            user=user,
            capture_output=True,
            text=True,
            check=False,
        )

    kernel = ("max_pool_2d_int8", "in_h=7", "in_w=5")
    traced = diagmem_says("trace", *kernel, "-o", "pool.dmt")
    assert traced.returncode == 0, traced.stderr
    assert "they go to a temporary folder" in traced.stderr
    assert "ld.so" not in traced.stderr
    drawn = diagmem_says("heatmap", "pool.dmt", "-o", "pool.png")
    assert drawn.returncode == 0, drawn.stderr
    assert (open_directory / "pool.png").read_bytes().startswith(b"\x89PNG")
    proven = diagmem_says("prove", *kernel)
    assert proven.returncode == 0, proven.stderr
    assert ": proven" in proven.stdout


def test_without_valgrind_the_wheel_fits_every_machine(bare_wheel: Path) -> None:
    assert bare_wheel.name == f"diagmem-{diagmem.__version__}-py3-none-any.whl"
    assert shipped_tool(bare_wheel) == {"NOT-BUILT"}


def test_without_valgrind_the_installed_wheel_says_why(bare_wheel: Path, tmp_path: Path) -> None:
    installed = install(bare_wheel, tmp_path / "site")
    reason = (installed / "diagmem" / "_valgrind" / "NOT-BUILT").read_text().strip()
    assert "algrind" in reason
    assert "make:" not in reason
    check = doctor(installed)["diagmem tool"]
    assert check["status"] == "missing"
    assert reason in check["found"]
    assert check["fix"].endswith(
        " -m pip install --force-reinstall --no-deps . (in diagmem's source folder)"
    )
    assert "apt-get" not in check["fix"]  # all that it would bring is there


def test_without_valgrind_tracing_says_why(bare_wheel: Path, tmp_path: Path) -> None:
    installed = install(bare_wheel, tmp_path / "site")
    done = subprocess.run(
        [sys.executable, "-m", "diagmem", "trace", "relu_f32", "-o", tmp_path / "t.dmt"],
        cwd=installed,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "installed without its Valgrind tool" in done.stderr
    assert "pip install --force-reinstall" in done.stderr
    assert len(done.stderr.splitlines()) == 1


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
