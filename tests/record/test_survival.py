"""Whatever ends a recording: what was recorded is there, or is said to be cut."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import diagmem
from diagmem import recording
from diagmem.trace.validate import validate

from .conftest import compile_c

pytestmark = pytest.mark.usefixtures("valgrind_tool")

DIAGMEM = [sys.executable, "-m", "diagmem.cli.main"]
WHOLE = 512  # events of a window that was not disturbed


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_c("ends.c", tmp_path_factory.mktemp("ends") / "ends")


def command(program: Path, to: Path, *words: str, mode: str = "events") -> list[str]:
    places = ["--input", "in=symbol:in", "--output", "out=symbol:out"]
    options = ["-o", str(to), "--force", "--mode", mode, "--function", "kernel", *places]
    return [*DIAGMEM, "trace", *options, "--", str(program), *words]


def trace(
    program: Path, to: Path, *words: str, mode: str = "events"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(program, to, *words, mode=mode), capture_output=True, text=True, check=False
    )


def first_window_is_whole(path: Path) -> None:
    """The window before the disaster gives its answer."""
    assert validate(path).valid
    with diagmem.open_trace(path) as opened:
        window = opened.windows[0]
        assert (window.end, window.events) == ("returned", WHOLE)
        (pair,) = opened.overlaps(0)[0].pairs
        assert (pair.exact, pair.min_displacement_bytes) == (True, 0)
        for later in opened.windows[1:]:
            (pair,) = opened.overlaps(later.index)[0].pairs
            assert (pair.exact, pair.safe_overlap_bytes) == (False, 0)


# A summary is sent when its window closes, which not every end allows for.
@pytest.mark.parametrize(
    ("how", "mode"),
    [
        ("SIGSEGV", "events"),
        ("SIGSEGV", "summary"),
        ("SIGABRT", "events"),
        ("SIGKILL", "events"),
        ("SIGKILL", "summary"),
        ("SIGTERM", "events"),
    ],
)
def test_a_signal_ends_the_program(how: str, mode: str, program: Path, tmp_path: Path) -> None:
    done = trace(program, tmp_path / "t.dmt", how, mode=mode)
    assert done.returncode == 1
    assert f"warning: the recording was cut: the program ended with signal {how}\n" in done.stderr
    assert "Traceback" not in done.stderr
    with diagmem.open_trace(tmp_path / "t.dmt") as opened:
        assert not opened.complete
        assert how in opened.cut
        assert len(opened.windows) == 2
    first_window_is_whole(tmp_path / "t.dmt")


@pytest.mark.parametrize("how", ["exit", "_exit"])
def test_the_program_leaves(how: str, program: Path, tmp_path: Path) -> None:
    """Nothing is lost, but the second call did not return."""
    done = trace(program, tmp_path / "t.dmt", how)
    assert done.returncode == 0
    assert "the program ended with exit code 7" in done.stderr
    with diagmem.open_trace(tmp_path / "t.dmt") as opened:
        assert opened.complete
        assert [w.end for w in opened.windows] == ["returned", "the call did not return"]
        assert opened.windows[1].events == WHOLE
    first_window_is_whole(tmp_path / "t.dmt")


def test_an_exec_that_fails_ends_nothing(program: Path, tmp_path: Path) -> None:
    done = trace(program, tmp_path / "t.dmt", "unknown program")
    assert done.returncode == 0
    with diagmem.open_trace(tmp_path / "t.dmt") as opened:
        assert [w.end for w in opened.windows] == ["returned"] * 2


class Running:
    """A recording of an endless program, in the middle of its second window."""

    def __init__(self, program: Path, directory: Path) -> None:
        self.path = directory / "t.dmt"
        there = directory / "there"
        self.process = subprocess.Popen(
            command(program, self.path, "endless", str(there)),
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            self._wait(there.exists)
            (self.part,) = directory.glob(".t.dmt.*.part")
            size = self.part.stat().st_size
            self._wait(lambda: self.part.stat().st_size > size + 1000)
            self.client = self._client()
        except BaseException:
            # The program would run on; its recorder ends it.
            self.process.terminate()
            self.end()
            raise

    def _wait(self, for_what: object) -> None:
        assert callable(for_what)
        for _ in range(1000):
            if for_what():
                return
            time.sleep(0.02)
        pytest.fail("the program did not start within 20 seconds")

    def _client(self) -> int:
        """The process under Valgrind."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(children.read_text().split()[0])

    def end(self) -> tuple[int, str]:
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


