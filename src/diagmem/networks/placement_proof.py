"""A plan put to the proof: its operators run with their tensors where it puts them.

Overlaps are proven pair by pair, each operator by itself.  A plan overlaps several
pairs at once, at one displacement each, and at offsets of its own.  So each operator
that shares bytes is run once more, on the very build that was measured, with all its
tensors as far from each other as in the arena, wherever that begins modulo 64.  What
this refutes is planned anew without overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from diagmem.base.errors import DiagmemError
from diagmem.kernels.cases import ALIGN_BYTES, LEADS, Together
from diagmem.kernels.kept import call_identity, kept_build
from diagmem.kernels.library import Library
from diagmem.networks.chosen import Chosen, choose
from diagmem.networks.measured import Measured, MeasuredOperator
from diagmem.networks.planning import NetworkPlan, PlacementProof, plan_network
from diagmem.proof.runs import Outcome, Results
from diagmem.tflite.graph import Model

SEEDS = range(100, 103)
"""Inputs that no measurement has seen."""
LIBRARY = "library"


def proven_plan(
    model: Model,
    overlaps: str | Measured,
    *,
    advance: Callable[[int, int], None] = lambda done, total: None,
    **options: Any,
) -> NetworkPlan:
    """`plan_network`, and where described kernels were measured, a proof of the plan.

    Parameters
    ----------
    advance : told after each operator that was run how many were, of how many.
    options : of `plan_network`.

    Raises
    ------
    DiagmemError
        As `plan_network`.
    """
    if not isinstance(overlaps, Measured) or not overlaps.described:
        return plan_network(model, overlaps, **options)
    withdrawn: dict[int, str] = {}
    while True:
        plan = plan_network(model, overlaps, without=withdrawn, **options)
        proof, refuted = prove_placement(plan, overlaps, advance=advance)
        if not refuted:
            return replace(plan, placement=replace(proof, withdrawn=withdrawn))
        withdrawn |= refuted


def prove_placement(
    plan: NetworkPlan,
    measured: Measured,
    *,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[PlacementProof, dict[int, str]]:
    """Run every operator that shares bytes at its placement: the proof, and what is wrong
    with those that it refutes, by operator number."""
    held: list[int] = []
    not_run: dict[int, str] = {}
    refuted: dict[int, str] = {}
    operators = list(dict.fromkeys(pair.permission.operator for pair in plan.shared))
    again = _Again(plan, measured)
    for done, operator in enumerate(operators, 1):
        try:
            outcome = again.run(operator)
        except DiagmemError as error:
            not_run[operator] = " ".join(str(error).split())
        else:
            if outcome.holds:
                held.append(operator)
            else:
                refuted[operator] = _damage(outcome)
        advance(done, len(operators))
    return PlacementProof(tuple(held), len(SEEDS), not_run, {}), refuted


class _Again:
    """The kernels that a network was measured on, to be run once more."""

    def __init__(self, plan: NetworkPlan, measured: Measured) -> None:
        self._plan = plan
        self._measured = measured
        self._recorded = _recorded(measured)
        self._library: Library | DiagmemError | None = None
        self._results: dict[object, Results] = {}

    def run(self, operator: int) -> Outcome:
        """All inputs, wherever the arena begins modulo `ALIGN_BYTES`.

        Raises
        ------
        DiagmemError
            The kernel that was measured cannot be run any more.
        """
        chosen, results = self._kernel(self._measured.operators[operator])
        placed = _placed(self._plan, chosen)
        sharing = {
            pair.permission.input
            for pair in self._plan.shared
            if pair.permission.operator == operator
        }
        spared = [buffer for buffer, tensor in chosen.tensors.items() if tensor in sharing]
        outcomes = results.each([placed.shifted(lead) for lead in LEADS], spared)
        return next((outcome for outcome in outcomes if not outcome.holds), outcomes[0])

    def _kernel(self, measured: MeasuredOperator) -> tuple[Chosen, Results]:
        """The measured build, called as it was measured."""
        model, target = self._plan.model, self._recorded.target
        if not self._recorded.place:
            raise DiagmemError("the overlaps do not say where their kernels are; measure again")
        chosen = choose(model, model.operators[measured.index], self._opened(), target)
        if isinstance(chosen, str):
            raise DiagmemError(chosen)
        kernel = chosen.kernel
        description = Path(kernel.document.file)
        if description.stem != measured.kernel or call_identity(kernel) != measured.call:
            raise DiagmemError(f"{description.name}: says other than when it was measured")
        built = kept_build(kernel, measured.build)
        if built is None:
            raise DiagmemError(f"{description.name}: the build that was measured is not kept")
        alike = _alike(chosen)
        key = measured.build, measured.call, tuple(alike.items())
        if key not in self._results:
            self._results[key] = Results(kernel, SEEDS, built=built, alike=alike)
        return chosen, self._results[key]

    def _opened(self) -> Library:
        if self._library is None:
            try:
                self._library = Library(self._recorded.place, self._recorded.words)
            except DiagmemError as error:
                self._library = error
        if isinstance(self._library, DiagmemError):
            raise self._library
        return self._library


@dataclass(frozen=True, slots=True)
class _Recorded:
    """Where a file says that its kernels are; empty where it does not."""

    place: str
    words: Mapping[str, str]
    target: str


def _recorded(measured: Measured) -> _Recorded:
    """Others may have written the file, so an entry may hold anything."""
    recorded = measured.about.get(LIBRARY)
    entries = recorded if isinstance(recorded, Mapping) else {}
    words = entries.get("parameters")
    texts = words.items() if isinstance(words, Mapping) else ()
    return _Recorded(
        _text(entries.get("kernels")),
        {_text(key): _text(text) for key, text in texts if _text(key)},
        _text(entries.get("target")),
    )


def _text(entry: object) -> str:
    return entry if isinstance(entry, str) and entry.isprintable() else ""


def _alike(chosen: Chosen) -> dict[str, str]:
    """Buffers that are one tensor with an earlier one: an operator may be given it twice."""
    first: dict[int, str] = {}
    for buffer, tensor in chosen.tensors.items():
        first.setdefault(tensor, buffer)
    return {b: first[tensor] for b, tensor in chosen.tensors.items() if first[tensor] != b}


def _placed(plan: NetworkPlan, chosen: Chosen) -> Together:
    """All tensors of an operator as they lie in the arena, from a multiple of 64 on."""
    at = plan.plan.offsets
    offsets = {buffer: at[tensor] for buffer, tensor in chosen.tensors.items() if tensor in at}
    below = min(offsets.values()) // ALIGN_BYTES * ALIGN_BYTES
    return Together({buffer: offset - below for buffer, offset in offsets.items()})


def _damage(outcome: Outcome) -> str:
    difference = outcome.difference
    if difference is None:
        return outcome.stopped
    return (
        f'{difference.differing_bytes} of {difference.size_bytes} bytes of "{difference.buffer}"'
        f" differ where the plan puts them (seed {difference.seed})"
    )
