"""What a build is made with: whose version it names, and whether it needs the loader."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from diagmem.kernels.build import build
from diagmem.kernels.description import load
from diagmem.kernels.kernel import Kernel

Writer = Callable[..., Kernel]

TOML = """\
function = "half"
source = "half.c"
flags = ["-O1"]
compiler = "{compiler}"
argument = [
  {{ name = "x", role = "input", dtype = "uint8", shape = [8] }},
  {{ name = "y", role = "output", dtype = "uint8", shape = [8] }},
]
"""
PLAIN = "for (int i = 0; i < 8; i++) y[i] = x[i] / 2;"
CALLS_A_COPY = "__builtin_memcpy(y, x, n);"


def half(body: str) -> str:
    return f"extern int n; int n = 8; void half(char *x, char *y) {{ {body} }}\n"


def compiler(path: Path, name: str, refused: str = "") -> None:
    """One that calls itself so, and is this machine's in all else but an option it refuses."""
    path.write_text(
        f'#!/bin/sh\nfor word; do case "$word" in\n  --version) echo "{name}"; exit;;\n'
        f'  "{refused}") echo "cannot find -lc" >&2; exit 1;;\nesac; done\nexec cc "$@"\n'
    )
    path.chmod(0o755)


def loaded(kernel: Kernel) -> bool:
    """Does the program need the loader?"""
    with build(kernel).binary.open("rb") as file:
        return any(part["p_type"] == "PT_INTERP" for part in ELFFile(file).iter_segments())


def test_a_build_names_the_compiler_of_its_own_folder(tmp_path: Path) -> None:
    """A relative name means another file in each description's folder."""
    named = {}
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        compiler(folder / "mine", name)
        (folder / "half.c").write_text(half(PLAIN))
        (folder / "half.toml").write_text(TOML.format(compiler="./mine"))
        named[name] = build(load(folder / "half.toml")).compiler
    assert named == {"first": "first", "second": "second"}


def test_a_compiler_that_changes_makes_another_build(tmp_path: Path, written: Writer) -> None:
    compiler(tmp_path / "mine", "old")
    kernel = written(TOML.format(compiler="./mine"), half_c=half(PLAIN))
    before = build(kernel)
    compiler(tmp_path / "mine", "a newer one")
    after = build(kernel)
    assert (before.compiler, after.compiler) == ("old", "a newer one")
    assert before.identity != after.identity


@pytest.mark.parametrize(("body", "needed"), [(PLAIN, False), (CALLS_A_COPY, True)])
def test_only_a_kernel_that_copies_by_a_library_needs_the_loader(
    written: Writer, body: str, needed: bool
) -> None:
    """The recorder sees a library's copy where the loader binds it."""
    assert loaded(written(TOML.format(compiler="cc"), half_c=half(body))) is needed


def test_without_a_static_library_the_loader_it_is(tmp_path: Path, written: Writer) -> None:
    compiler(tmp_path / "mine", shutil.which("cc") or "", refused="-static")
    assert loaded(written(TOML.format(compiler="./mine"), half_c=half(PLAIN)))
