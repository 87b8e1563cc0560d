"""``diagmem fit``: networks against a table of micro-controllers."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from diagmem.base.errors import DiagmemError
from diagmem.base.files import JsonObject
from diagmem.cli.common import add_json, hint, not_negative, overlaps_of, show
from diagmem.cli.table import aligned

if TYPE_CHECKING:
    from diagmem.boards.board import Board
    from diagmem.boards.fit import Fit, Needs

_EPILOG = """\
verdicts:
  fits                even without overlap, by the best plan there is
  only with overlap   the plan with overlap fits, no plan without does
  too little RAM, too little flash     and how much is missing

A model that diagmem has planned is judged by the plan in it, unless --overlaps is
given; others are planned here.  The runtime's part of the RAM is an estimate for a
32-bit target, stack and code are allowances: docs/boards.md says how they are made.
Parts with external flash are judged by their RAM only.

  diagmem fit net.tflite
  diagmem fit net.tflite --overlaps overlaps.json --boards mine.csv
  diagmem fit --list

Exit code 1 if a model fits none of the boards.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument(
        "models", type=Path, nargs="*", metavar="MODEL.tflite", help="planned by diagmem or not"
    )
    parser.add_argument(
        "--boards", type=Path, metavar="FILE.csv", help="a table of your own [the shipped one]"
    )
    parser.add_argument(
        "--overlaps",
        metavar="FILE|exact|paper|none",
        help="as of diagmem plan [the plan in the model, else exact]",
    )
    parser.add_argument(
        "--stack", type=not_negative, metavar="BYTES", help="RAM for the stack [8192]"
    )
    parser.add_argument(
        "--runtime", type=not_negative, metavar="BYTES", help="RAM the runtime keeps [estimated]"
    )
    parser.add_argument(
        "--code", type=not_negative, metavar="BYTES", help="flash for the program [102400]"
    )
    parser.add_argument("--list", action="store_true", help="list the boards, judge nothing")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from diagmem.boards.board import read_boards, shipped_boards

    _check_call(args)
    boards = shipped_boards() if args.boards is None else read_boards(args.boards)
    if args.list:
        show(args, lambda: {"boards": [asdict(b) for b in boards]}, lambda: _listed(boards))
        return 0
    judged = [(needs, _judged(needs, boards)) for needs in _all_needs(args)]
    show(
        args,
        lambda: {"models": [as_json(needs, fits) for needs, fits in judged]},
        lambda: ["\n\n".join("\n".join(_lines(needs, fits)) for needs, fits in judged)],
    )
    _say_next(args, judged)
    return 0 if all(any(_has_room(fit) for fit in fits) for _, fits in judged) else 1


def _check_call(args: argparse.Namespace) -> None:
    judging = (args.models, args.overlaps, args.stack, args.runtime, args.code)
    if args.list and any(value not in (None, []) for value in judging):
        raise DiagmemError("--list takes no models and no options of theirs; it lists the boards")
    if not args.list and not args.models:
        raise DiagmemError("found no model, expected one: diagmem fit net.tflite, or --list")


def _all_needs(args: argparse.Namespace) -> list[Needs]:
    from diagmem.boards.fit import CODE_BYTES, STACK_BYTES, needs_of
    from diagmem.tflite.graph import read_model

    models = [read_model(path) for path in args.models]
    return [
        needs_of(
            model,
            None if args.overlaps is None else overlaps_of(args.overlaps, model),
            stack_bytes=STACK_BYTES if args.stack is None else args.stack,
            code_bytes=CODE_BYTES if args.code is None else args.code,
            runtime_bytes=args.runtime,
        )
        for model in models
    ]


def _judged(needs: Needs, boards: tuple[Board, ...]) -> list[Fit]:
    from diagmem.boards.fit import judge

    return [judge(needs, board) for board in boards]


