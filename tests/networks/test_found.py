"""What an adversary found: kernels that the data steers, and constants that steer them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diagmem.base.errors import DiagmemError
from diagmem.networks.measured import Measured, read_overlaps, write_overlaps
from diagmem.networks.on_tflm import measure
from diagmem.networks.permissions import permissions_of
from diagmem.networks.planning import NetworkPlan, plan_network, write_plan
from diagmem.networks.verify import verify_network
from diagmem.tflite.graph import Model, read_model
from diagmem.tflite.write import write_planned
from diagmem.tflm.network import random_inputs
from tests.networks.by_formula import as_measured
from tests.tflite.build import Draft

ROWS, PICKED, DEPTH = 64, 32, 8


def gather(indices: Sequence[int] = ()) -> Model:
    """Rows of a computed table, by computed indices if none are given."""
    draft = Draft()
    source, table = draft.tensor((ROWS, DEPTH)), draft.tensor((ROWS, DEPTH))
    values = np.array(indices, np.int32) if indices else None
    chosen = draft.tensor((PICKED,), "int32", values=values)
    rows, result = draft.tensor((PICKED, DEPTH)), draft.tensor((PICKED, DEPTH))
    draft.operator("ABS", [source], [table])
    draft.operator("GATHER", [table, chosen], [rows], "Gather", axis=0, batchDims=0)
    draft.operator("ABS", [rows], [result])
    given = [source] if indices else [source, chosen]
    return read_model(draft.io(given, [result]).file(), "gather.tflite")


def seen(model: Model, source: int, target: int, needed: int, formula: int | None) -> Measured:
    """Measured overlaps in which one pair's trace and formula say this."""
    plain = as_measured(model)
    (template, *_) = plain.operators[0].pairs
    pair = replace(
        template,
        input=source,
        output=target,
        min_displacement_bytes=needed,
        mirror_displacement_bytes=needed,
        in_place=needed == 0,
        formula_displacement_bytes=formula,
    )
    at = next(o.index for o in model.operators if target in o.outputs)
    operators = list(plain.operators)
    operators[at] = replace(operators[at], pairs=(pair,))
    return replace(plain, operators=tuple(operators))


def test_what_computed_indices_pick_is_not_overlapped() -> None:
    computed = gather()
    table, chosen = computed.operators[1].inputs
    (rows,) = computed.operators[1].outputs
    pairs = [
        (p.input, p.output) for p in permissions_of(computed, seen(computed, table, rows, 64, None))
    ]
    assert (table, rows) not in pairs
    # They are themselves read one by one, whatever they are.
    (own,) = [
        p
        for p in permissions_of(computed, seen(computed, chosen, rows, 868, None))
        if p.operator == 1
    ]
    assert (own.input, own.min_displacement_bytes) == (chosen, 868)


def test_what_constant_indices_pick_is() -> None:
    constant = gather(range(PICKED))
    (table, _), (rows,) = constant.operators[1].inputs, constant.operators[1].outputs
    permissions = permissions_of(constant, seen(constant, table, rows, 64, None))
    assert (table, rows) in [(p.input, p.output) for p in permissions]


def test_of_a_custom_operator_nothing_is_known() -> None:
    draft = Draft()
    source, result = draft.tensor((4, 4)), draft.tensor((4, 4))
    other = draft.tensor((4, 4))
    draft.operator("ABS", [source], [other])
    draft.operator("CUSTOM:detect", [other], [result])
    model = read_model(draft.io([source], [result]).file())
    assert [p.operator for p in permissions_of(model, seen(model, other, result, 0, None))] == [0]


@pytest.mark.parametrize("traced", [0, 16, 48])
def test_a_computed_alpha_keeps_the_distance_of_the_formula(traced: int) -> None:
    """It is loaded only where the input is negative."""
    draft = Draft()
    source, given = draft.tensor((1, 3, 5, 2)), draft.tensor((1, 1, 1, 2))
    alpha, result = draft.tensor((1, 1, 1, 2)), draft.tensor((1, 3, 5, 2))
    draft.operator("ABS", [given], [alpha])
    draft.operator("PRELU", [source, alpha], [result])
    model = read_model(draft.io([source, given], [result]).file())
    (found,) = [
        p for p in permissions_of(model, seen(model, alpha, result, traced, 32)) if p.operator == 1
    ]
    assert found.min_displacement_bytes == max(traced, 32)
    assert (found.mirror_displacement_bytes, found.in_place) == (None, False)


def planned(model: Model, plan: NetworkPlan, folder: Path) -> Model:
    write_plan(plan, folder / "planned.tflite")
    return read_model(folder / "planned.tflite")


