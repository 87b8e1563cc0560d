"""``docs/cortex-m.md``: its table still holds, for a sample, and its verbs are there."""

from __future__ import annotations

import pytest

from diagmem.base.errors import DiagmemError
from diagmem.check.judge import Finding, draw_questions, judge
from diagmem.check.sets import kernel_set
from diagmem.ops import OPERATORS
from diagmem.record.targets import TARGETS as BOARDS
from scripts.page_tables import SEED
from scripts.targets_page import CASES, TARGETS, TARGETS_PAGE, need_reasons
from tests.kernels.cortex_m.conftest import CORTEX_M, need

PAGE = TARGETS_PAGE.read_text(encoding="utf-8")


def rows(name: str) -> list[list[str]]:
    _, _, rest = PAGE.partition(f"<!-- made by make tables: {name} -->")
    block, _, _ = rest.partition(f"<!-- end of {name} -->")
    lines = [line for line in block.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_operator_has_a_row() -> None:
    head, _, *found = rows("targets")
    assert [row[0] for row in found] == [f"`{operator}`" for operator in OPERATORS]
    assert head[4:-1] == [f"D, {target}" for target in TARGETS]
    for *_, alike in found:
        one, _, all_ = alike.partition(" of ")
        assert one == all_


def test_every_target_is_named() -> None:
    for target in BOARDS:
        assert f"`{target}`" in PAGE


@pytest.mark.parametrize(("operator", "target"), [("PACK", "cortex-m3"), ("PAD", "cortex-m55")])
def test_a_row_is_made_again(operator: str, target: str) -> None:
    need(*CORTEX_M)
    found = [
        one
        for _, one in judge(kernel_set(f"c@{target}"), draw_questions(operator, CASES, seed=SEED))
    ]
    head, _, *table = rows("targets")
    [row] = [row for row in table if row[0] == f"`{operator}`"]
    shown = row[1], row[2], row[head.index(f"D, {target}")]
    assert shown in [
        (f"{one.input_bytes:,}", f"{one.output_bytes:,}", f"{one.traced:,}") for one in found
    ]


def test_another_displacement_needs_a_reason() -> None:
    def found(kernels: str, traced: int) -> Finding:
        return Finding(
            "RELU", kernels, "a=1", 0, exact=8, algorithmic=8, traced=traced, overlapped_equal=True
        )

    need_reasons([found("c", 8), found("c@cortex-m4", 8)])
    with pytest.raises(DiagmemError, match="RELU on c@cortex-m4: another D than on c"):
        need_reasons([found("c", 8), found("c@cortex-m4", 4)])
    with pytest.raises(DiagmemError, match="RELU on c@cortex-m4: unsafe"):
        need_reasons([found("c", 8), found("c@cortex-m4", 12)])
