"""``diagmem measure``: a network's overlaps on the kernels that run it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from diagmem.cli.common import (
    add_json,
    add_output,
    check_output,
    hint,
    not_negative,
    print_json,
    quoted,
    say,
)

if TYPE_CHECKING:
    from diagmem.model.graph import Model
    from diagmem.networks.overlaps import Measured, MeasuredOperator, MeasuredPair

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
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument("model", type=Path, metavar="MODEL.tflite", help="what to measure")
    parser.add_argument(
        "--inputs",
        default="random",
        metavar="random|FILE.npz",
        help="the model's inputs; arrays by the tensors' names [%(default)s]",
    )
    parser.add_argument(
        "--seed", type=not_negative, default=0, help="of random inputs [%(default)s]"
    )
    parser.add_argument(
        "--weights",
        action="store_true",
        help="also how many bytes of constants each operator reads; takes half as long again",
    )
    parser.add_argument("--trace", type=Path, metavar="FILE.dmt", help="keep the trace, too")
    add_output(parser, "where the overlaps go, as JSON for diagmem plan --overlaps")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from diagmem.kernels.tflm.network import random_inputs, read_inputs
    from diagmem.model.graph import read_model
    from diagmem.networks.measure import measure
    from diagmem.networks.overlaps import write_overlaps

    for path in (args.output, args.trace):
        if path is not None:
            check_output(path, args.force, args.model, Path(args.inputs))
    model = read_model(args.model)
    if args.inputs == "random":
        inputs, said = random_inputs(model, args.seed), f"random, seed {args.seed}"
    else:
        inputs, said = read_inputs(model, Path(args.inputs)), Path(args.inputs).name
    measured = measure(
        model, inputs, said=said, weights=args.weights, keep=args.trace, progress=True
    )
    if args.output is not None:
        write_overlaps(measured, args.output)
    if args.json:
        print_json(measured.as_json())
    else:
        print("\n".join(_lines(model, measured)))
    _say_next(args, measured)
    return 0


def _lines(model: Model, measured: Measured) -> list[str]:
    kernels = measured.kernels
    rows = [["", *"operator seconds scratch weights live needed over D O_s formula".split()]]
    for operator in measured.operators:
        rows += _rows(operator)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        f"{model.path}: {len(measured.operators)} operators on {kernels['kernels']},"
        f" {kernels['target']}; sizes in bytes",
        *(
            "  ".join(
                cell.ljust(width) if i in (1, 7, 10) else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ),
    ]


def _rows(operator: MeasuredOperator) -> list[list[str]]:
    head = [
        str(operator.index),
        operator.operator,
        f"{operator.seconds:.4f}",
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
    pairs = [(o, p) for o in measured.operators for p in o.pairs if p.dies]
    for operator, pair in pairs:
        if pair.formula_says == "unsafe":
            say(
                f"operator {operator.index} ({operator.operator}): the formula's D of"
                f" {pair.formula_displacement_bytes:,} B is not safe on these kernels, which need"
                f" {pair.min_displacement_bytes:,} B; plan with the measured overlaps"
            )
    if args.output is not None:
        hint(
            f"diagmem plan {quoted(args.model)} --overlaps {quoted(args.output)} -o planned.tflite"
        )
    else:
        hint(f"diagmem measure {quoted(args.model)} -o overlaps.json   (for diagmem plan)")
