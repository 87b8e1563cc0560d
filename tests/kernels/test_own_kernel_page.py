"""``docs/own-kernel.md``: its example runs, its reference is whole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from diagmem.kernels.arguments import MAX_BUFFER_BYTES
from diagmem.kernels.cases import GUARD_BYTES
from diagmem.kernels.description import KEYS, load
from diagmem.kernels.dtypes import DTYPES
from diagmem.kernels.expressions import FUNCTIONS, MAX_CHARACTERS
from diagmem.proof.runs import Results, Runs
from diagmem.trace.window import Role

PAGE = (Path(__file__).parents[2] / "docs" / "own-kernel.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    [text, *_] = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return str(text)


@pytest.fixture
def example(tmp_path: Path) -> Path:
    (tmp_path / "window_sum.c").write_text(block("c"))
    (tmp_path / "window_sum.toml").write_text(block("toml"))
    return tmp_path


def test_example(example: Path) -> None:
    kernel = load(example / "window_sum.toml")
    assert [trial.holds for trial in Runs(Results(kernel, range(3))).each(range(38))] == [
        False
    ] * 36 + [True] * 2
    other = load(example / "window_sum.toml", {"length": "64", "window": "3", "flags": "-O3"})
    assert [trial.holds for trial in Runs(Results(other, range(3))).each([60, 61])] == [False, True]


def test_python(
    example: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(example)
    exec(compile(block("python"), "own-kernel.md", "exec"), {})
    assert capsys.readouterr().out.startswith("True\n100 [")


def test_reference_is_whole() -> None:
    words = set(re.findall(r"`([^`\n]+)`", PAGE))
    assert set(KEYS) <= words
    assert {role.value for role in Role} <= words
    assert set(DTYPES) <= words
    assert {"name", "pass", "fields", "null = true", "bytes", "value", "fill"} <= words
    for function in FUNCTIONS:
        assert any(word.startswith(f"{function}(") for word in words)
    assert f"at most {MAX_CHARACTERS} characters" in PAGE
    assert f"{GUARD_BYTES} bytes of guard zone" in PAGE
    assert MAX_BUFFER_BYTES == 2**30
    assert "1 GiB in all" in PAGE
