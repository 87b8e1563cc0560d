"""``diagmem doctor``: a table of what is here and what is not; mending is left to the user."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict

from diagmem.cli import installed
from diagmem.cli.common import add_json, hint, say, show
from diagmem.cli.table import aligned


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Exit codes: 0 all that is required works, 1 something required does not."
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    checks = installed.examine()
    well = installed.is_well(checks)
    listed = [{**asdict(check), "fix": check.fix or None} for check in checks]
    show(args, lambda: {"ok": well, "checks": listed}, lambda: _table(checks))
    if well:
        hint("diagmem", "trace", "depthwise_conv_2d_f32", "-o", "depthwise.dmt")
        return 0
    ailing = [check.name for check in checks if check.required and check.status != "ok"]
    say(f"required and not working: {', '.join(ailing)}")
    return 1


def _table(checks: Sequence[installed.Check]) -> list[str]:
    """Aligned columns; what is wrong has the command that mends it on a line below."""
    rows = [("what", "status", "needed for", "found")]
    rows += [(c.name, _status(c), c.needed_for, c.found) for c in checks]
    head, *lines = aligned(rows)
    indent = " " * head.index("status")
    table = [head]
    for check, line in zip(checks, lines, strict=True):
        table += [line, f"{indent}mend it with: {check.fix}"] if check.fix else [line]
    return table


def _status(check: installed.Check) -> str:
    optional = "" if check.required or check.status == "ok" else " (optional)"
    return check.status + optional
