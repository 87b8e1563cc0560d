"""The descriptions that come with diagmem, found by bare name."""

from __future__ import annotations

import difflib
from pathlib import Path

from diagmem.base.errors import DiagmemError

DIRECTORY = Path(__file__).parent / "c"
LIBRARIES = {"c": DIRECTORY, "cmsis-nn": Path(__file__).parent / "cmsis_nn"}
"""The reference kernels, and descriptions of kernels whose code is somebody else's."""


def bundled() -> list[str]:
    """The names of the reference kernels, sorted."""
    return sorted(path.stem for path in DIRECTORY.glob("*.toml"))


def _described() -> dict[str, Path]:
    """All by name."""
    return {
        path.stem: path
        for folder in reversed(LIBRARIES.values())
        for path in sorted(folder.glob("*.toml"))
    }


def find(name_or_path: str | Path) -> Path:
    """The description meant by a path or by the bare name of a bundled kernel.

    A file of that name wins over a bundled kernel.

    Raises
    ------
    DiagmemError
        There is neither.
    """
    path, name = Path(name_or_path), str(name_or_path)
    if path.is_file():
        return path
    known = _described()
    if name in known:
        return known[name]
    if path.suffix == ".toml" or len(path.parts) != 1:
        raise DiagmemError(f"{name}: there is no such kernel description")
    close = difflib.get_close_matches(name, known, 1)
    wanted = f'did you mean "{close[0]}"?' if close else f"bundled are {', '.join(known)}"
    raise DiagmemError(f"{name}: neither a file nor a bundled kernel; {wanted}")
