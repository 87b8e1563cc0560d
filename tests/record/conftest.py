"""Programs to trace, compiled once."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"


def compile_c(source: str, binary: Path, *flags: str) -> Path:
    command = ["cc", "-O2", "-g", *flags, "-o", str(binary), str(PROGRAMS / source)]
    subprocess.run(command, check=True)
    return binary


@pytest.fixture(scope="session")
def windows_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`windows.c`, position independent, with symbols and line numbers."""
    return compile_c("windows.c", tmp_path_factory.mktemp("windows") / "windows")
