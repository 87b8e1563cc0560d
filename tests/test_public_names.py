"""What ``import diagmem`` offers, in whatever order things are imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

import diagmem


@pytest.mark.parametrize(
    "before", ["pass", "import diagmem.record.recorder", "import diagmem.analysis.trace"]
)
def test_names_are_what_they_say(before: str) -> None:
    """`record` is a function, although its code lives in a package of that name."""
    program = f"""
import diagmem
{before}
for _ in range(2):
    found = [type(getattr(diagmem, name)).__name__ for name in diagmem.__all__]
    from diagmem import record
    from diagmem.record import recorder
print(*found, record.__module__, recorder.__name__)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    *kinds, function, module = done.stdout.split()
    assert "module" not in kinds, done.stderr
    assert len(kinds) == len(diagmem.__all__)
    assert (function, module) == ("diagmem.recording", "diagmem.record.recorder")
