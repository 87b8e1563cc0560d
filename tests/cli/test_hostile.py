"""A small file that claims much costs every reader little: one line, or an answer, in
bounded memory and time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.trace.hostile import HOSTILE, save

MEMORY_MIB = 1024
SECONDS = 60
"""For all readers of a file together, on a busy machine."""

READERS = (
    ["info", "{0}"],
    ["info", "--json", "{0}"],
    ["validate", "{0}"],
    ["overlap", "{0}"],
    ["overlap", "--json", "{0}"],
    ["heatmap", "{0}", "-o", "{1}/p.png"],
    ["export", "{0}", "-o", "{1}/t.csv.gz"],
    ["export", "{0}", "-o", "{1}/t.json"],
    ["report", "{0}", "-o", "{1}/r.html"],
)
CHILD = """
import sys
from diagmem.cli.main import main
for words in {calls!r}:
    code = main(words)
    print("code", code, words, file=sys.stderr)
    assert code in (0, 1, 2)
"""


@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__)
def test_every_reader_takes_little(make: Callable[[], list[bytes]], tmp_path: Path) -> None:
    trace = save(tmp_path / "t.dmt", make())
    assert trace.stat().st_size < 1 << 19
    calls = [[word.format(trace, tmp_path) for word in words] for words in READERS]
    output = tmp_path / "output"
    with output.open("wb") as file:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD.format(calls=calls)], stdout=file, stderr=file
        )
        try:
            _, status, used = os.wait4(child.pid, 0)
        finally:
            child.returncode = 0
    said = output.read_text(encoding="utf-8", errors="replace")
    assert os.waitstatus_to_exitcode(status) == 0, said[-2000:]
    assert "Traceback" not in said
    assert used.ru_maxrss >> 10 < MEMORY_MIB
    assert used.ru_utime + used.ru_stime < SECONDS
