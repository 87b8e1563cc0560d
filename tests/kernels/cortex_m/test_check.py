"""The check of the formulas on kernels compiled for a Cortex-M."""

from __future__ import annotations

import pytest

from diagmem.base.errors import DiagmemError
from diagmem.check.judge import Finding, draw_questions, judge
from diagmem.check.results import against_others
from diagmem.check.sets import kernel_set
from tests.kernels.cortex_m.conftest import CORTEX_M, need

CASES = 6


def findings(kernels: str, operator: str) -> list[Finding]:
    need(*CORTEX_M)
    return [one for _, one in judge(kernel_set(kernels), draw_questions(operator, CASES, seed=5))]


@pytest.mark.parametrize("operator", ["DEPTHWISE_CONV_2D", "CONCATENATION", "SOFTMAX"])
@pytest.mark.usefixtures("valgrind_tool")
def test_layers_of_many_shapes_in_one_image(operator: str) -> None:
    """The windows of one run have buffers of their own sizes each."""
    here, there = (findings(name, operator) for name in ("c", "c@cortex-m4"))
    assert len({(one.input_bytes, one.output_bytes) for one in there}) > 1
    assert not any(one.wrong or one.refused for one in there)
    [compared] = against_others([*here, *there])
    assert (compared.kernels, compared.against) == ("c@cortex-m4", "c")
    assert compared.pairs == len(there)
    assert compared.differ == {}


def test_another_loop_order_shows() -> None:
    one, two = (findings(f"{name}@cortex-m55", "CONV_2D") for name in ("c", "two-columns"))
    both = {(found.attributes, found.seed): found for found in one if not found.refused}
    pairs = [(both[key], found) for found in two if (key := (found.attributes, found.seed)) in both]
    pairs = [(first, second) for first, second in pairs if not second.refused]
    assert any(first.traced != second.traced for first, second in pairs)
    assert not any(found.wrong for pair in pairs for found in pair)


def test_a_layer_larger_than_the_board() -> None:
    need(*CORTEX_M)
    from diagmem.ops import find_operator

    layer = find_operator("RELU").of({"dtype": "float32", "input": (1, 1500, 1500, 1)})
    reason = kernel_set("c@cortex-m4").why_none(layer)
    assert "expected at most 16777216 on cortex-m4" in reason
    assert kernel_set("c").why_none(layer) == ""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tflm@cortex-m4", "the wheel's kernels are compiled for this machine"),
        ("clang@cortex-m4", "clang compiles for this machine only"),
        ("c@cortex-m9", "'cortex-m9': expected one of cortex-m3"),
        ("d@cortex-m4", "unknown kernels 'd@cortex-m4'"),
    ],
)
def test_kernels_that_there_are_not(name: str, expected: str) -> None:
    with pytest.raises(DiagmemError, match=expected):
        kernel_set(name)
