"""The table of micro-controllers, a CSV file that users edit."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from diagmem.base.errors import DiagmemError
from diagmem.base.filetypes import FileType, refuse_other
from diagmem.base.text import printable

COLUMNS = (
    "name",
    "vendor",
    "core",
    "sram_bytes",
    "largest_block_bytes",
    "flash_bytes",
    "source",
    "note",
)
REQUIRED = ("name", "sram_bytes")
MAX_BYTES = 1 << 40
MAX_FILE_BYTES = 1 << 24
MAX_CELL = 60
"""Characters of a cell that an error shows."""


@dataclass(frozen=True, slots=True)
class Board:
    """A micro-controller's own memory.

    Attributes
    ----------
    sram_bytes : RAM for data, in all banks.
    largest_block_bytes : the largest part of it with addresses in a row, where one
        arena can lie.
    flash_bytes : None where programs and weights lie in external flash, of any size.
    source : the document to look the figures up in.
    """

    name: str
    vendor: str
    core: str
    sram_bytes: int
    largest_block_bytes: int
    flash_bytes: int | None
    source: str
    note: str


def shipped_boards() -> tuple[Board, ...]:
    """The boards that come with diagmem, by SRAM."""
    text = files("diagmem.boards").joinpath("boards.csv").read_text(encoding="utf-8")
    return parse_boards(text, "boards.csv")


def read_boards(path: Path) -> tuple[Board, ...]:
    """The boards of a CSV file, by SRAM.

    The first line names the columns, in any order; `REQUIRED` must be there, and
    columns that are not of `COLUMNS` are left alone.

    Raises
    ------
    DiagmemError
        The file cannot be read, or a line is no board.
    """
    refuse_other(path, FileType.BOARDS)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise DiagmemError(f"{path}: is larger than {MAX_FILE_BYTES:,} bytes, expected boards")
        # Spreadsheets write a byte order mark in front.
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DiagmemError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DiagmemError(f"{path}: byte {error.start}: found no UTF-8, expected CSV") from None
    return parse_boards(text, str(path))


def parse_boards(text: str, place: str) -> tuple[Board, ...]:
    """What `read_boards` makes of a file's contents; complaints call it ``place``."""
    rows: dict[str, int] = {}
    boards = []
    for line, row in _rows(text, place):
        board = _board(row, f"{place}: line {line}")
        first = rows.setdefault(board.name.casefold(), line)
        if first != line:
            raise DiagmemError(
                f"{place}: line {line}: column name: found {_shown(board.name)} again, expected"
                f" each board once; it is in line {first} already"
            )
        boards.append(board)
    if not boards:
        raise DiagmemError(f"{place}: found no boards, expected a line for each")
    return tuple(sorted(boards, key=lambda board: (board.sram_bytes, board.name)))


def _rows(text: str, place: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    """The file's lines with their numbers, cells by the name of their column."""
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
    header: list[str] = []
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            where = f"{place}: line {reader.line_num}"
            if not header:
                header = cells
                _check_header(header, where)
            elif len(cells) != len(header):
                raise DiagmemError(
                    f"{where}: found {len(cells)} cells, expected {len(header)}, as many as columns"
                )
            else:
                yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise DiagmemError(f"{place}: line {reader.line_num}: is no CSV: {error}") from None


def _check_header(header: list[str], where: str) -> None:
    shown = _shown(",".join(header))
    for name in REQUIRED:
        if name not in header:
            raise DiagmemError(f"{where}: found columns {shown}, expected {name} among them")
    for name in COLUMNS:
        if header.count(name) > 1:
            raise DiagmemError(f"{where}: found column {name} twice, expected it once")


def _board(row: Mapping[str, str], where: str) -> Board:
    name = row["name"]
    if not name or not name.isprintable():
        raise DiagmemError(f"{where}: column name: found {_shown(name)}, expected a name")
    sram_bytes = _bytes(row["sram_bytes"], f"{where}: column sram_bytes")
    block = row.get("largest_block_bytes", "")
    block_bytes = _bytes(block, f"{where}: column largest_block_bytes") if block else sram_bytes
    if block_bytes > sram_bytes:
        raise DiagmemError(
            f"{where}: column largest_block_bytes: found {block_bytes}, expected at most the"
            f" {sram_bytes} of sram_bytes"
        )
    flash = row.get("flash_bytes", "")
    return Board(
        name=name,
        vendor=printable(row.get("vendor", "")),
        core=printable(row.get("core", "")),
        sram_bytes=sram_bytes,
        largest_block_bytes=block_bytes,
        flash_bytes=_bytes(flash, f"{where}: column flash_bytes") if flash else None,
        source=printable(row.get("source", "")),
        note=printable(row.get("note", "")),
    )


def _bytes(text: str, where: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 13 and 0 < int(text) <= MAX_BYTES):
        raise DiagmemError(
            f"{where}: found {_shown(text)}, expected bytes as a whole number from 1 to {MAX_BYTES}"
        )
    return int(text)


def _shown(text: str) -> str:
    return repr(text if len(text) <= MAX_CELL else text[:MAX_CELL] + "...")
