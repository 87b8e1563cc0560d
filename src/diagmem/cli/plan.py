"""``diagmem plan``: all tensors of a network in the smallest arena."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from diagmem.base.files import JsonObject
from diagmem.base.shell import command
from diagmem.cli.common import (
    add_json,
    add_output,
    check_output,
    hint,
    not_negative,
    overlaps_of,
    positive,
    say,
    show,
)

if TYPE_CHECKING:
    from diagmem.networks.measured import Measured
    from diagmem.networks.planning import NetworkPlan

SHOWN = 10
"""Tensors, and operators over a limit, that are listed."""

_EPILOG = """\
overlaps:
  exact     closed forms for the loop order of TFLite's reference kernels
  paper     the bound that the authors of diagonal memory optimisation published
  none      no overlap: the smallest ordinary arena
  FILE      what diagmem measure has found on compiled kernels; trust this one

solvers: auto (the heuristic, and the exact one where that is not proven best),
heuristic, exact (needs OR-tools), first-fit, tflm-greedy

  diagmem plan net.tflite                                how much would it save?
  diagmem plan net.tflite --overlaps overlaps.json -o planned.tflite
  diagmem plan net.tflite --arena 262144                 does it fit? if not, why?
  diagmem plan net.tflite --diagram arena.png            see it

The written model carries the plan in its metadata, where TensorFlow Lite Micro looks
for it.  A plan is for the kernels that its overlaps were measured on.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument("model", type=Path, metavar="MODEL.tflite", help="what to plan")
    parser.add_argument(
        "--overlaps",
        default="exact",
        metavar="FILE|exact|paper|none",
        help="measured ones, or a formula for TFLite's loop order, which other kernels, such as"
        " CMSIS-NN's, may not have [%(default)s]",
    )
    parser.add_argument(
        "--solver",
        choices=("auto", "heuristic", "exact", "first-fit", "tflm-greedy"),
        default="auto",
        help="[%(default)s]",
    )
    parser.add_argument(
        "--align", type=positive, default=16, metavar="BYTES", help="of every tensor [%(default)s]"
    )
    parser.add_argument(
        "--pin-io",
        action="store_true",
        help="keep the model's inputs and outputs to themselves from beginning to end",
    )
    parser.add_argument(
        "--arena", type=positive, metavar="BYTES", help="does the plan fit? exit code 1 if not"
    )
    parser.add_argument(
        "--time-limit",
        type=positive,
        default=60,
        metavar="S",
        help="of the exact solver, in seconds [%(default)s]",
    )
    parser.add_argument("--seed", type=not_negative, default=0, help="of the search [%(default)s]")
    parser.add_argument(
        "--diagram",
        type=Path,
        metavar="FILE",
        help="draw the arena without and with overlap: FILE.png, .svg or .pdf",
    )
    parser.add_argument(
        "--profile",
        type=Path,
        metavar="FILE",
        help="draw the bytes alive, needed and taken over the operators: FILE.png, .svg or .pdf",
    )
    add_output(parser, "write the model with the plan in it")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from diagmem.arena import Options
    from diagmem.base.progress import Progress
    from diagmem.networks.placement_proof import proven_plan
    from diagmem.networks.planning import write_plan
    from diagmem.tflite.graph import read_model

    if args.output is not None:
        sources = (args.model, Path(args.overlaps))
        check_output(args.output, args.force, *sources, endings=(".tflite",))
    for picture in (args.diagram, args.profile):
        if picture is not None:
            from diagmem.plot.sheet import check_extension

            check_extension(picture)
            check_output(picture, args.force, args.model, Path(args.overlaps))
    model = read_model(args.model)
    overlaps = overlaps_of(args.overlaps, model)
    progress = Progress("running operators where the plan puts them")
    plan = proven_plan(
        model,
        overlaps,
        advance=progress.share,
        solver=args.solver,
        align_bytes=args.align,
        pin_io=args.pin_io,
        options=Options(time_limit_s=args.time_limit, seed=args.seed),
    )
    progress.done()
    if args.output is not None:
        write_plan(plan, args.output)
    _draw(args, plan, None if isinstance(overlaps, str) else overlaps)
    show(args, lambda: as_json(plan, args.arena), lambda: _lines(plan, args.arena))
    _say_next(args, plan)
    return 1 if args.arena is not None and plan.in_the_way(args.arena) else 0


