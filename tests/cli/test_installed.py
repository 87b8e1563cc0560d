"""`diagmem doctor` and the search for the tool, mostly on machines made to lack something."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import diagmem
from diagmem.base.installing import rebuild_command, requirements
from diagmem.cli import installed
from diagmem.cli.installed import LIBRARIES, Package
from diagmem.cli.main import main
from diagmem.record import tool as tool_module
from diagmem.record.tool import (
    LIBEXEC_VARIABLE,
    Tool,
    ToolError,
    find_tool,
    host_platform,
    tool_files,
)

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
PLATFORM = host_platform()
VERSION = "3.19.0"
KEYS = {"name", "status", "found", "needed_for", "fix"}
"""What a check has in the JSON report; fields are added, never renamed."""


class Machine:
    """A machine with a launcher and a tool, both of which can be damaged."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bin = root / "bin"
        self.libexec = root / "libexec"
        self.launcher = self.bin / "valgrind"
        self.program = self.libexec / f"diagmem-{PLATFORM}"
        self.bin.mkdir()
        (self.libexec / "include").mkdir(parents=True)
        self.write_launcher(f"echo valgrind-{VERSION}")
        for name in tool_files(PLATFORM):
            (self.libexec / name).touch()
        (self.libexec / "valgrind-version").write_text(f"{VERSION}\n")
        self.program.chmod(0o755)
        monkeypatch.setenv("PATH", str(self.bin))
        monkeypatch.setenv(LIBEXEC_VARIABLE, str(self.libexec))

    def write_launcher(self, script: str) -> None:
        self.launcher.write_text(f"#!/bin/sh\n{script}\n")
        self.launcher.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def refusal() -> ToolError:
    with pytest.raises(ToolError) as caught:
        find_tool()
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(f"mend it with: {caught.value.fix}")
    return caught.value


def test_the_built_tool_is_found_and_runs(valgrind_tool: Tool) -> None:
    assert (valgrind_tool.include / "diagmem.h").is_file()
    assert installed.check_start(valgrind_tool).status == "ok"


def test_a_whole_tool_is_found(machine: Machine) -> None:
    tool = find_tool()
    assert tool == Tool(machine.libexec, machine.launcher, PLATFORM, VERSION)
    assert tool.environment(machine.bin)["VALGRIND_LIB"] == str(machine.libexec)


def test_without_a_launcher_it_says_what_to_install(machine: Machine) -> None:
    machine.launcher.unlink()
    error = refusal()
    assert error.missing
    assert "no 'valgrind' on PATH" in error.what
    assert error.fix.removeprefix("sudo ") == "apt-get install valgrind"


def test_without_launcher_and_tool_it_says_to_build_too(machine: Machine) -> None:
    machine.launcher.unlink()
    machine.program.unlink()
    assert refusal().fix.endswith(f"apt-get install valgrind && {rebuild_command()}")


def test_without_a_tool_it_says_to_build_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = machine.bin.parent / "package"
    elsewhere.mkdir()
    monkeypatch.delenv(LIBEXEC_VARIABLE)
    monkeypatch.setattr(tool_module, "libexec_directory", lambda: elsewhere)
    error = refusal()
    assert error.missing
    assert f"{elsewhere}: the tool is not built" in error.what
    assert error.fix == rebuild_command()


def test_a_checkout_builds_the_tool_with_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "my work" / "src" / "diagmem" / "__init__.py"
    monkeypatch.setattr("diagmem.__file__", str(package))
    assert rebuild_command().startswith(
        f"{shlex.quote(sys.executable)} -m pip install --force-reinstall"
    )
    (tmp_path / "my work" / "valgrind-tool").mkdir(parents=True)
    (tmp_path / "my work" / "Makefile").touch()
    assert rebuild_command() == f"make -C '{tmp_path}/my work' install"


@pytest.mark.parametrize(
    "name", ["default.supp", f"vgpreload_core-{PLATFORM}.so", "include/diagmem.h"]
)
def test_a_missing_file_is_named(machine: Machine, name: str) -> None:
    (machine.libexec / name).unlink()
    error = refusal()
    assert not error.missing
    assert f"lacks {name}" in error.what
    # Building would not put anything into a folder that the variable names.
    assert error.fix == f"unset {LIBEXEC_VARIABLE}"


def test_a_program_that_may_not_run_is_named(machine: Machine) -> None:
    machine.program.chmod(0o644)
    assert refusal().what == f"{machine.program}: is not executable"


def test_another_valgrind_is_refused_with_both_versions(machine: Machine) -> None:
    machine.write_launcher("echo valgrind-3.24.0")
    error = refusal()
    assert not error.missing
    assert f"built for Valgrind {VERSION}" in error.what
    assert "is 3.24.0" in error.what


