"""The plan that a file carries, held by the arena's verifier against what may overlap.

Values that happen to survive prove nothing of a plan's structure: a saturated tensor
hides whatever lies over it.  So the file is asked for its offsets only; who reads and
writes what, and when, comes from the graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import gcd, lcm
from typing import Any

from diagmem.arena import Claim, Permission, Step, verify
from diagmem.base.errors import DiagmemError
from diagmem.networks.in_place import in_place_of
from diagmem.networks.measured import Measured, identity
from diagmem.networks.permissions import ALIGN_BYTES, FORMULAS, KEEPING, permissions_of
from diagmem.networks.provenance import printable
from diagmem.tflite.elements import ELEMENT_BYTES, ModelTensor
from diagmem.tflite.graph import PLANNED_ONLINE, Model

PAIRS, PINNED, TOGETHER = "pairs", "pinned", "together"
"""Entries of a plan's provenance."""
MAX_ELEMENT_ALIGN_BYTES = 8
RECORDED, EXACT = "recorded", "exact"
HELD_AGAINST = {
    RECORDED: "the measured overlaps that the file records",
    EXACT: "the closed forms of TFLite's reference kernels",
    "paper": "the published bounds",
    "none": "no overlap at all",
    "measured": "the measured overlaps given",
}
NAME_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Structure:
    """What a plan is by its offsets alone.

    Attributes
    ----------
    faults : what is wrong, one line each; empty if the plan is safe as far as
        ``held_against`` is true.
    shared_pairs : how many pairs of an operator's input and output share bytes.
    held_against : which overlaps were allowed, a key of `HELD_AGAINST`.
    notes : what is no fault but a reader should know.
    """

    faults: tuple[str, ...]
    shared_pairs: int
    held_against: str
    notes: tuple[str, ...]


def recorded_pairs(permissions: Iterable[Permission]) -> list[list[int | bool | None]]:
    """Measured overlaps as the provenance keeps them: operator, input and output, D,
    its mirror image (null: never), and whether displacement 0 is safe; bytes."""
    return [
        [
            p.operator,
            p.input,
            p.output,
            p.min_displacement_bytes,
            p.mirror_displacement_bytes,
            p.in_place,
        ]
        for p in permissions
    ]


def structure_of(
    planned: Model, made: Mapping[str, Any], overlaps: str | Measured | None = None
) -> Structure:
    """Hold a planned model's offsets against lifetimes, overlaps and alignment.

    Tensors that the plan leaves to the runtime are none of its affair.

    Parameters
    ----------
    made : the plan's provenance; may be empty.
    overlaps : what may overlap, as `diagmem.networks.planning.plan_network` takes it.
        None: a measured plan's own record, where there is one; else the closed forms.

    Raises
    ------
    DiagmemError
        The model has no plan, or the provenance's record is damaged.
    """
    if planned.plan is None:
        raise DiagmemError(f"{planned.path}: found no plan, expected one")
    held_against, permissions = _allowed(planned, made, overlaps)
    placed = {t.index: t for t in planned.activations if planned.plan[t.index] != PLANNED_ONLINE}
    offsets = {number: planned.plan[number] for number in placed}
    align_bytes = _count(made.get("align_bytes")) or 1
    claim = Claim(
        names={tensor.index: _name(tensor) for tensor in planned.activations},
        sizes={number: tensor.size_bytes for number, tensor in placed.items()},
        offsets=offsets,
        aligns={number: lcm(align_bytes, _element_align(t)) for number, t in placed.items()},
        steps=[
            Step(
                operator.name[:NAME_LENGTH],
                tuple(dict.fromkeys(t for t in operator.inputs if t in placed)),
                tuple(t for t in operator.outputs if t in placed),
            )
            for operator in planned.operators
        ],
        inputs=[t for t in dict.fromkeys(planned.inputs) if t in placed],
        outputs=[t for t in dict.fromkeys(planned.outputs) if t in placed],
        pinned=[t for t in _pinned(planned, made) if t in placed],
        permissions=permissions,
        arena_bytes=_arena_bytes(made, placed, offsets),
        in_place=_together(planned, made, overlaps),
    )
    loose = [number for number, offset in offsets.items() if offset % ALIGN_BYTES]
    notes = (
        [f"{len(loose)} tensors lie at no multiple of {ALIGN_BYTES}, as TFLM aligns its own"]
        if loose
        else []
    )
    faults = [*_held_apart(planned), *verify(claim)]
    return Structure(tuple(faults), _shared_pairs(claim), held_against, tuple(notes))


