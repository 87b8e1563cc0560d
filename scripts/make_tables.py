"""docs/operators.md, its pictures, and the tables of docs/kernels.md: ``make tables``."""

from __future__ import annotations

import argparse
import os
import sys

from diagmem.cli.common import positive
from diagmem.errors import DiagmemError
from scripts.kernels_page import make_kernels
from scripts.operators_page import make_operators


def main() -> None:
    parser = argparse.ArgumentParser(description="the tables of docs/operators.md and kernels.md")
    parser.add_argument("--page", choices=("operators", "kernels"), help="only this one")
    parser.add_argument(
        "--jobs", type=positive, default=len(os.sched_getaffinity(0)), help="[one per core]"
    )
    args = parser.parse_args()
    try:
        if args.page != "kernels":
            make_operators(args.jobs)
        if args.page != "operators":
            make_kernels(args.jobs)
    except DiagmemError as error:
        sys.exit(f"make_tables: {error}")


if __name__ == "__main__":
    main()
