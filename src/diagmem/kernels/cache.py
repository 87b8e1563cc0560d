"""Where what is compiled is kept, so that it is compiled once."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

from diagmem import __version__
from diagmem.base.errors import DiagmemError

CACHE_VARIABLE = "DIAGMEM_CACHE"
"""Names the cache directly; child processes are given the temporary one by it."""


def cache_directory() -> Path:
    """An existing folder of this version for builds: ``$XDG_CACHE_HOME/diagmem/VERSION``.

    By default in ``~/.cache``.  Where nothing can be written there, a private temporary
    folder that ends with the process, with one line of notice.

    Raises
    ------
    DiagmemError
        A folder that the environment names cannot be written.
    """
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return _writable(Path(given) / __version__, CACHE_VARIABLE)
    root = os.environ.get("XDG_CACHE_HOME")
    if root:
        return _writable(Path(root) / "diagmem" / __version__, "XDG_CACHE_HOME")
    try:
        return _made(Path.home() / ".cache" / "diagmem" / __version__)
    except (OSError, RuntimeError) as error:  # RuntimeError: nobody knows the user's home
        reason = error.strerror if isinstance(error, OSError) else "no home directory"
    temporary = tempfile.mkdtemp(prefix="diagmem-cache-")
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    os.environ[CACHE_VARIABLE] = temporary
    print(
        f"~/.cache/diagmem: cannot keep builds there ({reason}); they go to a temporary folder,"
        " XDG_CACHE_HOME=DIR names a lasting one",
        file=sys.stderr,
    )
    return _made(Path(temporary) / __version__)


def _writable(place: Path, variable: str) -> Path:
    try:
        return _made(place)
    except OSError as error:
        raise DiagmemError(
            f"{place}: cannot keep builds there: {error.strerror}; {variable} names it"
        ) from None


def _made(place: Path) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=place):
        pass  # the superuser's permissions and a full file system show only here
    return place
