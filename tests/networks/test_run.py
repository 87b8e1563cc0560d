"""Plans run by stock TFLM: those that are safe, and one that is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diagmem.arena import PLANNERS, verify_plan
from diagmem.base.errors import DiagmemError
from diagmem.cli.main import main
from diagmem.networks import on_tflm as measuring
from diagmem.networks.measured import Measured, read_overlaps, write_overlaps
from diagmem.networks.on_tflm import measure
from diagmem.networks.planning import NetworkPlan, plan_network, write_plan
from diagmem.networks.probes import probe_inputs
from diagmem.networks.structure import structure_of
from diagmem.networks.verify import verify_network
from diagmem.tflite.graph import Model, read_model
from diagmem.tflite.write import write_planned
from diagmem.tflite.zoo import filled, write_filled
from diagmem.tflm.child.job import WatchedCall
from diagmem.tflm.network import random_inputs, run_network
from tests.networks.executed import planned_and_run
from tests.networks.odd_models import odd
from tests.networks.random_models import random_model
from tests.tflite.build import Draft
from tests.tools import need_package

pytestmark = pytest.mark.xdist_group("networks")
NAME = "mobilenet_v1_0.25_128_int8"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory, valgrind_tool: object) -> Path:
    """A folder with the network as net.tflite and its measured overlaps."""
    need_package("tflite_micro", "tflite-micro")
    folder = tmp_path_factory.mktemp("network")
    write_filled(NAME, folder / "net.tflite")
    model = read_model(folder / "net.tflite")
    write_overlaps(measure(model, random_inputs(model, 0)), folder / "overlaps.json")
    return folder


@pytest.fixture
def model(network: Path) -> Model:
    return read_model(network / "net.tflite")


@pytest.fixture
def measured(network: Path, model: Model) -> Measured:
    return read_overlaps(network / "overlaps.json", model)


@pytest.fixture
def plan(model: Model, measured: Measured) -> NetworkPlan:
    return plan_network(model, measured)


def test_every_operator_is_measured_as_the_formula_says(model: Model, measured: Measured) -> None:
    assert [o.operator for o in measured.operators] == [o.name for o in model.operators]
    pairs = [pair for operator in measured.operators for pair in operator.pairs]
    assert len(pairs) == len(model.operators)
    assert {pair.formula_says for pair in pairs} == {"equal"}
    for operator in measured.operators:
        assert 0 < operator.needed_bytes <= operator.live_bytes


def test_the_plan_runs_bit_identically_in_the_arena_it_predicts(
    model: Model, plan: NetworkPlan, tmp_path: Path
) -> None:
    output = tmp_path / "planned.tflite"
    write_plan(plan, output)
    verdict = verify_network(
        model, read_model(output), [random_inputs(model, seed) for seed in range(3)]
    )
    assert verdict.identical
    assert verdict.runs == 3
    assert verdict.operators == len(model.operators)
    assert verdict.arena is not None
    assert verdict.planned_arena is not None
    assert verdict.arena.head_bytes == plan.baselines["tflm-greedy"]
    assert verdict.planned_arena.head_bytes == plan.plan.arena_bytes == 65_552


def test_an_overlap_one_step_too_large_is_caught(
    model: Model, plan: NetworkPlan, network: Path, tmp_path: Path
) -> None:
    """The input of a pair that is at its least distance, moved one alignment step down."""
    tight = [
        shared
        for shared in plan.shared
        if shared.displacement_bytes >= 16
        and shared.displacement_bytes - 16 < shared.permission.min_displacement_bytes
    ]
    caught = 0
    for number, shared in enumerate(tight[:2]):
        offsets = dict(plan.plan.offsets)
        offsets[shared.permission.input] -= 16
        assert verify_plan(plan.problem, replace(plan.plan, offsets=offsets))
        output = tmp_path / f"unsafe{number}.tflite"
        write_planned(model, [offsets.get(t.index, -1) for t in model.tensors], output)
        caught += main(["verify", str(network / "net.tflite"), str(output), "--runs", "1"])
    assert len(tight) >= 4
    assert caught == 2


def test_a_runtime_that_refuses_the_plan_is_a_difference(
    model: Model, plan: NetworkPlan, tmp_path: Path
) -> None:
    offsets = dict.fromkeys(plan.plan.offsets, 1 << 30)
    output = tmp_path / "far.tflite"
    write_planned(model, [offsets.get(t.index, -1) for t in model.tensors], output)
    verdict = verify_network(model, read_model(output), [random_inputs(model, 0)])
    assert not verdict.identical
    assert "TFLM does not run the planned model" in verdict.difference


def test_verify_wants_a_plan_of_the_same_graph(model: Model, tmp_path: Path) -> None:
    with pytest.raises(DiagmemError, match="found no plan"):
        verify_network(model, model, [])
    other = read_model(random_model(1))
    with pytest.raises(DiagmemError, match="another graph"):
        verify_network(model, other, [])


def test_a_profile_of_other_operators_is_refused(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows belong to operators by their order, and each is checked by its name."""
    calls = measuring._calls

    def swapped(planned: Model, head_bytes: int) -> list[WatchedCall]:
        made = calls(planned, head_bytes)
        return [made[1], made[0], *made[2:]]

    monkeypatch.setattr(measuring, "_calls", swapped)
    with pytest.raises(DiagmemError, match="number 0 is the first that was not expected"):
        measure(model, random_inputs(model, 0))


