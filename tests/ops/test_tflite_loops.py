"""The loop nests against TFLite's kernels written out anew, without nests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from diagmem.ops import find_operator
from diagmem.ops.answer import answer
from diagmem.ops.layer import Layer
from diagmem.ops.nest import Access, Axis, Loop, Nest, Node
from diagmem.ops.operator import REFERENCE
from tests.ops.interpreter import Ticks, minimum_displacement, run
from tests.ops.layers import small_layers
from tests.ops.tflite_loops import KERNELS, watch

CASES = 30

Place = tuple[str, int]


def order(elements: dict[str, list[Ticks]]) -> list[set[tuple[str, Place]]]:
    """What happens first and last to the elements, in turn.

    Reads that no write parts are one moment, and so are writes that no read parts:
    within it their order can matter to no displacement.
    """
    moments: list[tuple[int, bool, str, Place]] = []
    for tensor, ticks in elements.items():
        for at, one in enumerate(ticks):
            for what, tick, store in (
                ("first load", one.first_load, False),
                ("last load", one.last_load, False),
                ("first store", one.first_store, True),
                ("last store", one.last_store, True),
            ):
                if tick is not None:
                    moments.append((tick, store, what, (tensor, at)))
    groups: list[set[tuple[str, Place]]] = []
    before: bool | None = None
    for _, store, what, place in sorted(moments):
        if store is not before:
            groups.append(set())
            before = store
        groups[-1].add((what, place))
    return groups


def nest_of(layer: Layer) -> Nest:
    return find_operator(layer.operator).loop_nest(layer, REFERENCE)


@pytest.mark.parametrize("operator", KERNELS)
def test_nests_go_as_the_kernels_do(operator: str) -> None:
    for layer in small_layers(operator, REFERENCE, CASES, seed=3):
        elements = watch(layer)
        assert order(run(layer, nest_of(layer))) == order(elements), layer
        truth = [
            minimum_displacement(source, target, elements[source.name], elements[target.name])
            for source in layer.inputs
            for target in layer.outputs
        ]
        for method in ("exact", "algorithmic"):
            found = [pair.min_displacement_bytes for pair in answer(layer, method).pairs]
            assert found == truth, (method, layer)


# A nest that is wrong somewhere would be seen.


def changed(node: Node, change: Callable[[Axis], Axis], tensor: str) -> Node:
    if isinstance(node, Loop):
        return replace(node, body=tuple(changed(child, change, tensor) for child in node.body))
    return replace(node, axes=tuple(map(change, node.axes))) if node.tensor == tensor else node


def shifted(axis: Axis) -> Axis:
    """The padding in front is one less."""
    return replace(axis, start=axis.start + 1) if axis.start < 0 else axis


def taps_swapped(axis: Axis) -> Axis:
    """The filter's rows step over columns."""
    names = {"fy": "fx", "fx": "fy"}
    return replace(axis, steps=tuple((names.get(name, name), step) for name, step in axis.steps))


@pytest.mark.parametrize("change", [shifted, taps_swapped])
@pytest.mark.parametrize("operator", ["CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D"])
def test_a_wrong_nest_is_seen(operator: str, change: Callable[[Axis], Axis]) -> None:
    def differs(layer: Layer) -> bool:
        nest = tuple(changed(node, change, "input") for node in nest_of(layer))
        return order(run(layer, nest)) != order(watch(layer))

    assert any(differs(layer) for layer in small_layers(operator, REFERENCE, CASES, seed=3))


@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("CONV_2D", {"input": (2, 7, 3, 2), "filter": (3, 2), "output_channels": 3}),
        ("AVERAGE_POOL_2D", {"input": (2, 3, 8, 2), "filter": (3, 2), "stride": (1, 1)}),
        ("RESIZE_BILINEAR", {"input": (1, 3, 5, 2), "size": (7, 4), "align_corners": True}),
    ],
)
def test_height_and_width_are_told_apart(operator: str, attributes: dict[str, Any]) -> None:
    """The turned layer has another D, and the kernels agree with both."""
    found = []
    for turned in (False, True):
        given = dict(attributes)
        if turned:
            b, h, w, c = given["input"]
            given["input"] = (b, w, h, c)
            for name in ("filter", "stride", "size"):
                if name in given:
                    given[name] = given[name][::-1]
        layer = find_operator(operator).of(given)
        elements = watch(layer)
        [source], [target] = layer.inputs, layer.outputs
        truth = minimum_displacement(source, target, elements["input"], elements["output"])
        assert answer(layer).min_displacement_bytes == truth
        found.append(truth)
    assert found[0] != found[1]


def test_all_accesses_are_of_tensors_that_the_kernels_know() -> None:
    def tensors(node: Node) -> set[str]:
        if isinstance(node, Access):
            return {node.tensor}
        return {name for child in node.body for name in tensors(child)}

    for operator in KERNELS:
        for layer in small_layers(operator, REFERENCE, 5):
            known = {t.name for t in (*layer.inputs, *layer.outputs)}
            assert {name for node in nest_of(layer) for name in tensors(node)} <= known
