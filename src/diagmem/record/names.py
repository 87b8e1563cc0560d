"""Names of functions: C++ ones as people write them, and how they are asked for.

The Valgrind tool matches names by the same rules (``valgrind-tool/dm_functions.c``).
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable

_OPERATOR = re.compile(r"\boperator\b")
_IN_OBJECT = re.compile(r"(?P<object>[^:(<\[]+):(?!:)(?P<name>.+)")
_PLACE = re.compile(r"(?P<object>.+)\+0x(?P<offset>[0-9a-fA-F]+)")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")


def place(function: str) -> tuple[str, int] | None:
    """Object file (empty: none) and offset in it, of ``OBJECT+0xOFFSET`` or ``0xADDRESS``."""
    if _ADDRESS.fullmatch(function):
        return "", int(function, 16)
    match = _PLACE.fullmatch(function)
    return (match["object"], int(match["offset"], 16)) if match else None


def in_object(function: str) -> tuple[str, str]:
    """Object file (empty: any) and name, of ``OBJECT:NAME`` or ``NAME``."""
    match = _IN_OBJECT.fullmatch(function)
    return (match["object"], match["name"]) if match else ("", function)


def demangled(names: Iterable[str]) -> dict[str, str]:
    """C++ names as people write them; what cannot be told is left out."""
    mangled = [name for name in names if name.startswith("_Z")]
    program = shutil.which("c++filt") or shutil.which("arm-none-eabi-c++filt")
    if not mangled or program is None:
        return {}
    done = subprocess.run(
        [program], input="\n".join(mangled), capture_output=True, text=True, check=False
    )
    return dict(zip(mangled, done.stdout.splitlines(), strict=False))


def short(readable: str) -> str:
    """A demangled name without return type and parameters: ``q::kern<float, 3>``."""
    start, end = _name_in(readable)
    return readable[start:end]


def matches(readable: str, pattern: str) -> bool:
    """A demangled name against a pattern: the whole, or without its parameter list,
    either with or without the return type that a template's begins with."""
    start, end = _name_in(readable)
    texts = (readable, readable[:end], readable[start:], readable[start:end])
    # Brackets are C++'s own here.
    wild = re.compile("".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern))
    return any(wild.fullmatch(text) for text in texts)


def _name_in(readable: str) -> tuple[int, int]:
    """Where a demangled name's own part begins and ends."""
    end = _parameters(readable)
    operator = _OPERATOR.search(readable, 0, end)
    depth = start = 0
    # From an operator on, spaces and brackets are its own.
    for at, character in enumerate(readable[: operator.start() if operator else end]):
        if character in "(<[{":
            depth += 1
        elif character in ")]}" or (character == ">" and readable[at - 1 : at] != "-"):
            depth -= 1
        elif character == " " and depth == 0:
            if readable.endswith("thunk to", 0, at):
                return 0, end
            start = at + 1
    return start, end


def _parameters(readable: str) -> int:
    """Where the parameter list begins; the end if there is none."""
    plain = readable.removesuffix(" const")
    if not plain.endswith(")"):
        return len(readable)
    depth = 0
    for at in range(len(plain) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(plain[at], 0)
        if depth == 0:
            return at
    return 0
