"""The inputs that a plan is run on, and proofs that say little."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from diagmem.networks.probes import probe_inputs, weakness
from diagmem.tflite.graph import Model, read_model
from diagmem.tflm.child.job import ComparedRun
from tests.tflite.build import Draft


def model(dtype: str = "float32", output: str = "float32", steps: int = 1) -> Model:
    draft = Draft()
    scale, zero = ([0.5], [-100]) if dtype == "int8" else ((), ())
    tensors = [draft.tensor((3, 40), dtype, scale=scale, zero_point=zero)]
    for _ in range(steps):
        tensors.append(draft.tensor((3, 40), output))
        draft.operator("ABS", tensors[-2:-1], tensors[-1:])
    return read_model(draft.io(tensors[:1], tensors[-1:]).file())


def probes(dtype: str, runs: int = 3, seed: int = 0) -> list[npt.NDArray[np.float64]]:
    return [given[0].astype(np.float64) for given in probe_inputs(model(dtype), runs, seed)]


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint8"])
def test_integers_over_the_range_at_its_edges_and_close_to_zero(dtype: str) -> None:
    limits, zero = np.iinfo(dtype), -100 if dtype == "int8" else 0
    whole, edges, narrow = probes(dtype)
    assert np.ptp(whole) > 0.9 * np.ptp([limits.min, limits.max])
    assert len(np.unique(whole)) > 60
    for edge in (limits.min, limits.max):
        assert 0.1 < np.mean(edges == edge) < 0.4
    assert np.ptp(narrow) <= np.ptp([limits.min, limits.max]) / 16 + 1
    assert narrow.min() <= zero + 1
    assert len(np.unique(narrow)) > 5


def test_floats_of_several_sizes() -> None:
    ranges = [np.abs(values).max() for values in probes("float32", 4)]
    assert 0.9 < ranges[0] <= 1
    assert 7 < ranges[1] <= 8
    assert ranges[2] <= 1 / 16
    assert 0.9 < ranges[3] <= 1


def test_indices_stay_small() -> None:
    assert {*np.unique(probes("int32"))} == {0, 1}


def test_inputs_are_seeded() -> None:
    for dtype in ("int8", "float32"):
        first, again, other = (probes(dtype, 5, seed) for seed in (7, 7, 8))
        assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
        assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
        assert not any(np.array_equal(first[0], run) for run in first[1:])


def said(
    model: Model, outputs: Sequence[npt.NDArray[np.float32]], *, same: bool = False
) -> tuple[str, ...]:
    runs = len(outputs)
    inputs = [probe_inputs(model, 1, 0)[0]] * runs if same else probe_inputs(model, runs, 0)
    return weakness(model, inputs, [[array.tobytes()] for array in outputs], ())


def test_outputs_that_hardly_vary() -> None:
    values = np.linspace(-1, 1, 120, dtype=np.float32)
    few, many = values.copy(), values.copy()
    few[:2] += 1
    many[:3] += 1
    assert said(model(), [values, many]) == ()
    assert said(model(), [values, few]) == (
        "output 't1' hardly varies: 2 of 120 elements differ between runs",
    )


def test_outputs_of_one_input() -> None:
    """Of several runs on one input nothing varies, whatever the kernels do."""
    values = np.linspace(-1, 1, 120, dtype=np.float32)
    assert said(model(), [values, values], same=True) == ()
    assert said(model(), [np.minimum(values, values[3])], same=True) == ()
    saturated = np.minimum(values, values[1])
    assert said(model(), [saturated], same=True) == (
        "output 't1' hardly varies: 119 of 120 elements are the same",
    )


def test_operators_that_put_out_the_same() -> None:
    found = model(steps=5)
    values = [np.linspace(at, 1, 120, dtype=np.float32).tobytes() for at in range(3)]

    def run(number: int) -> ComparedRun:
        hashes = {t: bytes([t if t in (1, 2, 3, 5) else number]) for t in range(1, 6)}
        return ComparedRun((values[number],), hashes, {}, {})

    inputs = probe_inputs(found, 3, 0)
    (why,) = weakness(found, inputs, [[value] for value in values], [run(n) for n in range(3)])
    assert why == (
        "operator 0 (ABS), operator 1 (ABS), operator 2 (ABS) and 1 more put out the same in"
        " every run"
    )
    assert weakness(found, inputs[:1], [[values[0]]], [run(0)]) == ()


def test_an_output_that_nobody_writes() -> None:
    found, masked = model(), np.ones(480, np.bool_)
    run = ComparedRun((b"",), {}, {1: masked}, {})
    values = np.zeros(120, np.float32).tobytes()
    assert weakness(found, probe_inputs(found, 1, 0), [[values]], [run]) == (
        "no kernel writes output 't1'",
    )
    masked[:8] = False
    assert weakness(found, probe_inputs(found, 1, 0), [[values]], [run]) == (
        "output 't1' hardly varies: 2 of 2 elements are the same",
    )
