"""Builds the two recorders into the package; all else is said in pyproject.toml.

Where Valgrind's development files (or make, or a compiler) are missing, the
analysis side is installed alone.  pip hides what a build prints when it
succeeds, so the reason also goes into the package, into ``_valgrind/NOT-BUILT``,
where `diagmem.record.tool` reads it.  The QEMU plugin needs a C compiler alone.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
SOURCES = ("valgrind-tool", "qemu-plugin")
"""The second is built with parts of the first, so both are copied."""


class ToolNotBuiltError(Exception):
    """Holds the one line that says why."""


def make_tool(libexec: Path) -> None:
    """Build a copy of the sources, so that the source tree stays as it was."""
    with tempfile.TemporaryDirectory(prefix="diagmem-build-") as name:
        for source in SOURCES:
            ignored = shutil.ignore_patterns("build")
            shutil.copytree(HERE / source, Path(name, source), ignore=ignored)
            # Relative, because make splits a path that has spaces in it.
            command = ["make", "-C", str(Path(name, source)), "install", "LIBEXEC=../libexec"]
            try:
                done = subprocess.run(command, capture_output=True, text=True, check=False)
            except FileNotFoundError:
                raise ToolNotBuiltError("there was no 'make' on PATH") from None
            sys.stdout.write(done.stdout)
            sys.stderr.write(done.stderr)
            if done.returncode != 0:
                raise ToolNotBuiltError(first_complaint(done.stderr))
        shutil.copytree(Path(name, "libexec"), libexec)


def first_complaint(stderr: str) -> str:
    """The line that says what went wrong, without make's own remarks around it."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith("make")]
    told = [line for line in told if "error" in line.lower()] or told or lines
    return told[0] if told else "make failed without a message"


class BuildPyWithTool(build_py):
    """Adds ``_valgrind/`` to the package: the tool, or the reason why it is not there."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return  # the package is then the source tree, and `make install` puts it there
        libexec = Path(self.build_lib, "diagmem", "_valgrind")
        shutil.rmtree(libexec, ignore_errors=True)
        try:
            make_tool(libexec)
        except ToolNotBuiltError as why:
            libexec.mkdir(parents=True)
            Path(libexec, "NOT-BUILT").write_text(f"{why}\n", encoding="utf-8")
            print(
                f"diagmem: NOTICE: installing without the Valgrind tool: {why}\n"
                "diagmem: NOTICE: recorded traces can be analysed, new ones not recorded;"
                " 'diagmem doctor' names the command that mends it",
                file=sys.stderr,
            )


class PlatformWheel(bdist_wheel):
    """A wheel with the tool in it fits one machine but every Python; without, any machine."""

    def run(self) -> None:
        self.run_command("build")
        build = self.get_finalized_command("build_py")
        built = Path(str(build.build_lib), "diagmem", "_valgrind", "valgrind-version")
        self.root_is_pure = not built.exists()
        # `install`, which lays out the wheel, asks this to choose between lib and lib64,
        # and only now is the answer known: hence the assignment to a method.
        self.distribution.has_ext_modules = lambda: not self.root_is_pure  # type: ignore[method-assign]
        super().run()

    def get_tag(self) -> tuple[str, str, str]:
        _, _, platform = super().get_tag()
        return "py3", "none", platform


setup(cmdclass={"build_py": BuildPyWithTool, "bdist_wheel": PlatformWheel})
