"""Files that are there whole or not at all: written beside their place, then moved there."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from io import BufferedWriter
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

from diagmem.base.errors import DiagmemError

JsonObject = dict[str, Any]
"""As a JSON file, or a result printed as JSON, has it."""
STDOUT = Path("-")
"""As an output: standard output."""
_NAME_CHARACTERS = 40
"""Of the output's name in that of its part: a name has 255 bytes at most."""
_new: ContextVar[frozenset[Path]] = ContextVar("outputs that nothing may have", default=frozenset())


def state_of(path: Path) -> tuple[int, int]:
    """Time of the last change and size in bytes; what is not there has neither.  What was
    read of a file stands as long as both are the same."""
    try:
        file = path.stat()
    except OSError:
        return 0, 0
    return file.st_mtime_ns, file.st_size


def expect_new(path: Path) -> None:
    """From now on, in this context, ``path`` is written only while no file has that name."""
    _new.set(_new.get() | {path})


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which is ``path`` once the block is left.

    If the block is left by an exception, of whatever kind, nothing remains of it and an
    older file stays as it was.  `STDOUT` is written as it comes.

    Raises
    ------
    DiagmemError
        The file cannot be written, or is there although it was to be new (`expect_new`).
    """
    if path == STDOUT:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with beside(path) as part:
        yield part.file
        part.take(path)


@dataclass(frozen=True, slots=True)
class PartFile:
    """A new file in a folder, under a name that nobody else uses."""

    path: Path
    file: BufferedWriter

    def take(self, place: Path) -> None:
        """Move it to ``place``, an older file is replaced."""
        self.file.close()
        if place in _new.get():
            try:
                _move_to_new(self.path, place)
            except FileExistsError:
                raise DiagmemError(
                    f"{place}: another program wrote it meanwhile; give --force to overwrite it"
                ) from None
        else:
            self.path.replace(place)

    def take_free(self, place: Path, word: str) -> Path:
        """Move it to ``place`` or, where that is taken, to ``NAME.word.ENDING``,
        ``NAME.word-2.ENDING`` and so on; which of them it is."""
        self.file.close()
        free = place
        for number in count(1):
            with contextlib.suppress(FileExistsError):
                _move_to_new(self.path, free)
                break
            nth = f"-{number}" if number > 1 else ""
            free = place.with_name(f"{place.stem}.{word}{nth}{place.suffix}")
        return free


@contextlib.contextmanager
def beside(path: Path) -> Iterator[PartFile]:
    """A part that is gone when the block is left, unless it has taken a place.

    Should the process be killed, the part stays as ``.NAME.RANDOM.part``.

    Raises
    ------
    DiagmemError
        The part cannot be made, written or moved; the message names ``path``.
    """
    part = path.with_name(f".{path.name[:_NAME_CHARACTERS]}.{secrets.token_hex(8)}.part")
    file: BufferedWriter | None = None
    try:
        # "x": neither an existing file nor what a link leads to is ever opened.
        file = part.open("xb")
        yield PartFile(part, file)
    except OSError as error:
        if error.filename is not None and Path(error.filename) != part:
            raise  # another file's
        raise DiagmemError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        if file is not None:
            # What is still buffered is given up: its finalizer would try to write it again.
            file.raw.close()
            with contextlib.suppress(OSError):
                part.unlink()


def _move_to_new(part: Path, place: Path) -> None:
    """Rename, but never over another file.

    Raises
    ------
    FileExistsError
        Something has that name.
    """
    try:
        os.link(part, place)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links: there, looking and moving are two steps.
        if os.path.lexists(place):
            raise FileExistsError(place) from None
        part.rename(place)
    else:
        part.unlink()
