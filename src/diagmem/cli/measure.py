"""``diagmem measure``: a network's overlaps on the kernels that run it."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from diagmem.base.errors import DiagmemError
from diagmem.base.files import STDOUT
from diagmem.cli.common import (
    add_json,
    add_output,
    check_output,
    check_text_output,
    hint,
    not_negative,
    say,
    show,
)
from diagmem.cli.table import aligned
from diagmem.record.targets import TARGETS

if TYPE_CHECKING:
    from diagmem.networks.measured import Measured, MeasuredOperator, MeasuredPair
    from diagmem.tflite.graph import Model

LISTED = 3
TELLING = ("the kernel is data-dependent", "damage may stay hidden", "no overlap: ")
"""How notes begin that are told, not only kept."""
_EPILOG = """\
Runs one inference of stock TensorFlow Lite Micro (the tflite-micro wheel) under
Valgrind, each operator's call a window, and finds for every input and output how
far they may overlap: on these compiled kernels, not by a formula.  The formula's
answer stands beside it.

  seconds   of the operator natively         D        minimum displacement
  scratch   arena it used beside its tensors O_s      safe overlap
  weights   constants it read (--weights)    formula  what the closed form says of D
  needed    of the live bytes, the most that hold a value needed at one time

  diagmem measure net.tflite -o overlaps.json
  diagmem plan net.tflite --overlaps overlaps.json -o planned.tflite

