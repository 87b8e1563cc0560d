"""Kernels that leave bytes of their outputs as they were, and what is compared then."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from flatbuffers import flexbuffers

from diagmem.networks.on_tflm import measure
from diagmem.networks.verify import Unwritten, Verdict, verify_network
from diagmem.tflite.graph import Model, read_model
from diagmem.tflite.write import write_planned
from diagmem.tflm.network import random_inputs
from tests.tflite.build import Draft

FIRST, END, BINS = 8, 40, 64
UNWRITTEN = 4 * (BINS - (END - FIRST))

pytestmark = pytest.mark.usefixtures("tflm")


def energy(draft: Draft, spectrum: int) -> int:
    """SignalEnergy writes some bins of its output only."""
    bins = draft.tensor((BINS,), "uint32")
    draft.operator("CUSTOM:SignalEnergy", [spectrum], [bins])
    options = flexbuffers.Dumps({"start_index": FIRST, "end_index": END})
    draft.graph.operators[-1].customOptions = np.frombuffer(bytes(options), np.uint8)
    return bins


def copied(draft: Draft, source: int) -> int:
    made = draft.tensor((BINS,), "int32")
    draft.operator("CAST", [source], [made], "Cast")
    return made


def computed(draft: Draft, source: int) -> int:
    made = draft.tensor((BINS,))
    draft.operator("CAST", [source], [made], "Cast")
    return made


def written(draft: Draft, source: int) -> int:
    """What SignalEnergy does write, and no more."""
    made = draft.tensor((END - FIRST,), draft_type(draft, source))
    ends = [draft.tensor((1,), "int32", values=[at]) for at in (FIRST, END, 1)]
    masks = {f"{name}Mask": 0 for name in ("begin", "end", "ellipsis", "newAxis", "shrinkAxis")}
    draft.operator("STRIDED_SLICE", [source, *ends], [made], "StridedSlice", **masks)
    return made


def draft_type(draft: Draft, tensor: int) -> str:
    return "int32" if draft.graph.tensors[tensor].type == 2 else "float32"


def model(*steps: object, reached: bool = True) -> Model:
    """SignalEnergy on the second input, and those operators after it."""
    draft = Draft()
    other, spectrum = draft.tensor((BINS,)), draft.tensor((2 * BINS,), "int16")
    made = draft.tensor((BINS,))
    draft.operator("ABS", [other], [made])
    last = energy(draft, spectrum)
    for step in steps:
        last = step(draft, last)  # type: ignore[operator]  # of the functions above
    return read_model(draft.io([other, spectrum], [made, last]).file(), "energy.tflite")


def verified(model: Model, folder: Path, offsets: Mapping[int, int] | None = None) -> Verdict:
    """A plan that puts SignalEnergy's output where the first input was."""
    path = folder / "planned.tflite"
    at, places = 1024, {0: 0, 1: 256, 2: 512, 3: 0}
    for tensor in model.activations:
        if tensor.index not in places:
            places[tensor.index], at = at, at + 256
    write_planned(
        model, [{**places, **(offsets or {})}.get(t.index, -1) for t in model.tensors], path
    )
    inputs = [random_inputs(model, seed) for seed in range(2)]
    return verify_network(model, read_model(path), inputs)


def test_what_no_kernel_wrote_is_not_compared(tmp_path: Path) -> None:
    """The planned model has the first input there, TFLM's own plan something else."""
    found = verified(model(copied, written), tmp_path)
    assert (found.difference, found.structure.faults, found.operators) == ("", (), 4)
    assert found.unwritten == (
        Unwritten(1, "operator 1 (CUSTOM:SignalEnergy)", 3, UNWRITTEN, 0),
        Unwritten(2, "operator 2 (CAST)", 4, UNWRITTEN, 0),
    )


def test_a_models_output_may_have_such_bytes(tmp_path: Path) -> None:
    found = verified(model(), tmp_path)
    assert found.difference == ""
    assert [one.masked_bytes for one in found.unwritten] == [UNWRITTEN]


def test_what_is_made_of_them_is_said(tmp_path: Path) -> None:
    """Dropped before the end it harms nobody; put out, the model says nothing of it."""
    dropped = verified(model(copied, computed, written), tmp_path)
    assert dropped.difference == ""
    assert [one.computed_bytes for one in dropped.unwritten] == [0, 0, UNWRITTEN]
    put_out = verified(model(copied, computed), tmp_path)
    assert put_out.difference == (
        f"run 0: {UNWRITTEN} bytes of output 't5' are computed from bytes that no kernel wrote:"
        " the model itself does not say what they are"
    )


def test_damage_to_what_was_written_is_seen(tmp_path: Path) -> None:
    """Four bytes of the bins that count are written over, and four that do not count."""
    source = model(copied, written)
    over = {3: 512 + 256 - 16, 4: 1024}
    # ABS's output ends 16 bytes into SignalEnergy's, where nobody wrote: nothing is lost but
    # ABS's own values, which SignalEnergy leaves alone, too.
    found = verified(source, tmp_path, over)
    assert found.difference == ""
    assert found.structure.faults
    # And here 16 bytes into those that it writes.
    found = verified(source, tmp_path, {3: 512 + 256 - 4 * FIRST - 16})
    assert "bytes of output 't2' differ" in found.difference


def test_nothing_that_was_written_is_masked(tmp_path: Path) -> None:
    """CAST's output lies 16 bytes above its input, bins that count among them."""
    found = verified(model(copied, written), tmp_path, {4: 512 + 16, 3: 512})
    assert found.difference.startswith("run 0: ")
    assert found.structure.faults


def test_measuring_leaves_them_out_too(tmp_path: Path) -> None:
    """An alias has TFLM's own plan put SignalEnergy's output where the input was, and the
    plan that is measured under put it elsewhere."""
    draft = Draft()
    other, spectrum = draft.tensor((BINS,)), draft.tensor((2 * BINS,), "int16")
    flat, result = draft.tensor((1, BINS)), draft.tensor((1, BINS))
    shape = draft.tensor((2,), "int32", values=[1, BINS])
    draft.operator("RESHAPE", [other, shape], [flat], "Reshape", newShape=[1, BINS])
    bins = energy(draft, spectrum)
    draft.operator("ABS", [flat], [result])
    source = read_model(draft.io([other, spectrum], [bins, result]).file(), "energy.tflite")
    (pair,) = measure(source, random_inputs(source, 0)).operators[1].pairs
    assert pair.output == bins
