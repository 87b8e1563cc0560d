"""Reading what ``valgrind --tool=lackey --trace-mem=yes`` writes.

One line for each instruction and each access, with a hexadecimal address and a
decimal size in bytes::

    I  04001000,3
     L 1ffefffe70,8
     S 1ffefffe68,8
     M 0421c7cc,1

A modify (``M``) is a load and then a store.  Valgrind's own messages and the
traced program's output may stand between such lines; they are passed over.  A line
with an access behind other text is refused: to pass over it would lose the access.
"""

from __future__ import annotations

import gzip
import lzma
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from diagmem.base.errors import DiagmemError
from diagmem.trace.window import BoolArray, Int64Array

CHUNK_BYTES = 16 << 20
MAX_ADDRESS_DIGITS = 16
MAX_SIZE_DIGITS = 6
_KINDS = {b"I  ": 0, b" L ": 1, b" S ": 2, b" M ": 3}
_GLUED = re.compile(rb"(I  | [LSM] )[0-9a-fA-F]{1,16},[0-9]{1,6}$")
_DIGIT = np.full(256, 255, np.uint8)
_DIGIT[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)
_DIGIT[np.frombuffer(b"ABCDEF", np.uint8)] = np.arange(10, 16)


@dataclass(frozen=True, slots=True)
class LogLines:
    """Consecutive lines of a log that tell of an instruction or an access.

    ``address`` int64, ``size`` int64 (bytes), ``instruction``, ``load`` and
    ``store`` bool (a modify is both), all of one length.
    """

    address: Int64Array
    size: Int64Array
    instruction: BoolArray
    load: BoolArray
    store: BoolArray


@dataclass(slots=True)
class LackeyLog:
    """A log, read in pieces of bounded size.

    ``lines`` and ``passed_over`` count what was read so far; ``torn`` says that
    the last line has no end: whoever wrote the log was stopped.
    """

    path: Path
    lines: int = 0
    passed_over: int = 0
    torn: bool = field(default=False)

    def read(self) -> Iterator[LogLines]:
        """All lines, in order.

        Raises
        ------
        DiagmemError
            The file cannot be read, or a line begins like an access and is none.
        """
        try:
            with _opened(self.path) as file:
                rest = b""
                while piece := file.read(CHUNK_BYTES):
                    end = piece.rfind(b"\n") + 1
                    if end:
                        yield self._lines(rest + piece[:end])
                        rest = piece[end:]
                    else:
                        rest += piece
                        if len(rest) > 4 * CHUNK_BYTES:
                            raise self._wrong(self.lines + 1, "a line without an end")
                self.torn = bool(rest)
        except (OSError, EOFError, lzma.LZMAError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise DiagmemError(f"{self.path}: cannot read: {why}") from None

    def _lines(self, text: bytes) -> LogLines:
        data = np.frombuffer(text, np.uint8)
        end = np.flatnonzero(data == ord("\n"))
        start = np.concatenate([[0], end[:-1] + 1])
        kind = _kinds(data, start, end)
        chosen = np.flatnonzero(kind >= 0)
        address, size, good = _numbers(data, start[chosen] + 3, end[chosen])
        if not good.all():
            bad = int(chosen[int(np.argmin(good))])
            line = text[start[bad] : end[bad]].decode("latin-1")
            raise self._wrong(self.lines + bad + 1, f"{line!r:.60}")
        for other in np.flatnonzero(kind < 0).tolist():
            passed = text[start[other] : end[other]]
            if _GLUED.search(passed):
                raise self._wrong(
                    self.lines + other + 1,
                    f"an access behind other text, {passed.decode('latin-1')!r:.60}",
                )
        self.lines += len(end)
        self.passed_over += len(end) - len(chosen)
        kind = kind[chosen]
        return LogLines(address, size, kind == 0, (kind == 1) | (kind == 3), kind >= 2)

    def _wrong(self, line: int, found: str) -> DiagmemError:
        return DiagmemError(
            f"{self.path}: line {line}: found {found}, expected an access as lackey writes it,"
            " ' L 1ffefffe70,8'"
        )


def _opened(path: Path) -> IO[bytes] | gzip.GzipFile | lzma.LZMAFile:
    if str(path) == "-":
        return sys.stdin.buffer
    if path.suffix == ".gz":
        return gzip.open(path, "rb")
    if path.suffix == ".xz":
        return lzma.open(path, "rb")
    return path.open("rb")


def _kinds(data: npt.NDArray[np.uint8], start: Int64Array, end: Int64Array) -> npt.NDArray[np.int8]:
    """By the first three characters; -1 for lines of others."""
    kinds = np.full(len(start), -1, np.int8)
    long = np.flatnonzero(end - start > 3)
    first, second, third = (data[start[long] + i].astype(np.int64) for i in range(3))
    code = first << 16 | second << 8 | third
    for text, kind in _KINDS.items():
        kinds[long[code == int.from_bytes(text, "big")]] = kind
    return kinds


def _numbers(
    data: npt.NDArray[np.uint8], start: Int64Array, end: Int64Array
) -> tuple[Int64Array, Int64Array, BoolArray]:
    """Address and size of each line, and whether it is written as it should be."""
    commas = np.append(np.flatnonzero(data == ord(",")), len(data))
    comma = np.minimum(commas[np.searchsorted(commas, start)], end)
    address, hexadecimal = _number(data, start, comma, MAX_ADDRESS_DIGITS, 16)
    size, decimal = _number(data, np.minimum(comma + 1, end), end, MAX_SIZE_DIGITS, 10)
    return address, size, hexadecimal & decimal & (size > 0) & (address >= 0)


def _number(
    data: npt.NDArray[np.uint8], start: Int64Array, end: Int64Array, digits: int, base: int
) -> tuple[Int64Array, BoolArray]:
    length = end - start
    good = (length > 0) & (length <= digits)
    value = np.zeros(len(start), np.int64)
    for i in range(int(min(length.max(initial=0), digits))):
        here = np.flatnonzero(length > i)
        digit = _DIGIT[data[start[here] + i]]
        good[here[digit >= base]] = False
        value[here] = value[here] * base + digit
    return value, good
