"""A sample of the soak, and that its judge can say no."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from diagmem.proof.prove import prove
from tests.tools import need_programs

from .generate import generate
from .judge import judge, written

pytestmark = pytest.mark.usefixtures("valgrind_tool")

SEED = 7
SAMPLE = [(n, "gcc", level) for n, level in enumerate(["-O0", "-O2", "-O3"] * 4)]
CLANG = [(n, "clang", level) for n, level in ((20, "-O3"), (21, "-O2"))]


@pytest.fixture(autouse=True)
def builds_are_thrown_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize(("number", "compiler", "level"), SAMPLE + CLANG)
def test_nothing_proven_is_wrong(number: int, compiler: str, level: str, tmp_path: Path) -> None:
    need_programs(compiler, target="soak")
    verdict = judge(written(tmp_path / "k", SEED, number, compiler, level))
    assert verdict.kind in {"tight", "not tight", "mended", "data-dependent"}, verdict


def test_the_same_number_is_the_same_kernel() -> None:
    made = [generate(SEED, n) for n in range(200)]
    assert made == [generate(SEED, n) for n in range(200)]
    assert made != [generate(SEED + 1, n) for n in range(200)]
    features = {feature for kernel in made for feature in kernel.features}
    assert features == {
        "accumulator",
        "broadcast",
        "cleared",
        "data-dependent",
        "memcpy",
        "memmove",
        "memset",
        "permuted",
        "restrict",
        "scratch",
        "two passes",
        "wipes its input",
    }


def test_the_judge_can_say_no(tmp_path: Path) -> None:
    """A proof of one cell less than a tight one is refuted by inputs it never saw."""
    refuted = 0
    for number in range(30, 36):
        kernel = written(tmp_path / str(number), SEED, number, "gcc", "-O2")
        proof = prove(kernel)
        if not proof.tight or proof.min_displacement_bytes == 0:
            continue
        less = replace(proof, min_displacement_bytes=proof.tight_displacement_bytes or 0)
        assert judge(kernel, less).kind == "WRONG"
        assert judge(kernel, proof).kind != "WRONG"
        refuted += 1
    assert refuted >= 2
