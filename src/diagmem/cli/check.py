"""``diagmem check``: the formulas against compiled kernels, on random layers."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from diagmem.base.errors import DiagmemError
from diagmem.base.files import STDOUT
from diagmem.cli.common import (
    add_json,
    add_output,
    check_text_output,
    hint,
    not_negative,
    positive,
    say,
    show,
)
from diagmem.cli.table import aligned
from diagmem.record.targets import TARGETS

if TYPE_CHECKING:
    from diagmem.check.judge import Finding
    from diagmem.check.results import Count

DEFAULT_KERNELS = "c,tflm"
DEFAULT_KERNELS_ON_TARGETS = "c"

_EPILOG = """\
For each random layer: D by closed form, by loop nest and by the paper's bound; D
traced from the compiled kernel; and the kernel run with its buffers truly
overlapped, at the largest D and one element below it.

  equal       closed form, loop nest and trace say the same
  looser      the formula asks for more than the trace (mean and largest gap)
  unsafe      the formula asks for less: that is a fault, the exit code is 1
  overlapped  at D every bit is that of a run apart; if not, the exit code is 1
  tight       one element less, and some bit is wrong

kernels: c (our C kernels at -O2), c-O0, c-O3, clang (at -O3), two-columns (a
convolution in another loop order), tflm (TensorFlow Lite Micro's, from the
tflite-micro wheel).  With --target
each set of C kernels named is compiled for a Cortex-M, too, as c@cortex-m4, and traced
and run there in QEMU; the last lines say for how many pairs D is the one of this machine.

  diagmem check --op CONV_2D --op ADD --cases 100 -o results.csv
  diagmem check --kernels c --target cortex-m4 --target cortex-m55
  diagmem check --replay results.csv:17
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument(
        "--op", action="append", default=[], metavar="OPERATOR", help="only this one; repeatable"
    )
    parser.add_argument(
        "--kernels",
        metavar="SETS",
        help=f"sets of compiled kernels, with commas [{DEFAULT_KERNELS}; with --target"
        f" {DEFAULT_KERNELS_ON_TARGETS}]",
    )
    parser.add_argument(
        "--target",
        action="append",
        default=[],
        choices=list(TARGETS),
        help="besides this machine also that processor, in QEMU; repeatable",
    )
    parser.add_argument(
        "--cases", type=positive, default=20, metavar="N", help="layers per operator [%(default)s]"
    )
    parser.add_argument("--seed", type=not_negative, default=0, help="of the layers [%(default)s]")
    parser.add_argument("--jobs", type=positive, metavar="J", help="processes [one per core]")
    parser.add_argument(
        "--replay", metavar="CSV:ROW", help="one case again, in full: a row of -o's file, from 1"
    )
    add_output(parser, "write all cases as CSV; - is standard output")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from diagmem.check.results import as_json, write_csv

    if args.output is not None:
        check_text_output(args, endings=(".csv",))
    if args.replay and (args.op or args.kernels or args.target):
        raise DiagmemError("--replay takes operator and kernels from the row: leave them out")
    findings = _replayed(args.replay) if args.replay else _checked(args)
    if args.output is not None:
        write_csv(findings, args.output)
    show(args, lambda: as_json(findings), lambda: _lines(args, findings))
    _say_next(args, findings)
    return 1 if any(finding.wrong for finding in findings) else 0


def _checked(args: argparse.Namespace) -> list[Finding]:
    from diagmem.check.sweep import check
    from diagmem.ops import OPERATORS, find_operator

    operators = list(dict.fromkeys(find_operator(name).name for name in args.op))
    from diagmem.base.progress import Progress

    progress = Progress("checking")
    findings = check(
        operators or list(OPERATORS),
        _sets(args.kernels, args.target),
        cases=args.cases,
        seed=args.seed,
        jobs=args.jobs or len(os.sched_getaffinity(0)),
        advance=progress.share,
    )
    progress.done()
    return findings


def _sets(text: str | None, targets: list[str]) -> list[str]:
    """The sets named; of the default ones only those that are there."""
    from diagmem.check.sets import kernel_set

    named = text or (DEFAULT_KERNELS_ON_TARGETS if targets else DEFAULT_KERNELS)
    names = list(dict.fromkeys(named.split(",")))
    names += [f"{name}@{target}" for name in names for target in dict.fromkeys(targets)]
    sets = []
    for name in names:
        try:
            kernel_set(name)
        except DiagmemError as error:
            if text is not None or targets:
                raise
            say(f"left out: {error}")
            continue
        sets.append(name)
    return sets


