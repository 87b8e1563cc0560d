"""What a file says of how its plan was made, in words that may be printed.

Others may have written the file, so an entry may hold anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNNAMED = "kernels without a name"
MAX_LENGTH = 200
"""Characters of an entry that are shown."""
MAX_LIMITS = 10


def printable(value: object) -> str:
    """Any value as one line."""
    text = " ".join(str(value).split())[:MAX_LENGTH]
    return text if text.isprintable() else ascii(text)


def entry(provenance: Mapping[str, Any], key: str) -> str:
    """An entry of the provenance; ``None`` if there is none."""
    return printable(provenance.get(key))


def measured_on(provenance: Mapping[str, Any]) -> dict[str, str]:
    """The kernels that a plan was measured on, entry by entry: set and version, target,
    flags; empty if it was on none."""
    kernels = provenance.get("kernels")
    if isinstance(kernels, Mapping):
        return {printable(key): printable(value) for key, value in kernels.items()}
    return {"kernels": printable(kernels)} if kernels else {}


def limits(provenance: Mapping[str, Any]) -> list[str]:
    """What the plan is not proven for, a line each."""
    entries = provenance.get("limits")
    return [printable(limit) for limit in entries[:MAX_LIMITS]] if isinstance(entries, list) else []


def in_words(kernels: Mapping[str, str]) -> str:
    """Set and version, target, compiler and flags, as far as they are known."""
    parts = {"target": "", "compiler": "", "flags": "flags "}
    known = [before + kernels[part] for part, before in parts.items() if part in kernels]
    return ", ".join([kernels.get("kernels", UNNAMED), *known])
