"""The judgement of a check, on kernels in plain Python that need no compiler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from diagmem.analysis.overlap import Overlap
from diagmem.analysis.safe import Placement
from diagmem.check import judge as judge_module
from diagmem.check.judge import Finding, Question, draw_questions, judge
from diagmem.check.kernel_set import LayerRun, Traced
from diagmem.check.results import count
from diagmem.check.sets import kernel_set
from diagmem.ops import OPERATORS, find_operator
from diagmem.ops.analytical import Exact, exact
from diagmem.ops.layer import Layer
from diagmem.ops.nest import Nest
from tests.check.python_kernels import PythonKernels, execute
from tests.tools import need_programs

CASES = 10


def findings(operator: str, kernels: PythonKernels | None = None) -> list[Finding]:
    questions = draw_questions(operator, CASES, seed=7)
    return [found for _, found in judge(kernels or PythonKernels(), questions)]


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_operator_runs_overlapped_at_its_displacement(operator: str) -> None:
    found = findings(operator)
    [one] = count(found)
    assert one.cases == one.equal == one.overlapped_equal
    assert one.cases + one.refused == CASES
    assert (one.looser, one.unsafe, one.wrong) == (0, 0, False)
    assert one.cases >= 1


def test_one_element_less_is_wrong() -> None:
    """Always, where the kernel computes with what it reads."""
    for operator in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE"):
        [one] = count(findings(operator))
        assert one.tight == one.cases, operator


def test_a_closed_form_one_element_too_small_is_unsafe(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_small(layer: Layer, nest: Nest) -> list[Exact]:
        cell = layer.outputs[0].element_bytes
        return [
            replace(one, min_displacement_bytes=max(one.min_displacement_bytes - cell, 0))
            for one in exact(layer, nest)
        ]

    monkeypatch.setattr(judge_module, "exact", too_small)
    found = [one for one in findings("CONV_2D") if not one.refused]
    assert [one.unsafe for one in found] == [one.traced > 0 for one in found]
    assert all(one.wrong for one in found if one.unsafe)
    [total] = count(found)
    assert total.unsafe > 0
    assert total.wrong
    # It is run at the largest of all, so the kernel itself comes out right.
    assert total.overlapped_equal == total.cases


def too_large(found: Overlap) -> Overlap:
    return replace(found, min_displacement_bytes=found.min_displacement_bytes + 12)


def too_little(found: Overlap) -> Overlap:
    return replace(found, min_displacement_bytes=max(found.min_displacement_bytes - 12, 0))


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [(too_large, "unsafe"), (too_little, "looser")],
)
def test_a_trace_that_says_otherwise(spoil: Callable[[Overlap], Overlap], expected: str) -> None:
    [one] = count(findings("CONV_2D", PythonKernels(spoil=spoil)))
    assert getattr(one, expected) > one.cases // 2
    assert one.equal < one.cases
    assert one.overlapped_equal == one.cases
    if expected == "looser":
        assert 0 < one.mean_gap_bytes <= one.largest_gap_bytes == 12


def test_a_displacement_too_small_makes_bits_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    right = judge_module._figures

    def one_less(*args: Any) -> list[Finding]:
        return [replace(one, displacement=max(one.displacement - 1, 0)) for one in right(*args)]

    monkeypatch.setattr(judge_module, "_figures", one_less)
    found = [one for one in findings("CONV_2D") if not one.refused]
    assert any(one.traced > 0 for one in found)
    for one in found:
        assert one.overlapped_equal is (one.traced == 0)
        assert one.wrong is (one.traced > 0)
        assert not one.unsafe


def test_kernels_that_are_not_there_or_stop() -> None:
    kernels = PythonKernels(
        lacks=lambda layer: "no such kernel" if layer.inputs[0].shape[0] == 2 else "",
        stops=lambda run: "stopped by SIGABRT" if run.layer.inputs[0].shape[0] == 3 else "",
    )
    relu = find_operator("RELU")
    questions = [
        Question(relu.of({"dtype": "int8", "input": (rows, 5)}), seed=rows) for rows in (1, 2, 3, 4)
    ]
    found = judge(kernels, questions)
    assert [number for number, _ in found] == [0, 1, 2, 3]
    reasons = [one.refused for _, one in found]
    assert reasons == ["", "no such kernel", "stopped by SIGABRT", ""]
    [one] = count(one for _, one in found)
    assert (one.cases, one.refused, one.wrong) == (2, 2, False)
    assert one.reasons == {"no such kernel": 1, "stopped by SIGABRT": 1}


def test_a_run_that_stops_overlapped_is_wrong() -> None:
    kernels = PythonKernels(stops=lambda run: "stopped by SIGSEGV" if run.placement else "")
    layer = find_operator("RELU").of({"input": (3, 5)})
    [(_, found)] = judge(kernels, [Question(layer, 1)])
    assert not found.overlapped_equal
    assert found.wrong


def test_no_questions_no_findings() -> None:
    assert judge(PythonKernels(), []) == []


def test_questions_depend_on_the_seed_alone() -> None:
    one = draw_questions("CONV_2D", 8, seed=3)
    assert one == draw_questions("CONV_2D", 8, seed=3)
    assert one[:5] == draw_questions("CONV_2D", 5, seed=3)
    assert one != draw_questions("CONV_2D", 8, seed=4)


def test_all_pairs_are_run() -> None:
    """Another input is whole after the run, and a wrong one would be seen."""
    layer = find_operator("CONCATENATION").of(
        {"dtype": "int8", "inputs": ((2, 3), (2, 4)), "axis": 1}
    )
    found = [one for _, one in judge(PythonKernels(), [Question(layer, 1)])]
    assert [one.input for one in found] == ["input1", "input2"]
    apart = execute(LayerRun(layer, 1))
    placed = LayerRun(layer, 1, Placement("input1", "output", found[0].displacement))
    assert set(execute(placed).tensors) == {"input2", "output"}
    assert set(apart.tensors) == {"input1", "input2", "output"}


class Idle(PythonKernels):
    """Its traces show kernels that wrote nothing."""

    def trace(self, layers: Sequence[Layer], seed: int) -> list[Traced]:
        return [
            Traced(tuple(replace(pair, refused="wrote nothing") for pair in one.pairs))
            for one in super().trace(layers, seed)
        ]


def test_a_kernel_that_wrote_nothing_is_not_equal() -> None:
    found = [one for one in findings("CONV_2D", Idle()) if not one.refused]
    assert found
    assert all(one.wrong and not one.unsafe for one in found)
    [total] = count(found)
    assert (total.equal, total.overlapped_equal, total.tight) == (0, 0, 0)
    assert total.wrong


@pytest.mark.usefixtures("valgrind_tool")
@pytest.mark.parametrize("operator", ["CONV_2D", "SOFTMAX"])
def test_kernels_that_clang_compiles(operator: str) -> None:
    need_programs("clang", target="soak")
    found = [one for _, one in judge(kernel_set("clang"), draw_questions(operator, 3, seed=4))]
    assert found
    assert not any(one.wrong or one.refused for one in found)
