"""Kernels written out by hand, with answers that were worked out by hand.

They guard the oracle and the package alike, and say what the numbers mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pytest

from tests.oracle.kernels import laid_out
from tests.oracle.oracle import Case, Definition, Event, Execution, judge
from tests.oracle.package import from_events

Step = tuple[str, int]
"""What is done to which element: ``("load in", 3)``."""


def case_of(element: int, inputs: int, outputs: int, steps: Iterable[Step]) -> Case:
    """``weights`` in place of a buffer's name: an event that touches neither."""
    input_, output = laid_out(inputs * element, outputs * element)
    addresses = {"in": input_.address, "out": output.address, "weights": 0}
    events = []
    for what, i in steps:
        kind, name = what.split()
        at = addresses[name] + (i * element if name != "weights" else 0)
        events.append(Event(at, element, kind == "store"))
    return Case(input_, output, tuple(events))


def relu(n: int) -> Iterator[Step]:
    for i in range(n):
        yield from [("load in", i), ("store out", i)]


def backward_copy(n: int) -> Iterator[Step]:
    for i in reversed(range(n)):
        yield from [("load in", i), ("store out", i)]


def reversal(n: int) -> Iterator[Step]:
    for i in range(n):
        yield from [("load in", i), ("store out", n - 1 - i)]


def swapped_pairs(n: int) -> Iterator[Step]:
    """Neither forwards nor backwards, yet each element goes to its own place."""
    for i in range(0, n, 2):
        yield from [("load in", i + 1), ("store out", i + 1), ("load in", i), ("store out", i)]


def accumulate(n: int) -> Iterator[Step]:
    for i in range(n):
        yield from [("load in", i), ("load out", i), ("store out", i)]


def clear_then_accumulate(n: int) -> Iterator[Step]:
    yield from (("store out", i) for i in range(n))
    yield from accumulate(n)


def fully_connected(inputs: int, outputs: int) -> Iterator[Step]:
    for o in range(outputs):
        for i in range(inputs):
            yield from [("load in", i), ("load weights", 0)]
        yield ("store out", o)


def softmax(rows: int, depth: int) -> Iterator[Step]:
    """Per row the maximum, the exponentials and their sum, then the division."""
    for start in range(0, rows * depth, depth):
        row = range(start, start + depth)
        yield from (("load in", i) for i in row)
        for i in row:
            yield from [("load in", i), ("store out", i)]
        for i in row:
            yield from [("load out", i), ("store out", i)]


def concat(rows: int, mine: int, other: int, *, first: bool) -> Iterator[Step]:
    """One of two inputs, joined row by row with the other, which counts as weights."""

    def own(row: int, at: int) -> Iterator[Step]:
        for i in range(mine):
            yield from [("load in", row * mine + i), ("store out", at + i)]

    def others(at: int) -> Iterator[Step]:
        for i in range(other):
            yield from [("load weights", i), ("store out", at + i)]

    for row in range(rows):
        start = row * (mine + other)
        yield from own(row, start) if first else others(start)
        yield from others(start + mine) if first else own(row, start + other)


def concat_by_memcpy(rows: int, mine: int, other: int) -> Iterator[Step]:
    """A row is written before it is read: no order is promised inside memcpy."""
    for row in range(rows):
        start = row * (mine + other)
        yield from (("store out", start + i) for i in range(mine))
        yield from (("load in", row * mine + i) for i in range(mine))
        yield from (("store out", start + mine + i) for i in range(other))


