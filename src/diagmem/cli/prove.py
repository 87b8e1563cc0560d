"""``diagmem prove``: run a kernel truly overlapped and compare the bits."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING

from diagmem.cli.common import add_json, hint, not_negative, print_json, say

if TYPE_CHECKING:
    from diagmem.kernels.model import Kernel
    from diagmem.kernels.prove import Difference, Proof


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
        help="address(input) - address(output) in bytes; traced where not given",
    )
    parser.add_argument("--input", metavar="NAME", help="the input, where there are several")
    parser.add_argument("--output", metavar="NAME", help="the output, where there are several")
    parser.add_argument(
        "--inputs", type=int, default=3, metavar="K", help="seeded inputs to try [%(default)s]"
    )
    parser.add_argument(
        "--seed", type=not_negative, default=0, help="of the first input [%(default)s]"
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from diagmem.kernels.catalog import find
    from diagmem.kernels.description import load
    from diagmem.kernels.parameters import parse_overrides
    from diagmem.kernels.prove import prove

    kernel = load(find(args.kernel), parse_overrides(args.parameters))
    proofs = [
        prove(
            kernel,
            displacement_bytes=displacement,
            inputs=args.inputs,
            seed=args.seed,
            pair=(source, target),
        )
        for source, target, displacement in _questions(kernel, args)
    ]
    if args.json:
        print_json(_as_json(kernel, proofs))
    else:
        for proof in proofs:
            print("\n".join(_lines(kernel, proof)))
    hint(_next(kernel, args, proofs))
    return 0 if all(proof.proven for proof in proofs) else 1


def _questions(kernel: Kernel, args: argparse.Namespace) -> list[tuple[str, str, int]]:
    """Input, output and displacement of every proof to make."""
    from diagmem.errors import DiagmemError
    from diagmem.kernels.prove import find_pair

    if args.displacement is not None:
        wanted = (args.input, args.output)
        source, target = find_pair(kernel, *([] if wanted == (None, None) else [wanted]))
        return [(source.name, target.name, args.displacement)]
    from diagmem.kernels.measure import trace_displacements
    from diagmem.trace.model import Role

    for name, role in ((args.input, Role.INPUT), (args.output, Role.OUTPUT)):
        names = [buffer.name for buffer in kernel.with_role(role)]
        if name is not None and name not in names:
            raise DiagmemError(f"{kernel.file}: no {role} {name!r}, expected {', '.join(names)}")
    say(f"tracing {kernel.name} to find its minimum displacement")
    found = [
        (source, target, displacement)
        for source, target, displacement in trace_displacements(kernel)
        if args.input in (None, source) and args.output in (None, target)
    ]
    if not found:
        raise DiagmemError(f"{kernel.file}: no pair of an input and an output, expected one")
    return found


def _as_json(kernel: Kernel, proofs: list[Proof]) -> dict[str, object]:
    first = proofs[0]
    return {
        "kernel": kernel.name,
        "function": kernel.function,
        "parameters": dict(kernel.parameters),
        "min_displacement_bytes": first.min_displacement_bytes,
        "proven": first.proven,
        "tight": first.tight,
        "inputs_tried": first.inputs_tried,
        "pairs": [asdict(proof) for proof in proofs],
    }


def _lines(kernel: Kernel, proof: Proof) -> list[str]:
    verdict = "proven" if proof.proven else "NOT proven"
    lines = [
        f"{kernel.function}: {proof.input} over {proof.output} "
        f"at displacement {proof.min_displacement_bytes} bytes: {verdict}",
        f"  {proof.inputs_tried} inputs, the first with seed {proof.seed}",
    ]
    if proof.proven:
        lines.append(f"  {_tightness(proof)}")
    else:
        lines.append(f"  {_damage(proof.first_difference, proof.stopped)}")
    if not proof.whole_cells:
        lines.append(
            f"  note: {proof.min_displacement_bytes} is not a multiple of an element "
            f"({proof.cell_bytes} bytes)"
        )
    if proof.saturated:
        lines.append(f"  warning: {proof.saturation}; damage may stay hidden")
    return lines


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


def _next(kernel: Kernel, args: argparse.Namespace, proofs: list[Proof]) -> str:
    call = " ".join([args.kernel, *map(shlex.quote, args.parameters)])
    loose = next((p for p in proofs if p.proven and not p.tight), None)
    if loose is not None:
        return (
            f"diagmem prove {call} --input {loose.input} --output {loose.output} "
            f"--displacement {loose.tight_displacement_bytes}"
        )
    if all(proof.proven for proof in proofs):
        return f"diagmem trace {call} -o {kernel.name}.dmt"
    if args.displacement is not None:
        return f"diagmem prove {call}   (traces the displacement first)"
    return f"diagmem trace {call} -o {kernel.name}.dmt   (then: diagmem heatmap)"
