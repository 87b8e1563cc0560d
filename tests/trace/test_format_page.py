"""``docs/trace-format.md`` says what the code does: the same fields, widths,
records and invariants, in the same order."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from diagmem.trace import format as fmt
from diagmem.trace.cells import MAX_CELL_BYTES
from diagmem.trace.invariants import INVARIANTS
from diagmem.trace.records import RECORDS
from diagmem.trace.spans import SPAN_GAP, WIDE_SPAN_BYTES
from diagmem.trace.window import Role

PAGE = Path(__file__).resolve().parents[2] / "docs" / "trace-format.md"
TEXT = PAGE.read_text(encoding="utf-8")
DTYPES = {
    name: value
    for name, value in vars(fmt).items()
    if isinstance(value, np.dtype) and value.names is not None
}


def rows_after(mark: str) -> list[list[str]]:
    """The rows of the table that follows a mark, without its two head lines."""
    lines = TEXT[TEXT.index(mark) + len(mark) :].split("\n")
    first = next(i for i, line in enumerate(lines) if line.startswith("|"))
    found = []
    for line in lines[first + 2 :]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return found


def described(dtype: np.dtype[np.void]) -> list[tuple[str, str]]:
    """Field and type of each field, as the page writes them."""
    fields = []
    for name in dtype.names or ():
        base, shape = dtype[name].base, dtype[name].shape
        times = f" × {shape[0]}" if shape else ""
        fields.append((f"`{name}`", f"`{base.kind}{base.itemsize}`{times}"))
    return fields


@pytest.mark.parametrize("name", DTYPES)
def test_the_tables_are_the_record_types(name: str) -> None:
    shown = [(row[0], row[1]) for row in rows_after(f"<!-- dtype: {name} -->")]
    assert shown == described(DTYPES[name])
    assert all(DTYPES[name][field].base.byteorder in "<|=" for field in DTYPES[name].names or ())


def test_the_sizes_in_the_text() -> None:
    sizes = {name: dtype.itemsize for name, dtype in DTYPES.items()}
    assert sizes == {
        "BLOCK": 32,
        "EVENTS_HEAD": 24,
        "SEGMENT": 24,
        "COLUMN": 16,
        "SUMMARY_HEAD": 40,
    }
    for sentence in (
        "32 bytes before each block's payload",
        "The head, 24 bytes",
        "A segment, 24 bytes",
        "A column head, 16 bytes",
        "A head of 40 bytes",
        f"no more than {SPAN_GAP} bytes behind",
        f"2^{WIDE_SPAN_BYTES.bit_length() - 1} bytes or more has differences of 8 bytes",
        f"at most 2^{fmt.MAX_EVENTS.bit_length() - 1} events",
        f"2^{fmt.MAX_SEGMENTS.bit_length() - 1} segments",
        *(f"{t.name} 2^{n.bit_length() - 1}" for t, n in fmt.MAX_PLAIN_BYTES.items()),
        f"at most 2^{fmt.MAX_RECORD_BYTES.bit_length() - 1} bytes",
        f"2^{fmt.max_meta_bytes(0).bit_length() - 1} plus 256 times",
        f"2^{fmt.max_records(0).bit_length() - 1} plus 2 for each byte",
        f"or {MAX_CELL_BYTES} |",
    ):
        assert sentence in TEXT


def test_the_file_header() -> None:
    shown = [(row[0], row[1]) for row in rows_after("### File header")]
    assert shown == [("`magic`", "8 bytes"), ("`version`", "`u4`"), ("`reserved`", "`u4`")]
    assert fmt.FILE_HEADER.size == 16
    assert fmt.MAGIC == b"DIAGMEM\0"


def test_the_block_types_and_versions() -> None:
    for kind in fmt.BlockType:
        assert f"{kind.value} {kind.name}" in TEXT
        assert f"### {kind.name}\n" in TEXT
    versions = [int(row[0]) for row in rows_after("## Versions")]
    assert versions == list(range(1, fmt.VERSION + 1))


@pytest.mark.parametrize("name", RECORDS)
def test_the_tables_of_records(name: str) -> None:
    shown = [(row[0], row[1]) for row in rows_after(f"<!-- record: {name} -->")]
    expected = [
        (f"`{key}`" + "?" * (not field.required), field.kind)
        for key, field in RECORDS[name].items()
    ]
    assert shown == expected


def test_the_words_of_records() -> None:
    for word in (*fmt.KINDS, *Role):
        assert f"`{word}`" in TEXT


def test_the_invariants() -> None:
    assert {row[0].strip("`"): row[1] for row in rows_after("## Invariants")} == INVARIANTS
    assert [row[0].strip("`") for row in rows_after("## Invariants")] == list(INVARIANTS)


def test_the_links_lead_somewhere() -> None:
    anchors = {
        re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= anchors
