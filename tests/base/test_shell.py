"""What is printed as a command does what it says, whatever the files are called."""

from __future__ import annotations

import ast
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import diagmem
from diagmem.base.shell import command, quoted


def read_by_bash(line: str) -> list[bytes]:
    """The words of a command as bash hands them on."""
    script = f"printf '%s\\0' {line}"
    # Nothing can be made there.
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True, cwd="/proc")
    return done.stdout.split(b"\0")[:-1]


@pytest.mark.parametrize(
    "name",
    [
        b"a b.dmt",
        b"a;touch PWNED.dmt",
        b"$(touch PWNED).dmt",
        b"`touch PWNED`.dmt",
        b"it's.dmt",
        b"\\n and \\'.dmt",
        b"two\nlines.dmt",
        b"\x1b[31mred\x07.dmt",
        b"no text \xff\xfe'\\.dmt",
        "größe.dmt".encode(),
        b"!history.dmt",
        b"*?[a].dmt",
    ],
)
def test_a_name_is_one_word(name: bytes) -> None:
    line = command("diagmem", "info", Path(os.fsdecode(name)))
    assert read_by_bash(line) == [b"diagmem", b"info", name]
    # Nothing reaches the terminal that it would act upon.
    assert line.isprintable()


@given(st.lists(st.binary(min_size=1).filter(lambda name: b"\0" not in name), max_size=20))
def test_any_names(names: list[bytes]) -> None:
    words = [os.fsdecode(name) for name in names]
    assert read_by_bash(f"word {command(*words)}")[1:] == names


def test_a_path_is_no_option() -> None:
    assert quoted(Path("-o.dmt")) == "./-o.dmt"
    assert quoted("-o") == "-o"
    assert quoted(Path("-")) == "-"  # standard input or output
    assert quoted(17) == "17"


def test_hints_are_given_word_by_word() -> None:
    """A command in one string would be quoted whole."""
    for path in sorted((Path(diagmem.__file__).parent / "cli").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "hint":
                for word in node.args:
                    assert not isinstance(word, ast.JoinedStr), f"{path}:{node.lineno}"
                    if isinstance(word, ast.Constant):
                        assert " " not in str(word.value), f"{path}:{node.lineno}"
