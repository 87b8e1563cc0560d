"""``diagmem verify``: a planned model beside the model, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diagmem.cli.main import main
from diagmem.networks import verify as verifying
from diagmem.networks.measured import write_overlaps
from diagmem.networks.planning import plan_network, write_plan
from diagmem.tflite.graph import Model, read_model
from diagmem.tflite.write import read_provenance, write_planned
from diagmem.tflm.compared import ComparedOutcome, run_compared
from diagmem.tflm.network import NetworkOutcome, run_network
from tests.cli.conftest import Capture, json_of, wrong_call
from tests.networks.by_formula import as_measured
from tests.networks.odd_models import clip
from tests.networks.test_unwritten import model as unwritten
from tests.tflite.build import Draft

pytestmark = pytest.mark.usefixtures("tflm")

fails = partial(wrong_call, ["verify"])


@pytest.fixture
def planned(small_net: Path, tmp_path: Path) -> Path:
    path = tmp_path / "planned.tflite"
    write_plan(plan_network(read_model(small_net), "exact"), path)
    return path


def place(model: Model, offsets: Mapping[int, int], path: Path) -> Path:
    write_planned(model, [offsets.get(t.index, -1) for t in model.tensors], path)
    return path


def test_identical(small_net: Path, planned: Path, capsys: Capture) -> None:
    before = planned.read_bytes()
    assert main(["verify", str(small_net), str(planned), "--runs", "2"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].startswith("identical: 2 runs, every bit of every output, and of all ")
    assert lines[1] == (
        "  structure safe: 3 pairs share bytes, as allowed by the closed forms of TFLite's"
        " reference kernels"
    )
    assert lines[2].startswith(f"  {small_net}: arena head 768 B, total ")
    assert lines[3].startswith(f"  {planned}: arena head ")
    assert lines[5] == "  head as the plan predicted"
    assert lines[6].endswith(": overlaps exact")
    assert lines[7] == "  proven before: no"
    assert "the plan was measured on no kernels; here it runs on tflite-micro" in err
    assert f"next: diagmem fit {planned}" in err
    assert planned.read_bytes() == before


def test_json_and_record(small_net: Path, planned: Path, capsys: Capture) -> None:
    assert main(["verify", str(small_net), str(planned), "--runs", "1", "--record", "--json"]) == 0
    data: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert set(data) == set(
        "model planned identical difference structure outputs_identical runs operators"
        " operators_compared operators_not_compared unwritten_bytes unwritten weak"
        " arena_head_bytes arena_total_bytes predicted_head_bytes provenance".split()
    )
    assert (data["operators"], data["operators_compared"]) == (3, 3)
    assert data["operators_not_compared"] == ""
    assert data["structure"] == {"faults": [], "shared_pairs": 3, "held_against": "exact"}
    assert data["outputs_identical"]
    assert (data["identical"], data["difference"], data["runs"]) == (True, "", 1)
    before, after = data["arena_head_bytes"]
    assert before > after == data["predicted_head_bytes"]
    assert data["arena_total_bytes"][0] > before
    written = read_model(planned)
    assert written.plan == plan_of(small_net)
    said = read_provenance(written)
    assert said is not None
    assert said["proven"].startswith("1 runs bit-identical on tflite-micro ")
    assert {**data["provenance"], "proven": said["proven"]} == said


def test_what_limits_a_proof_is_recorded_with_it(tmp_path: Path, capsys: Capture) -> None:
    net, path = tmp_path / "clip.tflite", tmp_path / "planned.tflite"
    net.write_bytes(bytes(clip().data))
    place(read_model(net), {0: 0, 2: 256, 3: 512}, path)
    data = json_of([], ["verify", str(net), str(path), "--runs", "2", "--record"], capsys)
    assert len(data["weak"]) == 2
    said = read_provenance(read_model(path))
    assert said is not None
    assert said["proven"].endswith("; " + "; ".join(data["weak"]))


def plan_of(small_net: Path) -> tuple[int, ...]:
    model = read_model(small_net)
    offsets = plan_network(model, "exact").plan.offsets
    return tuple(offsets.get(tensor.index, -1) for tensor in model.tensors)


def test_what_the_plan_was_measured_on(small_net: Path, tmp_path: Path, capsys: Capture) -> None:
    path, model = tmp_path / "measured.tflite", read_model(small_net)
    write_plan(plan_network(model, as_measured(model)), path)
    assert main(["verify", str(small_net), str(path), "--runs", "1"]) == 0
    out, err = capsys.readouterr()
    assert ": overlaps measured on none 1.0, paper, flags -O0\n  proven before: no\n" in out
    assert "the plan was measured on none 1.0; here it runs on tflite-micro" in err
    assert main(["verify", str(small_net), str(path), "--runs", "1", "--json"]) == 0
    provenance = json.loads(capsys.readouterr().out)["provenance"]
    assert provenance["kernels"] == dict(as_measured(model).kernels)
    assert provenance["proven"] == "no"


def test_an_unsafe_plan(small_net: Path, tmp_path: Path, capsys: Capture) -> None:
    """The depthwise convolution's output begins in the middle of what it still reads."""
    model = read_model(small_net)
    unsafe = place(model, {0: 0, 3: 208, 4: 512, 5: 1024}, tmp_path / "unsafe.tflite")
    words = ["verify", str(small_net), str(unsafe), "--runs", "1", "--record"]
    before = unsafe.read_bytes()
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert out.startswith(
        "UNSAFE: the plan's offsets break its structure\n"
        "  operator 0 DEPTHWISE_CONV_2D writes made (at 208): byte 208 of the arena, which holds"
        " picture (at 0), at displacement -208: allowed from 0 up\n"
    )
    assert "\nDIFFERENT: run 0: " in out
    assert "  head larger by 66.7 %, as TFLM reports it" in out
    assert " of 252 bytes of output 'result' differ, the first at " in out
    assert "the file does not say how its plan was made" in out
    assert "next: diagmem measure " in err
    assert unsafe.read_bytes() == before
    assert main([*words, "--json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert (data["identical"], data["outputs_identical"]) == (False, False)
    assert data["predicted_head_bytes"] is None


def test_a_broken_plan_that_values_hide(tmp_path: Path, capsys: Capture) -> None:
    """MINIMUM writes over what is read again, the same values."""
    model = clip()
    net, broken = tmp_path / "clip.tflite", tmp_path / "broken.tflite"
    net.write_bytes(bytes(model.data))
    place(model, {0: 0, 2: 0, 3: 256}, broken)
    before = broken.read_bytes()
    words = ["verify", str(net), str(broken), "--runs", "2"]
    assert main([*words, "--record"]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[:5] == [
        "UNSAFE: the plan's offsets break its structure",
        "  operator 0 MINIMUM writes y (at 0): byte 0 of the arena, which holds x (at 0), and is"
        " needed later",
        "  operator 1 SUB reads x (at 0): byte 0 of the arena, which holds y (at 0)",
        "  held against the closed forms of TFLite's reference kernels",
        "  the values hide it: 2 runs, every bit of every output, and of all 2 operators",
    ]
    assert "then verify --overlaps overlaps.json\n" in err
    assert "this proof is weak: output 'z' hardly varies: 0 of 64 elements differ" in err
    assert "this proof is weak: operator 1 (SUB) puts out the same in every run" in err
    assert broken.read_bytes() == before
    data = json_of([], words, capsys, code=1)
    assert (data["identical"], data["outputs_identical"]) == (False, True)
    assert data["difference"] == data["structure"]["faults"][0]
    assert len(data["structure"]["faults"]) == 2


def test_overlaps_that_are_given(small_net: Path, planned: Path, capsys: Capture) -> None:
    words = ["verify", str(small_net), str(planned), "--runs", "1", "--overlaps"]
    model = read_model(small_net)
    overlaps = small_net.with_name("overlaps.json")
    write_overlaps(as_measured(model), overlaps)
    assert main([*words, str(overlaps)]) == 0
    assert (
        "3 pairs share bytes, as allowed by the measured overlaps given" in capsys.readouterr().out
    )
    assert main([*words, "none"]) == 1
    assert "  held against no overlap at all\n" in capsys.readouterr().out
    assert "is a network, expected measured overlaps" in fails([*words[1:], str(small_net)], capsys)


def test_a_plan_that_leaves_a_tensor_to_the_runtime(
    small_net: Path, tmp_path: Path, capsys: Capture
) -> None:
    partly = place(read_model(small_net), {0: 0, 3: 432}, tmp_path / "partly.tflite")
    assert main(["verify", str(small_net), str(partly), "--runs", "1"]) == 0
    out, err = capsys.readouterr()
    assert "every bit of every output, and of 1 of 3 operators\n" in out
    assert "partly.tflite: the plan leaves 2 tensors to the runtime" in err


def test_a_plan_that_places_no_output(small_net: Path, tmp_path: Path, capsys: Capture) -> None:
    online = place(read_model(small_net), {0: 0}, tmp_path / "online.tflite")
    words = ["verify", str(small_net), str(online), "--runs", "1"]
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "identical: 1 runs, every bit of every output"
    assert lines[2] == "  operators' outputs not compared: the plan places none of them"
    assert main([*words, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["operators_compared"] == 0
    assert data["operators_not_compared"] == "the plan places none of them"


def test_a_tflm_whose_calls_cannot_be_watched(
    small_net: Path, planned: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outputs are compared all the same, and the reason is shown."""

    def unwatched(*_: Any, **__: Any) -> ComparedOutcome:
        return NetworkOutcome(None, (), "its graph cannot be found")

    monkeypatch.setattr(verifying, "run_compared", unwatched)
    assert main(["verify", str(small_net), str(planned), "--runs", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "identical: 1 runs, every bit of every output"
    assert lines[2] == (
        "  operators' outputs not compared: with its calls watched TFLM says: its graph cannot"
        " be found"
    )


def test_the_planned_model_runs_once(
    small_net: Path, planned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def counted(run: Callable[..., Any]) -> Callable[..., Any]:
        def counting(model: Model, *given: Any, **more: Any) -> Any:
            ran.append(Path(model.path).name)
            return run(model, *given, **more)

        return counting

    monkeypatch.setattr(verifying, "run_network", counted(run_network))
    monkeypatch.setattr(verifying, "run_compared", counted(run_compared))
    assert main(["verify", str(small_net), str(planned), "--runs", "1"]) == 0
    assert ran == ["a net.tflite", "planned.tflite"]


def test_inputs_of_a_file(small_net: Path, planned: Path, tmp_path: Path, capsys: Capture) -> None:
    values = np.linspace(-1, 1, 105, dtype=np.float32).reshape(1, 5, 7, 3)
    right, named, shaped, typed = (tmp_path / f"{n}.npz" for n in "abcd")
    np.savez(right, picture=values, more=values)
    np.savez(named, image=values)
    np.savez(shaped, picture=values[0])
    np.savez(typed, picture=values.astype(np.float64))
    words = [str(small_net), str(planned), "--runs", "2", "--inputs"]
    assert main(["verify", *words, str(right)]) == 0
    assert "identical: 2 runs" in capsys.readouterr().out
    assert "found image, expected an array 'picture'" in fails([*words, str(named)], capsys)
    assert "expected float32 (1, 5, 7, 3)" in fails([*words, str(shaped)], capsys)
    assert "'picture' is float64" in fails([*words, str(typed)], capsys)
    assert "is a network, expected arrays (.npz)" in fails([*words, str(small_net)], capsys)
    assert "cannot be read as .npz" in fails([*words, str(tmp_path / "none")], capsys)


def test_bytes_that_no_kernel_writes_are_counted(tmp_path: Path, capsys: Capture) -> None:
    model = unwritten()
    net, path = tmp_path / "energy.tflite", tmp_path / "planned.tflite"
    net.write_bytes(bytes(model.data))
    place(model, {0: 0, 1: 256, 2: 512, 3: 0}, path)
    words = ["verify", str(net), str(path), "--runs", "1"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert (
        "  not compared: 128 B of outputs that no kernel writes, and copies of them: operator 1"
        " (CUSTOM:SignalEnergy) 128\n"
    ) in out
    data = json_of([], words, capsys)
    assert data["unwritten_bytes"] == 128
    assert data["unwritten"] == [{"operator": 1, "tensor": 3, "bytes": 128, "computed_bytes": 0}]


def sums(scale: float) -> bytes:
    """An addition whose requantisation is out of TFLM's range if the output's scale is
    too small."""
    draft = Draft()
    sources = [draft.tensor((2, 3), "int8", scale=[1.0]) for _ in range(2)]
    made = draft.tensor((2, 3), "int8", scale=[scale])
    draft.operator("ADD", sources, [made], "Add")
    return draft.io(sources, [made]).file()


def test_a_runtime_that_aborts(tmp_path: Path, capsys: Capture) -> None:
    """As the planned model a difference, as the model itself nothing to compare with."""
    fine, aborts, planned = (tmp_path / f"{n}.tflite" for n in ("fine", "aborts", "planned"))
    fine.write_bytes(sums(2.0))
    aborts.write_bytes(sums(1e-9))
    place(read_model(aborts), {0: 0, 1: 16, 2: 32}, planned)
    assert main(["verify", str(fine), str(planned), "--runs", "1"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("DIFFERENT: TFLM does not run the planned model: stopped by SIGABRT")
    assert "aborts.tflite: TFLM refuses the model: stopped by SIGABRT" in fails(
        [str(aborts), str(planned)], capsys
    )


def test_mistakes(small_net: Path, planned: Path, tmp_path: Path, capsys: Capture) -> None:
    assert "arguments are required: PLANNED.tflite" in fails([str(small_net)], capsys)
    assert "none: cannot be read" in fails([str(small_net), str(tmp_path / "none")], capsys)
    assert "net.tflite: found no plan, expected one; diagmem plan" in fails(
        [str(small_net), str(small_net)], capsys
    )
    other = tmp_path / "other.tflite"
    other.write_bytes(sums(2.0))
    assert "planned.tflite: is another graph than" in fails([str(other), str(planned)], capsys)
    assert "argument --runs" in fails([str(small_net), str(planned), "--runs", "0"], capsys)
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(planned.read_bytes()[:200])
    assert "cut.tflite: " in fails([str(small_net), str(cut)], capsys)
