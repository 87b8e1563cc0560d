"""Where builds are kept, also where a home directory cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from diagmem.base.errors import DiagmemError
from diagmem.kernels import cache
from diagmem.kernels.cache import CACHE_VARIABLE, cache_directory


@pytest.fixture(autouse=True)
def no_cache_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    # Set first, so that what the code sets is undone too.
    monkeypatch.setenv(CACHE_VARIABLE, "")


def test_versions_share_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = cache_directory()
    assert first.is_relative_to(tmp_path / "diagmem")
    monkeypatch.setattr(cache, "__version__", "9.9")
    assert cache_directory() != first


@pytest.mark.parametrize("home", ["/proc/nonexistent", "/dev/null"])
def test_without_a_home_builds_go_to_a_temporary_folder(
    home: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", home)
    place = cache_directory()
    assert place.is_dir()
    assert place.parent.stat().st_mode & 0o777 == 0o700
    assert cache_directory() == place
    (notice,) = capsys.readouterr().err.splitlines()  # once
    assert "temporary folder" in notice
    assert "XDG_CACHE_HOME=DIR" in notice


def test_a_named_cache_that_cannot_be_written_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    with pytest.raises(DiagmemError, match=r"^/dev/null/diagmem.*XDG_CACHE_HOME names it$"):
        cache_directory()
