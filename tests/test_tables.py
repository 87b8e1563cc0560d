"""``docs/operators.md`` and ``docs/kernels.md``: what the scripts wrote still holds.

The pages' own numbers are computed again, those of compiled kernels for a sample.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from diagmem.base.errors import DiagmemError
from diagmem.check.judge import Finding
from diagmem.check.sweep import check
from diagmem.ops import OPERATORS, find_operator
from diagmem.ops.analytical import exact
from diagmem.ops.answer import by_loop_nest
from diagmem.ops.attributes import parse_words
from diagmem.ops.layer import Layer
from diagmem.ops.paper import bound
from diagmem.record.tool import Tool
from diagmem.tflite.zoo import names, open_zoo
from scripts.kernels_page import (
    CASES,
    KERNELS_PAGE,
    NOT_TIGHT,
    REASONS,
    holding,
    need_reasons,
    replaced,
)
from scripts.operators_page import (
    OPERATORS_PAGE,
    PICTURES,
    agree,
    chosen,
    network_layers,
    row_of,
)
from scripts.page_tables import SEED, anchor, link

Cells = dict[str, str]


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def tables(page: str) -> dict[str, list[Cells]]:
    """The rows of each section's table, by its heading."""
    found: dict[str, list[Cells]] = {}
    for section in re.split(r"^#+ ", page, flags=re.MULTILINE)[1:]:
        lines = [line for line in section.splitlines() if line.startswith("| ")]
        rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
        if rows:
            found[section.splitlines()[0]] = [
                dict(zip(rows[0], row, strict=True)) for row in rows[2:]
            ]
    return found


def numbers(cell: str) -> list[int]:
    return [int(number.replace(",", "")) for number in cell.split(" / ")]


def shown() -> list[tuple[Layer, Cells]]:
    return [
        (find_operator(operator).layer(parse_words(row["layer"].strip("`").split())), row)
        for operator, rows in tables(text(OPERATORS_PAGE)).items()
        if operator in OPERATORS
        for row in rows
    ]


def finding(**known: Any) -> Finding:
    """An ADD on TFLM of which all is well, but for what is given."""
    fine = Finding("ADD", "tflm", "dtype=int8 input1=2x3 input2=2x1", 0, input="input2")
    fine = replace(fine, output="output", overlapped_equal=True, tight=True)
    return replace(fine, **known)


# ---- docs/operators.md ----


def test_every_operator_of_the_networks_has_its_section() -> None:
    page = tables(text(OPERATORS_PAGE))
    of_networks = {operator.name for name in names() for operator in open_zoo(name).operators}
    assert of_networks <= page.keys()
    summary = next(iter(page.values()))
    assert {row["operator"].split("`")[1] for row in summary} == of_networks


def test_the_summary_counts_every_layer_of_every_network() -> None:
    layers = network_layers()
    summary = next(iter(tables(text(OPERATORS_PAGE)).values()))
    for row in summary:
        operator = row["operator"].split("`")[1]
        mine = [live for layer, live in layers if layer.operator == operator]
        assert numbers(row["layers"]) == [len(mine)]
        assert numbers(row["inputs"]) == [sum(map(len, mine))]


def test_formulas_give_the_numbers_of_the_page_again() -> None:
    for layer, row in shown():
        pairs = exact(layer, find_operator(layer.operator).loop_nest(layer))
        given = numbers(row["D"])
        # Constants have no figure, and stand last.
        assert [pair.min_displacement_bytes for pair in pairs][: len(given)] == given
        assert numbers(row["output"]) == [layer.outputs[0].size_bytes]
        assert numbers(row["input"]) == [t.size_bytes for t in layer.inputs][: len(given)]
        if "D by the paper" in row and row["D by the paper"] != "no claim":
            published = bound(layer)
            assert published is not None
            assert numbers(row["D by the paper"]) == [published.min_displacement_bytes]
            lost = pairs[0].safe_overlap_bytes - published.safe_overlap_bytes
            assert row["missed"].startswith(f"{lost:,} B")


def test_traces_on_the_page_are_never_above_the_formula() -> None:
    traced = [row for _, row in shown() if row["traced"] != "-"]
    assert len(traced) > 30
    for row in traced:
        pairs = zip(numbers(row["traced"]), numbers(row["D"]), strict=True)
        assert all(seen <= formula for seen, formula in pairs)


def test_loop_nests_agree_for_the_smaller_layers() -> None:
    small = [layer for layer, _ in shown() if layer.inputs[0].size_bytes < 20_000]
    assert len(small) > 10
    for layer in small:
        row = row_of((layer, (layer.inputs[0].name,)))
        assert len(row.pairs) == 1