def _replayed(text: str) -> list[Finding]:
    from diagmem.check.judge import judge
    from diagmem.check.results import read_question
    from diagmem.check.sets import kernel_set

    name, question = read_question(text)
    return [finding for _, finding in judge(kernel_set(name), [question])]


def _in_full(finding: Finding) -> list[str]:
    lines = [
        f"{finding.operator} {finding.attributes}",
        f"  kernels {finding.kernels}, loop order: {finding.order or 'none'}, seed {finding.seed}",
    ]
    if finding.refused:
        return [*lines, f"  not checked: {finding.refused}"]
    if finding.silent:
        return [*lines, f"  {finding.input} over {finding.output}: no answer: {finding.silent}"]
    paper = "no claim" if finding.paper is None else f"{finding.paper:,} B"
    verdict = "unsafe" if finding.unsafe else "equal" if finding.equal else "looser"
    same = "every bit is right" if finding.overlapped_equal else "BITS DIFFER"
    below = "0 is the least" if finding.displacement == 0 else "one element less is wrong"
    return [
        *lines,
        f"  {finding.input} ({finding.input_bytes:,} B)"
        f" over {finding.output} ({finding.output_bytes:,} B)",
        f"    closed form  D = {finding.exact:,} B",
        f"    loop nest    D = {finding.algorithmic:,} B",
        f"    paper        D = {paper}",
        f"    traced       D = {finding.traced:,} B",
        f"    the formula is {verdict}",
        f"    run overlapped at {finding.displacement:,} B: {same};"
        f" {below if finding.tight else 'one element less does no harm that shows'}",
        *(f"    note: {note}" for note in finding.notes.split("; ") if note),
    ]


def _lines(args: argparse.Namespace, findings: list[Finding]) -> list[str]:
    from diagmem.check.results import count

    if args.replay:
        return [line for finding in findings for line in _in_full(finding)]
    return [*_table(count(findings)), *_targets(findings)]


def _table(counts: list[Count]) -> list[str]:
    heads = ["operator", "kernels", "cases", "equal", "looser", "unsafe", "overlapped", "tight"]
    rows = [[*heads, "gap (mean, largest)", "not checked"]]
    for c in counts:
        gap = f"{c.mean_gap_bytes:,.0f} B, {c.largest_gap_bytes:,} B" if c.looser else ""
        numbers = (c.cases, c.equal, c.looser, c.unsafe, c.overlapped_equal, c.tight)
        refused = f"{c.refused}" if c.refused else ""
        rows.append([c.operator, c.kernels, *(f"{n:,}" for n in numbers), gap, refused])
    return aligned(rows, right=range(2, 8))


def _targets(findings: list[Finding]) -> list[str]:
    """Where the same source, compiled for another processor, has another D."""
    from diagmem.check.results import against_others

    lines = []
    for change in against_others(findings):
        differ = ", ".join(f"{operator} {n:,}" for operator, n in change.differ.items())
        lines.append(
            f"{change.kernels}: traced D as on this machine for"
            f" {change.pairs - sum(change.differ.values()):,} of {change.pairs:,} pairs"
            + (f"; another for {differ}" if differ else "")
        )
    return lines


def _say_next(args: argparse.Namespace, findings: list[Finding]) -> None:
    reasons: dict[tuple[str, str], int] = {}
    for finding in findings:
        if finding.refused and not args.replay:
            key = (finding.kernels, f"{finding.operator}: {finding.refused}")
            reasons[key] = reasons.get(key, 0) + 1
    for (kernels, reason), number in list(reasons.items())[:10]:
        say(f"not checked on {kernels}: {number} of {reason}")
    if len(reasons) > 10:
        say(f"... and {len(reasons) - 10} more reasons; --json and -o have all of them")
    wrong = next((i for i, finding in enumerate(findings, 1) if finding.wrong), None)
    if args.output not in (None, STDOUT):
        case = f"{args.output}:{wrong or 1}"
        hint("diagmem", "check", "--replay", case, note="one case in full")
    elif wrong is not None and not args.replay:
        say("next: the same with -o results.csv, and --replay results.csv:ROW for a case in full")
