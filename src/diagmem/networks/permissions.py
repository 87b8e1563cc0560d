"""The placement problem of a network: its tensors' lives, and what may overlap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from diagmem.analysis.overlap import DATA_DEPENDENT
from diagmem.arena.problem import Block, Permission, Problem, Role, Step
from diagmem.base.errors import DiagmemError
from diagmem.networks.formulas import closed_forms
from diagmem.networks.measured import Measured
from diagmem.networks.steering import is_steered
from diagmem.tflite.elements import ModelOperator
from diagmem.tflite.graph import Lifetime, Model, lifetimes

ALIGN_BYTES = 16
"""TFLM aligns every tensor so."""
LEAST_ALIGN_BYTES = 4
FORMULAS = ("exact", "paper")
KEEPING = ("CUSTOM:CIRCULAR_BUFFER",)
"""Operators that go on from what their output held after the last inference."""


def problem_of(
    model: Model,
    permissions: Sequence[Permission] = (),
    *,
    align_bytes: int = ALIGN_BYTES,
    pin_io: bool = False,
    scratch_bytes: Mapping[int, int] | None = None,
    in_place: Sequence[tuple[int, int]] = (),
) -> Problem:
    """What is to be placed.

    Parameters
    ----------
    permissions : of `permissions_of`; those that touch a pinned tensor are left out.
    pin_io : nothing else ever lies where the model's inputs and outputs do.  Nor does it,
        in any case, where an output of `KEEPING` lies.
    scratch_bytes : what an operator takes of the arena besides, by its number.
    in_place : of `diagmem.networks.in_place.in_place_of`.

    Raises
    ------
    DiagmemError
        The model has no operators, or the alignment is none that TFLM gets along with.
    """
    steps = len(model.operators)
    if not steps:
        raise DiagmemError(f"{model.path}: found no operators, expected some to plan for")
    if align_bytes % LEAST_ALIGN_BYTES:
        raise DiagmemError(
            f"an alignment of {align_bytes} bytes, expected a multiple of {LEAST_ALIGN_BYTES}:"
            " TFLM places scratch of 32-bit numbers behind the tensors"
        )
    pinned = pinned_of(model, pin_io=pin_io)
    blocks = [_block(model, life, steps, life.tensor in pinned) for life in lifetimes(model)]
    scratch = [
        Block(len(model.tensors) + k, f"scratch of operator {k}", size, k, k + 1, "scratch")
        for k, size in sorted((scratch_bytes or {}).items())
        if size
    ]
    made = {block.first: block.tensor for block in scratch}
    there = {block.tensor for block in blocks}
    return Problem(
        blocks=(*blocks, *scratch),
        permissions=tuple(p for p in permissions if not {p.input, p.output} & pinned),
        steps=tuple(_step(operator, there, made) for operator in model.operators),
        align_bytes=align_bytes,
        pinned=frozenset(pinned),
        in_place=tuple(in_place),
    )


def pinned_of(model: Model, *, pin_io: bool) -> set[int]:
    """Tensors that have their bytes to themselves throughout."""
    pinned = {*model.inputs, *model.outputs} if pin_io else set()
    pinned |= {t for o in model.operators if o.name in KEEPING for t in o.outputs}
    return pinned & {tensor.index for tensor in model.activations}


def _block(model: Model, life: Lifetime, steps: int, pinned: bool) -> Block:
    tensor = model.tensors[life.tensor]
    role: Role = "activation"
    if life.tensor in model.outputs:
        role = "output"
    elif life.tensor in model.inputs:
        role = "input"
    first, end = (0, steps) if pinned else (life.start, life.end)
    return Block(life.tensor, tensor.name, tensor.size_bytes, first, end, role)


def _step(operator: ModelOperator, there: set[int], scratch: Mapping[int, int]) -> Step:
    own = [scratch[operator.index]] if operator.index in scratch else []
    return Step(
        operator.name,
        tuple(dict.fromkeys(t for t in operator.inputs if t in there)),
        (*(t for t in operator.outputs if t in there), *own),
    )


def permissions_of(
    model: Model, overlaps: str | Measured, align_bytes: int = ALIGN_BYTES
) -> list[Permission]:
    """What may overlap: by a formula (``exact`` or ``paper``), or as measured.

    Only an input that dies at its operator may lie over an output that is born there;
    where a kernel works at multiples of some bytes only, ``align_bytes`` must be one.
    """
    permissions = (
        _as_measured(model, overlaps, align_bytes)
        if isinstance(overlaps, Measured)
        else _by_formula(model, overlaps)
    )
    lives = {life.tensor: life for life in lifetimes(model)}
    return [permission for permission in permissions if _possible(model, permission, lives)]


def _by_formula(model: Model, method: str) -> Iterator[Permission]:
    forms = closed_forms(model, method)
    for operator, form in zip(model.operators, forms, strict=True):
        for (source, target), needed in form.displacements.items():
            yield Permission(
                operator=operator.index,
                input=source,
                output=target,
                min_displacement_bytes=needed,
                mirror_displacement_bytes=None,
                in_place=needed == 0,
                source=method,
            )


def _as_measured(model: Model, measured: Measured, align_bytes: int) -> Iterator[Permission]:
    """What was seen; where other values would steer the reads elsewhere, no less than a
    formula says, and nothing where they were seen to."""
    for operator in measured.operators:
        for pair in operator.pairs:
            if pair.in_place_only:
                both, whole = (pair.input, pair.output), pair.output_bytes
                yield Permission(operator.index, *both, whole, None, True, "measured")
                continue
            steered = any(limit.startswith(DATA_DEPENDENT) for limit in pair.limits)
            if steered or align_bytes % max(pair.unit_bytes, 1):
                continue
            needed, in_place = pair.min_displacement_bytes, pair.in_place
            mirror: int | None = pair.mirror_displacement_bytes
            if is_steered(model, model.operators[operator.index], pair.input):
                if pair.formula_displacement_bytes is None:
                    continue
                needed, mirror = max(needed, pair.formula_displacement_bytes), None
                in_place = needed == 0
            yield Permission(
                operator=operator.index,
                input=pair.input,
                output=pair.output,
                min_displacement_bytes=needed,
                mirror_displacement_bytes=mirror,
                in_place=in_place,
                source="measured",
            )


def _possible(model: Model, permission: Permission, lives: Mapping[int, Lifetime]) -> bool:
    """Does the permission allow anything, and do both lives meet at its operator only?"""
    if not {permission.input, permission.output} <= set(lives):
        return False
    operator = model.operators[permission.operator]
    dies = lives[permission.input].end == permission.operator + 1
    born = lives[permission.output].start == permission.operator
    apart = permission.output in operator.inputs or permission.input in operator.outputs
    if not (dies and born) or apart or permission.input in model.outputs:
        return False
    source, target = model.tensors[permission.input], model.tensors[permission.output]
    mirror = permission.mirror_displacement_bytes
    return (
        permission.in_place
        or permission.min_displacement_bytes < target.size_bytes
        or (mirror is not None and mirror < source.size_bytes)
    )


def scratch_of(measured: Measured) -> dict[int, int]:
    """Bytes of scratch memory by operator number, rounded up as TFLM aligns them."""
    return {
        operator.index: -(-operator.scratch_bytes // ALIGN_BYTES) * ALIGN_BYTES
        for operator in measured.operators
        if operator.scratch_bytes
    }
