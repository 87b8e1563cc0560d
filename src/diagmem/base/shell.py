"""Commands that are printed, such that they can be pasted into a shell."""

from __future__ import annotations

import os
import shlex
import string
from pathlib import Path

_PLAIN = frozenset(string.printable) - set(string.whitespace) - set("'\\")


def quoted(word: object) -> str:
    """A word as a shell takes it, whatever is in it; a path never looks like an option.

    What no terminal should get (control characters, bytes that are no text) is written
    as bash, zsh and ksh read it: ``$'\\033'``.
    """
    text = str(word)
    if isinstance(word, Path) and text.startswith("-") and text != "-":
        text = f"./{text}"
    if text.isprintable():
        return shlex.quote(text)
    characters = map(chr, os.fsencode(text))
    escaped = (c if c in _PLAIN else rf"\{ord(c):03o}" for c in characters)
    return f"$'{''.join(escaped)}'"


def command(*words: object) -> str:
    """The words of a command as one line for a shell."""
    return " ".join(map(quoted, words))
