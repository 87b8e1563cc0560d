"""What several verbs share: JSON out, refusing to overwrite, printing sizes."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from diagmem.base.errors import DiagmemError
from diagmem.base.files import STDOUT, expect_new
from diagmem.base.shell import command
from diagmem.base.text import printable_lines

if TYPE_CHECKING:
    from diagmem.networks.measured import Measured
    from diagmem.record.places import BufferPlace
    from diagmem.tflite.graph import Model


KNOWN_ENDINGS = frozenset(
    ".c .cc .cpp .csv .dmt .elf .gif .gz .h .htm .html .jpeg .jpg .json .md .npy .npz .o .parquet"
    " .pdf .png .py .so .svg .tflite .toml .xz .zip".split()
)
"""Endings that say what is in a file."""


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def add_output(parser: argparse.ArgumentParser, use: str, *, required: bool = False) -> None:
    parser.add_argument("-o", dest="output", type=Path, metavar="FILE", required=required, help=use)
    parser.add_argument("--force", action="store_true", help="overwrite FILE if it exists")


BUFFER_OPTIONS = ("input", "output", "weights", "scratch", "arena", "inout", "buffer")
"""Roles as options name them; the last is for buffers of none."""


def add_buffers(parser: argparse.ArgumentParser, place: str) -> None:
    """``--input NAME=PLACE`` and the like, each as often as wanted."""
    for role in BUFFER_OPTIONS:
        parser.add_argument(
            f"--{role}",
            action="append",
            dest=f"{role}_places",
            default=[],
            metavar=f"NAME={place}",
            help=f"{'a buffer of another role' if role == 'buffer' else f'a buffer: {role}'};"
            " may be repeated",
        )


def buffers_given(args: argparse.Namespace) -> list[BufferPlace]:
    """What `add_buffers` has found, in the order of the roles."""
    from diagmem.record.places import parse_buffer
    from diagmem.trace.window import Role

    return [
        parse_buffer(text, Role.OTHER if role == "buffer" else Role(role))
        for role in BUFFER_OPTIONS
        for text in getattr(args, f"{role}_places")
    ]


def check_output(path: Path, force: bool, *sources: Path, endings: Sequence[str] = ()) -> None:
    """Refuse an output that exists, is one of the inputs, is no plain file, has
    nowhere to go or is named as another format, before any work is done.

    ``endings`` are those of its format; of other endings, only those are refused that
    say something else.
    """
    if path == STDOUT:
        raise DiagmemError("-: this does not go to standard output; expected a file name")
    if path.is_dir():
        raise DiagmemError(f"{path}: is a directory, expected a file name")
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise DiagmemError(f"{path}: is a link or a device, expected a plain file")
    for source in sources:
        if path.exists() and source.exists() and path.samefile(source):
            raise DiagmemError(f"{path}: is the input itself; name another output")
    if endings and path.suffix.lower() in KNOWN_ENDINGS - set(endings):
        expected = " or ".join(endings)
        raise DiagmemError(f"{path}: found the ending {path.suffix}, expected {expected}")
    if path.exists() and not force:
        raise DiagmemError(f"{path}: exists already; give --force to overwrite it")
    if not path.parent.is_dir():
        raise DiagmemError(f"{path}: there is no directory {path.parent}")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise DiagmemError(f"{path}: the directory {path.parent} may not be written")
    if not force:
        expect_new(path)


def check_text_output(args: argparse.Namespace, *sources: Path, endings: Sequence[str]) -> None:
    """`check_output` of ``-o``, which may be standard output."""
    if args.output != STDOUT:
        check_output(args.output, args.force, *sources, endings=endings)
    elif args.json:
        raise DiagmemError("-o - and --json: both go to standard output; expected one of them")


def show(
    args: argparse.Namespace, data: Callable[[], object], lines: Callable[[], Iterable[str]]
) -> None:
    """The result on standard output: with ``--json`` its data, else lines for people, which
    go to standard error where ``-o -`` has standard output."""
    if args.json:
        json.dump(data(), sys.stdout, indent=2)
        sys.stdout.write("\n")
    elif getattr(args, "output", None) == STDOUT:
        say("\n".join(lines()))
    else:
        print("\n".join(lines()))


def hint(*words: object, note: str = "") -> None:
    """The next useful command, on stderr so that stdout stays data; it can be pasted."""
    say(f"next: {command(*words)}" + (f"   # {note}" if note else ""))


def overlaps_of(words: str, model: Model) -> str | Measured:
    """``--overlaps``: the name of a formula, none, or what a file has of the model."""
    from diagmem.networks.measured import read_overlaps
    from diagmem.networks.permissions import FORMULAS
    from diagmem.networks.planning import NO_OVERLAPS

    by_name = words in (*FORMULAS, NO_OVERLAPS)
    return words if by_name else read_overlaps(Path(words), model)


def not_negative(text: str) -> int:
    """For argparse: a whole number from 0."""
    number = int(text)
    if number < 0:
        raise ValueError
    return number


def positive(text: str) -> int:
    """For argparse: a whole number from 1."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def say(text: str) -> None:
    """A line for people, behind the results so far also where both go to one file."""
    sys.stdout.flush()
    print(printable_lines(text), file=sys.stderr)
