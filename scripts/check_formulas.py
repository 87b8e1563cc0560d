"""The closed forms against the loop nests, on random layers: ``make check-formulas``.

For every operator and loop order, D by closed form must be D by running the loop nest
on indices.  The table goes to stdout, and for every difference the command that shows
it; then the exit code is 1.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shlex
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from diagmem.base.progress import Progress
from diagmem.cli.common import not_negative, positive
from diagmem.cli.table import aligned
from diagmem.ops import OPERATORS, find_operator
from diagmem.ops.analytical import exact
from diagmem.ops.answer import by_loop_nest
from diagmem.ops.draw import Draw
from diagmem.ops.layer import Layer
from diagmem.ops.operator import REFERENCE

CHUNK = 250
"""Layers to a task."""
SHOWN = 3
"""Differences of an operator that are listed."""


@dataclass(frozen=True, slots=True)
class Task:
    """The layers ``[start, end)`` of one operator and loop order."""

    operator: str
    order: str
    seed: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Result:
    """What a task found: layers and pairs compared, pairs in which the output could
    lie over some of the input but not over all it could, and the differences."""

    task: Task
    pairs: int
    partial: int
    differences: tuple[str, ...]


def drawn(operator: str, seed: int, number: int) -> Layer:
    """The layer of that number; every fourth may have axes of no elements."""
    found = find_operator(operator)
    return found.of(found.draw(Draw(f"{seed}/{operator}/{number}", zeros=number % 4 == 3)))


def compare(task: Task) -> Result:
    operator = find_operator(task.operator)
    pairs = partial = 0
    differences = []
    for number in range(task.start, task.end):
        layer = drawn(task.operator, task.seed, number)
        formulas = exact(layer, operator.loop_nest(layer, task.order))
        nests = by_loop_nest(layer, task.order, isolated=False)
        for formula, nest in zip(formulas, nests, strict=True):
            pairs += 1
            shared = min(formula.input_bytes, formula.output_bytes)
            partial += 0 < formula.safe_overlap_bytes < shared
            if formula.min_displacement_bytes != nest.min_displacement_bytes:
                differences.append(
                    f"{formula.input} over {formula.output}: closed form"
                    f" {formula.min_displacement_bytes:,} B, loop nest"
                    f" {nest.min_displacement_bytes:,} B:  {_command(layer, task.order)}"
                )
    return Result(task, pairs, partial, tuple(differences))


def _command(layer: Layer, order: str) -> str:
    words = find_operator(layer.operator).words(layer)
    given = " ".join(shlex.quote(f"{name}={value}") for name, value in words.items())
    return f"diagmem formula {layer.operator} {given} --order {order}"


def orders() -> Iterator[tuple[str, str]]:
    """Every operator with each of its loop orders."""
    for name, operator in OPERATORS.items():
        for order in (REFERENCE, *operator.orders):
            yield name, order


def check(cases: int, seed: int, jobs: int) -> dict[tuple[str, str], list[Result]]:
    """So many layers of every operator and loop order; the results of each."""
    tasks = [
        Task(operator, order, seed, start, min(start + CHUNK, cases))
        for operator, order in orders()
        for start in range(0, cases, CHUNK)
    ]
    results: dict[tuple[str, str], list[Result]] = {key: [] for key in orders()}
    progress = Progress("comparing")
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        for done, result in enumerate(pool.map(compare, tasks), 1):
            results[result.task.operator, result.task.order].append(result)
            progress.share(min(done * CHUNK, len(tasks) * CHUNK), len(tasks) * CHUNK)
    progress.done()
    return results


def table(results: dict[tuple[str, str], list[Result]]) -> list[str]:
    rows: list[tuple[str, ...]] = [("operator", "order", "layers", "pairs", "partial", "differ")]
    totals = [0, 0, 0, 0]
    for (operator, order), found in results.items():
        numbers = (
            sum(one.task.end - one.task.start for one in found),
            sum(one.pairs for one in found),
            sum(one.partial for one in found),
            sum(len(one.differences) for one in found),
        )
        totals = [total + number for total, number in zip(totals, numbers, strict=True)]
        rows.append((operator, order, *(f"{number:,}" for number in numbers)))
    rows.append(("all", "", *(f"{total:,}" for total in totals)))
    return aligned(rows, right=range(2, 6))


def main() -> int:
    parser = argparse.ArgumentParser(description="closed forms against loop nests")
    parser.add_argument(
        "--cases", type=positive, default=5000, metavar="N", help="layers of each [%(default)s]"
    )
    parser.add_argument("--seed", type=not_negative, default=1, help="of the layers [%(default)s]")
    parser.add_argument(
        "--jobs", type=positive, default=len(os.sched_getaffinity(0)), help="[one per core]"
    )
    args = parser.parse_args()
    results = check(args.cases, args.seed, args.jobs)
    print("\n".join(table(results)))
    wrong = False
    for found in results.values():
        differences = [text for one in found for text in one.differences]
        wrong = wrong or bool(differences)
        for text in differences[:SHOWN]:
            print(text)
        if len(differences) > SHOWN:
            print(f"... and {len(differences) - SHOWN:,} more")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
