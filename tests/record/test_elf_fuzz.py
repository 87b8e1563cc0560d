"""Programs and libraries that are damaged: one clear line, or an answer."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from diagmem.base.errors import DiagmemError
from diagmem.record.dwarf import inlined_into
from diagmem.record.elf import aliases, find_data, is_elf, platform_of
from diagmem.record.uncalled import similar_functions, why_uncalled
from tests.memory import bounded_memory

from .conftest import compile_c

MEMORY_BYTES = 256 << 20
"""What a small file may make them ask for."""


def use(path: Path) -> None:
    """All that is asked of a program, but running it."""
    said = []
    for question in (
        lambda: is_elf(path),
        lambda: platform_of(path),
        lambda: find_data(path, "in", path),
        lambda: aliases(path, "layer"),
        lambda: similar_functions("laye", path, [path]),
        lambda: why_uncalled("laye", path, []),
        lambda: inlined_into(path, "merged"),
    ):
        try:
            with bounded_memory(MEMORY_BYTES):
                question()
        except DiagmemError as error:
            said.append(str(error))
    assert all("\n" not in line and path.name in line for line in said)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small one: no start-up code, with symbols and debugging information."""
    binary = tmp_path_factory.mktemp("elf") / "program"
    flags = ["-nostdlib", "-nostartfiles", "-Wl,-e,main", "-Wl,--build-id=none"]
    return compile_c("vanished.c", binary, *flags).read_bytes()


def test_the_whole_one_is_understood(program: bytes, tmp_path: Path) -> None:
    path = tmp_path / "p"
    path.write_bytes(program)
    path.chmod(0o755)
    assert find_data(path, "in", path).size_bytes == 64
    assert inlined_into(path, "merged") == ["layer", "main"]
    assert subprocess.run(["readelf", "-h", path], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("seed", range(4))
def test_changed_bytes(seed: int, program: bytes, tmp_path: Path) -> None:
    rng = random.Random(seed)
    path = tmp_path / "p"
    for _ in range(60):
        data = bytearray(program)
        for _ in range(rng.choice([1, 2, 10])):
            # The headers at the front and the section table at the end count most.
            at = rng.choice(
                [
                    rng.randrange(64),
                    rng.randrange(64, 800),
                    rng.randrange(len(data) - 2500, len(data)),
                    rng.randrange(len(data)),
                ]
            )
            data[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        path.write_bytes(data)
        use(path)


def test_cut_off(program: bytes, tmp_path: Path) -> None:
    path = tmp_path / "p"
    for size in [*range(0, 700, 7), *range(700, len(program), 997)]:
        path.write_bytes(program[:size])
        use(path)
