"""docs/operators.md, its pictures, and the tables of two pages more: ``make tables``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from diagmem.base.errors import DiagmemError
from diagmem.cli.common import positive
from scripts.kernels_page import make_kernels
from scripts.operators_page import make_operators
from scripts.targets_page import make_targets

PAGES: dict[str, Callable[[argparse.Namespace], None]] = {
    "operators": lambda args: make_operators(args.jobs),
    "kernels": lambda args: make_kernels(args.jobs),
    "cortex-m": lambda args: make_targets(args.jobs, args.checkout),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description="the tables of docs/operators.md, kernels.md and cortex-m.md"
    )
    parser.add_argument("--page", choices=tuple(PAGES), help="only this one")
    parser.add_argument(
        "--jobs", type=positive, default=len(os.sched_getaffinity(0)), help="[one per core]"
    )
    parser.add_argument(
        "--checkout", type=Path, help="of CMSIS-NN, for its table in cortex-m.md [leave it]"
    )
    args = parser.parse_args()
    try:
        for name, make in PAGES.items():
            if args.page in (None, name):
                make(args)
    except DiagmemError as error:
        sys.exit(f"make_tables: {error}")


if __name__ == "__main__":
    main()
