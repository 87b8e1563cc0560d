"""One layer on one set of kernels: three methods, a trace and overlapped runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from diagmem.analysis.overlap import Overlap, find_overlap
from diagmem.analysis.safe import Placement
from diagmem.check.kernel_set import KernelSet, LayerOutcome, LayerRun
from diagmem.ops import find_operator
from diagmem.ops.algorithmic import liveness
from diagmem.ops.analytical import exact
from diagmem.ops.draw import Draw
from diagmem.ops.layer import Layer
from diagmem.ops.paper import bound

SEEDS = 2
"""Inputs that every overlapped run is tried on."""


@dataclass(frozen=True, slots=True)
class Question:
    """A layer to be checked; ``seed`` makes its inputs, and the next ones."""

    layer: Layer
    seed: int


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found for one input and one output, in bytes.

    Attributes
    ----------
    exact, algorithmic, paper, traced : D by each method; ``paper`` None where the
        paper has no formula, or claims nothing.
    displacement : where the kernel was run overlapped: the largest of them but
        the paper's.
    overlapped_equal : there, all bits were those of a run apart.
    tight : one element less and some bit was wrong; also where there is no less.
    refused : why the layer could not be checked; then nothing else is known.
    silent : why the trace gives no D, such as a kernel that wrote nothing; then it is
        neither equal nor right nor tight, and ``traced`` is that of buffers apart.
    """

    operator: str
    kernels: str
    attributes: str
    seed: int
    order: str = ""
    input: str = ""
    output: str = ""
    input_bytes: int = 0
    output_bytes: int = 0
    exact: int = 0
    algorithmic: int = 0
    paper: int | None = None
    traced: int = 0
    displacement: int = 0
    overlapped_equal: bool = False
    tight: bool = False
    refused: str = ""
    notes: str = ""
    silent: str = ""

    @property
    def equal(self) -> bool:
        """Closed form, loop nest and trace agree."""
        return not self.silent and self.exact == self.algorithmic == self.traced

    @property
    def gap(self) -> int:
        """How much larger than the trace's the formula's D is."""
        return max(self.exact - self.traced, 0)

    @property
    def unsafe(self) -> bool:
        """Some formula claims more overlap than the trace shows."""
        claims = [self.exact, self.algorithmic]
        claims += [] if self.paper is None else [self.paper]
        return not self.silent and min(claims) < self.traced

    @property
    def wrong(self) -> bool:
        return not self.refused and (self.unsafe or not self.overlapped_equal)


def draw_questions(operator: str, cases: int, seed: int) -> list[Question]:
    """Random layers of an operator; a seed gives the same ones for every set."""
    entry = find_operator(operator)
    return [
        Question(entry.of(entry.draw(Draw(f"{seed}/{operator}/{number}"))), number)
        for number in range(cases)
    ]


def judge(kernels: KernelSet, questions: Sequence[Question]) -> list[tuple[int, Finding]]:
    """Check all of them: a finding for each pair of each layer, with the number of
    its question; one finding for a layer that cannot be checked."""
    refused = {n: reason for n, q in enumerate(questions) if (reason := kernels.why_none(q.layer))}
    possible = [n for n in range(len(questions)) if n not in refused]
    expected = dict(zip(possible, _apart(kernels, [questions[n] for n in possible]), strict=True))
    refused |= {n: why for n, outcomes in expected.items() if (why := _why(outcomes))}
    runnable = [n for n in possible if n not in refused]
    traced = kernels.trace([questions[n].layer for n in runnable], seed=0) if runnable else []
    findings: list[tuple[int, Finding]] = []
    for n, trace in zip(runnable, traced, strict=True):
        if trace.stopped:
            refused[n] = trace.stopped
        else:
            findings += [(n, one) for one in _figures(kernels, questions[n], trace.pairs)]
    judged = _run_overlapped(kernels, questions, expected, findings)
    judged += [(n, _blank(kernels, questions[n], reason)) for n, reason in refused.items()]
    return sorted(judged, key=lambda entry: entry[0])


