"""The soak: ``make soak``, or ``python -m tests.soak --only 17``."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from diagmem.base.errors import DiagmemError

from .generate import generate
from .judge import Verdict, judge, written

LEVELS = ("-O0", "-O2", "-O3")
Task = tuple[int, int, str, str]


def run(task: Task) -> tuple[Task, Verdict]:
    seed, number, compiler, level = task
    with tempfile.TemporaryDirectory(prefix="diagmem-soak-") as directory:
        # Builds are not worth keeping.
        os.environ["XDG_CACHE_HOME"] = directory
        try:
            return task, judge(written(Path(directory, "k"), seed, number, compiler, level))
        except DiagmemError as error:
            return task, Verdict("ERROR", str(error))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--kernels", type=int, default=2000, help="kernels to build and prove")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", type=int, metavar="N", help="show and judge this one alone")
    args = parser.parse_args()
    compilers = [c for c in ("gcc", "clang") if shutil.which(c)]
    kinds = [(c, level) for c in compilers for level in LEVELS]
    if args.only is not None:
        made = generate(args.seed, args.only)
        print(made.source, made.toml, made.features, sep="\n")
        tasks = [(args.seed, args.only, *kind) for kind in kinds]
    else:
        # Each text under every compiler and level; each of these is a kernel.
        texts = -(-args.kernels // len(kinds))
        tasks = [(args.seed, n, *kind) for n in range(texts) for kind in kinds]
    counts: dict[tuple[str, str], Counter[str]] = {kind: Counter() for kind in kinds}
    reasons: Counter[str] = Counter()
    start = time.monotonic()
    bad = 0
    with multiprocessing.Pool(args.jobs) as pool:
        for done, (task, verdict) in enumerate(pool.imap_unordered(run, tasks), 1):
            seed, number, compiler, level = task
            counts[compiler, level][verdict.kind] += 1
            if verdict.kind == "not tight":
                reasons[verdict.detail] += 1
            if verdict.kind in ("WRONG", "ERROR", "not proven") or args.only is not None:
                bad += verdict.kind in ("WRONG", "ERROR")
                print(
                    f"{verdict.kind}: --seed {seed} --only {number} ({compiler} {level}):"
                    f" {verdict.detail}",
                    flush=True,
                )
            if sys.stderr.isatty() or done % 200 == 0:
                seconds = time.monotonic() - start
                print(f"\r{done:,} of {len(tasks):,}, {seconds:.0f} s ", end="", file=sys.stderr)
    columns = sorted({kind for counter in counts.values() for kind in counter})
    print(f"\n{'':12}" + "".join(f"{c:>12}" for c in columns))
    for (compiler, level), counter in counts.items():
        print(f"{compiler + ' ' + level:12}" + "".join(f"{counter[c]:12,}" for c in columns))
    print(f"{len(tasks):,} kernels in {time.monotonic() - start:.0f} s, wrong or in error: {bad}")
    print("not tight because of:", dict(reasons.most_common()))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