def test_kill_9_of_the_program_under_the_tool(program: Path, tmp_path: Path) -> None:
    """Program and tool are one process."""
    running = Running(program, tmp_path)
    os.kill(running.client, signal.SIGKILL)
    code, said = running.end()
    assert code == 1
    assert "the recording was cut: the program ended with signal SIGKILL" in said
    with diagmem.open_trace(running.path) as opened:
        assert opened.windows[1].events > 0
    first_window_is_whole(running.path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_program_not_the_recording(
    number: signal.Signals, program: Path, tmp_path: Path
) -> None:
    running = Running(program, tmp_path)
    running.process.send_signal(number)
    code, said = running.end()
    assert code == 1
    assert f"the program ended with signal {number.name}" in said
    first_window_is_whole(running.path)


def test_a_cut_recording_replaces_nothing(program: Path, tmp_path: Path) -> None:
    """It goes beside the older trace, and the next one beside both."""
    path = tmp_path / "t.dmt"
    assert trace(program, path).returncode == 0
    older = path.read_bytes()
    running = Running(program, tmp_path)
    running.process.terminate()
    code, said = running.end()
    aside = tmp_path / "t.cut.dmt"
    assert code == 1
    assert f"warning: {path} is as it was: this recording is in {aside}\n" in said
    assert said.endswith(f"next: diagmem overlap {aside}\n")
    first_window_is_whole(aside)
    done = trace(program, path, "SIGSEGV")
    assert done.returncode == 1
    assert done.stdout.startswith(f"{tmp_path}/t.cut-2.dmt: 2 windows, ")
    assert path.read_bytes() == older
    assert not list(tmp_path.glob(".*"))
    words, places = [str(program), "SIGSEGV"], {"in": "symbol:in"}
    with recording.record(words, path, functions=["kernel"], inputs=places) as cut:
        assert (cut.path, cut.complete) == (str(tmp_path / "t.cut-3.dmt"), False)
    assert path.read_bytes() == older
    # A whole one does replace it.
    assert trace(program, path, "exit").returncode == 0
    assert path.read_bytes() != older


def test_kill_9_of_the_recorder(program: Path, tmp_path: Path) -> None:
    """The part is there to be read, the program does not run on for ever, and the
    next recording is not disturbed."""
    running = Running(program, tmp_path)
    running.process.kill()
    running.end()
    assert not running.path.exists()
    first_window_is_whole(running.part)
    with diagmem.open_trace(running.part) as opened:
        assert not opened.complete
        assert "cut" in opened.cut
    for _ in range(500):
        if not Path(f"/proc/{running.client}").exists() or _is_zombie(running.client):
            break
        time.sleep(0.02)
    else:
        pytest.fail("the program runs on without a recorder")
    assert trace(program, running.path, "again").returncode == 0
    with diagmem.open_trace(running.path) as opened:
        assert opened.complete
    first_window_is_whole(running.part)


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"


def limited(bytes_: int) -> None:
    """As on a full disk: no file grows beyond this."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, bytes_))


def test_a_full_disk(program: Path, tmp_path: Path) -> None:
    older = tmp_path / "t.dmt"
    older.write_bytes(b"an older trace")
    done = subprocess.run(
        command(program, older, "endless"),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: limited(20_000),
    )
    assert done.returncode == 2
    assert done.stderr == f"diagmem trace: {older}: cannot be written: File too large\n"
    assert older.read_bytes() == b"an older trace"
    assert [path.name for path in tmp_path.iterdir()] == ["t.dmt"]


def test_a_closed_pipe_is_no_error(program: Path, tmp_path: Path) -> None:
    """`diagmem overlap ... | head -1`."""
    assert trace(program, tmp_path / "t.dmt").returncode == 0
    for words in (["overlap", "t.dmt"], ["info", "t.dmt", "--json"], ["validate", "t.dmt"]):
        process = subprocess.Popen(
            [*DIAGMEM, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            text=True,
        )
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        said = process.stderr.read()
        process.stderr.close()
        assert process.wait() == 0, said
        assert "Traceback" not in said
        assert "Broken" not in said


def test_the_folder_is_gone(program: Path, tmp_path: Path) -> None:
    done = trace(program, tmp_path / "no" / "t.dmt")
    assert done.returncode == 2
    assert "there is no directory" in done.stderr