def _allowed(
    planned: Model, made: Mapping[str, Any], overlaps: str | Measured | None
) -> tuple[str, list[Permission]]:
    """Which overlaps there may be, and where they come from."""
    if isinstance(overlaps, Measured):
        # A kernel may need this of displacements, so it goes by what all offsets keep.
        align_bytes = gcd(*(offset for offset in planned.plan or () if offset > 0)) or ALIGN_BYTES
        return "measured", permissions_of(planned, overlaps, align_bytes)
    if overlaps is not None:
        return overlaps, permissions_of(planned, overlaps) if overlaps in FORMULAS else []
    if _is_recorded(planned, made):
        return RECORDED, list(_recorded(planned, made[PAIRS]))
    return EXACT, permissions_of(planned, EXACT)


def _is_recorded(planned: Model, made: Mapping[str, Any]) -> bool:
    """Are there measured overlaps of this graph?"""
    return PAIRS in made and made.get("graph_sha256") == identity(planned)["graph_sha256"]


def _together(
    planned: Model, made: Mapping[str, Any], overlaps: str | Measured | None
) -> list[tuple[int, int]]:
    """Inputs and outputs of operators that work in place and no other way."""
    if isinstance(overlaps, Measured):
        return list(in_place_of(planned, overlaps))
    if overlaps is not None or not _is_recorded(planned, made):
        return []
    known = {(s, t) for o in planned.operators for s in o.inputs for t in o.outputs}
    recorded = made.get(TOGETHER)
    entries = (
        [tuple(e) for e in recorded if isinstance(e, list)] if isinstance(recorded, list) else []
    )
    return [(s, t) for s, t in known if (s, t) in entries]


def _recorded(planned: Model, entries: object) -> Iterator[Permission]:
    place = f"{planned.path}: metadata diagmem.plan: {PAIRS}"
    if not isinstance(entries, list):
        raise DiagmemError(f"{place}: found {printable(entries)[:40]}, expected a list")
    for entry in entries:
        pair = _pair(entry)
        if pair is None:
            raise DiagmemError(
                f"{place}: found {printable(entry)[:40]}, expected operator, input, output,"
                " displacement, mirror or null, in place"
            )
        yield pair


def _pair(entry: object) -> Permission | None:
    """An entry of `recorded_pairs`; None if it is none."""
    if not isinstance(entry, list) or len(entry) != 6:
        return None
    operator, source, target, needed, mirror, in_place = entry
    counts = (operator, source, target, needed, 0 if mirror is None else mirror)
    if None in map(_count, counts) or not isinstance(in_place, bool):
        return None
    return Permission(operator, source, target, needed, mirror, in_place, RECORDED)


def _held_apart(planned: Model) -> Iterator[str]:
    """Variable tensors that the plan takes into the arena, where TFLM does not clear them
    before the first inference, and others lie over them."""
    assert planned.plan is not None
    for tensor in planned.tensors:
        if tensor.variable and planned.plan[tensor.index] != PLANNED_ONLINE:
            yield (
                f"{_name(tensor)} lies at {planned.plan[tensor.index]}, but is variable: only the"
                " runtime may place it"
            )


def _pinned(planned: Model, made: Mapping[str, Any]) -> list[int]:
    """What has its bytes to itself: by its operator, or because the plan promised it."""
    kept = {t for o in planned.operators if o.name in KEEPING for t in o.outputs}
    promised = made.get(PINNED)
    recorded = promised if isinstance(promised, list) else []
    return sorted(kept | {t for t in recorded if _count(t) is not None})


def _arena_bytes(
    made: Mapping[str, Any], placed: Mapping[int, ModelTensor], offsets: Mapping[int, int]
) -> int:
    """The arena as the file says; without a word, as large as it must be."""
    end = max((offsets[t] + tensor.size_bytes for t, tensor in placed.items()), default=0)
    recorded = _count(made.get("arena_bytes"))
    return end if recorded is None else recorded


def _element_align(tensor: ModelTensor) -> int:
    # Cortex-M faults on words that are not aligned.
    return min(max(ELEMENT_BYTES[tensor.dtype], 1), MAX_ELEMENT_ALIGN_BYTES)


def _shared_pairs(claim: Claim) -> int:
    pairs = {(s, t) for step in claim.steps for s in step.reads for t in step.writes}
    return sum(
        max(claim.offsets[s], claim.offsets[t])
        < min(claim.offsets[s] + claim.sizes[s], claim.offsets[t] + claim.sizes[t])
        for s, t in pairs
    )


def _name(tensor: ModelTensor) -> str:
    return tensor.name[:NAME_LENGTH] or f"tensor {tensor.index}"


def _count(value: object) -> int | None:
    """A whole number from 0 up, else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
