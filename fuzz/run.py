"""Coverage-guided fuzzing with atheris: ``make fuzz [TARGET=trace] [SECONDS=60]``.

Each target runs in a process of its own with 1 GiB of memory and 10 seconds for
one input; what crashes it is kept in ``build/fuzz/TARGET/`` and printed.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from targets import ROOT, TARGETS, seeds

READERS = (
    "diagmem.analysis.trace",
    "diagmem.boards.board",
    "diagmem.kernels.description",
    "diagmem.tflite.graph",
    "diagmem.networks.planning",
    "diagmem.record.dwarf",
    "diagmem.record.elf",
    "diagmem.trace.lackey",
    "diagmem.trace.validate",
)
MEMORY_MIB = 1024
SECONDS_EACH = 10


def one(target: str, seconds: int) -> int:
    """Fuzz one target in this process; does not return where it finds something."""
    import atheris

    with atheris.instrument_imports(include=["diagmem", "elftools"]):
        for reader in READERS:
            importlib.import_module(reader)
    corpus = ROOT / "build" / "fuzz" / target
    corpus.mkdir(parents=True, exist_ok=True)
    for i, seed in enumerate(seeds(target)):
        (corpus / f"seed{i}").write_bytes(seed)
    options = [
        f"-max_total_time={seconds}",
        f"-rss_limit_mb={MEMORY_MIB}",
        f"-timeout={SECONDS_EACH}",
        "-max_len=65536",
        "-print_final_stats=1",
        f"-artifact_prefix={corpus}/",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], TARGETS[target])
    atheris.Fuzz()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for each target [60]")
    parser.add_argument("--here", choices=TARGETS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.here:
        return one(args.here, args.seconds)
    unknown = sorted(set(args.targets) - set(TARGETS))
    if unknown:
        parser.error(f"no target {unknown[0]!r}; expected one of {', '.join(TARGETS)}")
    found = []
    for target in args.targets or TARGETS:
        print(f"-- {target}: {args.seconds} s", flush=True)
        command = [sys.executable, __file__, "--here", target, "--seconds", str(args.seconds)]
        if subprocess.run(command, check=False).returncode:
            found.append(target)
    print("findings in:", ", ".join(found) if found else "none")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
