"""A user's mistake: one line on stderr, exit code 2, nothing lost."""

from __future__ import annotations

import ast
import os
import shlex
from functools import partial
from pathlib import Path

import pytest

from diagmem.cli.main import main
from diagmem.trace.window import Buffer, Role
from tests.cli.conftest import wrong_call
from tests.trace.compose import SyntheticWindow, compose

fails = partial(wrong_call, [])

BUFFERS = (Buffer("x", Role.INPUT, 0x1000, 64), Buffer("y", Role.OUTPUT, 0x2000, 64))


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "a trace.dmt"
    windows = [
        SyntheticWindow("copy", BUFFERS, [0x1000, 0x2000], [8, 8], [False, True]),
        SyntheticWindow("other", BUFFERS, [], [], []),
    ]
    compose(path, windows)
    return path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nonsense"], "invalid choice"),
        (["overlap"], "arguments are required: T.dmt; see diagmem overlap --help"),
        (["overlap", "T", "--window", "abc"], "--window: invalid int value"),
        (["trace"], "expected KERNEL, or -- and a PROGRAM"),
        (["trace", "relu_f32", "--seed", "-1"], "argument --seed"),
        (["trace", "relu_f32", "--", "true"], "expected a KERNEL or a PROGRAM"),
        (["trace", "relu_f32", "--function", "f"], "--function goes with -- PROGRAM"),
        (["trace", "relu_f32", "--all"], "--all goes with -- PROGRAM"),
        (["trace", "--all", "--mode", "summary", "--", "true"], "--all goes with --mode events"),
        (["prove", "relu_f32", "--input", "nope"], "no input 'nope', expected input"),
        (["info", "no-such-file"], "cannot read it: No such file or directory"),
    ],
)
def test_wrong_calls(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], valgrind_tool: object
) -> None:
    assert said in fails(words, capsys)


def test_only_plain_files_are_replaced(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link, pipe, other = tmp_path / "link.csv", tmp_path / "pipe.csv", tmp_path / "other.csv"
    other.write_text("kept")
    link.symlink_to(other)
    os.mkfifo(pipe)
    for output in (link, pipe):
        assert "is a link or a device" in fails(
            ["export", str(trace), "-o", str(output), "--force"], capsys
        )
    assert other.read_text() == "kept"
    assert pipe.is_fifo()


def test_an_input_is_never_the_output(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = trace.read_bytes()
    for verb in ("export", "heatmap"):
        said = fails([verb, str(trace), "-o", str(trace), "--force"], capsys)
        assert "is the input itself" in said or "expected .p" in said
    assert trace.read_bytes() == before


def test_a_window_that_touched_nothing_says_nothing(
    trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["overlap", str(trace), "--window", "1"]) == 0
    out, err = capsys.readouterr()
    assert "no overlap: the window touched neither of the two" in out
    assert "D   =" not in out
    # The hint is a command that can be pasted.
    assert f"diagmem heatmap '{trace}'" in err


def test_aligned_overlap(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["overlap", str(trace), "--window", "0", "--align", "48"]) == 0
    out = capsys.readouterr().out
    assert "D   = 64 B" in out
    assert "aligned to 48" in out
    assert "D   = 96 B, O_s = 0 B" in out


@pytest.mark.parametrize("verb", ["info", "overlap", "validate", "export", "heatmap", "report"])
def test_hints_are_for_a_shell(
    verb: str, trace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pasted, they run diagmem on that file and nothing else."""
    monkeypatch.chdir(trace.parent)
    name = "a;touch PWNED 'x' $(touch PWNED).dmt"
    trace.rename(name)
    output = f"{name}.{ {'export': 'parquet', 'heatmap': 'png', 'report': 'html'}.get(verb) }"
    written = ["-o", output] if verb in ("export", "heatmap", "report") else []
    if written:
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    assert main([verb, name, *written]) == 0
    *_, line = capsys.readouterr().err.splitlines()
    words = shlex.split(line.removeprefix("next: "), comments=True)
    assert words[0] in ("diagmem", "python", "xdg-open")
    ours = [word for word in words if "PWNED" in word]
    if verb == "export":
        assert ast.literal_eval(ours[0].partition("read_parquet(")[2].rstrip(")")) == output
    elif verb != "heatmap":
        assert ours[0] in (name, output)
    assert "PWNED" not in os.listdir()
