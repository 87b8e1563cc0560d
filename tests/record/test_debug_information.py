"""Programs whose debug information Valgrind cannot read, or that have none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from diagmem.analysis.trace import open_trace
from diagmem.base.errors import DiagmemError
from diagmem.kernels.description import load
from diagmem.proof.prove import prove
from diagmem.record.places import BufferPlace
from diagmem.record.recorder import record
from diagmem.record.request import Recorded, Request
from diagmem.record.valgrind import gave_up
from diagmem.trace.window import Role
from tests.tools import need_programs

pytestmark = pytest.mark.usefixtures("valgrind_tool")

SCALE = """\
#include <stdint.h>
static int32_t half(int32_t v, int32_t m) { return (int32_t)(((int64_t)v * m) >> 31); }
void scale(const int8_t *x, int8_t *y, int32_t n, int32_t m)
{ for (int32_t i = 0; i < n; i++) y[i] = (int8_t)half(x[i], m); }
"""
OTHER = "#include <stdint.h>\nint32_t other(int32_t v) { return v * 3; }\n"
MAIN = """\
#include <stdint.h>
void scale(const int8_t *, int8_t *, int32_t, int32_t);
int32_t other(int32_t);
int8_t x[40], y[40];
int main(void) { scale(x, y, 40, other(1 << 29)); return 0; }
"""
TOML = """\
function = "scale"
source = ["scale.c", "other.c"]
flags = ["-O2"]
argument = [
  { name = "x", role = "input",  dtype = "int8", shape = [40] },
  { name = "y", role = "output", dtype = "int8", shape = [40] },
  { name = "n", dtype = "int32", value = 40 },
  { name = "m", dtype = "int32", value = 1900000000 },
]
"""
GAVE_UP = """\
### unhandled dwarf2 abbrev form code 0x25
==903== Valgrind: debuginfo reader: ensure_valid failed:
==903== Valgrind:   request for range [15873065, +4) exceeds
==903== Valgrind:   valid image size of 19144 for image:
==903== Valgrind:   "/somewhere/program"
==903==
==903== Valgrind: debuginfo reader: Possibly corrupted debuginfo file.
==903== Valgrind: I can't recover.  Giving up.  Sorry.
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("scale.c", SCALE), ("other.c", OTHER), ("main.c", MAIN)):
        (tmp_path / name).write_text(text)
    (tmp_path / "two.toml").write_text(TOML)
    return tmp_path


def compiled(folder: Path, compiler: str, *flags: str) -> Path:
    """Each file by itself, so that there are three units of debug information."""
    need_programs(compiler, target="soak")
    objects = []
    for name in ("scale", "other", "main"):
        made = folder / f"{name}.o"
        command = [compiler, "-O2", *flags, "-c", str(folder / f"{name}.c"), "-o", str(made)]
        subprocess.run(command, check=True)
        objects.append(str(made))
    subprocess.run([compiler, *flags, *objects, "-o", str(folder / "program")], check=True)
    return folder / "program"


def traced(program: Path) -> Recorded:
    places = [
        BufferPlace("x", Role.INPUT, "arg:0,bytes:40"),
        BufferPlace("y", Role.OUTPUT, "arg:1,bytes:40"),
    ]
    request = Request(command=[str(program)], functions=["scale"], buffers=places)
    return record(request, program.with_suffix(".dmt"))


@pytest.mark.parametrize("compiler", ["cc", "clang"])
def test_windows_by_symbol_need_none(folder: Path, compiler: str) -> None:
    recorded = traced(compiled(folder, compiler, "-g0"))
    assert (recorded.windows, recorded.events) == (1, 80)


@pytest.mark.parametrize(("compiler", "flag"), [("cc", "-gsplit-dwarf"), ("clang", "-gdwarf-5")])
def test_what_valgrind_gave_up_on_is_said(folder: Path, compiler: str, flag: str) -> None:
    """Releases differ in what they read: one that reads it traces it."""
    program = compiled(folder, compiler, "-g", flag)
    said = ""
    try:
        recorded = traced(program)
    except DiagmemError as error:
        said = str(error)
        subprocess.run(["strip", "--strip-debug", str(program)], check=True)
        recorded = traced(program)
    assert recorded.events == 80
    if said:
        assert f"Valgrind cannot read the debug information of {program} and gave up" in said
        assert "compile with -gdwarf-4" in said
        assert "was never called" not in said


@pytest.mark.parametrize("compiler", ["cc", "clang"])
@pytest.mark.parametrize("flags", ["-O2", "-O2 -g -gdwarf-5", "-O2 -gsplit-dwarf"])
def test_described_kernels_are_compiled_so_that_it_can(
    folder: Path, compiler: str, flags: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_programs(compiler, target="soak")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    proof = prove(load(folder / "two.toml", {"compiler": compiler, "flags": flags}), inputs=1)
    assert proof.proven


def test_lines_are_known_all_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from diagmem.kernels.tracing import trace_kernel

    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    trace_kernel(load(folder / "two.toml", {"flags": "-O1"}), folder / "t.dmt")
    with open_trace(folder / "t.dmt") as trace:
        places = {(site.file.rpartition("/")[2], site.line) for site in trace.sites}
    assert places == {("scale.c", 2), ("scale.c", 4)}


def test_what_a_log_says(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert gave_up(log) == ""
    log.write_text("==1== some warning\n")
    assert gave_up(log) == ""
    log.write_text(GAVE_UP)
    said = gave_up(log)
    assert "of /somewhere/program and gave up (unhandled dwarf2 abbrev form code 0x25): " in said
    assert "\n" not in said
    log.write_text("==1== valgrind: the 'impossible' happened:\n==1==    main(): signal was 11\n")
    assert gave_up(log) == (
        "Valgrind gave up: valgrind: the 'impossible' happened: main(): signal was 11"
    )
