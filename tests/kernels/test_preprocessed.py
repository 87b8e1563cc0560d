"""Preprocessed once, as long as no file that went into it changes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from diagmem.kernels.preprocessed import preprocessed


def test_a_changed_header_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "inner.h").write_text("int a;\n")
    (tmp_path / "a header.h").write_text('#include "inner.h"\n')
    (tmp_path / "k.c").write_text('#include "a header.h"\nint b;\n')
    command, runs = ["cc", "-E", "k.c"], []

    def run() -> bytes:
        runs.append(1)
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True).stdout

    first = preprocessed(command, tmp_path, run)
    assert preprocessed(command, tmp_path, run) == first
    assert len(runs) == 1
    for number, name in enumerate(("inner.h", "a header.h", "k.c"), 2):
        file = tmp_path / name
        file.write_text(file.read_text() + f"int more{number};\n")
        assert f"more{number}".encode() in preprocessed(command, tmp_path, run)
        assert len(runs) == number
    os.utime(tmp_path / "k.c", ns=(0, 0))
    preprocessed(command, tmp_path, run)
    assert len(runs) == 5
