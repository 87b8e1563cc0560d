"""The tool works wherever it is installed and whatever the temporary folder is called."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from diagmem.record.places import BufferPlace
from diagmem.record.recorder import record
from diagmem.record.request import Request
from diagmem.record.tool import LIBEXEC_VARIABLE, Tool
from diagmem.trace.window import Role


@pytest.mark.parametrize(
    ("tool", "temporary"),
    [("a tool", "tmp"), ("to:ol", "tmp"), ("tool", "t m:p"), ("a b", "t m:p")],
)
def test_paths_that_the_loader_would_split(
    tool: str,
    temporary: str,
    valgrind_tool: Tool,
    windows_program: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(valgrind_tool.libexec, tmp_path / tool)
    (tmp_path / temporary).mkdir()
    monkeypatch.setenv(LIBEXEC_VARIABLE, str(tmp_path / tool))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / temporary))
    # Somebody's own, with another tool in it.
    monkeypatch.setenv("VALGRIND_LIB", "/nonexistent")
    # A heap block is known only if Valgrind's own library was loaded.
    heap = BufferPlace("input", Role.INPUT, "heap:1000#1+8,bytes:96")
    recorded = record(
        Request(command=[str(windows_program), "heap"], functions=["copy"], buffers=[heap]),
        tmp_path / "t.dmt",
    )
    assert recorded.warnings == ()
    assert recorded.events > 0
    assert "ld.so" not in capfd.readouterr().err
    assert list((tmp_path / temporary).iterdir()) == []
