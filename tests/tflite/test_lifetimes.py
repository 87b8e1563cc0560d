"""How long tensors live, against a walk through the graph and by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from diagmem.tflite import Lifetime, lifetimes, read_model, zoo
from tests.tflite.build import Draft, chain


def _lives(draft: Draft) -> dict[int, tuple[int, int]]:
    return {life.tensor: (life.start, life.end) for life in lifetimes(read_model(draft.file()))}


def test_a_residual_lives_until_it_is_added() -> None:
    draft = chain(
        ([0], [1]), ([1], [2]), ([2], [3]), ([3, 1], [4]), tensors=5, inputs=[0], outputs=[4]
    )
    assert _lives(draft) == {0: (0, 1), 1: (0, 4), 2: (1, 3), 3: (2, 4), 4: (3, 4)}


def test_an_input_used_twice_by_one_operator_and_later() -> None:
    draft = chain(([0, 0], [1]), ([0], [2]), tensors=3, inputs=[0], outputs=[1, 2])
    assert _lives(draft) == {0: (0, 2), 1: (0, 2), 2: (1, 2)}


def test_an_input_that_is_an_output_lives_to_the_end() -> None:
    draft = chain(([0], [1]), ([1], [2]), tensors=3, inputs=[0], outputs=[0, 2])
    assert _lives(draft)[0] == (0, 2)


def test_what_nobody_reads_lives_for_its_operator() -> None:
    draft = chain(([0], [1, 2]), ([1], [3]), tensors=4, inputs=[0], outputs=[3])
    assert _lives(draft)[2] == (0, 1)


def test_an_input_that_nobody_reads_lives_through_the_first_step() -> None:
    draft = chain(([0], [2]), ([2], [3]), tensors=4, inputs=[0, 1], outputs=[3])
    assert _lives(draft)[1] == (0, 1)


def test_an_early_output_lives_to_the_end() -> None:
    draft = chain(([0], [1]), ([0], [2]), ([2], [3]), tensors=4, inputs=[0], outputs=[1, 3])
    assert _lives(draft)[1] == (0, 3)


def test_a_model_without_operators() -> None:
    assert _lives(chain(tensors=1, inputs=[0], outputs=[0])) == {0: (0, 1)}


@st.composite
def _graphs(draw: st.DrawFn) -> Draft:
    inputs = draw(st.integers(1, 3))
    links = []
    tensors = inputs
    for _ in range(draw(st.integers(1, 8))):
        reads = draw(st.lists(st.integers(0, tensors - 1), max_size=3))
        made = draw(st.integers(1, 2))
        links.append((reads, list(range(tensors, tensors + made))))
        tensors += made
    outputs = draw(st.lists(st.integers(0, tensors - 1), min_size=1, max_size=3))
    return chain(*links, tensors=tensors, inputs=list(range(inputs)), outputs=outputs)


@given(_graphs())
def test_every_step_of_a_life_is_a_step_in_which_its_value_is_needed(draft: Draft) -> None:
    model = read_model(draft.file())
    for life in lifetimes(model):
        made = [o.index for o in model.operators if life.tensor in o.outputs]
        read = [o.index for o in model.operators if life.tensor in o.inputs]
        start = made[0] if made else 0
        if life.tensor in model.outputs:
            needed = range(start, len(model.operators))
        else:
            needed = range(start, max([start, *read]) + 1)
        assert range(life.start, life.end) == needed


def test_the_largest_sums_are_those_of_the_paper_s_networks() -> None:
    """KiB alive at once, as an independent script counted them in 2020's networks."""
    expected = {
        "mobilenet_v1_0.25_128_int8": 96,
        "mobilenet_v2_0.35_224_f32": 2940,
        "inception_v4_f32": 8732.875,
        "nasnet_mobile_f32": 5187.25,
        "resnet50_v2_f32": 9408,
    }
    for name, kib in expected.items():
        model = zoo.open_zoo(name)
        alive = [0] * len(model.operators)
        for life in lifetimes(model):
            assert isinstance(life, Lifetime)
            for step in range(life.start, life.end):
                alive[step] += model.tensors[life.tensor].size_bytes
        assert max(alive) / 1024 == kib
