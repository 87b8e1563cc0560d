"""What a file is, by what is in it: for whoever was given another one than expected."""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import StrEnum
from pathlib import Path

from diagmem.base.errors import DiagmemError
from diagmem.base.shell import command

HEAD_BYTES = 1 << 16
"""What is looked at; a kernel description is no longer."""


class FileType(StrEnum):
    """By the name that messages give it."""

    TRACE = "a trace"
    NETWORK = "a network"
    KERNEL = "a kernel description"
    OVERLAPS = "measured overlaps"
    RESULTS = "results of diagmem check"
    BOARDS = "a table of boards"
    LOG = "a log of lackey"
    PROGRAM = "a program"
    ARRAYS = "arrays (.npz)"
    ARRAY = "an array (.npy)"
    ZIP = "a zip archive"
    GZIP = "compressed data (gzip)"
    XZ = "compressed data (xz)"
    PARQUET = "a table (Parquet)"
    PNG = "a PNG picture"
    SVG = "an SVG picture"
    PDF = "a PDF"
    HTML = "an HTML page"
    JSON = "JSON"


_USES = {
    FileType.TRACE: ("diagmem overlap", ""),
    FileType.NETWORK: ("diagmem measure", ""),
    FileType.KERNEL: ("diagmem trace", ""),
    FileType.OVERLAPS: ("diagmem plan MODEL.tflite --overlaps", ""),
    FileType.RESULTS: ("diagmem report", "-o report.html"),
    FileType.BOARDS: ("diagmem fit MODEL.tflite --boards", ""),
    FileType.LOG: ("diagmem import", "-o T.dmt"),
    FileType.PROGRAM: ("diagmem trace --function NAME --", ""),
    FileType.ARRAYS: ("diagmem measure MODEL.tflite --inputs", ""),
}
"""What takes such a file: the words before its name and those behind it."""
_MAGIC = (
    (0, b"DIAGMEM\0", FileType.TRACE),
    (4, b"TFL3", FileType.NETWORK),
    (0, b"\x7fELF", FileType.PROGRAM),
    (0, b"\x93NUMPY", FileType.ARRAY),
    (0, b"\x1f\x8b", FileType.GZIP),
    (0, b"\xfd7zXZ\0", FileType.XZ),
    (0, b"PAR1", FileType.PARQUET),
    (0, b"\x89PNG", FileType.PNG),
    (0, b"%PDF-", FileType.PDF),
)
_TEXT = (
    (r'\s*\{.*"format"\s*:\s*"diagmem-overlaps"', FileType.OVERLAPS),
    (r"\s*[{\[]\s*[\"\]}]", FileType.JSON),
    (r"\s*(?:<\?xml.*)?<svg", FileType.SVG),
    (r"\s*<(?:!doctype )?html", FileType.HTML),
    (r"operator,kernels,\w", FileType.RESULTS),
    (r"\ufeff?(?=[^\n]*\bname\b)[^\n]*\bsram_bytes\b", FileType.BOARDS),
    (r"(?:==\d+==[^\n]*\n)*(?: [LSM]|I ) [0-9a-fA-F]+,\d+\n", FileType.LOG),
)


def file_type(path: Path) -> FileType | None:
    """What it is; None where that is none of the known types, or cannot be read."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except (OSError, ValueError):
        return None
    for at, magic, known in _MAGIC:
        if head[at:].startswith(magic):
            return known
    if head.startswith(b"PK\3\4"):
        # The name of the archive's first file.
        name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
        return FileType.ARRAYS if name.endswith(b".npy") else FileType.ZIP
    return _text_type(head)


def _text_type(head: bytes) -> FileType | None:
    # The last character may have been cut.
    text = head.decode("utf-8", "ignore") if len(head) == HEAD_BYTES else _decoded(head)
    for pattern, known in _TEXT:
        if re.match(pattern, text, re.DOTALL | re.IGNORECASE):
            return known
    import tomllib

    try:
        keys = tomllib.loads(text).keys()
    except (ValueError, RecursionError):
        return None
    return FileType.KERNEL if "function" in keys and keys & {"source", "argument"} else None


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return ""


def refuse_other(path: Path, *expected: FileType, maybe: Collection[FileType] = ()) -> None:
    """Say what a file is instead, and what takes it; nothing where that is not known.

    ``maybe`` are types that may hold what is expected.

    Raises
    ------
    DiagmemError
        The file is of a known type that is not expected.
    """
    kind = file_type(path)
    if kind is None or kind in (*expected, *maybe):
        return
    *some, last = expected
    wanted = f"{', '.join(some)} or {last}" if some else last
    use = ""
    if kind in _USES:
        before, behind = _USES[kind]
        use = f"; use {command(*before.split(), path, *behind.split())}"
    raise DiagmemError(f"{path}: is {kind}, expected {wanted}{use}")
