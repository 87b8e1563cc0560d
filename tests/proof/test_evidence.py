"""One kernel's evidence: gathered once, and shared by all that is asked of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from diagmem.analysis.overlap import ONLY_IN_PLACE
from diagmem.kernels.build import build
from diagmem.kernels.catalog import find
from diagmem.kernels.description import load
from diagmem.kernels.kernel import Kernel
from diagmem.kernels.tracing import trace_kernel
from diagmem.proof import evidence as module
from diagmem.proof.evidence import Evidence
from diagmem.proof.prove import all_pairs, prove, prove_pair

pytestmark = pytest.mark.usefixtures("valgrind_tool")

Writer = Callable[..., Kernel]

WIPES_TOML = """\
function = "wipe"
source = "wipe.c"
flags = ["-O1"]
argument = [
  { name = "x", role = "input", dtype = "uint8", shape = [24] },
  { name = "y", role = "output", dtype = "uint8", shape = [24] },
]
"""
WIPES = """\
void wipe(unsigned char *x, unsigned char *y)
{
    for (int i = 0; i < 24; i++) {
        y[i] = x[i];
        x[i] = 1;
    }
}
"""


def test_all_pairs_share_one_trace_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    placements = []
    builds = []

    def traced(kernel: Kernel, output: Path, **options: Any) -> Any:
        placements.append(options["placement"])
        return trace_kernel(kernel, output, **options)

    def built(kernel: Kernel) -> Any:
        builds.append(kernel)
        return build(kernel)

    monkeypatch.setattr(module, "trace_kernel", traced)
    monkeypatch.setattr(module, "build", built)
    kernel = load(find("add_f32"))
    pairs = all_pairs(kernel)
    assert len(pairs) == 2
    with Evidence(kernel, range(2)) as evidence:
        shared = [prove_pair(evidence, pair) for pair in pairs]
        again = [prove_pair(evidence, pair) for pair in pairs]
    assert placements.count(None) == 1
    assert len(builds) == 1
    assert shared == again == [prove(kernel, pair=pair, inputs=2) for pair in pairs]


def test_what_was_run_is_not_said_to_be_untried(written: Writer) -> None:
    """A trace knows nothing below D but in place; here every displacement is run."""
    with Evidence(written(WIPES_TOML, wipe_c=WIPES), range(2)) as evidence:
        proof = prove_pair(evidence, ("x", "y"))
        notes = [note for overlap in evidence.overlaps(("x", "y")) for note in overlap.notes]
    assert proof.exhaustive
    assert ONLY_IN_PLACE not in (*notes, *proof.notes)