def as_json(needs: Needs, fits: list[Fit]) -> JsonObject:
    return {
        **asdict(needs),
        "boards": [
            {
                "name": fit.board.name,
                "verdict": fit.verdict,
                "ram_needed_bytes": needs.ram_bytes,
                "ram_needed_without_overlap_bytes": needs.ram_without_overlap_bytes,
                "ram_bytes": fit.board.sram_bytes,
                "largest_block_bytes": fit.board.largest_block_bytes,
                "ram_missing_bytes": fit.ram_missing_bytes,
                "ram_missing_without_overlap_bytes": fit.ram_missing_without_overlap_bytes,
                "flash_needed_bytes": needs.flash_bytes,
                "flash_bytes": fit.board.flash_bytes,
                "flash_missing_bytes": fit.flash_missing_bytes,
                "fits_unplanned": fit.fits_unplanned,
            }
            for fit in fits
        ],
    }


def _lines(needs: Needs, fits: list[Fit]) -> list[str]:
    rows = [["board", "core", "SRAM", "one block", "flash", "verdict"]]
    rows += [[*_memory(fit.board), _verdict(needs, fit)] for fit in fits]
    counts = [
        sum(fit.verdict == "fits" for fit in fits),
        sum(fit.verdict == "only with overlap" for fit in fits),
        sum(not _has_room(fit) for fit in fits),
    ]
    return [
        f"{needs.model}:",
        f"                {'with overlap':>14}  {'without':>14}",
        _sum_line("arena", needs.arena_bytes, needs.arena_without_overlap_bytes)
        + f"   ({needs.arena_unplanned_bytes:,} as TFLM plans it itself)",
        _sum_line("runtime", needs.persistent_bytes, needs.persistent_bytes),
        _sum_line("stack", needs.stack_bytes, needs.stack_bytes),
        _sum_line("RAM", needs.ram_bytes, needs.ram_without_overlap_bytes),
        f"  flash         {needs.flash_bytes:>12,} B   (model {needs.weights_bytes:,},"
        f" code {needs.code_bytes:,})",
        f"  overlaps      {needs.provenance}",
        "",
        *aligned(rows, right=(2, 3, 4)),
        "",
        f"{counts[0]} fit without overlap, {counts[1]} only with overlap, {counts[2]} not",
    ]


def _sum_line(name: str, overlapped: int, apart: int) -> str:
    return f"  {name:12}  {overlapped:>12,} B  {apart:>12,} B"


def _memory(board: Board) -> list[str]:
    flash = "external" if board.flash_bytes is None else f"{board.flash_bytes:,}"
    blocks = f"{board.sram_bytes:,}", f"{board.largest_block_bytes:,}"
    return [board.name, board.core, *blocks, flash]


def _verdict(needs: Needs, fit: Fit) -> str:
    """The verdict, with what is missing or what it takes."""
    if fit.verdict == "only with overlap":
        return f"only with overlap; {fit.ram_missing_without_overlap_bytes:,} B missing without"
    if fit.verdict == "fits":
        return "fits" if fit.fits_unplanned else "fits, if planned"
    missing = []
    if fit.ram_missing_bytes:
        in_block = fit.ram_missing_bytes == needs.arena_bytes - fit.board.largest_block_bytes
        place = " in one block" if in_block else ""
        missing.append(f"{fit.ram_missing_bytes:,} B of RAM{place}")
    if fit.flash_missing_bytes:
        missing.append(f"{fit.flash_missing_bytes:,} B of flash")
    return f"{fit.verdict}: {' and '.join(missing)} missing"


def _has_room(fit: Fit) -> bool:
    return fit.verdict in ("fits", "only with overlap")


def _listed(boards: tuple[Board, ...]) -> list[str]:
    rows = [["board", "core", "SRAM", "one block", "flash", "vendor", "source", "note"]]
    rows += [[*_memory(board), board.vendor, board.source, board.note] for board in boards]
    return aligned(rows, right=(2, 3, 4))


def _say_next(args: argparse.Namespace, fits: list[tuple[Needs, list[Fit]]]) -> None:
    from diagmem.networks.permissions import FORMULAS

    path = next(
        (p for p, (n, _) in zip(args.models, fits, strict=True) if n.overlaps in FORMULAS), None
    )
    if path is not None:
        words = ("diagmem", "measure", path, "-o", "overlaps.json")
        hint(*words, note="on TFLM's compiled kernels")
