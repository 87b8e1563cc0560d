"""The oracle is tested first: its two judges against each other, and against wrong ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, find, given

from tests.oracle.kernels import cases, few, laid_out, many, search
from tests.oracle.oracle import (
    BEFORE_ALL,
    Byte,
    Case,
    Definition,
    Event,
    Execution,
    Life,
    Place,
    harms,
    judge,
    shared,
)


def one_byte_each(*events: str) -> Case:
    """A kernel on an input and an output of one byte, such as ``load in``, ``store out``."""
    input_, output = laid_out(1, 1)
    at = {"in": input_.address, "out": output.address}
    split = (event.split() for event in events)
    return Case(input_, output, tuple(Event(at[b], 1, kind == "store") for kind, b in split))


# The two judges against each other.


@many
@given(cases())
@example(one_byte_each())
def test_definition_and_execution_agree(case: Case) -> None:
    assert judge(case, Definition(case).safe) == judge(case, Execution(case).safe)


@pytest.mark.parametrize(
    ("events", "in_place"),
    [
        (["load in", "store out"], True),
        (["store out", "load in"], False),
        # Nobody ever reads the input, so the output may lie on it ...
        (["store out"], True),
        # ... but one that is never written would hold the input instead.
        ([], False),
        # What was there is needed of both.
        (["load in"], False),
        (["load in", "load out", "store out"], False),
        (["load out", "store out", "load in"], False),
        # The accumulator's first value is needed, and the input lies on it.
        (["load out", "store out"], False),
        # A store nobody reads harms all the same.
        (["store out", "load out", "store in", "load out"], False),
        (["store out", "store in"], False),
        # The input serves as scratch, before and after the output's life.
        (["store in", "load in", "store out"], True),
        (["store in", "store out", "load in"], False),
        # The output's first value is dead when the input is read.
        (["store out", "load in", "store out"], False),
        (["load in", "store out", "load out", "store in", "load in", "store out"], True),
    ],
)
def test_small_examples(events: list[str], in_place: bool) -> None:
    case = one_byte_each(*events)
    assert Definition(case).safe(0) is in_place
    assert Execution(case).safe(0) is in_place


def test_a_store_to_both_buffers_is_refused() -> None:
    with pytest.raises(ValueError, match="both"):
        Case(Place(0, 4), Place(4, 4), (Event(2, 4, True),))


def test_overlapping_buffers_are_refused() -> None:
    with pytest.raises(ValueError, match="apart"):
        Case(Place(0, 4), Place(3, 4), ())


# The formula for ordinary kernels, and wrong ones that the oracle must catch.

FOREVER = 1 << 60

Formula = Callable[[Case], int]


def last_read(byte: Byte) -> int:
    return max((life.end for life in byte.lives if life.end > life.start), default=BEFORE_ALL)


def written_from(byte: Byte) -> int:
    """As the specification has it: an accumulator is needed from before."""
    return BEFORE_ALL if byte.initial_needed else byte.stores[0]


def formula(
    case: Case,
    *,
    needed_until: Callable[[Byte], int] = last_read,
    needed_from: Callable[[Byte], int] = written_from,
    plus: int = 1,
) -> int:
    """D = max(0, 1 + max over t of (maxW(t) - minR(t))), in bytes."""
    definition = Definition(case)
    until = [needed_until(byte) for byte in definition.reads]
    since = [needed_from(byte) for byte in definition.writes]
    worst = -1
    for tick in range(BEFORE_ALL, len(case.events)):
        highest = max((w for w, t in enumerate(since) if t <= tick), default=-FOREVER)
        lowest = min((r for r, t in enumerate(until) if t >= tick), default=FOREVER)
        worst = max(worst, highest - lowest)
    return max(0, plus + worst)


def first_store(byte: Byte) -> int:
    return byte.stores[0] if byte.stores else FOREVER


def written_only(byte: Byte) -> int:
    """Forgets that an output byte may be read before it is written."""
    return first_store(byte) if byte.stores else BEFORE_ALL


def read_or_written(byte: Byte) -> int:
    """Forgets that what is never written stays."""
    return written_from(byte) if byte.stores else FOREVER


def last_store(byte: Byte) -> int:
    return BEFORE_ALL if byte.initial_needed else byte.stores[-1]


# Loads and stores never share a tick, so it takes two to make a difference.


def store_too_late(byte: Byte) -> int:
    return written_from(byte) + 2


def read_too_early(byte: Byte) -> int:
    return last_read(byte) - 2


WRONG_FORMULAS: dict[str, Formula] = {
    "off by one": lambda case: formula(case, plus=0),
    "one cell of four too small": lambda case: max(0, formula(case) - 4),
    "read before written forgotten": lambda case: formula(case, needed_from=written_only),
    "never written forgotten": lambda case: formula(case, needed_from=read_or_written),
    "only first stores": lambda case: formula(case, needed_from=first_store),
    "last store for first": lambda case: formula(case, needed_from=last_store),
    "stores too late": lambda case: formula(case, needed_from=store_too_late),
    "reads too early": lambda case: formula(case, needed_until=read_too_early),
}


def ordinary(case: Case) -> bool:
    """Never stores to its input."""
    return not any(event.store and case.input.inside(event) for event in case.events)


@few
@given(cases().filter(ordinary))
def test_the_formula_for_ordinary_kernels(case: Case) -> None:
    assert formula(case) == judge(case, Definition(case).safe).minimum


@pytest.mark.parametrize("name", WRONG_FORMULAS)
def test_a_wrong_formula_is_caught(name: str) -> None:
    """There is a kernel for which it calls something safe that is not."""
    wrong = WRONG_FORMULAS[name]
    strategy = cases().filter(ordinary)

    def caught(case: Case) -> bool:
        return wrong(case) < judge(case, Definition(case).safe).minimum

    find(strategy, caught, settings=search)


# Wrong readings of the full rule, which the other judge must catch.

Rule = Callable[[Byte, Byte], bool]


def both_initial(r: Byte, w: Byte) -> bool:
    return r.initial_needed and w.initial_needed


def output_harms_nothing(r: Byte, w: Byte) -> bool:
    return harms(r.stores, w.lives) or both_initial(r, w)


def input_harms_nothing(r: Byte, w: Byte) -> bool:
    return harms(w.stores, r.lives) or both_initial(r, w)


def only_stores_harm(r: Byte, w: Byte) -> bool:
    return harms(r.stores, w.lives) or harms(w.stores, r.lives)


def unread_stores_harm_nothing(r: Byte, w: Byte) -> bool:
    def read(byte: Byte) -> list[int]:
        return [life.start for life in byte.lives if life.end > life.start]

    return harms(read(r), w.lives) or harms(read(w), r.lives) or both_initial(r, w)


def output_ends_with_its_last_read(r: Byte, w: Byte) -> bool:
    last = w.lives[-1]
    shorter = [*w.lives[:-1], Life(last.start, last.start + 1)]
    return harms(r.stores, shorter) or harms(w.stores, r.lives) or both_initial(r, w)


def first_store_is_all(r: Byte, w: Byte) -> bool:
    return harms(w.stores[:1], r.lives) or harms(r.stores, w.lives) or both_initial(r, w)


WRONG_RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        output_harms_nothing,
        input_harms_nothing,
        only_stores_harm,
        unread_stores_harm_nothing,
        output_ends_with_its_last_read,
        first_store_is_all,
    )
}


@pytest.mark.parametrize("name", WRONG_RULES)
def test_a_wrong_rule_is_caught(name: str) -> None:
    """There is a displacement it calls safe, and running the events shows wrong values."""
    rule = WRONG_RULES[name]

    def caught(case: Case) -> bool:
        definition, execution = Definition(case), Execution(case)
        bytes_ = (definition.reads, definition.writes)

        def called_safe(displacement: int) -> bool:
            pairs = shared(case, displacement)
            return not any(rule(bytes_[0][r], bytes_[1][w]) for r, w in pairs)

        return any(called_safe(d) and not execution.safe(d) for d in case.displacements)

    find(cases(), caught, settings=search)
