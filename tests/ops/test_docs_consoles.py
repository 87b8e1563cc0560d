"""``docs/formulas.md`` and ``docs/add-an-operator.md``: every block of code is run."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import textwrap
from pathlib import Path

import pytest

from diagmem.cli.main import main
from diagmem.record.tool import Tool

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("formulas.md", "add-an-operator.md")


def sessions(page: str) -> list[tuple[str, str]]:
    """Commands and what the page says they print."""
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```console\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [
        (command, shown)
        for block in blocks
        for command, shown in re.findall(
            r"^\$ ([^\n]*)\n(.*?)(?=^\$ |\Z)", block, re.DOTALL | re.MULTILINE
        )
    ]


@pytest.mark.parametrize(("command", "shown"), [s for page in PAGES for s in sessions(page)])
def test_console_block(command: str, shown: str, valgrind_tool: Tool) -> None:
    """``check`` traces, so the tool is needed."""
    program, *words = shlex.split(command)
    assert program == "diagmem"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        assert main(words) == 0
    assert printed.getvalue() == shown


def test_the_example_operator(capsys: pytest.CaptureFixture[str]) -> None:
    page = (DOCS / "add-an-operator.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^ *```python\n(.*?)^ *```$", page, re.DOTALL | re.MULTILINE)
    exec(compile(textwrap.dedent(block), "add-an-operator.md", "exec"), {})
    printed = capsys.readouterr().out.strip()
    assert printed.startswith("10 Limit(")
    assert f"`{printed}`" in page


def test_pages_have_console_blocks() -> None:
    assert all(len(sessions(page)) >= 3 for page in PAGES)