def test_a_formula_that_is_one_off_is_found() -> None:
    layer = find_operator("CONV_2D").layer(
        {"input": "1x5x4x3", "filter": "3x2", "output_channels": "2"}
    )
    formulas = exact(layer, find_operator("CONV_2D").loop_nest(layer))
    wrong = [replace(formulas[0], min_displacement_bytes=formulas[0].min_displacement_bytes + 4)]
    nests = by_loop_nest(layer, isolated=False)
    agree(layer, formulas, nests)
    with pytest.raises(DiagmemError, match="by formula, expected"):
        agree(layer, wrong, nests)


def test_choice_does_not_depend_on_the_order_of_what_differs() -> None:
    sizes = ["1x9x7x4", "1x5x4x3", "1x8x3x2"]
    layers = [
        find_operator("MAX_POOL_2D").layer({"input": s, "filter": "3x2", "stride": "2x1"})
        for s in sizes
    ]
    rows = [row_of((layer, ("input",))) for layer in layers]
    why = {one.words: reason for reason, one in chosen(rows)}
    assert why == {one.words: reason for reason, one in chosen(rows[::-1])}
    assert why[rows[0].words] == "largest"


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_there_and_shown(name: str) -> None:
    file = f"figures/frontiers_{name}.png"
    assert f"]({file})" in text(OPERATORS_PAGE)
    assert (OPERATORS_PAGE.parent / file).read_bytes().startswith(b"\x89PNG")


# ---- docs/kernels.md ----


def test_every_reason_has_its_section() -> None:
    headings = re.findall(r"^### (.*)$", text(KERNELS_PAGE), flags=re.MULTILINE)
    assert set(headings) == {*REASONS.values(), *NOT_TIGHT.values()}


def test_every_row_gives_its_reason() -> None:
    page = tables(text(KERNELS_PAGE))
    for row in page["Differences"]:
        key = row["operator"].strip("`"), row["kernels"].strip("`")
        assert row["why"] == link(REASONS[key])
        assert row["unsafe"] == "0"
    for row in page["Not tight"]:
        assert row["why"] == link(NOT_TIGHT[row["operator"].strip("`")])
    for row in next(iter(page.values())):
        assert row["right when overlapped"] == row["layers"]


def test_links_go_to_headings() -> None:
    for page in (OPERATORS_PAGE, KERNELS_PAGE):
        headings = re.findall(r"^#+ (.*)$", text(page), flags=re.MULTILINE)
        links = re.findall(r"\]\(#([^)]*)\)", text(page))
        assert set(links) <= {anchor(heading) for heading in headings}


def test_what_parts_from_the_formulas_needs_a_reason() -> None:
    need_reasons([finding(exact=4, algorithmic=4, traced=2)])
    with pytest.raises(DiagmemError, match=r"ADD on c-O2: 1 of 1 .* reason in REASONS"):
        need_reasons([finding(kernels="c-O2", exact=4, algorithmic=4, traced=2)])


def test_what_is_not_tight_needs_a_reason() -> None:
    need_reasons([finding(operator="MAXIMUM", tight=False)])
    need_reasons([finding(exact=4, algorithmic=4, traced=2, tight=False)])
    with pytest.raises(DiagmemError, match="ADD: not always tight"):
        need_reasons([finding(tight=False)])


def test_tables_go_between_their_marks() -> None:
    page = "a\n<!-- made by make tables: x -->\nold\n<!-- end of x -->\nb\n"
    once = replaced(page, "x", ["| new |"])
    assert once == "a\n<!-- made by make tables: x -->\n\n| new |\n\n<!-- end of x -->\nb\n"
    assert replaced(once, "x", ["| new |"]) == once
    with pytest.raises(DiagmemError, match="no marks of y"):
        replaced(page, "y", [])


def test_a_sample_of_the_differences_is_found_again(valgrind_tool: Tool) -> None:
    found = check(("CAST",), ("c-O3",), cases=CASES, seed=SEED, jobs=1)
    looser = [one for one in found if one.gap]
    held = holding(looser)
    (row,) = [row for row in tables(text(KERNELS_PAGE))["Differences"] if "CAST" in row["operator"]]
    assert row["looser"] == str(len(looser))
    assert row["most, B"] == str(max(one.gap for one in looser))
    assert row["held"] == f"{sum(held)} of {len(held)}"
    # From int8 the code compares the buffers; from int16 it does not.
    assert held == ["dtype=int16" in one.attributes for one in looser]