def _draw(args: argparse.Namespace, plan: NetworkPlan, measured: Measured | None) -> None:
    """The pictures that were asked for, beside the same network without overlap."""
    from diagmem.networks.planning import NO_OVERLAPS, plan_network

    if args.diagram is None and args.profile is None:
        return
    apart = plan_network(plan.model, NO_OVERLAPS, pin_io=args.pin_io, align_bytes=args.align)
    if args.diagram is not None:
        from diagmem.plot.arena import draw_arenas

        plans = {"before": apart, "after": plan}
        draw_arenas(plans, args.diagram, measured=measured, board_bytes=args.arena)
    if args.profile is not None:
        from diagmem.plot.profile import draw_profile

        plans = {"no overlap": apart, f"overlaps {plan.overlaps}": plan}
        draw_profile(plans, args.profile, measured=measured, board_bytes=args.arena)


def as_json(network_plan: NetworkPlan, limit: int | None = None) -> JsonObject:
    plan = network_plan.plan
    data: JsonObject = {
        "model": network_plan.model.path,
        "arena_bytes": plan.arena_bytes,
        "lower_bound_bytes": plan.lower_bound_bytes,
        "optimal": plan.optimal,
        "solver": plan.solver,
        "baseline_bytes": dict(network_plan.baselines),
        "saving_percent": {
            name: round(network_plan.saving_percent(name), 2) for name in network_plan.baselines
        },
        "provenance": network_plan.provenance,
        "tensors": [
            {
                "index": block.tensor,
                "name": block.name,
                "role": block.role,
                "offset": plan.offsets[block.tensor],
                "bytes": block.size_bytes,
                "first_operator": block.first,
                "last_operator": block.end - 1,
            }
            for block in network_plan.problem.blocks
        ],
        "overlaps": [
            {
                "operator": shared.permission.operator,
                "output": shared.permission.output,
                "input": shared.permission.input,
                "bytes": shared.shared_bytes,
                "displacement_bytes": shared.displacement_bytes,
                "min_displacement_bytes": shared.permission.min_displacement_bytes,
                "source": shared.permission.source,
                "limits": list(network_plan.limits_of(shared)),
            }
            for shared in network_plan.shared
        ],
        "placement": _placement_as_json(network_plan),
    }
    if limit is not None:
        crowded = network_plan.in_the_way(limit)
        data["fits"] = not crowded
        data["in_the_way"] = [
            {
                "operator": step.operator,
                "name": step.name,
                "top_bytes": step.top_bytes,
                "tensors": [block.tensor for block in step.blocks],
            }
            for step in crowded
        ]
    return data


def _placement_as_json(plan: NetworkPlan) -> JsonObject | None:
    proof = plan.placement
    if proof is None:
        return None
    return {
        "proven": not proof.not_run,
        "operators": list(proof.operators),
        "inputs": proof.inputs,
        "not_run": [{"operator": k, "why": why} for k, why in proof.not_run.items()],
        "withdrawn": [{"operator": k, "why": why} for k, why in proof.withdrawn.items()],
    }


def _lines(network_plan: NetworkPlan, limit: int | None) -> list[str]:
    plan = network_plan.plan
    state = "proven optimal" if plan.optimal else _gap(network_plan)
    shared = sum(pair.shared_bytes for pair in network_plan.shared)
    lines = [
        f"{network_plan.model.path}: {len(network_plan.model.operators)} operators,"
        f" {len(network_plan.problem.blocks)} tensors to place",
        f"  arena        {plan.arena_bytes:>12,} B   ({plan.solver}; {state})",
        f"  lower bound  {plan.lower_bound_bytes:>12,} B",
    ]
    lines += [
        f"  {name:16} {size:>8,} B   saves {network_plan.saving_percent(name):.1f} %"
        for name, size in network_plan.baselines.items()
    ]
    lines += [
        f"  overlaps     {network_plan.overlaps}:"
        f" {len(network_plan.shared)} pairs share {shared:,} B",
        *(f"  measured on  {kernels}" for kernels in _kernels(network_plan)),
        f"  proven       {network_plan.proven}",
        *(f"  limited by   {limit}" for limit in network_plan.limits),
        *_by_themselves(network_plan),
        *_limits(network_plan),
        *(f"  older plan   {text}" for text in _older(network_plan)),
    ]
    if limit is not None:
        lines += _fits(network_plan, limit)
    return lines


