"""A network measured operator by operator, on described kernels: those of another
library, compiled for this machine or for the micro-controller itself.

Each operator's shapes go into the description that fits; the kernel is traced apart,
and each pair of input and output is then run truly overlapped.  What that refutes, or
what has no description, gets no overlap.
"""

from __future__ import annotations

import platform
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from diagmem import __version__
from diagmem.analysis.liveness import BufferLiveness
from diagmem.analysis.overlap import IN_PLACE, Overlap
from diagmem.analysis.trace import open_trace
from diagmem.base.errors import DiagmemError
from diagmem.kernels.build import Built, build
from diagmem.kernels.cortex_m.on_target import check_tools
from diagmem.kernels.kept import call_identity
from diagmem.kernels.kernel import Kernel
from diagmem.kernels.library import Library
from diagmem.kernels.tracing import trace_kernel
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
from diagmem.proof.proof import Proof
from diagmem.proof.prove import all_pairs, prove_pairs
from diagmem.proof.runs import Runs
from diagmem.tflite.graph import Model
from diagmem.trace.window import Role

HOST = platform.machine()
"""The kernels run here: ``x86_64``."""
NO_OVERLAP = "no overlap: "
INPUTS = 2
"""Seeded inputs that every kernel is proven on."""


@dataclass(frozen=True, slots=True)
class _Evidence:
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
    known: dict[str, _Evidence] = {}
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


def _common(evidence: Sequence[_Evidence]) -> dict[str, str]:
    """Flags, compilers and tools of the kernels that were measured."""
    flags = dict.fromkeys(" ".join(one.kernel.code.flags) for one in evidence)
    compilers = dict.fromkeys(one.built.compiler for one in evidence)
    return {
        "flags": "; ".join(flags),
        "compiler": "; ".join(compilers),
        "measured_by": evidence[0].measured_by,
    }


def _warnings(operators: Sequence[MeasuredOperator]) -> dict[str, str]:
    """What a plan for these kernels has to say of other compilers, and of scratch."""
    differ = Counter((one.other_compilers, one.operator) for one in operators)
    texts = [f"{text} ({count} x {name})" for (text, name), count in differ.items() if text]
    without = [one.operator for one in operators if not one.kernel]
    unknown = Counter(name for name in without if name not in ALIASING)
    names = ", ".join(f"{count} x {name}" for name, count in unknown.items())
    found = {
        "other_compilers": "; ".join(texts),
        "scratch": f"not known of operators without a kernel: {names}" if names else "",
    }
    return {key: text for key, text in found.items() if text}


def _operator(
    model: Model,
    moment: Moment,
    library: Library,
    target: str,
    inputs: int,
    known: dict[str, _Evidence],
) -> MeasuredOperator:
    try:
        chosen = choose(model, moment.operator, library, target)
        if isinstance(chosen, str):
            return operator_apart(model, moment, chosen)
        kernel = chosen.kernel
        key = repr((kernel.document.file, sorted(kernel.parameters.items())))
        if key not in known:
            known[key] = _evidence(kernel, inputs)
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


def _evidence(kernel: Kernel, inputs: int) -> _Evidence:
    pairs = all_pairs(kernel)
    seeds = range(inputs)
    proofs = dict(zip(pairs, prove_pairs(kernel, pairs, inputs=inputs), strict=True))
    with tempfile.TemporaryDirectory(prefix="diagmem-") as directory:
        watch = [b.name for b in kernel.tensors]
        path = Path(directory) / "kernel.dmt"
        recorded = trace_kernel(kernel, path, mode="summary", watch=watch)
        with open_trace(recorded.path) as trace:
            liveness = trace.liveness(0)
            window = trace.overlaps_of(0, liveness, isolated=False)
            by = {"valgrind": "Valgrind", "qemu": "QEMU"}
            tools = [f"{by[key]} {trace.header[key]}" for key in by if trace.header.get(key)]
    return _Evidence(
        kernel=kernel,
        built=build(kernel),
        measured_by=", ".join([f"diagmem {__version__}", *tools]),
        live={buffer.name: buffer for buffer in liveness},
        overlaps={(one.input, one.output): one for one in window.pairs},
        proofs=proofs,
        in_place=frozenset(pair for pair in pairs if _in_place(kernel, proofs[pair], seeds)),
        events=window.events,
    )


def _in_place(kernel: Kernel, proof: Proof, seeds: range) -> bool:
    """Is displacement 0 proven, by itself where D is more?"""
    if proof.data_dependent:
        return False
    if proof.refused or proof.min_displacement_bytes == 0:
        return proof.proven
    pair = proof.input, proof.output
    if not Runs(kernel, seeds, pair).at(0).holds:
        return False
    return prove_pairs(kernel, [pair], displacement_bytes=0, inputs=len(seeds))[0].proven


def _judged(model: Model, moment: Moment, chosen: Chosen, evidence: _Evidence) -> MeasuredOperator:
    """The kernel's answers for the operator's tensors."""
    kernel, inputs, outputs = evidence.kernel, chosen.inputs, chosen.outputs

    def named(buffer: str, tensor: int) -> BufferLiveness:
        return replace(evidence.live[buffer], name=name_of(tensor))

    requested = (-(-size // ALIGN_BYTES) * ALIGN_BYTES for size in kernel.requests)
    judged: dict[tuple[int, int], list[MeasuredPair]] = {}
    for pair, overlap in evidence.overlaps.items():
        source, target = pair
        if source not in inputs or target not in outputs:
            continue
        # One by one: a tensor given twice is two buffers of the kernel.
        both = named(source, inputs[source]), named(target, outputs[target])
        live = {buffer.name: buffer for buffer in both}
        found = _proven(_whole(overlap, kernel), evidence.proofs[pair], live)
        call = OperatorCall(live, [found], evidence.events)
        [one] = measured_operator(model, moment, call).pairs
        at_zero = one.in_place and pair in evidence.in_place
        one = replace(one, in_place=at_zero, unit_bytes=evidence.proofs[pair].unit_bytes)
        if overlap.by_construction:
            one = replace(one, in_place_only=True, formula_says=IN_PLACE)
        judged.setdefault((one.input, one.output), []).append(one)
    whole = OperatorCall(
        live={
            name_of(tensor): named(buffer, tensor)
            for buffer, tensor in (*inputs.items(), *outputs.items())
        },
        overlaps=(),
        events=evidence.events,
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
        build=evidence.built.identity,
        call=call_identity(kernel),
    )


def _whole(overlap: Overlap, kernel: Kernel) -> Overlap:
    """Between the whole buffers, as tensors are, where only a part of them counts.  What is
    apart is so by all their bytes."""
    sizes = [kernel.named(name).allocated_bytes for name in (overlap.input, overlap.output)]
    found = replace(overlap, input_bytes=sizes[0], output_bytes=sizes[1])
    if overlap.by_construction:
        return replace(found, min_displacement_bytes=sizes[1], mirror_displacement_bytes=sizes[0])
    return found


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
