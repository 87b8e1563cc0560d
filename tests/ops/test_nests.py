"""Loop nests: the two quick methods against running them iteration by iteration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from diagmem.analysis.liveness import NEVER_FIRST, NEVER_LAST, BufferLiveness
from diagmem.analysis.overlap import find_overlap
from diagmem.ops import algorithmic, analytical, find_operator
from diagmem.ops.algorithmic import liveness
from diagmem.ops.analytical import Exact, exact
from diagmem.ops.answer import by_loop_nest
from diagmem.ops.layer import Layer
from diagmem.ops.nest import (
    MAX_AXES,
    Access,
    Loop,
    Nest,
    Piece,
    axis,
    axis_in_pieces,
    duration,
    loop,
    loops,
    read,
    statements,
    write,
)
from tests.ops.interpreter import Ticks, minimum_displacement, run
from tests.ops.layers import ORDERS, small_layers

CASES = 12


def as_columns(ticks: list[Ticks]) -> list[list[int]]:
    """As `BufferLiveness` has them."""
    return [
        [NEVER_FIRST if one.first_load is None else one.first_load for one in ticks],
        [NEVER_LAST if one.last_load is None else one.last_load for one in ticks],
        [NEVER_FIRST if one.first_store is None else one.first_store for one in ticks],
        [NEVER_LAST if one.last_store is None else one.last_store for one in ticks],
    ]


def columns(live: BufferLiveness) -> list[list[int]]:
    return [
        column.tolist()
        for column in (live.first_load, live.last_load, live.first_store, live.last_store)
    ]


def displacements(layer: Layer, ran: dict[str, list[Ticks]]) -> list[int]:
    return [
        minimum_displacement(source, target, ran[source.name], ran[target.name])
        for source in layer.inputs
        for target in layer.outputs
    ]


@pytest.mark.parametrize(("operator", "order"), ORDERS)
def test_both_methods_say_what_the_iterations_say(operator: str, order: str) -> None:
    for layer in small_layers(operator, order, CASES):
        nest = find_operator(operator).loop_nest(layer, order)
        ran = run(layer, nest)
        live = liveness(layer, nest)
        for name, ticks in ran.items():
            assert columns(live[name]) == as_columns(ticks), (layer, name)
        truth = displacements(layer, ran)
        assert [one.min_displacement_bytes for one in exact(layer, nest)] == truth, layer
        assert [one.min_displacement_bytes for one in by_loop_nest(layer, order)] == truth, layer


@pytest.mark.parametrize(("operator", "order"), ORDERS)
def test_a_kernel_writes_all_its_output_and_never_its_input(operator: str, order: str) -> None:
    for layer in small_layers(operator, order, CASES, seed=1):
        live = liveness(layer, find_operator(operator).loop_nest(layer, order))
        assert not any(live[source.name].stored.any() for source in layer.inputs)
        for target in layer.outputs:
            assert live[target.name].stored.all(), (layer, target.name)
            assert not live[target.name].loaded.any()


@pytest.mark.parametrize(("operator", "order"), ORDERS)
def test_the_conflict_is_a_witness(operator: str, order: str) -> None:
    """The element named is written before the other is last read, and they meet there."""
    for layer in small_layers(operator, order, CASES, seed=2):
        nest = find_operator(operator).loop_nest(layer, order)
        live = liveness(layer, nest)
        sizes = {t.name: t.element_bytes for t in (*layer.inputs, *layer.outputs)}
        for one in exact(layer, nest):
            if one.conflict is None:
                assert one.min_displacement_bytes == 0
                continue
            w, w_left = divmod(one.conflict.output_offset, sizes[one.output])
            r, r_left = divmod(one.conflict.input_offset, sizes[one.input])
            assert (w_left, r_left) == (0, 0)
            assert live[one.output].first_store[w] < live[one.input].last_load[r]
            assert one.min_displacement_bytes == (w + 1) * sizes[one.output] - r * sizes[one.input]
            counters = list(one.conflict.iterations.values())
            assert [a for a, _ in counters] <= [b for _, b in counters]


# Nests by hand.

LAYER = find_operator("RELU").of({"dtype": "float32", "input": (3, 5)})


def hand(*body: Loop | Access) -> int:
    """D of a nest over 15 floats, which all three ways must find."""
    ran = run(LAYER, body)
    live = liveness(LAYER, body)
    assert {name: columns(live[name]) for name in ran} == {
        name: as_columns(ticks) for name, ticks in ran.items()
    }
    [truth] = displacements(LAYER, ran)
    [closed] = exact(LAYER, body)
    nested = find_overlap(live["input"], live["output"])
    assert closed.min_displacement_bytes == nested.min_displacement_bytes == truth
    return truth


def test_known_nests() -> None:
    i = axis(15, "i")
    all_read, all_written = (
        loop("r", 15, read("input", axis(15, "r"))),
        loop("w", 15, write("output", axis(15, "w"))),
    )
    assert hand(all_read, all_written) == 0
    assert hand(all_written, all_read) == 60
    assert hand(loop("i", 15, read("input", i), write("output", i))) == 0
    assert hand(loop("i", 15, write("output", i), read("input", i))) == 4
    # Backwards, the last is written while the first is still to be read.
    back = axis(15, start=14, i=-1)
    assert hand(loop("i", 15, read("input", back), write("output", back))) == 60


def test_a_transposition_by_hand() -> None:
    turned = read("input", axis(3, "x"), axis(5, "y"))
    straight = write("output", axis(5, "y"), axis(3, "x"))
    # In the order of writing, the elements read are 0 5 10 1 6 11 2 7 12 3 8 13 4 9 14.
    # The largest w - r is 11 - 4: output 11 is written, and then input 4 is read.
    assert hand(loops({"y": 5, "x": 3}, turned, straight)) == 4 * (11 - 4 + 1)


def test_loops_that_never_run_do_nothing() -> None:
    never = loop("n", 0, write("output", axis(15, "i")))
    nest: Nest = (loop("i", 15, read("input", axis(15, "i")), never),)
    assert not liveness(LAYER, nest)["output"].stored.any()
    assert [one.min_displacement_bytes for one in exact(LAYER, nest)] == [0]
    assert sum(duration(node) for node in nest) == 15


def test_an_axis_in_pieces_reads_nothing_between_them() -> None:
    gap = axis_in_pieces(15, "i", [Piece(0, 4, 3, -1), Piece(9, 15, 9, 1)])
    assert hand(loop("i", 15, read("input", gap), write("output", axis(15, "i")))) == 12


@pytest.mark.parametrize(
    ("nest", "said"),
    [
        ((loop("i", 3, loop("i", 5, read("input", axis(15, "i")))),), "each loop has a name"),
        ((loop("i", 3, read("input", axis(3, "i"), axis(5, "i"))),), "moves one axis"),
        ((read("input", axis(15, "i")),), "not around it"),
        ((read("input", *[axis(1)] * (MAX_AXES + 1)),), "at most"),
    ],
)
def test_a_mistaken_nest_is_refused(nest: Nest, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        statements(nest)


def test_axes_of_another_tensor_are_refused() -> None:
    with pytest.raises(ValueError, match="axes of 16, not 15"):
        liveness(LAYER, (loop("i", 16, read("input", axis(16, "i"))),))


# A mistake in a method would be seen.


def seen(operator: str) -> bool:
    """Does the comparison above fail?"""
    try:
        test_both_methods_say_what_the_iterations_say(operator, "reference")
    except AssertionError:
        return True
    return False


def test_a_last_tick_that_is_a_first_one_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = algorithmic._ticks_of_axis

    def wrong(*args: Any) -> object:
        first, _ = right(*args)
        return first, np.where(first < algorithmic._NOWHERE, first, -first)

    monkeypatch.setattr(algorithmic, "_ticks_of_axis", wrong)
    assert seen("CONV_2D")


@pytest.mark.parametrize("which", ["_equal", "_earlier", "_free"])
def test_a_case_left_out_of_the_closed_form_is_seen(
    which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(*args: object) -> None:
        return None

    monkeypatch.setattr(analytical, which, nothing)
    assert seen("CONV_2D")


def less(found: Exact, _: Layer) -> int:
    return max(found.min_displacement_bytes - 4, 0)


def paid_in_elements(found: Exact, layer: Layer) -> int:
    return found.min_displacement_bytes // layer.outputs[0].element_bytes


@pytest.mark.parametrize("spoil", [less, paid_in_elements])
def test_a_spoilt_closed_form_is_seen(
    spoil: Callable[[Exact, Layer], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = exact

    def wrong(layer: Layer, nest: Nest) -> list[Exact]:
        return [
            replace(one, min_displacement_bytes=spoil(one, layer)) for one in right(layer, nest)
        ]

    monkeypatch.setitem(globals(), "exact", wrong)
    assert seen("CONV_2D")
