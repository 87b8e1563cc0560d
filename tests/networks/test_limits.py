"""What an overlap is not proven for is printed wherever a plan that uses it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from diagmem.cli.main import main
from diagmem.networks.measured import Measured, write_overlaps
from diagmem.networks.planning import PlacementProof, plan_network, write_plan
from diagmem.networks.provenance import limits
from diagmem.tflite.graph import Model, read_model
from diagmem.tflite.write import read_provenance
from tests.networks.by_formula import as_measured
from tests.tflite.build import small

Said = Callable[..., str]
HIDDEN = 'damage may stay hidden: 2.1% of "y" are at the ends of int8'
SAMPLE = "sampled: 999 of 65,536 displacements run"
STEERED = "the kernel is data-dependent: D is 29 with seed 0, 35 with seed 1"


@pytest.fixture
def model(tmp_path: Path) -> Model:
    path = tmp_path / "small.tflite"
    path.write_bytes(small().file())
    return read_model(path)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    def call(*words: str) -> str:
        assert main([*words]) == 0
        return capsys.readouterr().out

    return call


def noted(model: Model, *notes: tuple[str, ...]) -> Measured:
    """Overlaps with these notes, an operator each."""
    measured = as_measured(model)
    return replace(
        measured,
        operators=tuple(
            replace(operator, pairs=tuple(replace(p, notes=of) for p in operator.pairs))
            for operator, of in zip(measured.operators, notes, strict=True)
        ),
    )


def test_limits_travel_with_the_plan(model: Model, tmp_path: Path, said: Said) -> None:
    overlaps, planned = tmp_path / "o.json", tmp_path / "planned.tflite"
    write_overlaps(noted(model, (SAMPLE,), ("a note", HIDDEN), (SAMPLE, HIDDEN)), overlaps)
    words = ["plan", model.path, "--overlaps", str(overlaps)]
    lines = ["sampled: operators 0, 2", "damage may stay hidden: operators 1, 2"]
    out = said(*words, "-o", str(planned))
    assert all(f"\n  limited by   {line}\n" in out for line in lines)
    made = read_provenance(read_model(planned))
    assert made is not None
    assert made["limits"] == lines
    data = json.loads(said(*words, "--json"))
    assert {o["operator"]: o["limits"] for o in data["overlaps"]} == {
        0: [SAMPLE],
        1: [HIDDEN],
        2: [SAMPLE, HIDDEN],
    }
    older = said("plan", str(planned))
    assert all(f"  older plan   limited by {line}\n" in older for line in lines)
    for call in (["fit", str(planned)], ["fit", model.path, "--overlaps", str(overlaps)]):
        assert f"limited by {lines[0]}; limited by {lines[1]}" in said(*call)
        assert json.loads(said(*call, "--json"))["models"][0]["limits"] == lines
    pytest.importorskip("tflite_micro", reason="tflite-micro is not installed")
    verified = said("verify", model.path, str(planned), "--runs", "1")
    assert all(f"\n  limits of that proof: {line}\n" in f"{verified}\n" for line in lines)


def test_a_plan_that_was_run_is_no_sample(model: Model) -> None:
    found = plan_network(model, noted(model, (SAMPLE,), (SAMPLE, HIDDEN), ()))
    proof = PlacementProof((1,), 3, {}, {})
    assert replace(found, placement=proof).limits == [
        "sampled: operator 0",
        "damage may stay hidden: operator 1",
    ]


def test_no_permission_where_data_steer_the_kernel(model: Model) -> None:
    """Also by overlaps of an older diagmem, which noted it and gave a D all the same."""
    found = plan_network(model, noted(model, (), (), (STEERED,)))
    assert {shared.permission.operator for shared in found.shared} == {0, 1}


@pytest.mark.parametrize(("align", "used"), [(4, {0, 1}), (8, {0, 1, 2}), (16, {0, 1, 2})])
def test_a_plan_keeps_to_multiples(model: Model, align: int, used: set[int]) -> None:
    """A kernel that is stopped elsewhere gets no overlap in a plan that may lie elsewhere."""
    measured = as_measured(model)
    first, second, third = measured.operators
    pairs = tuple(replace(pair, unit_bytes=8) for pair in third.pairs)
    told = replace(measured, operators=(first, second, replace(third, pairs=pairs)))
    found = plan_network(model, told, align_bytes=align)
    assert {shared.permission.operator for shared in found.shared} == used


def test_what_others_wrote_as_limits(model: Model, tmp_path: Path, said: Said) -> None:
    path = tmp_path / "planned.tflite"
    write_plan(plan_network(model, "exact"), path)
    assert "limit" not in said("plan", str(path))
    for value in (3, "text", {"a": 1}, None):
        assert limits({"limits": value}) == []
    assert all(line.isprintable() for line in limits({"limits": ["\x1b[1m", 3, ["x\n"]]}))