def test_a_plan_holds_for_indices_that_nobody_measured(tflm: None, tmp_path: Path) -> None:
    """What one inference shows would let rows be written over rows to be picked later."""
    model = gather()
    inputs = random_inputs(model, 0)
    measured = measure(model, inputs)
    backwards = [inputs[0], np.arange(PICKED, dtype=np.int32)[::-1].copy()]
    found = plan_network(model, measured)
    assert verify_network(model, planned(model, found, tmp_path), [inputs, backwards]).identical

    table, rows = model.operators[1].inputs[0], model.operators[1].outputs[0]
    (pair,) = [p for p in measured.operators[1].pairs if p.input == table]
    assert pair.mirror_displacement_bytes < pair.input_bytes
    offsets = {**found.plan.offsets, table: 0, rows: pair.mirror_displacement_bytes}
    last = model.outputs[0]
    offsets |= {model.inputs[0]: 8192, model.inputs[1]: 4096, last: 8192}
    trusting = replace(found, plan=replace(found.plan, offsets=offsets, arena_bytes=10240))
    unsafe = planned(model, trusting, tmp_path)
    said = verify_network(model, unsafe, [inputs])
    assert said.difference == ""
    assert "which holds t1 (at 0), at displacement -" in said.structure.faults[0]
    assert verify_network(model, unsafe, [backwards]).difference


def transpose(order: Sequence[int]) -> Model:
    draft = Draft()
    source, result = draft.tensor((8, 8)), draft.tensor((8, 8))
    axes = draft.tensor((2,), "int32", values=np.array(order, np.int32))
    draft.operator("TRANSPOSE", [source, axes], [result], "Transpose")
    return read_model(draft.io([source], [result]).file(), "transpose.tflite")


def test_overlaps_are_those_of_the_constants_that_steer(tmp_path: Path) -> None:
    """Both orders have the same shapes, and one is safe in place."""
    path = tmp_path / "overlaps.json"
    write_overlaps(as_measured(transpose((0, 1))), path)
    assert read_overlaps(path, transpose((0, 1))).operators
    with pytest.raises(DiagmemError, match="another graph than transpose"):
        read_overlaps(path, transpose((1, 0)))


def test_what_an_operator_goes_on_from_is_kept(tflm: None, tmp_path: Path) -> None:
    """Each inference moves TFLM's circular buffer on, which is its output tensor."""
    draft = Draft()
    shapes = ((1, 1, 1, 8), (1, 5, 1, 8), (1, 5, 1, 8))
    source, buffer, result = (draft.tensor(s, "int8", scale=[0.1], zero_point=[0]) for s in shapes)
    draft.operator("CUSTOM:CIRCULAR_BUFFER", [source], [buffer])
    draft.operator("ADD", [buffer, buffer], [result], "Add")
    model = read_model(draft.io([source], [result]).file(), "buffer.tflite")
    inputs = [random_inputs(model, seed) for seed in range(3)]
    found = plan_network(model, "exact")
    assert found.problem.pinned == {buffer}
    assert verify_network(model, planned(model, found, tmp_path), inputs).identical

    in_place = {**found.plan.offsets, result: found.plan.offsets[buffer]}
    over = replace(found, plan=replace(found.plan, offsets=in_place))
    said = verify_network(model, planned(model, over, tmp_path), inputs).difference
    assert said.startswith("run 1: ")


def test_a_model_that_comes_with_a_broken_plan_is_not_taken_for_right(
    tflm: None, tmp_path: Path
) -> None:
    """The plan is the same in both files, and so are the wrong outputs."""
    draft = Draft()
    source, slope = draft.tensor((1, 64)), draft.tensor((1, 64), values=np.linspace(0, 9, 64))
    made, result = draft.tensor((1, 64)), draft.tensor((1, 64))
    draft.operator("ADD", [source, slope], [made], "Add")
    draft.operator("ADD", [made, slope], [result], "Add")
    model = read_model(draft.io([source], [result]).file())
    path = tmp_path / "broken.tflite"
    write_planned(model, [512, -1, 0, 16], path)
    broken, inputs = read_model(path), [random_inputs(model, 0)]
    said = verify_network(broken, broken, inputs).difference
    assert said.startswith("run 0: ")
    assert said.endswith(" differ, the first at 16")

    write_plan(plan_network(model, "none"), tmp_path / "right.tflite")
    said = verify_network(broken, read_model(tmp_path / "right.tflite"), inputs).difference
    assert " differ in the model itself from where nothing overlaps, the first" in said
