"""Names out of files, such that a terminal, a table and a spreadsheet take them for text."""

from __future__ import annotations


def printable(text: str) -> str:
    """With every character that is not printable as Python escapes it: ``\\x1b``, ``\\n``.

    No sequence reaches a terminal, and what should be one line stays one.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def printable_lines(text: str) -> str:
    """The same for a message of several lines."""
    return "\n".join(printable(line.replace("\t", " ")) for line in text.split("\n"))


def counted(count: int, noun: str) -> str:
    """``1 window``, ``2,000 windows``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def cell(text: str) -> str:
    """For CSV: a spreadsheet takes a cell that begins with one of these for a formula."""
    text = printable(text)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