@dataclass(frozen=True, slots=True)
class Windowed:
    """Depthwise convolution or pooling; the channel is the inner loop."""

    height: int
    width: int
    channels: int
    filter: int
    stride: int
    pad: int

    @property
    def out(self) -> tuple[int, int]:
        sides = (self.height, self.width)
        h, w = ((n + 2 * self.pad - self.filter) // self.stride + 1 for n in sides)
        return h, w

    @property
    def inputs(self) -> int:
        return self.height * self.width * self.channels

    @property
    def outputs(self) -> int:
        return self.out[0] * self.out[1] * self.channels

    def taps(self, y: int, x: int) -> Iterator[int]:
        """Input pixels under the window of output pixel (y, x)."""
        for dy in range(self.filter):
            for dx in range(self.filter):
                iy, ix = y * self.stride + dy - self.pad, x * self.stride + dx - self.pad
                if 0 <= iy < self.height and 0 <= ix < self.width:
                    yield iy * self.width + ix

    def steps(self) -> Iterator[Step]:
        height, width = self.out
        for pixel in range(height * width):
            for c in range(self.channels):
                for tap in self.taps(*divmod(pixel, width)):
                    yield ("load in", tap * self.channels + c)
                yield ("store out", pixel * self.channels + c)


@dataclass(frozen=True, slots=True)
class Known:
    """Sizes in elements, answers too."""

    inputs: int
    outputs: int
    steps: Callable[[], Iterable[Step]]
    minimum: int
    mirror: int
    isolated: tuple[int, ...] = ()


KNOWN = {
    # In place is safe; below the output the input is overrun at once.
    "relu": Known(6, 6, lambda: relu(6), 0, 6),
    "backward copy": Known(6, 6, lambda: backward_copy(6), 6, 0),
    # Output 5 is written when input 1 is still to be read, and the other way round.
    "reversal": Known(6, 6, lambda: reversal(6), 5, 5),
    # Output 1 is written before input 0 is read; in place each has its own cell.
    "swapped pairs": Known(6, 6, lambda: swapped_pairs(6), 2, 6, (0,)),
    "accumulate": Known(5, 5, lambda: accumulate(5), 5, 5),
    "clear, then accumulate": Known(5, 5, lambda: clear_then_accumulate(5), 5, 5),
    # Input 0 is read for output 9 when outputs 0 to 8 are written.
    "fully connected": Known(4, 10, lambda: fully_connected(4, 10), 9, 4),
    "softmax": Known(12, 12, lambda: softmax(3, 4), 0, 12),
    # The gap to the input grows with each row by what the other one adds.
    "concat, first": Known(12, 20, lambda: concat(4, 3, 2, first=True), 3 * 2, 12),
    "concat, second": Known(12, 20, lambda: concat(4, 3, 2, first=False), 4 * 2, 12),
    "concat by memcpy": Known(12, 20, lambda: concat_by_memcpy(4, 3, 2), 3 * 2 + 3, 12),
    # One row, one pixel ahead: (5 + 1) * 2, and it is not square.
    "depthwise": Known(24, 24, Windowed(3, 4, 2, 3, 1, 1).steps, (4 + 1) * 2, 24),
    # The output never catches up with the window, but the input's last element is
    # read after the output's first is written.  One pixel lower, and a row (with and
    # without that pixel), an output always lies on pixels that were just read.
    "max pool, stride 2": Known(
        48, 12, Windowed(4, 6, 2, 2, 2, 0).steps, 0, 48, (-(6 + 1) * 2, -6 * 2, -1 * 2)
    ),
    "nothing at all": Known(3, 4, list, 4, 3),
    "never read": Known(3, 4, lambda: [("store out", i) for i in range(4)], 0, 0),
    # What was there is the output, so it must outlast the reading of the input.
    "never written": Known(3, 4, lambda: [("load in", i) for i in range(3)], 4, 3),
    # Output 1 keeps what was there, so it cannot lie on any input.
    "half written": Known(3, 2, lambda: [("load in", 0), ("store out", 0)], 2, 2),
}


@pytest.mark.parametrize("element", [1, 4])
@pytest.mark.parametrize("name", KNOWN)
def test_known_answers(name: str, element: int) -> None:
    known = KNOWN[name]
    case = case_of(element, known.inputs, known.outputs, known.steps())
    truth = judge(case, Definition(case).safe)
    assert truth == judge(case, Execution(case).safe)
    whole = [d for d in truth.isolated if d % element == 0]
    assert (truth.minimum, truth.mirror) == (known.minimum * element, known.mirror * element)
    assert whole == [d * element for d in known.isolated]

    found = from_events(case, element, element)
    assert found.exact
    assert found.min_displacement_bytes == truth.minimum
    assert found.mirror_displacement_bytes == truth.mirror
    assert list(found.isolated_safe_displacements) == whole
    assert found.safe_overlap_bytes == truth.safe_overlap


def test_in_place_is_safe_where_each_element_stays_in_its_place() -> None:
    in_place = {
        name
        for name, known in KNOWN.items()
        if known.inputs == known.outputs
        and Definition(case_of(1, known.inputs, known.outputs, known.steps())).safe(0)
    }
    assert in_place == {"relu", "backward copy", "softmax", "swapped pairs"}


# 12 x 12 x 8, a 3 x 3 window, stride 1, SAME: depthwise and max pool alike, as they
# were measured: D = 104 (int8) and 416 (float), and one element less is wrong.

SAME_3X3 = Windowed(height=12, width=12, channels=8, filter=3, stride=1, pad=1)


def windowed_case(element: int) -> Case:
    return case_of(element, SAME_3X3.inputs, SAME_3X3.outputs, SAME_3X3.steps())


def test_int8_3x3_same_at_every_displacement() -> None:
    case = windowed_case(1)
    truth = judge(case, Definition(case).safe)
    found = from_events(case)
    assert truth.minimum == found.min_displacement_bytes == 104
    assert truth.mirror == found.mirror_displacement_bytes == 1152
    assert truth.isolated == list(found.isolated_safe_displacements) == []
    assert found.safe_overlap_bytes == 1152 - 104


def test_f32_3x3_same() -> None:
    case = windowed_case(4)
    definition, found = Definition(case), from_events(case, 4, 4)
    assert found.min_displacement_bytes == 416
    assert found.safe_overlap_bytes == 4608 - 416
    assert found.exact
    # All from 416 on would take minutes; that no element lies in between is as for int8.
    assert all(definition.safe(d) for d in [*range(416, 424), *range(424, 4608, 331)])
    assert not any(definition.safe(d) for d in range(408, 416))
    execution = Execution(case)
    assert execution.safe(416)
    assert not execution.safe(412)


def test_what_the_limit_of_f32_3x3_same_names() -> None:
    """Input pixel (y, x) is needed until output pixel (y + 1, x + 1) is made."""
    limit = from_events(windowed_case(4), 4, 4).limit
    assert limit is not None
    assert limit.output_offset - limit.input_offset == 412
    assert limit.output_tick < limit.input_tick
