"""``diagmem verify``: a planned model against the model itself, on stock TFLM."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from diagmem.base.files import JsonObject
from diagmem.cli.common import (
    add_json,
    hint,
    not_negative,
    overlaps_of,
    positive,
    say,
    show,
)

if TYPE_CHECKING:
    from diagmem.networks.structure import Structure
    from diagmem.networks.verify import Verdict
    from diagmem.tflite.graph import Model
    from diagmem.tflm.child.job import ArenaUse

SHOWN = 10
"""Faults of a plan that are listed."""
_EPILOG = """\
First holds the plan's offsets against lifetimes, alignment and the overlaps that are
allowed: those that a measured plan records, else the closed forms of TFLite's reference
kernels, or those of --overlaps.  Values can hide a plan that breaks these.

Then runs both models on stock TensorFlow Lite Micro (the tflite-micro wheel), several
inferences in a row on seeded inputs, and compares every output bit by bit, and those
of all operators inside the network with a run in which nothing overlaps.  The
arena's head is what TFLM itself reports: tensors, and scratch that it places around
the plan; the total adds what the interpreter keeps.

  diagmem verify net.tflite planned.tflite
  diagmem verify net.tflite planned.tflite --inputs samples.npz
  diagmem verify net.tflite planned.tflite --overlaps overlaps.json   somebody else's plan