@pytest.mark.parametrize(
    ("seed", "solvers"),
    [
        (2, ("auto",)),
        pytest.param(4, tuple(PLANNERS), marks=pytest.mark.slow),
        pytest.param(5, tuple(PLANNERS), marks=pytest.mark.slow),
        pytest.param(6, tuple(PLANNERS), marks=pytest.mark.slow),
    ],
)
def test_random_models_run_in_every_plan(
    seed: int, solvers: tuple[str, ...], tflm: None, tmp_path: Path
) -> None:
    assert set(planned_and_run(random_model(seed), tmp_path, solvers)) == {""}


@pytest.mark.parametrize(
    "seed", [3, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(20, 40))]
)
def test_tampered_plans_that_pass_run_identically(seed: int, tflm: None, tmp_path: Path) -> None:
    """Tensors moved by words: what the structure lets pass must not show in values."""
    model, random = read_model(random_model(seed), "random.tflite"), np.random.default_rng(seed)
    placed = plan_network(model, "exact").plan.offsets
    for _ in range(200):
        offsets = dict(placed)
        for tensor in random.choice(sorted(offsets), random.integers(1, 4)).tolist():
            offsets[tensor] = max(0, offsets[tensor] + 4 * int(random.integers(-12, 13)))
        write_planned(
            model, [offsets.get(t.index, -1) for t in model.tensors], tmp_path / "moved.tflite"
        )
        moved = read_model(tmp_path / "moved.tflite")
        if offsets != placed and not structure_of(moved, {}).faults:
            verdict = verify_network(model, moved, probe_inputs(model, 2, seed))
            assert (verdict.difference, verdict.not_compared) == ("", "")
            return
    raise AssertionError("no tampered plan is safe")


@pytest.mark.slow
def test_rare_things_run_in_every_plan(tflm: None, tmp_path: Path) -> None:
    assert set(planned_and_run(odd(), tmp_path)) == {""}


def test_an_input_that_is_an_output_is_kept_from_beginning_to_end() -> None:
    kept = 0
    for seed in range(40):
        model = read_model(random_model(seed))
        both = {*model.inputs} & {*model.outputs}
        if both:
            blocks = plan_network(model, "exact").problem.blocks
            lives = {(block.first, block.end) for block in blocks if block.tensor in both}
            assert lives == {(0, len(model.operators))}
            kept += 1
    assert kept >= 3


@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_v1_0.25_128_f32",
        "mobilenet_v1_0.25_224_int8",
        "mobilenet_v1_0.25_224_f32",
        "mobilenet_v2_0.35_224_int8",
    ],
)
def test_the_greedy_baseline_is_what_tflm_reports(name: str, tflm: None) -> None:
    model = read_model(filled(name), name)
    outcome = run_network(model, [])
    assert outcome.arena is not None, outcome.refused
    greedy = plan_network(model, "none", solver="tflm-greedy")
    assert outcome.arena.head_bytes == greedy.plan.arena_bytes == greedy.baselines["tflm-greedy"]


def test_the_greedy_baseline_of_random_models(tflm: None) -> None:
    """Those without what makes the two differ: MEAN takes scratch, and an input that
    nobody reads lives a step longer here."""
    compared = 0
    for seed in range(20):
        model = read_model(random_model(seed))
        read = {tensor for operator in model.operators for tensor in operator.inputs}
        if "MEAN" in {o.name for o in model.operators} or not read.issuperset(model.inputs):
            continue
        outcome = run_network(model, [])
        assert outcome.arena is not None, outcome.refused
        greedy = plan_network(model, "none", solver="tflm-greedy").plan.arena_bytes
        assert outcome.arena.head_bytes == greedy, seed
        compared += 1
    assert compared >= 5


def test_the_way_of_a_user(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net, overlaps = str(network / "net.tflite"), str(network / "overlaps.json")
    planned = str(tmp_path / "planned.tflite")
    assert main(["plan", net, "--overlaps", overlaps, "-o", planned]) == 0
    assert "proven optimal" in capsys.readouterr().out
    assert main(["plan", net, "--overlaps", overlaps, "-o", planned]) == 2
    assert main(["verify", net, planned, "--runs", "2", "--record"]) == 0
    assert "identical: 2 runs" in capsys.readouterr().out
    assert main(["verify", net, planned, "--runs", "1", "--json"]) == 0
    assert '"proven": "2 runs bit-identical on tflite-micro' in capsys.readouterr().out
    assert main(["plan", net, "--overlaps", overlaps, "--arena", "65552"]) == 0
    assert main(["plan", net, "--overlaps", overlaps, "--arena", "65551"]) == 1
    assert "does not fit an arena of 65,551 B: 1 B too much" in capsys.readouterr().out


def test_damage_that_the_outputs_hide_is_found_inside(tflm: None, tmp_path: Path) -> None:
    """ADD's output lies too low over its input, and the model puts out one index of it."""
    draft = Draft()
    source, made = draft.tensor((1, 64)), draft.tensor((1, 64))
    twice, largest = draft.tensor((1, 64)), draft.tensor((1,), "int32")
    axis = draft.tensor((1,), "int32", values=[1])
    slope = draft.tensor((1, 64), values=np.linspace(0, 900, 64))
    draft.operator("ADD", [source, slope], [made], "Add")
    draft.operator("ADD", [made, slope], [twice], "Add")
    draft.operator("ARG_MAX", [twice, axis], [largest], "ArgMax", outputType=2)
    model = read_model(draft.io([source], [largest]).file())
    output = tmp_path / "low.tflite"
    # The second ADD writes 16 bytes above what it is about to read.
    offsets = {source: 512, made: 0, twice: 16, largest: 1024}
    write_planned(model, [offsets.get(t.index, -1) for t in model.tensors], output)
    verdict = verify_network(model, read_model(output), [random_inputs(model, 0)])
    assert verdict.difference == "run 0: operator 1 (ADD) puts out other bits"
