"""Which buffers of a window to draw, how large, and which pair to overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diagmem.analysis.liveness import BufferLiveness
from diagmem.analysis.overlap import Overlap
from diagmem.base.errors import DiagmemError
from diagmem.trace.window import Role

SMALL_AT_MOST = 4
"""Small panels that a picture holds without being asked for more."""
ROLE_ORDER = (
    Role.INPUT,
    Role.OUTPUT,
    Role.INOUT,
    Role.SCRATCH,
    Role.WEIGHTS,
    Role.ARENA,
    Role.OTHER,
)


@dataclass(frozen=True, slots=True)
class Choice:
    """Names of the buffers to draw large and small, and those left out.

    ``pair`` is what the placement shows; ``other_pairs`` are all the rest.
    """

    large: tuple[str, ...]
    small: tuple[str, ...]
    left_out: tuple[str, ...]
    pair: Overlap | None
    other_pairs: tuple[Overlap, ...]


def choose(
    live: Sequence[BufferLiveness],
    pairs: Sequence[Overlap],
    *,
    input_: str | None = None,
    output: str | None = None,
    buffers: Sequence[str] = (),
) -> Choice:
    """By default the pair that may overlap most, and the busiest of the others.

    ``input_`` and ``output`` narrow the pairs down; ``buffers`` says exactly
    which buffers get a panel.

    Raises
    ------
    DiagmemError
        A name that no buffer, or no buffer of that role, has.
    """
    _check(live, input_, (Role.INPUT,))
    _check(live, output, (Role.OUTPUT,))
    for name in buffers:
        _check(live, name, ROLE_ORDER)
    fitting = [
        p for p in pairs if p.is_placed and input_ in (None, p.input) and output in (None, p.output)
    ]
    pair = max(fitting, key=lambda p: p.safe_overlap_bytes, default=None)
    others = tuple(p for p in pairs if p is not pair)
    if buffers:
        large = tuple(dict.fromkeys(buffers))
        small: tuple[str, ...] = ()
    else:
        large = (pair.input, pair.output) if pair else _without_pair(live, input_, output)
        small = tuple(b.name for b in _by_interest(live) if b.name not in large)[:SMALL_AT_MOST]
    drawn = {*large, *small}
    left_out = tuple(b.name for b in live if b.name not in drawn)
    return Choice(large, small, left_out, pair, others)


def _check(live: Sequence[BufferLiveness], name: str | None, roles: tuple[Role, ...]) -> None:
    names = [b.name for b in live if b.role in roles]
    if name is not None and name not in names:
        what = "buffer" if len(roles) > 1 else roles[0].value
        known = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        raise DiagmemError(f"there is no {what} {name!r} in the window; it has {known or 'none'}")


def _without_pair(
    live: Sequence[BufferLiveness], input_: str | None, output: str | None
) -> tuple[str, ...]:
    named = tuple(name for name in (input_, output) if name is not None)
    return named or tuple(b.name for b in _by_interest(live))[:2]


def _by_interest(live: Sequence[BufferLiveness]) -> list[BufferLiveness]:
    """Touched before untouched, then by role, the larger first, then as they came."""

    def rank(buffer: BufferLiveness) -> tuple[bool, int, int]:
        touched = bool(buffer.loaded.any() or buffer.stored.any())
        return (not touched, ROLE_ORDER.index(buffer.role), -buffer.size_bytes)

    return sorted(live, key=rank)
