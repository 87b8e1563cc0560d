"""The closed form against the loop nest on random layers: a sample of what
``scripts/check_formulas.py`` does at length."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace

import pytest

from diagmem.ops import OPERATORS
from diagmem.ops.analytical import Exact, exact
from diagmem.ops.answer import answer
from diagmem.ops.layer import Layer, Value
from diagmem.ops.nest import Nest
from diagmem.ops.operator import REFERENCE
from diagmem.ops.windows import geometry
from scripts import check_formulas
from scripts.check_formulas import Task, compare, drawn
from tests.ops.layers import ORDERS

SAMPLE = 150
SEED = 4


@pytest.mark.parametrize(("operator", "order"), ORDERS)
def test_closed_form_and_loop_nest_agree(operator: str, order: str) -> None:
    result = compare(Task(operator, order, SEED, 0, SAMPLE))
    assert result.differences == ()
    assert result.pairs >= SAMPLE


def test_every_operator_and_order_is_in_the_sweep() -> None:
    assert list(check_formulas.orders()) == ORDERS
    assert {operator for operator, _ in ORDERS} == set(OPERATORS)


def test_the_edge_cases_come_up() -> None:
    """In the draws of a convolution, far more often than once in a sweep."""
    seen: Counter[str] = Counter()
    for number in range(2000):
        layer = drawn("CONV_2D", SEED, number)
        seen.update(edges(layer))
    rare = {name: seen[name] for name in EDGES if seen[name] < 20}
    assert rare == {}, "of 2000 draws"


EDGES = (
    "no elements",
    "one pixel",
    "one channel",
    "stride longer than the filter",
    "filter longer than the map",
    "a window wholly in the padding",
    "several batches",
    "explicit padding",
    "wider than high",
    "higher than wide",
)


PAIRS = ("filter", "stride", "dilation")


def _pair(value: Value) -> list[int]:
    assert isinstance(value, tuple)
    return [number for number in value if isinstance(number, int)]


def edges(layer: Layer) -> list[str]:
    given = layer.attributes
    batches, height, width, channels = layer.inputs[0].shape
    found = dict.fromkeys(EDGES, False) | {
        "no elements": layer.inputs[0].elements == 0,
        "one pixel": (height, width) == (1, 1),
        "one channel": channels == 1,
        "several batches": batches > 1,
        "explicit padding": isinstance(given["padding"], tuple),
        "wider than high": width > height,
        "higher than wide": height > width,
    }
    for along, extent in enumerate((height, width)):
        taps, stride, dilation = (_pair(given[key])[along] for key in PAIRS)
        out, before = geometry("CONV_2D", given, along)
        found["stride longer than the filter"] |= stride > taps
        found["filter longer than the map"] |= (taps - 1) * dilation + 1 > extent > 0
        found["a window wholly in the padding"] |= any(
            not any(0 <= o * stride - before + tap * dilation < extent for tap in range(taps))
            for o in range(out)
        )
    return [name for name, here in found.items() if here]


def test_sizes_that_no_nest_can_be_run_for() -> None:
    """The closed form knows no size: it grows as the map does."""
    big = OPERATORS["CONV_2D"].layer(
        {"input": "1x60000x40000x3", "filter": "3x5", "output_channels": "2", "dtype": "int8"}
    )
    small = OPERATORS["CONV_2D"].layer(
        {"input": "1x60x40000x3", "filter": "3x5", "output_channels": "2", "dtype": "int8"}
    )
    # Fewer channels out than in: only the first rows matter, however many there are.
    assert answer(big).min_displacement_bytes == answer(small).min_displacement_bytes > 0


# The script itself.


def run_script(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["check_formulas.py", *words])
    monkeypatch.setattr(
        check_formulas, "orders", lambda: iter([("CONV_2D", "two-columns"), ("ADD", REFERENCE)])
    )
    return check_formulas.main()


def test_the_script_says_what_it_compared(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_script(monkeypatch, "--cases", "30", "--jobs", "1") == 0
    first = capsys.readouterr().out
    assert [line.split() for line in first.splitlines()][1][:4] == [
        "CONV_2D",
        "two-columns",
        "30",
        "30",
    ]
    assert run_script(monkeypatch, "--cases", "30", "--jobs", "2") == 0
    assert capsys.readouterr().out == first


def test_the_script_shows_a_difference(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def too_small(layer: Layer, nest: Nest) -> list[Exact]:
        return [replace(one, min_displacement_bytes=0) for one in exact(layer, nest)]

    monkeypatch.setattr(check_formulas, "exact", too_small)
    assert run_script(monkeypatch, "--cases", "10", "--jobs", "1") == 1
    out = capsys.readouterr().out
    line = next(line for line in out.splitlines() if "diagmem formula" in line)
    assert "closed form 0 B, loop nest" in line
    # What it prints can be pasted.
    from diagmem.cli.main import main

    words = line.partition("diagmem ")[2].split()
    assert main([*words, "--method", "algorithmic"]) == 0
    needed = line.partition("loop nest ")[2].partition(" B")[0]
    assert f"D   = {needed} B" in capsys.readouterr().out