def _apart(kernels: KernelSet, questions: Sequence[Question]) -> list[list[LayerOutcome]]:
    runs = [LayerRun(q.layer, q.seed + i) for q in questions for i in range(SEEDS)]
    outcomes = kernels.run(runs) if runs else []
    return [outcomes[start : start + SEEDS] for start in range(0, len(outcomes), SEEDS)]


def _why(outcomes: Sequence[LayerOutcome]) -> str:
    return next((o.stopped for o in outcomes if o.stopped), "")


def _blank(kernels: KernelSet, question: Question, refused: str = "") -> Finding:
    operator = find_operator(question.layer.operator)
    words = operator.words(question.layer)
    return Finding(
        operator=operator.name,
        kernels=kernels.name,
        attributes=" ".join(f"{name}={value}" for name, value in words.items()),
        seed=question.seed,
        refused=refused,
    )


def _figures(
    kernels: KernelSet, question: Question, traced: Sequence[Overlap]
) -> Iterator[Finding]:
    """The methods side by side, one finding for each pair."""
    layer = question.layer
    order = kernels.order(layer)
    nest = find_operator(layer.operator).loop_nest(layer, order)
    live = liveness(layer, nest)
    published = bound(layer)
    blank = _blank(kernels, question)
    for formula, overlap in zip(exact(layer, nest), traced, strict=True):
        nested = find_overlap(live[formula.input], live[formula.output], isolated=False)
        finding = replace(
            blank,
            order=order,
            input=formula.input,
            output=formula.output,
            input_bytes=formula.input_bytes,
            output_bytes=formula.output_bytes,
            exact=formula.min_displacement_bytes,
            algorithmic=nested.min_displacement_bytes,
            paper=None
            if published is None or published.refused
            else published.min_displacement_bytes,
            traced=overlap.min_displacement_bytes,
            notes="; ".join(overlap.notes),
            silent=overlap.refused,
        )
        yield replace(finding, displacement=max(finding.exact, finding.algorithmic, finding.traced))


def _run_overlapped(
    kernels: KernelSet,
    questions: Sequence[Question],
    expected: Mapping[int, Sequence[LayerOutcome]],
    findings: Sequence[tuple[int, Finding]],
) -> list[tuple[int, Finding]]:
    """Run each pair at its D and one element below, on all inputs."""
    runs: list[LayerRun] = []
    for number, one in findings:
        layer = questions[number].layer
        for below in (0, _cell(layer, one)):
            at = one.displacement - below
            # Where nothing is less than 0, the second run is the first again.
            placement = Placement(one.input, one.output, max(at, 0))
            runs += [LayerRun(layer, one.seed + i, placement) for i in range(SEEDS)]
    outcomes = kernels.run(runs) if runs else []
    judged = []
    for k, (number, one) in enumerate(findings):
        mine = outcomes[2 * SEEDS * k : 2 * SEEDS * (k + 1)]
        same = [
            _same(right, outcome)
            for right, outcome in zip([*expected[number]] * 2, mine, strict=True)
        ]
        right = not one.silent and all(same[:SEEDS])
        tight = not one.silent and (one.displacement == 0 or not all(same[SEEDS:]))
        judged.append((number, replace(one, overlapped_equal=right, tight=tight)))
    return judged


def _cell(layer: Layer, one: Finding) -> int:
    """One element: the smaller of both tensors'."""
    return min(
        tensor.element_bytes
        for tensor in (*layer.inputs, *layer.outputs)
        if tensor.name in (one.input, one.output)
    )


def _same(right: LayerOutcome, outcome: LayerOutcome) -> bool:
    return not outcome.stopped and all(
        np.array_equal(right.tensors[name], data) for name, data in outcome.tensors.items()
    )
