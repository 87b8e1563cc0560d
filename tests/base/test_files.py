"""Files that are there whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import os
import re
import secrets
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from pathlib import Path

import pytest

from diagmem.base import files
from diagmem.base.errors import DiagmemError
from diagmem.base.files import beside, expect_new, replacing


def write(path: Path, data: bytes, meanwhile: Callable[[], object] = lambda: None) -> None:
    with replacing(path) as file:
        file.write(data)
        meanwhile()


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_what_failed_leaves_the_older_file_and_nothing_else(
    error: type[BaseException], tmp_path: Path
) -> None:
    path = tmp_path / "a b.csv"
    path.write_bytes(b"older")
    with pytest.raises(error):
        write(path, b"half", meanwhile=partial(fail, error))
    assert content(tmp_path) == {"a b.csv": b"older"}
    write(path, b"newer")
    assert content(tmp_path) == {"a b.csv": b"newer"}


def fail(error: type[BaseException]) -> None:
    raise error


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_who_may_read_it_is_up_to_the_umask(umask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        write(tmp_path / "out", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == mode


def test_a_link_at_the_parts_name_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names cannot be guessed; and where one is, it is an error."""
    monkeypatch.setattr(secrets, "token_hex", lambda _: "guessed")
    victim = tmp_path / "victim"
    victim.write_bytes(b"kept")
    link = tmp_path / ".out.guessed.part"
    link.symlink_to(victim)
    with pytest.raises(DiagmemError, match=r"/out: cannot be written: File exists"):
        write(tmp_path / "out", b"x")
    assert victim.read_bytes() == b"kept"
    assert link.is_symlink()


def test_an_error_names_the_output(tmp_path: Path) -> None:
    for path, why in (
        (tmp_path / "no" / "out", "No such file or directory"),
        (Path("/proc/out"), "No such file or directory"),
    ):
        with pytest.raises(DiagmemError) as caught, replacing(path):
            pass
        assert str(caught.value) == f"{path}: cannot be written: {why}"
    (tmp_path / "folder").mkdir()
    with pytest.raises(DiagmemError, match=r"/folder: cannot be written: Is a directory$"):
        write(tmp_path / "folder", b"x")
    assert content_names(tmp_path) == {"folder"}


def content_names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_an_error_of_another_file_is_not_the_outputs(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "out"):
        (tmp_path / "input").read_bytes()
    assert content(tmp_path) == {}


@pytest.mark.parametrize("characters", ["n" * 255, "ß" * 127])
def test_the_longest_names(characters: str, tmp_path: Path) -> None:
    write(tmp_path / characters, b"x")
    assert content(tmp_path) == {characters: b"x"}


def test_two_writers_leave_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "out"
    both_have_begun = threading.Barrier(2)

    def write_slowly(letter: bytes) -> None:
        with replacing(path) as file:
            for _ in range(50):
                file.write(letter * 1000)
                file.flush()
                both_have_begun.wait(20)

    writers = [threading.Thread(target=write_slowly, args=[letter]) for letter in (b"a", b"b")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert content_names(tmp_path) == {"out"}
    assert path.read_bytes() in (b"a" * 50_000, b"b" * 50_000)


def no_links(*_: object, **__: object) -> None:
    raise PermissionError("no hard links on this file system")


@pytest.mark.parametrize("link", [os.link, no_links])
def test_what_came_into_being_meanwhile_is_not_overwritten(
    link: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr(files, "_new", ContextVar("of this test", default=frozenset()))
    path, other = tmp_path / "out", tmp_path / "other"
    for new in (path, other):
        expect_new(new)
    with pytest.raises(DiagmemError, match="another program wrote it meanwhile"):
        write(path, b"second", meanwhile=partial(path.write_bytes, b"first"))
    write(other, b"alone")
    assert content(tmp_path) == {"out": b"first", "other": b"alone"}


@pytest.mark.parametrize("link", [os.link, no_links])
def test_a_place_that_is_free(
    link: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", link)
    taken = []
    for letter in (b"a", b"b", b"c"):
        with beside(tmp_path / "t.dmt") as part:
            part.file.write(letter)
            taken.append(part.take_free(tmp_path / "t.dmt", "cut").name)
    assert taken == ["t.dmt", "t.cut.dmt", "t.cut-2.dmt"]
    assert content(tmp_path) == {"t.dmt": b"a", "t.cut.dmt": b"b", "t.cut-2.dmt": b"c"}


LIMITED = """\
import resource, sys
from pathlib import Path
from diagmem.base.errors import DiagmemError
from diagmem.base.files import replacing
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with replacing(Path(sys.argv[1])) as file:
        file.write(b"x" * int(sys.argv[2]))
except DiagmemError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("size", [1001, 100_000])  # fails when flushed, when written
def test_a_full_disk_says_so_once(size: int, tmp_path: Path) -> None:
    """No finalizer tries again what has failed; since Python 3.13 that would be printed."""
    path = tmp_path / "out"
    path.write_bytes(b"older")
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", LIMITED, str(path), str(size)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == f"{path}: cannot be written: File too large\n"
    assert content(tmp_path) == {"out": b"older"}


def test_killed_it_leaves_its_part(tmp_path: Path) -> None:
    program = LIMITED.replace("* int(sys.argv[2]))", "* 10); file.flush(); import os; os.abort()")
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "out")], capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGABRT
    ((name, kept),) = content(tmp_path).items()
    assert re.fullmatch(r"\.out\.[0-9a-f]{16}\.part", name)
    assert kept == b"x" * 10