With --kernels each operator is measured by itself, on kernels that descriptions name
(see docs/own-kernel.md), and proven by overlapped runs; with --target they are compiled
for a Cortex-M and run in QEMU.  Operators without a description get no overlap.

  diagmem measure net.tflite --kernels c --target cortex-m4 -o overlaps.json
  diagmem measure net.tflite --kernels DIR --target cortex-m55 flags=-O3 -o overlaps.json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument("model", type=Path, metavar="MODEL.tflite", help="what to measure")
    parser.add_argument(
        "parameters",
        nargs="*",
        default=[],
        metavar="key=value",
        help="with --kernels: for those descriptions that have such a parameter; flags and"
        " compiler, too",
    )
    parser.add_argument(
        "--kernels",
        metavar="DIR|c|cmsis-nn",
        help="a folder of kernel descriptions, the bundled C kernels, or CMSIS-NN"
        " (checkout=FOLDER) [TensorFlow Lite Micro's, the whole network at once]",
    )
    parser.add_argument(
        "--target", choices=list(TARGETS), help="with --kernels: compiled for it, run in QEMU"
    )
    parser.add_argument(
        "--inputs",
        default="random",
        metavar="random|FILE.npz",
        help="the model's inputs; arrays by the tensors' names; not with --kernels [%(default)s]",
    )
    parser.add_argument(
        "--seed", type=not_negative, default=0, help="of random inputs [%(default)s]"
    )
    parser.add_argument(
        "--weights",
        action="store_true",
        help="also how many bytes of constants each operator reads; takes half as long again; not"
        " with --kernels",
    )
    parser.add_argument("--trace", type=Path, metavar="FILE.dmt", help="keep the trace, too")
    add_output(
        parser, "where the overlaps go, as JSON for diagmem plan --overlaps; - is standard output"
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from diagmem.networks.measured import write_overlaps
    from diagmem.tflite.graph import read_model

    _check(args)
    sources = (args.model, Path(args.inputs))
    if args.output is not None:
        check_text_output(args, *sources, endings=(".json",))
    if args.trace is not None:
        check_output(args.trace, args.force, *sources, endings=(".dmt",))
    model = read_model(args.model)
    measured = _on_described(args, model) if args.kernels is not None else _on_tflm(args, model)
    if args.output is not None:
        write_overlaps(measured, args.output)
    show(args, measured.as_json, lambda: _lines(model, measured))
    _say_next(args, measured)
    return 0


def _check(args: argparse.Namespace) -> None:
    """Options of the one way are refused in the other."""
    if args.kernels is None:
        given = [f"--target {args.target}"] if args.target else args.parameters
        if given:
            raise DiagmemError(
                f"{given[0]}: expected with --kernels; TFLM's kernels are the wheel's, for this"
                " machine"
            )
    else:
        whole = {"--inputs": args.inputs != "random", "--seed": args.seed, "--trace": args.trace}
        for option, given in {**whole, "--weights": args.weights}.items():
            if given:
                raise DiagmemError(f"{option} goes with TFLM's kernels, not with --kernels")


def _on_tflm(args: argparse.Namespace, model: Model) -> Measured:
    from diagmem.networks.on_tflm import measure
    from diagmem.tflm.network import random_inputs, read_inputs

    if args.inputs == "random":
        inputs, origin = random_inputs(model, args.seed), f"random, seed {args.seed}"
    else:
        inputs, origin = read_inputs(model, Path(args.inputs)), Path(args.inputs).name
    return measure(model, inputs, said=origin, weights=args.weights, keep=args.trace, progress=True)


def _on_described(args: argparse.Namespace, model: Model) -> Measured:
    from diagmem.base.progress import Progress
    from diagmem.kernels.library import Library
    from diagmem.kernels.parameters import parse_overrides
    from diagmem.networks.on_described import measure_described

    library = Library(args.kernels, parse_overrides(args.parameters))
    progress = Progress("measuring")
    measured = measure_described(model, library, target=args.target or "", advance=progress.share)
    progress.done()
    return measured


def _lines(model: Model, measured: Measured) -> list[str]:
    kernels = measured.kernels
    rows = [["", *"operator seconds scratch weights live needed over D O_s formula".split()]]
    for operator in measured.operators:
        rows += _rows(operator)
    return [
        f"{model.path}: {len(measured.operators)} operators on {kernels['kernels']},"
        f" {kernels['target']}; sizes in bytes",
        *aligned(rows, right=(0, *range(2, 7), 8, 9)),
    ]


def _rows(operator: MeasuredOperator) -> list[list[str]]:
    head = [
        str(operator.index),
        operator.operator,
        f"{operator.seconds:.4f}" if operator.seconds else "",
        f"{operator.scratch_bytes:,}",
        "" if operator.weights_read_bytes is None else f"{operator.weights_read_bytes:,}",
        f"{operator.live_bytes:,}",
        f"{operator.needed_bytes:,}",
    ]
    rows: list[list[str]] = []
    for pair in operator.pairs:
        if not pair.dies:
            continue
        formula = pair.formula_says
        if pair.formula_displacement_bytes is not None and formula != "equal":
            formula = f"{formula}: {pair.formula_displacement_bytes:,}"
        rows.append(
            [
                *(head if not rows else [""] * len(head)),
                f"t{pair.input} over t{pair.output}",
                f"{pair.min_displacement_bytes:,}",
                _overlap(pair),
                formula,
            ]
        )
    return rows or [[*head, "", "", "", ""]]


def _overlap(pair: MeasuredPair) -> str:
    whole = min(pair.input_bytes, pair.output_bytes)
    if pair.in_place and pair.safe_overlap_bytes < whole:
        return f"{whole:,} in place"
    return f"{pair.safe_overlap_bytes:,}"


def _say_next(args: argparse.Namespace, measured: Measured) -> None:
    _say_without(measured)
    pairs = [(o, p) for o in measured.operators for p in o.pairs if p.dies]
    unsafe = [(o, p) for o, p in pairs if p.formula_says == "unsafe"]
    for operator, pair in unsafe[:LISTED]:
        say(
            f"operator {operator.index} ({operator.operator}): the formula's D of"
            f" {pair.formula_displacement_bytes:,} B is not safe on these kernels, which need"
            f" {pair.min_displacement_bytes:,} B; plan with the measured overlaps"
        )
    if len(unsafe) > LISTED:
        say(f"and so for {len(unsafe) - LISTED} more operators, which the table calls unsafe")
    if args.output not in (None, STDOUT):
        given = ("--overlaps", args.output, "-o", "planned.tflite")
        hint("diagmem", "plan", args.model, *given)
    elif args.output is None:
        words = ["--kernels", args.kernels] if args.kernels is not None else []
        words += ["--target", args.target] if args.target else []
        words += [*args.parameters, "-o", "overlaps.json"]
        hint("diagmem", "measure", args.model, *words, note="for diagmem plan")


def _say_without(measured: Measured) -> None:
    """Operators that get no overlap, because nobody described a kernel for them, and what
    was remarkable about those that do."""
    from diagmem.networks.chosen import NO_KERNEL

    if "other_compilers" in measured.kernels:
        say(
            f"compiled by {measured.kernels['compiler']}; other compilers differ:"
            f" {measured.kernels['other_compilers']}"
        )

    for operator in measured.operators:
        for note in dict.fromkeys(note for pair in operator.pairs for note in pair.notes):
            if note.startswith(TELLING):
                say(f"operator {operator.index} ({operator.operator}): {note}")
    without = Counter(
        (operator.operator, reason)
        for operator in measured.operators
        if (reason := next((p.notes[0] for p in operator.pairs if p.formula_says == NO_KERNEL), ""))
    )
    for (name, reason), number in list(without.items())[:LISTED]:
        say(f"no overlap for {number} x {name}: {reason.removeprefix(f'{NO_KERNEL}: ')}")
    if len(without) > LISTED:
        say(f"... and for {len(without) - LISTED} more reasons; --json has all")