def _gap(network_plan: NetworkPlan) -> str:
    plan = network_plan.plan
    gap = 100 * (plan.arena_bytes - plan.lower_bound_bytes) / max(plan.arena_bytes, 1)
    return f"at most {gap:.1f} % above the best"


def _kernels(plan: NetworkPlan) -> list[str]:
    from diagmem.networks.provenance import in_words

    return [in_words(plan.kernels)] if plan.kernels else []


def _by_themselves(plan: NetworkPlan) -> list[str]:
    """How the kernels of the overlaps were proven, and whose overlaps were taken back."""
    lines = [f"  kernels      {plan.kernels['proven']}"] if "proven" in plan.kernels else []
    for operator, why in plan.placement.withdrawn.items() if plan.placement else ():
        name = plan.model.operators[operator].name
        lines.append(f"  refuted      operator {operator} {name}, planned without overlap: {why}")
    return lines


def _limits(plan: NetworkPlan) -> list[str]:
    """What the plan is not for, and what nobody knows, as far as it was measured."""
    words = {"other_compilers": "compilers    differ: ", "scratch": "scratch      "}
    return [f"  {word}{plan.kernels[key]}" for key, word in words.items() if key in plan.kernels]


def _older(plan: NetworkPlan) -> list[str]:
    """What the model says of the plan that it comes with."""
    from diagmem.networks.provenance import entry, in_words, limits, measured_on
    from diagmem.tflite.write import read_provenance

    if plan.model.plan is None:
        return []
    made = read_provenance(plan.model)
    if not made:
        return ["is there; the file does not say how it was made"]
    kernels = measured_on(made)
    where = f" on {in_words(kernels)}" if kernels else ""
    return [
        f"by {entry(made, 'made_by')}: {entry(made, 'arena_bytes')} B, overlaps"
        f" {entry(made, 'overlaps')}{where}; proven: {entry(made, 'proven')}",
        *(f"limited by {limit}" for limit in limits(made)),
    ]


def _fits(plan: NetworkPlan, limit: int) -> list[str]:
    crowded = plan.in_the_way(limit)
    if not crowded:
        return [f"  fits         an arena of {limit:,} B, {limit - plan.plan.arena_bytes:,} B left"]
    lines = [
        f"  does not fit an arena of {limit:,} B: {plan.plan.arena_bytes - limit:,} B too much,"
        f" at {len(crowded)} operators"
    ]
    for step in crowded[:SHOWN]:
        lines.append(f"    operator {step.operator} {step.name} reaches {step.top_bytes:,} B:")
        lines += [
            f"      {block.size_bytes:>12,} B at {plan.plan.offsets[block.tensor]:>12,}"
            f"  {block.name[:60]}"
            for block in step.blocks[:SHOWN]
        ]
    if len(crowded) > SHOWN:
        lines.append(f"    ... and {len(crowded) - SHOWN} more operators; --json has all")
    return lines


def _say_next(args: argparse.Namespace, plan: NetworkPlan) -> None:
    if plan.overlaps in ("exact", "paper") and plan.shared:
        say(
            "these overlaps are a formula's, for the loop order of TFLite's reference kernels;"
            f" measure yours: {command('diagmem', 'measure', args.model, '-o', 'overlaps.json')}"
        )
    if args.output is not None:
        hint("diagmem", "verify", args.model, args.output, note="bit by bit, on TFLM")
    else:
        hint("diagmem", "plan", *_again(args), "-o", "planned.tflite", note="write the plan")


def _again(args: argparse.Namespace) -> list[object]:
    """The same plan once more: with what it depends on."""
    words: list[object] = [args.model]
    for name, default in (("overlaps", "exact"), ("solver", "auto"), ("align", 16)):
        given = getattr(args, name)
        words += [f"--{name}", str(given)] if given != default else []
    return [*words, *(["--pin-io"] if args.pin_io else [])]
