#!/usr/bin/env python3
"""Small inputs that once failed, put through the product: what each must say now.

usage: python scripts/try_cases.py FOLDER [--checkout CMSIS-NN]

FOLDER has the inputs by name; one that is not there is reported as such.  Nothing may end
in a traceback, take more than 60 s of processor time or 1 GiB of memory, or print a
terminal's control sequence.  Exit code 1 if a case is not as it must be.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SECONDS, BYTES = 60.0, 1 << 30
NEVER = re.compile(r"Traceback|MemoryError|\x1b")


@dataclass(frozen=True, slots=True)
class Step:
    """A shell command in a scratch folder, and what must come of it.

    ``$C`` is the folder of the cases, ``$D`` the command, ``$N`` a CMSIS-NN checkout.
    """

    command: str
    code: int = 0
    says: str = ""
    never_says: str = r"(?!)"


@dataclass(frozen=True, slots=True)
class Case:
    """Steps on one or several files of the folder, all of which must be there."""

    what: str
    files: tuple[str, ...]
    steps: tuple[Step, ...]


def kern(program: str, output: str, places: str = "arg", more: str = "") -> str:
    buffers = "--input x=arg:0,bytes:256 --output y=arg:1,bytes:256"
    return f"$D trace --function kern {buffers} -o {output} --force -- ./{program} {more}"


HOSTILE = ("info", "overlap", "validate", "heatmap -o h.png --force", "export -o e.csv --force")


def hostile(name: str) -> Case:
    steps = (Step(f"$D {verb} $C/adversary/{name}", code=-1) for verb in HOSTILE)
    return Case(f"{name}: bounded, no traceback", (f"adversary/{name}",), tuple(steps))


CASES = (
    Case(
        "a kernel that did nothing is not proven",
        ("nothing.toml", "nothing.c"),
        (Step("$D prove $C/nothing.toml", 1, "the kernel wrote nothing", r": proven\b"),),
    ),
    Case(
        "bytes that no kernel writes are left out of the comparison",
        ("audio_preprocessor_float.tflite",),
        (
            Step("$D measure $C/audio_preprocessor_float.tflite -o o.json"),
            Step("$D plan $C/audio_preprocessor_float.tflite --overlaps o.json -o p.tflite"),
            Step("$D verify $C/audio_preprocessor_float.tflite p.tflite", 0, "identical"),
        ),
    ),
    Case(
        "an IFUNC's window is the picked function's",
        ("ifunc.c", "base.h"),
        (
            Step("gcc -O2 -g $C/ifunc.c -o ifunc"),
            Step(kern("ifunc", "i.dmt"), 0, r"1 window, [1-9]"),
        ),
    ),
    Case(
        "two functions of one name are told apart",
        ("two.c", "stat_a.c", "stat_b.c", "base.h"),
        (
            Step("gcc -O2 -g -shared -fPIC $C/stat_a.c -o liba.so"),
            Step("gcc -O2 -g -shared -fPIC $C/stat_b.c -o libb.so"),
            Step("gcc -O2 -g $C/two.c -L. -la -lb -Wl,-rpath,'$ORIGIN' -o two"),
            Step(kern("two", "t.dmt"), 0, r"(?s)kern.*(liba.*libb|libb.*liba)"),
            Step(kern("two", "t.dmt").replace("kern", "liba.so:kern"), 0, "1 window, [1-9]"),
        ),
    ),
    Case(
        "buffers over 4 GiB",
        ("big.c", "base.h"),
        (
            Step("gcc -O2 -g $C/big.c -o big"),
            Step(
                "$D trace --function kern --input x=arg:0,bytes:5368709120"
                " --output y=arg:1,bytes:5368709120 -o big.dmt --force -- ./big"
            ),
            Step("$D overlap big.dmt", -1),
            Step("$D heatmap big.dmt -o big.png --force", -1),
        ),
    ),
    Case(
        "clang with two files",
        ("clang2/small2.toml", "clang2/small.c", "clang2/small2.c"),
        (Step("$D trace $C/clang2/small2.toml compiler=clang -o c.dmt", 0, "1 window, [1-9]"),),
    ),
    Case(
        "in place by construction",
        ("inplace.toml", "inplace.c"),
        (
            Step('sed \'s/"input"/"inout"/\' $C/inplace.toml >in.toml'),
            Step("cp $C/inplace.c inplace.c"),
            Step("$D trace in.toml -o in.dmt --force", 0, "1 window"),
            Step("$D overlap in.dmt", 0, "in place by construction"),
            Step("$D heatmap in.dmt -o in.png --force"),
            Step("$D prove in.toml", -1),
        ),
    ),
    Case(
        "a function called only in a forked child",
        ("fork.c", "base.h"),
        (
            Step("gcc -O2 -g $C/fork.c -o forks"),
            Step(kern("forks", "f.dmt"), 2, "(?i)fork|child", "inlined"),
        ),
    ),
    Case(
        "20,000 equal windows",
        ("many.c", "base.h"),
        (
            Step("gcc -O2 -g $C/many.c -o many"),
            Step(kern("many", "m.dmt", more="20000"), 0, "20,000 windows"),
            Step("$D overlap m.dmt", 0, "D"),
        ),
    ),
    Case(
        "data-dependent: seeds disagree",
        ("adversary/argmax_tail.toml", "adversary/argmax_tail.c"),
        (Step("$D prove $C/adversary/argmax_tail.toml", 1, "data-dependent", r": proven\b"),),
    ),
    Case(
        "one distance in 4,096 goes another way: at least a sample is called one",
        ("adversary/dispbad.toml", "adversary/dispbad.c"),
        (Step("$D prove $C/adversary/dispbad.toml", -1, r"(?i)of [\d,]+ displacements run|not"),),
    ),
    Case(
        "a structurally broken plan",
        ("adversary/clip.tflite", "adversary/clip_broken.tflite", "adversary/odd.tflite"),
        (
            Step("$D verify $C/adversary/clip.tflite $C/adversary/clip_broken.tflite", 1, "t"),
            Step("$D verify $C/adversary/clip.tflite $C/adversary/odd.tflite", 1, "257"),
        ),
    ),
    *(hostile(f"{name}.dmt") for name in ("metabomb", "evbomb", "hugebuf", "names")),
    *(
        Case(
            f"{name}: an answer",
            (f"adversary/{name}.toml", f"adversary/{name}.c"),
            (Step(f"$D prove $C/adversary/{name}.toml", -1, "proven"),),
        )
        for name in ("strncpy_k", "f32_i8", "i8_f32")
    ),
    Case(
        "a wrong type of file is named",
        ("fc3d.tflite", "nothing.toml"),
        (
            Step("$D overlap $C/fc3d.tflite", 2, "network"),
            Step("$D measure $C/nothing.toml -o x.json", 2, "(?i)description"),
        ),
    ),
    Case(
        "FULLY_CONNECTED of three dimensions runs a convolution in CMSIS-NN",
        ("fc3d.tflite",),
        (
            Step("$D measure $C/fc3d.tflite --kernels cmsis-nn checkout=$N -o fc.json"),
            Step("$D measure $C/fc3d.tflite --kernels cmsis-nn checkout=$N", 0, r"1,278"),
            Step(
                "$D measure $C/fc3d.tflite --kernels cmsis-nn checkout=$N --target cortex-m55",
                *(0, r"\b127\b"),
            ),
        ),
    ),
)


def run(step: Step, variables: dict[str, str], scratch: Path) -> str:
    """What is wrong with it; empty when nothing is."""
    command = step.command
    for name, value in variables.items():
        command = command.replace(f"${name}", value)
    process = subprocess.Popen(
        command,
        shell=True,
        cwd=scratch,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    wrong = list(complaints(step, printed, code, used))
    return f"{'; '.join(wrong)}: {step.command}\n{printed[-1500:]}" if wrong else ""


def complaints(step: Step, printed: str, code: int, used: resource.struct_rusage) -> Iterator[str]:
    if code != step.code and (step.code >= 0 or code not in (0, 1, 2)):
        yield f"exit code {code}, expected {step.code if step.code >= 0 else '0, 1 or 2'}"
    if not re.search(step.says, printed):
        yield f"does not say {step.says!r}"
    for pattern in (NEVER.pattern, step.never_says):
        if re.search(pattern, printed):
            yield f"says {pattern!r}"
    if used.ru_utime + used.ru_stime > SECONDS:
        yield f"took {used.ru_utime + used.ru_stime:.0f} s"
    runs_networks = "verify" in step.command or "measure" in step.command
    if not runs_networks and used.ru_maxrss * 1024 > BYTES:
        yield f"took {used.ru_maxrss >> 10} MiB"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--checkout", type=Path, help="CMSIS-NN, for the cases that need it")
    args = parser.parse_args()
    variables = {
        "C": shlex.quote(str(args.folder.resolve())),
        "D": shlex.quote(str(Path(sys.executable).with_name("diagmem"))),
    }
    if args.checkout:
        variables["N"] = shlex.quote(str(args.checkout.resolve()))
    wrong = 0
    for case in CASES:
        if any("$N" in step.command for step in case.steps) and not args.checkout:
            print(f"left out  {case.what}: needs --checkout")
            continue
        absent = [name for name in case.files if not (args.folder / name).is_file()]
        if absent:
            print(f"left out  {case.what}: there is no {', '.join(absent)}")
            continue
        with tempfile.TemporaryDirectory(prefix="diagmem-case-") as scratch:
            reasons = (run(step, variables, Path(scratch)) for step in case.steps)
            reason = next(filter(None, reasons), "")
        wrong += bool(reason)
        print(f"{'WRONG' if reason else 'right':8}  {case.what}", flush=True)
        if reason:
            print("          " + reason.replace("\n", "\n          "))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
