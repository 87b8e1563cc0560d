"""Proof at the displacement: a trace apart, overlapped runs, a trace overlapped.

A traced D is a claim about every displacement from D on.  It is proven when

- traces of different inputs give the same D,
- runs truly overlapped there give the bits of a run apart, for every input,
- those at larger displacements do so too, as many as can be afforded, and
- a new trace at D does not contradict: it is the one apart, or its own order of
  loads and stores is safe.

Where that fails because the binary behaves otherwise when its buffers are near,
the smallest displacement is searched for which it does not fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diagmem.analysis.overlap import DATA_DEPENDENT, Overlap
from diagmem.analysis.safe import Placement, shared_bytes
from diagmem.kernels.kernel import Kernel
from diagmem.kernels.tracing import KernelDidNotFinishError
from diagmem.proof.agreement import Agreement, compare
from diagmem.proof.evidence import Evidence
from diagmem.proof.in_place import check_asked, prove_in_place
from diagmem.proof.proof import Proof
from diagmem.proof.runs import Runs, Trial, find_pair, nearer
from diagmem.proof.search import Search
from diagmem.trace.window import Role

MAX_TRACES = 16
"""Overlapped traces for one pair until no overlap is left as the answer."""
LISTED = 100
UNKNOWN_NEEDS = f"{DATA_DEPENDENT}, so only a displacement that is asked for can be proven"


def prove(
    kernel: Kernel,
    *,
    displacement_bytes: int | None = None,
    inputs: int = 3,
    seed: int = 0,
    pair: tuple[str, str] | None = None,
) -> Proof:
    """Put the traced D of one pair, or a displacement asked for, to the proof.

    Parameters
    ----------
    kernel : what to run; it is built if need be.
    displacement_bytes : from -input_bytes to output_bytes; None: the traced D.
        One that is asked for is answered as it is, without a search; where it
        is negative it stands alone, and "below" means one cell nearer to 0.
    inputs : how many seeded inputs to trace and to run, ``seed`` upwards.
    pair : names of input and output, where the kernel has several.

    Raises
    ------
    DiagmemError
        The kernel cannot be built, traced or run apart, or two runs apart differ.
    """
    source, target = find_pair(kernel, pair)
    pairs = [(source.name, target.name)]
    return prove_pairs(
        kernel, pairs, displacement_bytes=displacement_bytes, inputs=inputs, seed=seed
    )[0]


def all_pairs(kernel: Kernel) -> list[tuple[str, str]]:
    """Every input with every output; one that is both, with itself."""
    pairs = [
        (source.name, target.name)
        for source in kernel.with_role(Role.INPUT)
        for target in kernel.with_role(Role.OUTPUT)
    ]
    return pairs + [(both.name, both.name) for both in kernel.with_role(Role.INOUT)]


def prove_pairs(
    kernel: Kernel,
    pairs: Sequence[tuple[str, str]],
    *,
    displacement_bytes: int | None = None,
    inputs: int = 3,
    seed: int = 0,
) -> list[Proof]:
    """`prove` for several pairs, with the evidence of all of them gathered once."""
    for source, target in pairs:
        find_pair(kernel, (source, target))
        if source == target:
            check_asked(kernel, source, displacement_bytes)
    with Evidence(kernel, range(seed, seed + inputs)) as evidence:
        return [prove_pair(evidence, pair, at=displacement_bytes) for pair in pairs]


def prove_pair(evidence: Evidence, pair: tuple[str, str], *, at: int | None = None) -> Proof:
    """The proof of one pair's traced D, or of the displacement ``at`` alone."""
    overlaps = evidence.overlaps(pair)
    if pair[0] == pair[1]:
        return prove_in_place(evidence.results, pair[0], overlaps)
    return _Question(pair, evidence, evidence.runs(pair), overlaps).answer(at)


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What the traces say: D, and whether the one overlapped at it agrees."""

    displacement: int
    traced: int | None
    agreement: Agreement
    why: str
    notes: tuple[str, ...]
    data_dependent: bool = False
    refused: str = ""


@dataclass(frozen=True, slots=True)
class _Question:
    """One pair on its way to an answer."""

    pair: tuple[str, str]
    evidence: Evidence
    runs: Runs
    overlaps: Sequence[Overlap]
    """Of each window of the trace apart."""

    @property
    def seeds(self) -> range:
        return self.evidence.seeds

    @property
    def _end(self) -> int:
        """Where the two share no byte."""
        return self.runs.output.size_bytes

    def answer(self, asked: int | None) -> Proof:
        refused = self._why_none()
        if refused:
            displacement = self._end if asked is None else asked
            nothing = Agreement(False, None, None, "")
            verdict = _Verdict(displacement, None, nothing, refused, (), refused=refused)
            return self._proof(verdict, Search(self.runs, len(self.seeds)))
        if asked is not None:
            return self._asked(asked)
        traced, dependent, notes = self._traced()
        search = Search(self.runs, len(self.seeds))
        search.around(traced)
        unit, why = search.tried.unit, ""
        usable = min(-(-traced // unit) * unit, self._end)
        smallest = search.smallest_from(usable)
        if smallest > usable:
            worst = search.tried.failed_from(usable)[-1]
            why = (
                f"overlapped runs differ at {worst} bytes, although the trace apart says that"
                f" {traced} is enough"
            )
        smallest, agreement, remark = self._agreed(search, smallest)
        needs = UNKNOWN_NEEDS if dependent else ""
        why = "; ".join(filter(None, (search.tried.why_unit(traced), why, remark, needs)))
        return self._proof(_Verdict(smallest, traced, agreement, why, notes, dependent), search)

    def _asked(self, asked: int) -> Proof:
        search = Search(self.runs, len(self.seeds))
        _, dependent, traced_notes = self._traced()
        notes = tuple(note for note in traced_notes if note.startswith(DATA_DEPENDENT))
        if asked >= 0:
            search.around(asked)
            above = search.tried.failed_from(asked + 1)
            if above:
                notes += (f"isolated: {above[-1]} bytes, which is more, does not hold",)
        stopped = self.runs.at(asked).stopped
        # A kernel that has lost its way would not come back under a tracer either.
        agreement = Agreement(False, None, None, stopped) if stopped else self._compare(asked)
        why = "" if agreement.safe else _contradiction(asked, agreement)
        return self._proof(_Verdict(asked, None, agreement, why, notes, dependent), search)

    def _why_none(self) -> str:
        """Why neither runs nor traces prove anything; empty where they do."""
        if self.runs.wrote_nothing:
            return (
                f"the kernel wrote nothing: every run left {self.runs.output.name} as it was"
                " filled (does a function have to be called first?)"
            )
        return next((pair.refused for pair in self.overlaps if pair.refused), "")

    def _traced(self) -> tuple[int, bool, tuple[str, ...]]:
        """The union over the inputs, whether they differ, and what to say of that."""
        figures = [pair.min_displacement_bytes for pair in self.overlaps]
        notes = list(dict.fromkeys(note for pair in self.overlaps for note in pair.notes))
        if len(set(figures)) > 1:
            listed = ", ".join(
                f"{d} with seed {s}" for s, d in zip(self.seeds, figures, strict=True)
            )
            notes.append(f"{DATA_DEPENDENT}: D is {listed}; other inputs may need more")
        return max(figures), len(set(figures)) > 1, tuple(notes)

    def _compare(self, displacement: int) -> Agreement:
        if not -self.runs.input.size_bytes < displacement < self._end:
            return Agreement(True, True, None, "")  # no byte is shared
        try:
            overlapped = self.evidence.trace_at(Placement(*self.pair, displacement))
        except KernelDidNotFinishError as error:
            # It ran apart, so this is the overlap's doing: an answer, not an error.
            return Agreement(False, None, None, str(error))
        with overlapped:
            return compare(self.evidence.trace, overlapped, self.overlaps, displacement)

    def _agreed(self, search: Search, displacement: int) -> tuple[int, Agreement, str]:
        """From ``displacement`` on, the first displacement that its own trace supports."""
        remark = ""
        step = max(self.runs.cell_bytes, search.tried.unit)
        for _ in range(MAX_TRACES):
            agreement = self._compare(displacement)
            if agreement.safe:
                if agreement.difference:
                    remark = (
                        remark or f"the binary behaves otherwise when overlapped: {_at(agreement)}"
                    )
                return displacement, agreement, remark
            remark = remark or _contradiction(displacement, agreement)
            beyond = max(displacement + step, agreement.safe_from_bytes or 0)
            step *= 2
            displacement = search.smallest_from(min(-(-beyond // step) * step, self._end))
        return self._end, self._compare(self._end), remark

    def _proof(self, verdict: _Verdict, search: Search) -> Proof:
        displacement, agreement = verdict.displacement, verdict.agreement
        runs = self.runs
        at = runs.at(displacement)
        tried = search.tried
        # What was asked about is that displacement; a traced D claims all beyond it.
        holes = [] if verdict.traced is None else tried.failed_from(displacement)
        stated = verdict.traced is None
        proven = at.holds and not holes and agreement.safe is True
        proven &= stated or not verdict.data_dependent
        below = nearer(displacement, max(runs.cell_bytes, tried.unit)) if proven else None
        under = runs.at(below) if below is not None else Trial(displacement, None, "")
        held = tried.held_below(max(displacement, 0))
        return Proof(
            input=runs.input.name,
            output=runs.output.name,
            min_displacement_bytes=displacement,
            traced_displacement_bytes=verdict.traced,
            safe_overlap_bytes=shared_bytes(displacement, runs.input.size_bytes, self._end),
            proven=proven,
            tight=proven and (below is None or not under.holds),
            same_accesses=agreement.same_accesses,
            agrees=agreement.safe,
            monotone=not held,
            data_dependent=verdict.data_dependent,
            holds_below=tuple(held[:LISTED]),
            displacements_tried=tried.run,
            displacements_possible=tried.possible,
            exhaustive=tried.exhaustive,
            why=verdict.why,
            notes=verdict.notes,
            inputs_tried=len(self.seeds),
            seed=self.seeds.start,
            cell_bytes=runs.cell_bytes,
            whole_cells=displacement % runs.cell_bytes == 0,
            tight_displacement_bytes=below,
            saturated=runs.saturation != "",
            saturation=runs.saturation,
            first_difference=at.difference,
            stopped=at.stopped,
            difference_below=under.difference,
            stopped_below=under.stopped,
            refused=verdict.refused,
            unit_bytes=tried.unit,
        )


def _contradiction(displacement: int, agreement: Agreement) -> str:
    if agreement.same_accesses:
        return f"by the order of loads and stores {displacement} bytes are too few"
    how = "are too few" if agreement.safe is False else "cannot be judged by their trace"
    return (
        f"the binary behaves otherwise when overlapped, and then {displacement} bytes {how}:"
        f" {_at(agreement)}"
    )


def _at(agreement: Agreement) -> str:
    return agreement.difference or "other accesses"
