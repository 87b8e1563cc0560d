"""Preprocessed sources, each made once as long as nothing of it changes.

A build is known by what goes into it, every header included, so each time a build is
asked for, its sources are preprocessed.  A proof asks a dozen times.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from diagmem.base.files import state_of

MOST = 256
_MARKER = re.compile(rb'^# \d+ "([^"<\n]+)"', re.MULTILINE)
"""Where the preprocessor says which file what follows is from."""

_State = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class _Made:
    text: bytes
    files: _State


_made: dict[tuple[str, ...], _Made] = {}


def preprocessed(command: Sequence[str], directory: Path, run: Callable[[], bytes]) -> bytes:
    """What the command puts out in ``directory`` when it is run, or has put out before.

    A header that was not there before, and would now be found first, is overlooked
    within one process.
    """
    key = (str(directory), *command)
    known = _made.get(key)
    if known is not None and known.files == _state([name for name, *_ in known.files], directory):
        return known.text
    text = run()
    names = sorted({name.decode(errors="surrogateescape") for name in _MARKER.findall(text)})
    if len(_made) >= MOST:
        _made.clear()
    _made[key] = _Made(text, _state(names, directory))
    return text


def _state(names: Sequence[str], directory: Path) -> _State:
    return tuple((name, *state_of(directory / name)) for name in names)
