"""A cache of builds for the whole run, and kernels written on the spot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from diagmem.kernels.description import load
from diagmem.kernels.model import Kernel


@pytest.fixture(scope="session", autouse=True)
def build_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Builds of this run only, so that no earlier one hides a fault."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        yield cache


Writer = Callable[..., Kernel]


@pytest.fixture
def written(tmp_path: Path) -> Writer:
    """Write ``kernel.toml`` and its sources, and load it."""

    def write(toml: str, overrides: dict[str, str] | None = None, **sources: str) -> Kernel:
        for name, text in sources.items():
            stem, _, suffix = name.rpartition("_")
            (tmp_path / f"{stem}.{suffix}").write_text(text)
        (tmp_path / "kernel.toml").write_text(toml)
        return load(tmp_path / "kernel.toml", overrides)

    return write
