"""A whole check: many operators, several sets of kernels, all processor cores."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from diagmem.base.children import become_worker
from diagmem.base.errors import DiagmemError
from diagmem.check.judge import Finding, Question, draw_questions, judge
from diagmem.check.sets import kernel_set

C_CASES = 400
"""Of one operator to a task; a task is one process for each build."""
TFLM_CASES = 500
"""Of any operators to a task: they share a Python under Valgrind."""


@dataclass(frozen=True, slots=True)
class Task:
    """Cases for one process, and where they stand among all."""

    kernels: str
    questions: tuple[tuple[int, Question], ...]


def check(
    operators: Sequence[str],
    kernels: Sequence[str],
    *,
    cases: int,
    seed: int,
    jobs: int,
    advance: Callable[[int, int], None] = lambda done, all_: None,
) -> list[Finding]:
    """Check so many random layers of each operator on each set of kernels.

    ``advance`` is told after each task how many cases are done, of how many.
    The findings come in the order of operators and sets, whatever ``jobs`` is.

    Raises
    ------
    DiagmemError
        An operator or a set of kernels is not there, or a trace fails.
    """
    for name in kernels:
        kernel_set(name)
    tasks = list(_tasks(operators, kernels, cases, seed))
    total = sum(len(task.questions) for task in tasks)
    findings: list[tuple[int, int, Finding]] = []
    done = 0
    with _workers(jobs) as pool:
        running = {pool.submit(_work, task): task for task in tasks}
        for future in as_completed(running):
            task = running[future]
            findings += [(n, kernels.index(task.kernels), one) for n, one in future.result()]
            done += len(task.questions)
            advance(done, total)
    # By operator, then by set; within them by case. Sorting is stable: pairs stay.
    findings.sort(key=lambda entry: (entry[0] // max(cases, 1), entry[1], entry[0]))
    return [finding for _, _, finding in findings]


@contextmanager
def _workers(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with this one; what they leave in temporary files goes, too."""
    # Forked, so that a worker starts at once.
    context = multiprocessing.get_context("fork")
    with (
        TemporaryDirectory(prefix="diagmem-", ignore_cleanup_errors=True) as directory,
        ProcessPoolExecutor(
            jobs, mp_context=context, initializer=_begin, initargs=(os.getpid(), directory)
        ) as pool,
    ):
        try:
            yield pool
        except BrokenProcessPool:
            raise DiagmemError(
                "a worker process was ended from outside, by a lack of memory perhaps; with fewer"
                " --jobs each has more"
            ) from None
        except BaseException as raised:
            pool.shutdown(wait=False, cancel_futures=True)
            if not isinstance(raised, Exception):
                # Interrupted: what they are at is wanted no more.
                for worker in multiprocessing.active_children():
                    worker.kill()
            raise


def _begin(parent: int, directory: str) -> None:
    become_worker(parent)
    tempfile.tempdir = directory


def _tasks(
    operators: Sequence[str], kernels: Sequence[str], cases: int, seed: int
) -> Iterator[Task]:
    numbered = [
        [(k * cases + i, question) for i, question in enumerate(draw_questions(name, cases, seed))]
        for k, name in enumerate(operators)
    ]
    for name in kernels:
        if name == "tflm":
            # Those take longest, so they come first.
            everything = [entry for entries in numbered for entry in entries]
            yield from _cut(name, everything, TFLM_CASES)
    for name in kernels:
        if name != "tflm":
            for entries in numbered:
                yield from _cut(name, entries, C_CASES)


def _cut(kernels: str, entries: list[tuple[int, Question]], most: int) -> Iterator[Task]:
    for start in range(0, len(entries), most):
        yield Task(kernels, tuple(entries[start : start + most]))


def _work(task: Task) -> list[tuple[int, Finding]]:
    findings = judge(kernel_set(task.kernels), [question for _, question in task.questions])
    return [(task.questions[number][0], finding) for number, finding in findings]
