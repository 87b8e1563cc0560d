"""The little library through which a Python process speaks to the Valgrind tool."""

from __future__ import annotations

import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path

from diagmem.base.errors import DiagmemError
from diagmem.kernels.build import header_directory
from diagmem.kernels.cache import cache_directory

SOURCE = Path(__file__).with_name("profiler.c")
COMPILER = "cc"


def profiler_library() -> Path:
    """Build it, or take what an earlier call has built.

    Raises
    ------
    DiagmemError
        There is no C compiler, or the cache cannot be written.
    """
    hashed = sha256((header_directory() / "diagmem.h").read_bytes() + SOURCE.read_bytes())
    place = cache_directory() / f"profiler-{hashed.hexdigest()[:32]}.so"
    if place.is_file():
        return place
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="build-", dir=place.parent) as work:
            made = Path(work) / place.name
            _compile(made)
            made.replace(place)
    except OSError as error:
        raise DiagmemError(f"{place}: cannot be built: {error}") from error
    return place


def _compile(made: Path) -> None:
    command = [COMPILER, "-shared", "-fPIC", "-O1", f"-I{header_directory()}", str(SOURCE)]
    done = subprocess.run(
        [*command, "-o", str(made)], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if done.returncode != 0:
        reason = done.stderr.decode(errors="replace").strip().splitlines() or ["gave no reason"]
        raise DiagmemError(f"{SOURCE.name}: {COMPILER} fails: {reason[0][:300]}")
