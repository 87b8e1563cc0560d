"""Made-up kernels: lists of events, drawn at random or written out by hand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from hypothesis import Phase, settings
from hypothesis import strategies as st

from tests.oracle.oracle import Case, Event, Place

SIZES = (1, 2, 4, 8, 16, 3, 10)

TIMES = int(os.environ.get("DIAGMEM_ORACLE_TIMES", "1"))
"""How many times more examples than usual, for a long run by hand."""

few = settings(max_examples=100 * TIMES)
many = settings(max_examples=400 * TIMES)
search = settings(max_examples=3000, derandomize=True, phases=[Phase.generate])
"""For a case that shows a mistake; no time is spent on making it small."""


def kept_apart(input_: Place, output: Place, events: Iterator[Event]) -> Case:
    """The case; a store to both buffers at once, which has no meaning, is a load."""
    return Case(
        input_,
        output,
        tuple(
            e._replace(store=False) if input_.inside(e) and output.inside(e) else e for e in events
        ),
    )


@st.composite
def places(draw: st.DrawFn, input_bytes: int, output_bytes: int, unit: int) -> tuple[Place, Place]:
    """Either may lie below the other, with or without a gap."""
    base = unit * draw(st.integers(2, 5))
    gap = unit * draw(st.integers(0, 3))
    if draw(st.booleans()):
        return Place(base, input_bytes), Place(base + input_bytes + gap, output_bytes)
    return Place(base + output_bytes + gap, input_bytes), Place(base, output_bytes)


def lists(event: st.SearchStrategy[Event]) -> st.SearchStrategy[list[Event]]:
    """Sometimes empty, but more often long enough for a conflict."""
    return st.sampled_from((10, 6, 3, 0)).flatmap(
        lambda least: st.lists(event, min_size=least, max_size=least + 6)
    )


@st.composite
def raw_cases(draw: st.DrawFn) -> Case:
    """Any events at all, in units so that cells of more than a byte come up too.

    Some lie across an edge of a buffer, some touch neither: a tick that is
    spent on the weights.
    """
    unit = draw(st.sampled_from((1, 1, 2, 4, 8)))
    input_, output = draw(
        places(
            unit * draw(st.integers(1, 7)),
            unit * draw(st.integers(1, 7)),
            unit,
        )
    )
    sizes = SIZES if unit == 1 else tuple(unit * n for n in (1, 2, 3))
    reach = max(input_.end, output.end) // unit + 2
    event = st.builds(
        lambda at, size, store: Event(at * unit, size, store),
        st.integers(0, reach),
        st.sampled_from(sizes),
        st.booleans(),
    )
    return kept_apart(input_, output, iter(draw(lists(event))))


@st.composite
def crowded_cases(draw: st.DrawFn) -> Case:
    """Many events on few bytes, so that values come and go in one cell."""
    input_, output = draw(places(draw(st.integers(1, 2)), draw(st.integers(1, 2)), 1))
    inside = [*range(input_.address, input_.end), *range(output.address, output.end)]
    event = st.builds(Event, st.sampled_from(inside), st.just(1), st.booleans())
    return kept_apart(input_, output, iter(draw(lists(event))))


@st.composite
def sweeping_cases(draw: st.DrawFn) -> Case:
    """Some hundred loads and stores at random near two places that move on.

    Longer than hypothesis would draw event by event, so only the seed is drawn.
    """
    random = Random(draw(st.integers(0, 1 << 32)))
    input_, output = laid_out(random.randint(4, 16), random.randint(4, 16))
    steps = random.randint(20, 150)
    reach = random.randint(0, 3)
    backwards, input_stores = random.random() < 0.3, random.choice((0.0, 0.1, 0.4))

    def events() -> Iterator[Event]:
        for step in range(steps):
            done = (steps - 1 - step if backwards else step) / steps
            r = int(done * input_.size) + random.randint(-reach, reach)
            w = int(done * output.size) + random.randint(-reach, reach)
            yield Event(input_.address + r, 1, random.random() < input_stores)
            yield Event(output.address + w, 1, random.random() < 0.7)

    return kept_apart(input_, output, events())


@dataclass(frozen=True, slots=True)
class Nest:
    """A loop nest over output elements; all counts are in elements."""

    element: int
    inputs: int
    outputs: int
    order: tuple[int, ...]
    """The output elements in the order in which they are made; some perhaps never."""
    stride: int
    window: int
    dilation: int
    pad: int
    vector: int
    """Elements per access: beyond the last one it reaches over the buffer's edge."""
    passes: int
    """The whole is done so often: the output is rewritten."""
    accumulate: bool
    clear: bool
    scratch: bool
    """The window is stored back to the input and read again."""
    reads: bool

    def taps(self, o: int) -> Iterator[int]:
        for k in range(self.window):
            r = o * self.stride + k * self.dilation - self.pad
            if self.reads and 0 <= r < self.inputs:
                yield r

    def events(self, input_: Place, output: Place) -> Iterator[Event]:
        def at(place: Place, i: int, store: bool, count: int = 1) -> Event:
            return Event(place.address + i * self.element, self.element * count, store)

        if self.clear:
            yield Event(output.address, output.size, True)
        for _ in range(self.passes):
            for o in self.order:
                for r in self.taps(o):
                    yield at(input_, r, False, self.vector)
                    if self.scratch:
                        yield at(input_, r, True)
                        yield at(input_, r, False)
                    if self.accumulate:
                        yield at(output, o, False)
                        yield at(output, o, True)
                if not self.accumulate:
                    yield at(output, o, True, self.vector)


