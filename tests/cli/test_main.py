"""The command line as a whole; each verb's own behaviour is tested beside its module."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from diagmem import __version__
from diagmem.cli import main as cli

DOCS = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
HEAVY = {"numpy", "pandas", "matplotlib", "pyarrow", "elftools", "zstandard"}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "diagmem.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([verb, "--help"])
    assert stop.value.code == 0
    assert f"usage: diagmem {verb}" in capsys.readouterr().out


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_is_in_the_docs(verb: str) -> None:
    assert f"## `diagmem {verb}`" in DOCS.read_text(encoding="utf-8")


def test_help_names_every_verb_and_what_it_is_for() -> None:
    done = run("--help")
    assert done.returncode == 0
    for verb, summary in cli.VERBS.items():
        assert verb in done.stdout
        assert summary.split()[0] in done.stdout


def test_no_verb_is_a_question_for_help() -> None:
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == run("--help").stdout


def test_an_unknown_verb_is_a_wrong_call() -> None:
    done = run("nosuchverb")
    assert (done.returncode, done.stdout) == (2, "")
    assert "nosuchverb" in done.stderr
    assert "Traceback" not in done.stderr


def test_version() -> None:
    assert run("--version").stdout == f"diagmem {__version__}\n"


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from diagmem.cli.main import main\n"
        "try:\n"
        "    main(['--help'])\n"
        "finally:\n"
        "    print(*sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    imported = set(done.stderr.split())
    assert "diagmem.cli.main" in imported
    assert not imported & HEAVY


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """``diagmem`` in a shell line, its streams where the line says."""
    line = line.replace("diagmem", f"{shlex.quote(sys.executable)} -m diagmem.cli.main")
    return subprocess.run(
        ["sh", "-c", line], cwd=folder, capture_output=True, text=True, check=False
    )


def test_a_full_disk_at_standard_output_says_so_once(tmp_path: Path) -> None:
    """Neither lost without a word nor told twice, by the interpreter at its end."""
    done = shell("diagmem formula > /dev/full", tmp_path)
    assert done.stderr == "diagmem formula: No space left on device\n"
    assert done.returncode == 2


@pytest.mark.parametrize(
    "words", ["formula NO 2> /dev/full", "formula > /dev/full 2>&1", "formula --no 2> /dev/full"]
)
def test_nobody_to_tell(words: str, tmp_path: Path) -> None:
    done = shell(f"diagmem {words}", tmp_path)
    assert (done.returncode, done.stdout + done.stderr) == (2, "")


@pytest.mark.parametrize("words", ["formula", "formula --json", "--help"])
def test_a_closed_standard_output(words: str, tmp_path: Path) -> None:
    done = shell(f"diagmem {words} >&-", tmp_path)
    assert done.stderr == "diagmem: standard output is closed, expected it open\n"
    assert done.returncode == 2


def test_the_other_streams_may_be_closed(tmp_path: Path) -> None:
    """What is said to people does not end up among the data, nor in a file."""
    data = shell("diagmem formula --json", tmp_path).stdout
    for closed in ("2>&-", "<&-", "<&- 2>&-"):
        done = shell(f"diagmem formula --json {closed}", tmp_path)
        assert (done.returncode, done.stdout) == (0, data)
    wrong = shell("diagmem formula NO 2>&-", tmp_path)
    assert (wrong.returncode, wrong.stdout) == (2, "")


def test_results_come_before_the_hint_in_one_file(tmp_path: Path) -> None:
    done = shell("diagmem formula > all 2>&1", tmp_path)
    assert done.returncode == 0
    lines = (tmp_path / "all").read_text().splitlines()
    assert lines[0] == "ABS"
    assert [i for i, line in enumerate(lines) if line.startswith("next:")] == [len(lines) - 1]


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    name = "$(printf '\\377.tflite')"
    done = shell(f"diagmem zoo write mobilenet_v1_0.25_128_int8 --graph -o {name}", tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert done.stdout.startswith(r"\udcff.tflite: ")
    assert os.listdir(os.fsencode(tmp_path)) == [b"\xff.tflite"]
