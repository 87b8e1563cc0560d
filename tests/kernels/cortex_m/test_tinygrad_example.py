"""``examples/tinygrad``: the C that tinygrad writes holds its D, here and on a Cortex-M."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from diagmem.kernels.cortex_m.on_target import for_target
from diagmem.kernels.description import load
from diagmem.proof.proof import Proof
from diagmem.proof.prove import prove
from tests.kernels.cortex_m.conftest import CORTEX_M, need
from tests.tools import need_package

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "examples" / "tinygrad" / "make_kernels.py"
README = SCRIPT.with_name("README.md").read_text(encoding="utf-8")

# In bytes.  A plane of the output is 9x7 floats; see the README for the rest.
PLANE = 4 * 9 * 7
DISPLACEMENTS = {
    "conv": 3 * PLANE + 4 * 8,
    "conv_opt": 3 * PLANE + 4 * 7,
    "depthwise": 4 * 8,
    "depthwise_opt": 4 * 7,
    "matmul_opt": 4 * (4 * 9 - 4 * 7),
}


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_package("tinygrad", "tinygrad")
    folder = tmp_path_factory.mktemp("tinygrad")
    subprocess.run([sys.executable, SCRIPT, "-o", folder], check=True)
    return folder


def expect(proof: Proof, name: str) -> None:
    assert proof.proven, proof
    assert proof.tight, proof
    assert proof.traced_displacement_bytes == proof.min_displacement_bytes == DISPLACEMENTS[name]


@pytest.mark.parametrize("name", DISPLACEMENTS)
@pytest.mark.usefixtures("valgrind_tool")
def test_proven_here(name: str, kernels: Path) -> None:
    expect(prove(load(kernels / f"{name}.toml")), name)


@pytest.mark.parametrize("name", ["conv", "depthwise_opt", "matmul_opt"])
def test_proven_on_a_cortex_m4(name: str, kernels: Path) -> None:
    need(*CORTEX_M)
    expect(prove(for_target(load(kernels / f"{name}.toml"), "cortex-m4")), name)


def test_the_readme_has_all_kernels(kernels: Path) -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE))
    assert rows == {path.stem for path in kernels.glob("*.toml")}
    for name, displacement in DISPLACEMENTS.items():
        assert re.search(rf"^\| `{name}` \|[^|]+\| {displacement} \|", README, re.MULTILINE)


def test_one_release_is_named() -> None:
    [release] = re.findall(r'^TINYGRAD = "(.+)"$', SCRIPT.read_text("utf-8"), re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["optional-dependencies"]["tinygrad"] == [f"tinygrad=={release}"]
    assert f"tinygrad=={release}" in README


def test_without_tinygrad_it_says_so(tmp_path: Path) -> None:
    # -S: without the installed packages.
    command = [sys.executable, "-I", "-S", str(SCRIPT), "-o", str(tmp_path / "kernels")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert re.fullmatch(r"make_kernels\.py: tinygrad is not installed; mend it .+\n", ran.stderr)
    assert not (tmp_path / "kernels").exists()