Exit codes: 0 safe and identical, 1 not, 2 the input or the call is wrong.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument("model", type=Path, metavar="MODEL.tflite", help="the model")
    parser.add_argument("planned", type=Path, metavar="PLANNED.tflite", help="the same, planned")
    parser.add_argument(
        "--runs", type=positive, default=3, metavar="N", help="random inputs [%(default)s]"
    )
    parser.add_argument("--seed", type=not_negative, default=0, help="of the first [%(default)s]")
    parser.add_argument(
        "--inputs",
        default="random",
        metavar="random|FILE.npz",
        help="the model's inputs; arrays by the tensors' names [%(default)s]",
    )
    parser.add_argument(
        "--overlaps",
        metavar="FILE|exact|paper|none",
        help="what may overlap: measured, or by formula [what the plan records, else exact]",
    )
    parser.add_argument(
        "--record",
        action="store_true",
        help="if it is safe and they are identical, say so in PLANNED.tflite: on which kernels,"
        " how many runs",
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from diagmem.networks.probes import probe_inputs
    from diagmem.networks.verify import record_proof, verify_network
    from diagmem.tflite.graph import read_model
    from diagmem.tflm.network import read_inputs

    model, planned = read_model(args.model), read_model(args.planned)
    if args.inputs == "random":
        inputs = probe_inputs(model, args.runs, args.seed)
    else:
        inputs = [read_inputs(model, Path(args.inputs)) for _ in range(args.runs)]
    overlaps = None if args.overlaps is None else overlaps_of(args.overlaps, model)
    verdict = verify_network(model, planned, inputs, overlaps)
    if args.record and verdict.identical:
        record_proof(planned, verdict)
    show(args, lambda: _as_json(args, verdict), lambda: _lines(args, verdict))
    _say(args, planned, verdict)
    return 0 if verdict.identical else 1


def _say(args: argparse.Namespace, planned: Model, verdict: Verdict) -> None:
    """What limits the answer, and what comes next."""
    from diagmem.networks.verify import kernels_differ, unplanned

    warning = kernels_differ(verdict.provenance)
    if warning:
        say(f"{args.planned}: {warning}; what is identical here need not be elsewhere")
    left = unplanned(planned)
    if left:
        say(f"{args.planned}: the plan leaves {left} tensors to the runtime")
    for note in (*verdict.structure.notes, *_computed(verdict)):
        say(f"{args.planned}: {note}")
    for why in verdict.weak:
        say(f"this proof is weak: {why}; give other inputs (--inputs) or more (--runs)")
    if verdict.identical:
        hint("diagmem", "fit", args.planned, note="which boards does it reach?")
        return
    allow = "what these kernels allow"
    if verdict.structure.faults and args.overlaps is None:
        allow += "; then verify --overlaps overlaps.json"
    hint("diagmem", "measure", args.model, "-o", "overlaps.json", note=allow)


def _as_json(args: argparse.Namespace, verdict: Verdict) -> JsonObject:
    arenas = (verdict.arena, verdict.planned_arena)
    return {
        "model": str(args.model),
        "planned": str(args.planned),
        "identical": verdict.identical,
        "difference": verdict.difference or next(iter(verdict.structure.faults), ""),
        "structure": {
            "faults": list(verdict.structure.faults),
            "shared_pairs": verdict.structure.shared_pairs,
            "held_against": verdict.structure.held_against,
        },
        "outputs_identical": not verdict.difference,
        "runs": verdict.runs,
        "operators": verdict.all_operators,
        "operators_compared": verdict.operators,
        "operators_not_compared": verdict.not_compared,
        "unwritten_bytes": sum(output.masked_bytes for output in verdict.unwritten),
        "unwritten": [
            {
                "operator": output.operator,
                "tensor": output.tensor,
                "bytes": output.masked_bytes,
                "computed_bytes": output.computed_bytes,
            }
            for output in verdict.unwritten
        ],
        "weak": list(verdict.weak),
        "arena_head_bytes": [arena and arena.head_bytes for arena in arenas],
        "arena_total_bytes": [arena and arena.total_bytes for arena in arenas],
        "predicted_head_bytes": verdict.predicted_bytes,
        "provenance": dict(verdict.provenance),
    }


def _lines(args: argparse.Namespace, verdict: Verdict) -> list[str]:
    faults = _faults(verdict.structure)
    runs = f"{verdict.runs} runs, every bit of every output{_inside(verdict)}"
    if verdict.difference:
        lines = [*faults, f"DIFFERENT: {verdict.difference}"]
    else:
        lines = [*faults, f"  the values hide it: {runs}" if faults else f"identical: {runs}"]
    if not faults:
        lines.append(_structure(verdict.structure))
    if verdict.not_compared:
        lines.append(f"  operators' outputs not compared: {verdict.not_compared}")
    lines += _unwritten(verdict)
    lines += [
        f"  {path}: arena head {arena.head_bytes:,} B, total {arena.total_bytes:,} B"
        for path, arena in ((args.model, verdict.arena), (args.planned, verdict.planned_arena))
        if arena is not None
    ]
    if verdict.arena and verdict.planned_arena:
        saved = 100 * (1 - verdict.planned_arena.head_bytes / max(verdict.arena.head_bytes, 1))
        word = "smaller" if saved >= 0 else "larger"
        lines.append(f"  head {word} by {abs(saved):.1f} %, as TFLM reports it")
        lines += _prediction(verdict, verdict.planned_arena)
    return lines + _made(verdict)


def _faults(structure: Structure) -> list[str]:
    faults = structure.faults
    if not faults:
        return []
    lines = ["UNSAFE: the plan's offsets break its structure", *(f"  {f}" for f in faults[:SHOWN])]
    if len(faults) > SHOWN:
        lines.append(f"  ... and {len(faults) - SHOWN} more; --json has all")
    return [*lines, f"  held against {_held_against(structure)}"]


def _structure(structure: Structure) -> str:
    if not structure.shared_pairs:
        return "  structure safe: no input and output share bytes"
    pairs = (
        "1 pair shares" if structure.shared_pairs == 1 else f"{structure.shared_pairs} pairs share"
    )
    return f"  structure safe: {pairs} bytes, as allowed by {_held_against(structure)}"


def _held_against(structure: Structure) -> str:
    from diagmem.networks.structure import HELD_AGAINST

    return HELD_AGAINST[structure.held_against]


def _inside(verdict: Verdict) -> str:
    """Of how many operators the outputs were compared, too."""
    if verdict.not_compared:
        return ""
    if verdict.operators == verdict.all_operators:
        return f", and of all {verdict.operators} operators"
    return f", and of {verdict.operators} of {verdict.all_operators} operators"


def _unwritten(verdict: Verdict) -> list[str]:
    if not verdict.unwritten:
        return []
    shown = verdict.unwritten[:SHOWN]
    operators = [f"{output.label} {output.masked_bytes:,}" for output in shown]
    more = len(verdict.unwritten) - SHOWN
    total = sum(output.masked_bytes for output in verdict.unwritten)
    return [
        f"  not compared: {total:,} B of outputs that no kernel writes, and copies of them:"
        f" {', '.join(operators)}{f', and {more} more' if more > 0 else ''}"
    ]


def _computed(verdict: Verdict) -> list[str]:
    return [
        f"{output.label} computes with bytes that no kernel wrote: {output.computed_bytes:,} B of"
        " what it puts out are whatever lay in the arena"
        for output in verdict.unwritten
        if output.computed_bytes
    ][:SHOWN]


def _prediction(verdict: Verdict, arena: ArenaUse) -> list[str]:
    if verdict.predicted_bytes is None:
        return []
    if verdict.predicted_bytes == arena.head_bytes:
        return ["  head as the plan predicted"]
    more = arena.head_bytes - verdict.predicted_bytes
    return [
        f"  head predicted {verdict.predicted_bytes:,} B, {abs(more):,} B"
        f" {'less' if more > 0 else 'more'} than it is: scratch that TFLM places around the plan"
    ]


def _made(verdict: Verdict) -> list[str]:
    from diagmem.networks.provenance import entry, in_words, limits, measured_on

    made = verdict.provenance
    if not made:
        return ["  the file does not say how its plan was made, or says it of other offsets"]
    kernels = measured_on(made)
    where = f" on {in_words(kernels)}" if kernels else ""
    return [
        f"  plan by {entry(made, 'made_by')}: overlaps {entry(made, 'overlaps')}{where}",
        f"  proven before: {entry(made, 'proven')}",
        *(f"  limits of that proof: {limit}" for limit in limits(made)),
    ]
