"""``diagmem prove``: run a kernel truly overlapped and compare the bits."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from diagmem.analysis.overlap import IN_PLACE
from diagmem.cli.common import add_json, hint, not_negative, say, show
from diagmem.record.targets import TARGETS

if TYPE_CHECKING:
    from diagmem.kernels.kernel import Kernel
    from diagmem.proof.proof import Proof
    from diagmem.proof.runs import Difference


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kernel", metavar="KERNEL", help="kernel description, or a bundled name")
    parser.add_argument(
        "parameters",
        nargs="*",
        metavar="key=value",
        help="replace a parameter of the description, its flags or its compiler",
    )
    parser.add_argument(
        "--displacement",
        type=int,
        metavar="D",
        help="ask about this one, address(input) - address(output) in bytes; the traced one"
        " where not given, or a larger one that holds",
    )
    parser.add_argument("--input", metavar="NAME", help="the input, where there are several")
    parser.add_argument("--output", metavar="NAME", help="the output, where there are several")
    parser.add_argument(
        "--inputs", type=int, default=3, metavar="K", help="seeded inputs to try [%(default)s]"
    )
    parser.add_argument(
        "--seed", type=not_negative, default=0, help="of the first input [%(default)s]"
    )
    parser.add_argument(
        "--target", choices=TARGETS, help="compile it for that processor and run it in QEMU"
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from diagmem.kernels.catalog import find
    from diagmem.kernels.description import load
    from diagmem.kernels.parameters import parse_overrides
    from diagmem.proof.prove import prove_pairs

    kernel = load(find(args.kernel), parse_overrides(args.parameters))
    if args.target:
        from diagmem.kernels.cortex_m.on_target import for_target

        kernel = for_target(kernel, args.target)
    pairs = _pairs(kernel, args)
    say(f"tracing {kernel.name} apart and overlapped, and running it overlapped")
    proofs = prove_pairs(
        kernel,
        pairs,
        displacement_bytes=args.displacement,
        inputs=args.inputs,
        seed=args.seed,
    )
    show(
        args,
        lambda: _as_json(kernel, proofs),
        lambda: [line for proof in proofs for line in _lines(kernel, proof)],
    )
    _say_next(kernel, args, proofs)
    return 0 if all(proof.proven for proof in proofs) else 1


def _pairs(kernel: Kernel, args: argparse.Namespace) -> list[tuple[str, str]]:
    """Input and output of every proof to make."""
    from diagmem.analysis.safe import Placement
    from diagmem.base.errors import DiagmemError
    from diagmem.kernels.cases import Case, layout
    from diagmem.proof.prove import all_pairs
    from diagmem.proof.runs import find_pair

    if args.displacement is not None:
        wanted = (args.input, args.output)
        source, target = find_pair(kernel, *([] if wanted == (None, None) else [wanted]))
        if source is not target:
            layout(Case(kernel, 0, Placement(source.name, target.name, args.displacement)))
        return [(source.name, target.name)]
    for name, role, buffers in (
        (args.input, "input", kernel.inputs),
        (args.output, "output", kernel.outputs),
    ):
        names = [buffer.name for buffer in buffers]
        if name is not None and name not in names:
            raise DiagmemError(f"{kernel.file}: no {role} {name!r}, expected {', '.join(names)}")
    pairs = [
        (source, target)
        for source, target in all_pairs(kernel)
        if args.input in (None, source) and args.output in (None, target)
    ]
    if not pairs:
        raise DiagmemError(
            f"{kernel.file}: no pair of an input and an output, expected one, or a buffer that is"
            ' both (role = "inout")'
        )
    return pairs


def _as_json(kernel: Kernel, proofs: list[Proof]) -> dict[str, object]:
    first = proofs[0]
    return {
        "kernel": kernel.name,
        "function": kernel.function,
        "parameters": dict(kernel.parameters),
        "min_displacement_bytes": first.min_displacement_bytes,
        "traced_displacement_bytes": first.traced_displacement_bytes,
        "safe_overlap_bytes": first.safe_overlap_bytes,
        "proven": all(proof.proven for proof in proofs),
        "tight": all(proof.tight for proof in proofs),
        "inputs_tried": first.inputs_tried,
        "pairs": [asdict(proof) for proof in proofs],
    }


def _lines(kernel: Kernel, proof: Proof) -> list[str]:
    in_place = proof.input == proof.output
    over = "" if in_place else f" over {proof.output}"
    if proof.refused:
        return [f"{kernel.function}: {proof.input}{over}: not proven: {proof.refused}"]
    verdict = "proven" if proof.proven else "NOT proven"
    if in_place:
        lines = [f"{kernel.function}: {proof.input} {IN_PLACE}: {verdict}"]
        lines.append(f"  {_inputs(proof)}; run at 0, 16, 32 and 48 modulo 64")
        if not proof.proven:
            lines.append(f"  {proof.why}: {_damage(proof.first_difference, proof.stopped)}")
        return lines + _warnings(proof)
    lines = [
        f"{kernel.function}: {proof.input} over {proof.output} "
        f"at displacement {proof.min_displacement_bytes} bytes: {verdict}",
        f"  {_inputs(proof)}; {_tried(proof)}",
    ]
    traced = proof.traced_displacement_bytes
    if traced is not None and traced != proof.min_displacement_bytes:
        lines.append(f"  traced apart: {traced} bytes; {proof.why}")
    elif proof.why:
        lines.append(f"  {proof.why}")
    if proof.proven:
        lines.append(f"  {_tightness(proof)}")
    elif proof.first_difference is not None or proof.stopped:
        lines.append(f"  {_damage(proof.first_difference, proof.stopped)}")
    if not proof.monotone and proof.traced_displacement_bytes != proof.min_displacement_bytes:
        shown = ", ".join(map(str, proof.holds_below[:8]))
        more = " ..." if len(proof.holds_below) > 8 else ""
        lines.append(f"  not monotone: below it these hold, too: {shown}{more}")
    if not proof.whole_cells:
        lines.append(
            f"  note: {proof.min_displacement_bytes} is not a multiple of an element "
            f"({proof.cell_bytes} bytes)"
        )
    lines += [f"  note: {note}" for note in proof.notes]
    return lines + _warnings(proof)


def _inputs(proof: Proof) -> str:
    return f"{proof.inputs_tried} inputs, the first with seed {proof.seed}"


def _warnings(proof: Proof) -> list[str]:
    return [f"  warning: {proof.saturation}; damage may stay hidden"] if proof.saturated else []


def _tried(proof: Proof) -> str:
    if proof.min_displacement_bytes < 0:
        return "this displacement alone"
    if proof.exhaustive:
        return f"all {proof.displacements_possible:,} displacements run"
    return f"{proof.displacements_tried:,} of {proof.displacements_possible:,} displacements run"


def _tightness(proof: Proof) -> str:
    below = proof.tight_displacement_bytes
    if below is None:
        return "tight: there is no smaller displacement than 0"
    if proof.tight:
        return f"tight: at {below} bytes {_damage(proof.difference_below, proof.stopped_below)}"
    return f"not tight: at {below} bytes the bits are the same, too"


def _damage(difference: Difference | None, stopped: str) -> str:
    if difference is None:
        return stopped
    return (
        f'{difference.differing_bytes} of {difference.size_bytes} bytes of "{difference.buffer}" '
        f"differ, first byte {difference.byte}: {difference.found:#04x}, "
        f"expected {difference.expected:#04x} (seed {difference.seed})"
    )


def _say_next(kernel: Kernel, args: argparse.Namespace, proofs: list[Proof]) -> None:
    target = ["--target", args.target] if args.target else []
    call = [*target, args.kernel, *args.parameters]
    prove, trace = ("diagmem", "prove", *call), ("diagmem", "trace", *call)
    written = ("-o", f"{kernel.name}.dmt")
    loose = next((p for p in proofs if p.proven and not p.tight), None)
    if loose is not None:
        pair = ("--input", loose.input, "--output", loose.output)
        hint(*prove, *pair, "--displacement", loose.tight_displacement_bytes)
    elif all(proof.proven for proof in proofs):
        hint(*trace, *written)
    elif args.displacement is not None:
        hint(*prove, note="searches for the smallest")
    elif any(proof.data_dependent for proof in proofs):
        hint(*prove, "--displacement", "D", note="one that you know all inputs to keep")
    else:
        hint(*trace, *written, note="then: diagmem heatmap")
