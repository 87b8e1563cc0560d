"""Nothing outlives the call that started it, however that ends; Ctrl-C is told as such."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from diagmem.base.children import bound
from tests.tflite.build import small

pytestmark = pytest.mark.usefixtures("valgrind_tool")

WAIT_SECONDS = 60
CHECK = ["check", "--op", "CONV_2D", "--kernels", "c", "--cases", "200", "--jobs", "2"]


def descendants(pid: int) -> list[int]:
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [n for child in map(int, found) for n in (child, *descendants(child))]


def program(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def until(what: Callable[[], object], whatever: subprocess.Popen[str]) -> None:
    for _ in range(WAIT_SECONDS * 50):
        if what():
            return
        time.sleep(0.02)
    pytest.fail(f"{whatever.args!r}: it did not come to that")


class Call:
    """A call of diagmem that has its processes started, and is then ended."""

    def __init__(self, words: list[str], directory: Path, started: int) -> None:
        self.scratch = directory / "scratch"
        self.scratch.mkdir()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "diagmem.cli.main", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=directory,
            env={**os.environ, "TMPDIR": str(self.scratch)},
            start_new_session=True,
        )
        self.children: list[int] = []
        until(lambda: self._has_started(started), self.process)

    def _has_started(self, wanted: int) -> bool:
        """What is looked at once is kept: a process may end before a second look."""
        self.children = descendants(self.process.pid)
        return len(self.children) >= wanted or not runs(self.process.pid)

    def end(self, number: signal.Signals, *, everyone: bool = False) -> tuple[int, str]:
        """Exit code, and what it said last; ``everyone``: as a terminal's Ctrl-C does."""
        (os.killpg if everyone else os.kill)(self.process.pid, number)
        said, _ = self.process.communicate(timeout=WAIT_SECONDS)
        return self.process.returncode, said.splitlines()[-1] if said else ""

    def none_is_left(self) -> None:
        assert self.children
        until(lambda: not any(map(runs, self.children)), self.process)


@pytest.fixture
def call(tmp_path: Path) -> Iterator[Callable[..., Call]]:
    calls: list[Call] = []

    def start(*words: str, started: int = 1) -> Call:
        calls.append(Call(list(words), tmp_path, started))
        return calls[-1]

    yield start
    for one in calls:
        for pid in (one.process.pid, *one.children):
            if runs(pid):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("number", "everyone"),
    [
        (signal.SIGINT, False),
        (signal.SIGINT, True),
        (signal.SIGTERM, False),
        (signal.SIGKILL, False),
    ],
)
def test_workers_end_with_check(
    number: signal.Signals, everyone: bool, call: Callable[..., Call]
) -> None:
    one = call(*CHECK, started=3)  # two workers, and what one of them runs
    ended = one.end(number, everyone=everyone)
    one.none_is_left()
    said = {
        signal.SIGINT: (130, "diagmem check: interrupted"),
        signal.SIGTERM: (143, "diagmem check: ended by SIGTERM"),
        signal.SIGKILL: (-9, ""),
    }
    assert ended == said[number]
    if number != signal.SIGKILL:
        # A compiler ends when it is done, and removes what is its own.
        until(lambda: not list(one.scratch.iterdir()), one.process)


def test_a_worker_that_is_killed_is_said(call: Callable[..., Call]) -> None:
    # At work: one that has only just been forked may miss the signal that ends it, too.
    one = call(*CHECK, started=3)
    os.kill(one.children[0], signal.SIGKILL)
    said, _ = one.process.communicate(timeout=WAIT_SECONDS)
    assert one.process.returncode == 2
    assert said.startswith("diagmem check: a worker process was ended from outside")
    assert said.count("\n") == 1
    one.none_is_left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_network_that_is_being_measured(
    number: signal.Signals, call: Callable[..., Call], tmp_path: Path
) -> None:
    pytest.importorskip("tflite_micro", reason="tflite-micro is not installed")
    (tmp_path / "net.tflite").write_bytes(small().file())
    one = call("measure", "net.tflite", "-o", "o.json")
    code, said = one.end(number)
    one.none_is_left()
    if number == signal.SIGINT:
        assert (code, said) == (130, "diagmem measure: interrupted")
        assert {path.name for path in tmp_path.iterdir()} == {"net.tflite", "scratch"}
        assert list(one.scratch.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_proof_is_no_result(
    number: signal.Signals, call: Callable[..., Call]
) -> None:
    one = call("prove", "conv_2d_int8", "in_h=24", "in_w=20")
    code, said = one.end(number, everyone=True)
    one.none_is_left()
    ended = "interrupted" if number == signal.SIGINT else "ended by SIGTERM"
    assert (code, said) == (128 + number, f"diagmem prove: {ended}")


def test_any_program_ends_with_its_starter() -> None:
    """Not when it writes next, but at once."""
    script = f"import subprocess; subprocess.run({bound(['sleep', '1000'])!r})"
    process = subprocess.Popen([sys.executable, "-c", script], text=True)
    until(lambda: [program(child) for child in descendants(process.pid)] == ["sleep"], process)
    (child,) = descendants(process.pid)
    process.kill()
    process.wait()
    until(lambda: not runs(child), process)