@st.composite
def orders(draw: st.DrawFn, outputs: int) -> tuple[int, ...]:
    """Forwards, backwards, any which way; some output elements may be left out."""
    forwards = tuple(range(outputs))
    some = st.lists(st.integers(0, outputs - 1), max_size=outputs).map(tuple)
    return draw(
        st.one_of(
            st.just(forwards),
            st.just(forwards[::-1]),
            st.permutations(forwards).map(tuple),
            some,
        )
    )


@st.composite
def nests(draw: st.DrawFn, *, plain: bool = False) -> Nest:
    """``plain``: no second pass, no accumulator and no store to the input."""
    # Sampled, because hypothesis prefers small integers and one element says little.
    outputs = draw(st.sampled_from((4, 5, 6, 3, 2)))
    rare = st.just(False) if plain else st.sampled_from((False, False, True))
    return Nest(
        element=draw(st.sampled_from((1, 2, 4, 8, 3, 10))),
        inputs=draw(st.sampled_from((4, 5, 6, 3, 2))),
        outputs=outputs,
        order=draw(orders(outputs)),
        stride=draw(st.sampled_from((1, 1, 2, 0))),
        window=draw(st.sampled_from((2, 3, 1))),
        dilation=draw(st.integers(1, 2)),
        pad=draw(st.integers(0, 1)),
        vector=draw(st.sampled_from((1, 1, 1, 2))),
        passes=1 if plain else draw(st.sampled_from((1, 1, 2))),
        accumulate=draw(rare),
        clear=draw(rare),
        scratch=draw(rare),
        reads=draw(st.sampled_from((True,) * 9 + (False,))),
    )


@st.composite
def nest_cases(draw: st.DrawFn, *, plain: bool = False) -> Case:
    """A loop nest; its buffers may end in a few bytes that no element fills."""
    nest = draw(nests(plain=plain))
    odd = st.just(0) | st.integers(0, nest.element - 1)
    input_, output = draw(
        places(
            nest.inputs * nest.element + draw(odd),
            nest.outputs * nest.element + draw(odd),
            nest.element,
        )
    )
    return kept_apart(input_, output, nest.events(input_, output))


def cases() -> st.SearchStrategy[Case]:
    return st.one_of(raw_cases(), crowded_cases(), nest_cases(), nest_cases(plain=True))


def laid_out(input_bytes: int, output_bytes: int) -> tuple[Place, Place]:
    """Places for a kernel written by hand."""
    return Place(64, input_bytes), Place(128 + input_bytes, output_bytes)
