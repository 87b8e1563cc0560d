"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from diagmem.base.errors import DiagmemError
from diagmem.kernels.description import load
from diagmem.kernels.kernel import Kernel
from diagmem.record.tool import Tool, find_tool

# No deadline: two test processes share the machine with compilers and Valgrind.
settings.register_profile("local", deadline=None)
# The same examples every time: what failed once there can be run again here.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(scope="session")
def valgrind_tool() -> Tool:
    """The built tool; a failure and no skip without it, because `make test` builds it."""
    try:
        return find_tool()
    except DiagmemError as error:
        pytest.fail(str(error))


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