@pytest.mark.parametrize("script", ["exit 1", "echo hello", "echo broken >&2; exit 127", ":"])
def test_a_launcher_that_is_none_is_refused(machine: Machine, script: str) -> None:
    machine.write_launcher(script)
    error = refusal()
    assert error.what.startswith(f"{machine.launcher}: --version said ")
    assert "--reinstall valgrind" in error.fix


def test_a_launcher_that_cannot_start_is_refused(machine: Machine) -> None:
    machine.launcher.write_text("#!/no/such/shell\n")
    assert "cannot be run" in refusal().what


def test_the_reason_noted_at_installation_is_told(machine: Machine) -> None:
    (machine.libexec / "NOT-BUILT").write_text("there was no valgrind.pc\n")
    error = refusal()
    assert error.missing
    assert "without its Valgrind tool (there was no valgrind.pc)" in error.what
    # Only what is missing: valgrind.pc and the C library's headers are there.
    assert error.fix.removeprefix("sudo ") == f"apt-get install gcc make && {rebuild_command()}"


def test_nothing_is_proposed_that_is_there(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (machine.libexec / "NOT-BUILT").write_text("the compiler stumbled\n")
    monkeypatch.setenv("PATH", f"{machine.bin}:/usr/bin:/bin")
    assert refusal().fix == rebuild_command()


def test_other_platforms_are_told_so(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_tool().libexec == machine.libexec
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert "this is Linux on riscv64" in refusal().what


def test_a_tool_that_does_not_start_is_wrong(machine: Machine) -> None:
    machine.write_launcher(
        f'[ "$1" = --version ] && echo valgrind-{VERSION} && exit\necho "cannot map" >&2; exit 3'
    )
    check = installed.check_start(find_tool())
    assert check.status == "wrong"
    assert "exit code 3: cannot map" in check.found
    assert check.fix == rebuild_command()


@pytest.mark.parametrize(
    ("version", "status"),
    [((3, 10, 14), "wrong"), ((3, 11, 0), "ok"), ((3, 13, 1), "ok"), ((4, 0, 0), "ok")],
)
def test_python_versions(version: tuple[int, ...], status: str) -> None:
    assert installed.check_python(version).status == status


def test_oldest_python_is_that_of_the_package() -> None:
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == ">=" + ".".join(map(str, installed.OLDEST_PYTHON))


def test_every_dependency_is_looked_at() -> None:
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    required = {line.name + asked for line, asked in _asked() if line.required}
    optional = {line.name + asked for line, asked in _asked() if not line.required}
    assert required == set(project["dependencies"])
    assert optional == {*extras["exact"], *extras["tflm"], *extras["parquet"]}


def _asked() -> list[tuple[Package, str]]:
    asked = requirements()
    return [(library, asked[library.name]) for library in LIBRARIES]


def test_a_library_that_is_there() -> None:
    assert installed.check_library(LIBRARIES[0], ">=1").status == "ok"


def test_a_library_that_is_not_there() -> None:
    check = installed.check_library(Package("nosuch-library", "nosuch", "nothing"), ">=1.5")
    assert check.status == "missing"
    assert check.fix == f"{shlex.quote(sys.executable)} -m pip install 'nosuch-library>=1.5'"


def test_a_library_that_is_too_old() -> None:
    check = installed.check_library(Package("numpy", "numpy", "tests"), ">=9999")
    assert check.status == "wrong"
    assert check.found.endswith(", expected >=9999")


def test_a_library_that_cannot_be_imported() -> None:
    check = installed.check_library(Package("numpy", "nosuch_module", "tests"), ">=1")
    assert check.status == "wrong"
    assert "importing it fails: ModuleNotFoundError" in check.found
    assert check.fix.endswith("-m pip install --force-reinstall 'numpy>=1'")


@pytest.mark.parametrize(
    ("version", "requirement", "answer"),
    [
        ("2.4.6", "", True),
        ("2.4.6", ">=2.0", True),
        ("2.0", ">=2.0.0", True),
        ("2.0.0rc1", ">=2.0", True),
        ("1.26.4", ">=2.0", False),
        ("10.0", ">=9.1", True),
        ("0.dev20261023182759", "==0.dev20261023182759", True),
        ("0.dev20261023182760", "==0.dev20261023182759", False),
        ("3.8", "==3.8.1", False),
    ],
)
def test_requirements(version: str, requirement: str, answer: bool) -> None:
    assert installed.satisfies(version, requirement) is answer


@given(st.lists(st.integers(0, 30), min_size=1), st.lists(st.integers(0, 30), min_size=1))
def test_versions_are_ordered_by_number(one: list[int], other: list[int]) -> None:
    one_text, other_text = (".".join(map(str, parts)) for parts in (one, other))
    length = max(len(one), len(other))
    padded = [parts + [0] * (length - len(parts)) for parts in (one, other)]
    assert installed.satisfies(one_text, f">={other_text}") == (padded[0] >= padded[1])


def test_a_compiler_that_is_not_there(machine: Machine) -> None:
    assert machine.launcher.exists()
    check = installed.check_compiler()
    assert check.status == "missing"
    assert check.fix.removeprefix("sudo ") == "apt-get install gcc libc6-dev"


def test_a_compiler_without_headers(machine: Machine) -> None:
    compiler = machine.bin / "cc"
    compiler.write_text("#!/bin/sh\necho 'string.h: No such file' >&2; exit 1\n")
    compiler.chmod(0o755)
    check = installed.check_compiler()
    assert check.status == "wrong"
    assert "string.h: No such file" in check.found


def test_a_header_that_is_not_there(machine: Machine) -> None:
    assert installed.check_header().status == "ok"
    (machine.libexec / "include" / "diagmem.h").unlink()
    check = installed.check_header()
    assert check.status == "missing"
    assert check.fix == rebuild_command()


def test_what_a_cortex_m_takes_is_optional(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of it has the command that brings it, and nothing else needs it."""
    monkeypatch.delenv("DIAGMEM_QEMU_PLUGIN", raising=False)
    assert machine.launcher.exists()
    compiler, emulator = (
        installed.check_cross_compiler(),
        installed.check_emulator("cortex-m4", "x"),
    )
    for check, package in ((compiler, "gcc-arm-none-eabi"), (emulator, "qemu-system-arm")):
        assert (check.status, check.required) == ("missing", False)
        assert package in check.fix
    plugin = installed.check_plugin()
    assert (plugin.status, plugin.required) == ("missing", False)
    assert plugin.found == f"not at {machine.libexec / 'diagmem_qemu.so'}"
    assert "make" in plugin.fix
    (machine.libexec / "diagmem_qemu.so").touch()
    assert installed.check_plugin().status == "ok"


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("arm-none-eabi-gcc", installed.check_cross_compiler),
        ("qemu-arm", lambda: installed.check_emulator("armhf", "x")),
    ],
)
def test_cross_tools_that_do_not_work(
    machine: Machine, name: str, check: Callable[[], installed.Check]
) -> None:
    program = machine.bin / name
    program.write_text("#!/bin/sh\necho 'cannot find rdimon.specs' >&2; exit 1\n")
    program.chmod(0o755)
    found = check()
    assert found.status == "wrong"
    assert name in found.found or "rdimon.specs" in found.found
    assert found.fix


def test_all_is_well_here(valgrind_tool: Tool, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is True
    found = {check["name"]: check for check in report["checks"]}
    assert found["diagmem tool"].keys() >= KEYS
    assert valgrind_tool.valgrind_version in found["diagmem tool"]["found"]
    assert all(check["fix"] is None for check in report["checks"] if check["status"] == "ok")


def test_what_is_missing_is_told_with_the_command(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.launcher.unlink()
    assert main(["doctor"]) == 1
    out, err = capsys.readouterr()
    assert "apt-get install valgrind" in out
    assert "required and not working: C compiler, valgrind, diagmem tool\n" in err


def test_what_is_missing_is_told_as_json(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.program.unlink()
    assert main(["doctor", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    (tool,) = (check for check in report["checks"] if check["name"] == "diagmem tool")
    assert (tool["status"], tool["fix"]) == ("wrong", f"unset {LIBEXEC_VARIABLE}")


def test_an_optional_library_may_be_missing() -> None:
    here = installed.Check("numpy", "ok", "2.4", "every analysis", True)
    gone = installed.Check("pyarrow", "missing", "not installed", "Parquet", False, "pip ...")
    assert installed.is_well([here, gone])
    assert not installed.is_well([here, installed.Check("numpy", "missing", "", "", True, "pip")])


def test_the_table_is_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor"])
    header, *lines = capsys.readouterr().out.splitlines()
    column = header.index("found")
    rows = [line for line in lines if "mend it with" not in line]
    assert all(line[column - 1] == " " and line[column] != " " for line in rows)


def test_doctor_needs_only_the_standard_library(tmp_path: Path) -> None:
    """It must run where nothing else does: without site-packages at all."""
    package = Path(diagmem.__file__).parent
    shutil.copytree(package, tmp_path / "diagmem", ignore=shutil.ignore_patterns("_valgrind"))
    program = "import sys; sys.path.insert(0, sys.argv.pop(1)); import diagmem.cli.main as m;"
    command = [sys.executable, "-S", "-c", f"{program} sys.exit(m.main(['doctor', '--json']))"]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    found = {check["name"]: check["status"] for check in json.loads(done.stdout)["checks"]}
    assert found["python"] == "ok"
    assert {found[library.name] for library in LIBRARIES} == {"missing"}
