"""The command line as a whole; each verb's own behaviour is tested beside its module."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from diagmem import __version__
from diagmem.cli import main as cli

DOCS = Path(__file__).resolve().parents[1] / "docs" / "cli.md"
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
