"""A network measured operator by operator, on described kernels: those of another
library, compiled for this machine or for the micro-controller itself.

Each operator's shapes go into the description that fits; the kernel is traced apart,
and each pair of input and output is then run truly overlapped.  What that refutes, or
what has no description, gets no overlap.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from diagmem import __version__
from diagmem.analysis.liveness import BufferLiveness
from diagmem.analysis.overlap import IN_PLACE, Overlap
from diagmem.base.errors import DiagmemError
from diagmem.kernels.build import Built
from diagmem.kernels.cortex_m.on_target import check_tools
from diagmem.kernels.kept import call_identity
from diagmem.kernels.kernel import Kernel
from diagmem.kernels.library import Library
from diagmem.networks.apart import ALIASING
from diagmem.networks.chosen import NO_KERNEL, Chosen, choose
from diagmem.networks.measured import (
    SAMPLED,
    Measured,
    MeasuredOperator,
    MeasuredPair,
    identity,
)
from diagmem.networks.operator_calls import (
    Moment,
    OperatorCall,
    measured_operator,
    moments,
    name_of,
)
from diagmem.networks.permissions import ALIGN_BYTES
from diagmem.networks.unmeasured import no_overlap, operator_apart, pairs_of
from diagmem.proof.evidence import Evidence
from diagmem.proof.proof import Proof
from diagmem.proof.prove import all_pairs, prove_pair
from diagmem.tflite.graph import Model
from diagmem.trace.window import Role

HOST = platform.machine()
"""The kernels run here: ``x86_64``."""
NO_OVERLAP = "no overlap: "
INPUTS = 2
"""Seeded inputs that every kernel is proven on."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """What one kernel's trace and proofs have shown; names are the kernel's buffers'."""

    kernel: Kernel
    built: Built
    measured_by: str
    live: Mapping[str, BufferLiveness]
    overlaps: Mapping[tuple[str, str], Overlap]
    proofs: Mapping[tuple[str, str], Proof]
    in_place: frozenset[tuple[str, str]]
    events: int


