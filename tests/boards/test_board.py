"""The table of boards: what is shipped, and what users may get wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagmem.base.errors import DiagmemError
from diagmem.boards.board import COLUMNS, Board, parse_boards, read_boards, shipped_boards

HEADER = "name,sram_bytes,largest_block_bytes,flash_bytes\n"


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "mine.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_the_shipped_table() -> None:
    boards = shipped_boards()
    assert len(boards) >= 40
    assert [b.sram_bytes for b in boards] == sorted(b.sram_bytes for b in boards)
    for board in boards:
        assert all((board.name, board.vendor, board.core, board.source)), board
        assert board.sram_bytes % 1024 == board.largest_block_bytes % 1024 == 0, board
        assert ("external flash" in board.note) == (board.flash_bytes is None), board
        if board.largest_block_bytes < board.sram_bytes:
            assert board.note, f"{board.name}: why is not all of it one block?"


def test_columns_in_any_order_and_more_of_them(tmp_path: Path) -> None:
    text = "\ufeffprice,flash_bytes,sram_bytes,name\n\n9.99,,2000, b \n7,300,1000,a\n"
    first, second = read_boards(written(tmp_path, text))
    assert first == Board("a", "", "", 1000, 1000, 300, "", "")
    assert second == Board("b", "", "", 2000, 2000, None, "", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "mine.csv: found no boards, expected a line for each"),
        (HEADER, "mine.csv: found no boards, expected a line for each"),
        ("name;sram_bytes\n", "line 1: found columns 'name;sram_bytes', expected name among them"),
        ("name,vendor\na,b\n", "line 1: found columns 'name,vendor', expected sram_bytes among"),
        ("name,name,sram_bytes\n", "line 1: found column name twice, expected it once"),
        (HEADER + "a,1,1\n", "line 2: found 3 cells, expected 4"),
        (HEADER + "a,1,1,1,1\n", "line 2: found 5 cells, expected 4"),
        (HEADER + ",1,1,1\n", "line 2: column name: found '', expected a name"),
        (HEADER + "a,64K,1,1\n", "line 2: column sram_bytes: found '64K', expected bytes as a"),
        (HEADER + "a,,1,1\n", "line 2: column sram_bytes: found '', expected bytes as a whole"),
        (HEADER + "a,1.5,1,1\n", "line 2: column sram_bytes: found '1.5', expected bytes"),
        (HEADER + "a,0,,1\n", "line 2: column sram_bytes: found '0', expected bytes"),
        (HEADER + "a,-8,,1\n", "line 2: column sram_bytes: found '-8', expected bytes"),
        (HEADER + "a,\u0663,,1\n", "line 2: column sram_bytes: found '\u0663', expected bytes"),
        (HEADER + f"a,{'1' + 5000 * '0'},,1\n", "line 2: column sram_bytes: found '1000"),
        (HEADER + "a,8,9,1\n", "line 2: column largest_block_bytes: found 9, expected at most"),
        (HEADER + "a,8,8,no\n", "line 2: column flash_bytes: found 'no', expected bytes"),
        (
            HEADER + "a,8,8,8\nb,8,8,8\nA,9,9,9\n",
            "line 4: column name: found 'A' again, expected each board once; it is in line 2",
        ),
        (HEADER + 'a,"8\n', "mine.csv: line 2: is no CSV"),
        (b"name\xff", "mine.csv: byte 4: found no UTF-8, expected CSV"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(DiagmemError) as error:
        read_boards(written(tmp_path, text))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(DiagmemError, match=r"cannot be read: "):
            read_boards(path)


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.text('a1,"\n\r\0 '))
def test_any_text_is_boards_or_one_line_of_complaint(text: str) -> None:
    for whole in (text, HEADER + text, ",".join(COLUMNS) + "\n" + text):
        said = ""
        try:
            assert parse_boards(whole, "mine.csv")
        except DiagmemError as error:
            said = str(error)
        assert "\n" not in said
