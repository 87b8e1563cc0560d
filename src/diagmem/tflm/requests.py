"""The little libraries through which a Python process speaks to the Valgrind tool."""

from __future__ import annotations

import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path

from diagmem.base.errors import DiagmemError
from diagmem.kernels.build import header_directory
from diagmem.kernels.cache import cache_directory

SOURCES = Path(__file__).parent
COMPILER = "cc"


def client_library(name: str) -> Path:
    """Build ``requests`` or ``profiler``, or find what an earlier call has built.

    Raises
    ------
    DiagmemError
        There is no C compiler, or the cache cannot be written.
    """
    source = SOURCES / f"{name}.c"
    hashed = sha256((header_directory() / "diagmem.h").read_bytes() + source.read_bytes())
    place = cache_directory() / f"{name}-{hashed.hexdigest()[:32]}.so"
    if place.is_file():
        return place
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="build-", dir=place.parent) as work:
            made = Path(work) / place.name
            _compile(source, made)
            made.replace(place)
    except OSError as error:
        raise DiagmemError(f"{place}: cannot be built: {error}") from error
    return place


def _compile(source: Path, made: Path) -> None:
    command = [COMPILER, "-shared", "-fPIC", "-O1", f"-I{header_directory()}", str(source)]
    done = subprocess.run(
        [*command, "-o", str(made)], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if done.returncode != 0:
        errors = done.stderr.decode(errors="replace").strip().splitlines() or ["gave no reason"]
        raise DiagmemError(f"{source.name}: {COMPILER} fails: {errors[0][:300]}")