def measure_described(
    model: Model,
    library: Library,
    *,
    target: str = "",
    inputs: int = INPUTS,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> Measured:
    """Say how far each operator's tensors may overlap on described kernels.

    Parameters
    ----------
    target : a processor of `diagmem.record.targets`; empty: this machine.
    inputs : how many seeded inputs each kernel is proven on.
    advance : told after each operator how many are done, of how many.

    Raises
    ------
    DiagmemError
        A kernel does not compile or run apart, or a tool is not there.
    """
    if target:
        check_tools(target)
    known: dict[str, _Shown] = {}
    operators = []
    for moment in moments(model):
        operators.append(_operator(model, moment, library, target, inputs, known))
        advance(len(operators), len(model.operators))
    served = sum(bool(operator.kernel) for operator in operators)
    if not served:
        names = ", ".join(dict.fromkeys(operator.name for operator in model.operators))
        raise DiagmemError(
            f"{model.path}: {library.name} has a kernel for none of {len(operators)} operators:"
            f" {_first_reason(operators)}; the model has {names}"
        )
    proven = sum(
        bool(one.kernel)
        and not any(n.startswith(NO_OVERLAP) for pair in one.pairs for n in pair.notes)
        for one in operators
    )
    return Measured(
        model=identity(model),
        kernels={
            "kernels": f"described kernels, {library.name}",
            "target": target or HOST,
            **_common(list(known.values())),
            **_warnings(operators),
            "proven": f"{proven} of {len(operators)} operators, each by itself, overlapped at its D"
            f" and where it says in place, on {inputs} seeded inputs",
        },
        about={
            "inputs": f"seeded, {inputs} of each operator's own",
            "library": {**library.recorded, "target": target},
        },
        operators=tuple(operators),
    )


def _first_reason(operators: Sequence[MeasuredOperator]) -> str:
    notes = (pair.notes[0] for operator in operators for pair in operator.pairs)
    return next(notes, "no operator has an input and an output to overlap").removeprefix(
        f"{NO_KERNEL}: "
    )


def _common(shown: Sequence[_Shown]) -> dict[str, str]:
    """Flags, compilers and tools of the kernels that were measured."""
    flags = dict.fromkeys(" ".join(one.kernel.code.flags) for one in shown)
    compilers = dict.fromkeys(one.built.compiler for one in shown)
    return {
        "flags": "; ".join(flags),
        "compiler": "; ".join(compilers),
        "measured_by": shown[0].measured_by,
    }


def _warnings(operators: Sequence[MeasuredOperator]) -> dict[str, str]:
    """What a plan for these kernels has to say of other compilers, and of scratch."""
    differ = Counter((one.other_compilers, one.operator) for one in operators)
    texts = [f"{text} ({count} x {name})" for (text, name), count in differ.items() if text]
    without = [one.operator for one in operators if not one.kernel]
    unknown = Counter(name for name in without if name not in ALIASING)
    names = ", ".join(f"{count} x {name}" for name, count in unknown.items())
    warnings = {
        "other_compilers": "; ".join(texts),
        "scratch": f"not known of operators without a kernel: {names}" if names else "",
    }
    return {key: text for key, text in warnings.items() if text}


def _operator(
    model: Model,
    moment: Moment,
    library: Library,
    target: str,
    inputs: int,
    known: dict[str, _Shown],
) -> MeasuredOperator:
    try:
        chosen = choose(model, moment.operator, library, target)
        if isinstance(chosen, str):
            return operator_apart(model, moment, chosen)
        kernel = chosen.kernel
        key = repr((kernel.document.file, sorted(kernel.parameters.items())))
        if key not in known:
            known[key] = _shown(kernel, inputs)
    except DiagmemError as error:
        raise DiagmemError(f"{model.path}: {moment.operator.label}: {error}") from None
    proofs = known[key].proofs
    for buffer in kernel.with_role(Role.INOUT):
        proof = proofs[buffer.name, buffer.name]
        if not proof.proven:
            # In place or not at all: there is no plan that makes it right.
            why = f"{NO_KERNEL}: {kernel.name} is not proven: {proof.why}"
            return operator_apart(model, moment, why)
    return _judged(model, moment, chosen, known[key])


# ---- what a kernel shows


def _shown(kernel: Kernel, inputs: int) -> _Shown:
    with Evidence(kernel, range(inputs)) as evidence:
        pairs = all_pairs(kernel)
        proofs = {pair: prove_pair(evidence, pair) for pair in pairs}
        in_place = frozenset(pair for pair in pairs if _in_place(evidence, proofs[pair]))
        trace = evidence.trace
        tools = {"Valgrind": trace.about.valgrind, "QEMU": trace.about.qemu}
        named = [f"{name} {version}" for name, version in tools.items() if version]
        return _Shown(
            kernel=kernel,
            built=evidence.built,
            measured_by=", ".join([f"diagmem {__version__}", *named]),
            live={buffer.name: buffer for buffer in trace.liveness(0)},
            overlaps={pair: evidence.overlaps(pair)[0] for pair in pairs},
            proofs=proofs,
            in_place=in_place,
            events=trace.windows[0].events,
        )


def _in_place(evidence: Evidence, proof: Proof) -> bool:
    """Is displacement 0 proven, by itself where D is more?"""
    if proof.data_dependent:
        return False
    if proof.refused or proof.min_displacement_bytes == 0:
        return proof.proven
    pair = proof.input, proof.output
    return evidence.runs(pair).at(0).holds and prove_pair(evidence, pair, at=0).proven


def _judged(model: Model, moment: Moment, chosen: Chosen, shown: _Shown) -> MeasuredOperator:
    """The kernel's answers for the operator's tensors."""
    kernel, inputs, outputs = shown.kernel, chosen.inputs, chosen.outputs

    def named(buffer: str, tensor: int) -> BufferLiveness:
        return replace(shown.live[buffer], name=name_of(tensor))

    requested = (-(-size // ALIGN_BYTES) * ALIGN_BYTES for size in kernel.requests)
    judged: dict[tuple[int, int], list[MeasuredPair]] = {}
    for pair, overlap in shown.overlaps.items():
        source, target = pair
        if source not in inputs or target not in outputs:
            continue
        # One by one: a tensor given twice is two buffers of the kernel.
        both = named(source, inputs[source]), named(target, outputs[target])
        live = {buffer.name: buffer for buffer in both}
        proven = _proven(_whole(overlap, kernel), shown.proofs[pair], live)
        call = OperatorCall(live, [proven], shown.events)
        [one] = measured_operator(model, moment, call).pairs
        at_zero = one.in_place and pair in shown.in_place
        one = replace(one, in_place=at_zero, unit_bytes=shown.proofs[pair].unit_bytes)
        if overlap.by_construction:
            one = replace(one, in_place_only=True, formula_says=IN_PLACE)
        judged.setdefault((one.input, one.output), []).append(one)
    whole = OperatorCall(
        live={
            name_of(tensor): named(buffer, tensor)
            for buffer, tensor in (*inputs.items(), *outputs.items())
        },
        overlaps=(),
        events=shown.events,
        scratch_bytes=sum(requested),
        kernel=Path(kernel.document.file).stem,
    )
    pairs = tuple(
        _of_all(judged[both]) if both in judged else no_overlap(model, moment, *both, "not traced")
        for both in pairs_of(model, moment.operator)
    )
    return replace(
        measured_operator(model, moment, whole),
        pairs=pairs,
        other_compilers=kernel.other_compilers,
        build=shown.built.identity,
        call=call_identity(kernel),
    )


def _whole(overlap: Overlap, kernel: Kernel) -> Overlap:
    """Between the whole buffers, as tensors are, where only a part of them counts.  What is
    apart is so by all their bytes."""
    sizes = [kernel.named(name).allocated_bytes for name in (overlap.input, overlap.output)]
    whole = replace(overlap, input_bytes=sizes[0], output_bytes=sizes[1])
    if overlap.by_construction:
        return replace(whole, min_displacement_bytes=sizes[1], mirror_displacement_bytes=sizes[0])
    return whole


def _proven(overlap: Overlap, proof: Proof, live: Mapping[str, BufferLiveness]) -> Overlap:
    """The overlap that stands after the runs, between tensors."""
    source, target = live
    if overlap.by_construction:
        return replace(overlap, input=source, output=target)
    hidden = f"damage may stay hidden: {proof.saturation}" if proof.saturation else ""
    tried = f"{proof.displacements_tried:,} of {proof.displacements_possible:,}"
    sampled = "" if proof.exhaustive else f"{SAMPLED}: {tried} displacements run"
    notes = (*overlap.notes, *proof.notes, *filter(None, (proof.why, hidden, sampled)))
    if proof.data_dependent:
        notes += (NO_OVERLAP + "D differs between inputs, and others may need more",)
    elif not proof.proven:
        notes += (NO_OVERLAP + "overlapped runs have not shown that any is safe",)
    return replace(
        overlap,
        input=source,
        output=target,
        min_displacement_bytes=proof.min_displacement_bytes
        if proof.proven
        else overlap.output_bytes,
        # Nobody ran it there.
        mirror_displacement_bytes=overlap.input_bytes,
        isolated_safe_displacements=(),
        notes=tuple(dict.fromkeys(notes)),
    )


def _of_all(pairs: Sequence[MeasuredPair]) -> MeasuredPair:
    """A tensor that is given twice may overlap as far as every one of its uses allows."""
    worst = max(pairs, key=lambda pair: pair.min_displacement_bytes)
    # Units are powers of two.
    unit = max(pair.unit_bytes for pair in pairs)
    return replace(worst, in_place=all(pair.in_place for pair in pairs), unit_bytes=unit)
