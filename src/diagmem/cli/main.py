"""``diagmem VERB``: find the verb, hand over, turn errors into exit codes.

A verb is one module of this package with three names: ``HELP`` is not needed
there but in `VERBS` (so that ``--help`` imports no verb), ``configure(parser)``
adds its arguments and ``run(args)`` does the work and returns the exit code:
0 done, 1 the answer is "no", 2 the input or the call is wrong.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from diagmem import __version__
from diagmem.errors import DiagmemError

VERBS: dict[str, str] = {
    "trace": "run a kernel or a program under Valgrind and record its loads and stores",
    "overlap": "the minimum displacement and safe overlap found in a trace",
    "heatmap": "draw a trace: when each byte is loaded, stored and still needed",
    "prove": "run a kernel truly overlapped and compare the bits",
    "info": "what a trace holds",
    "validate": "check a trace file against the format's invariants",
    "export": "write the events as Parquet or CSV",
    "doctor": "what is installed, what is missing, and the command that mends it",
}

EPILOG = """\
a first session:
  diagmem trace kernel.toml -o kernel.dmt     watch a kernel
  diagmem overlap kernel.dmt                  how far may output reach into input?
  diagmem heatmap kernel.dmt -o kernel.png    see why
  diagmem prove kernel.toml                   run it overlapped, compare bits

'diagmem VERB --help' explains a verb.  Exit codes: 0 done, 1 the answer is
no, 2 the input or the call is wrong.
"""


def build_parser(verb: str | None) -> argparse.ArgumentParser:
    """The whole parser; only the named verb's module is imported."""
    parser = argparse.ArgumentParser(
        prog="diagmem",
        description="Diagonal memory optimisation, measured on the compiled kernel.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"diagmem {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    for name, summary in VERBS.items():
        sub = verbs.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == verb:
            module = importlib.import_module(f"diagmem.cli.{name}")
            module.configure(sub)
            sub.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    verb = next((a for a in arguments if not a.startswith("-")), None)
    parser = build_parser(verb)
    args = parser.parse_args(arguments)
    if args.verb is None:
        parser.print_help()
        return 0
    try:
        return int(args.run(args))
    except DiagmemError as error:
        print(f"diagmem {args.verb}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"diagmem {args.verb}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output went away, as `| head` does; that is no error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
