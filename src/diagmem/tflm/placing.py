"""Where a layer's tensors lie in TFLM's arena, apart or with one pair overlapped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from diagmem.analysis.safe import Placement
from diagmem.base.errors import DiagmemError
from diagmem.ops.layer import Layer, Tensor

ALIGN_BYTES = 16
GAP_BYTES = 256
FIXED_BYTES = 1 << 17
"""For what the interpreter keeps of a model with one operator."""
SCRATCH_FACTOR = 16
"""Scratch buffers hold up to an int64 for each int8 or int16, some of them twice."""


@dataclass(frozen=True, slots=True)
class LayerOffsets:
    """Offsets of the tensors from the arena's start, and the arena it takes."""

    offsets: Mapping[str, int]
    arena_bytes: int


def place(layer: Layer, placement: Placement | None = None) -> LayerOffsets:
    """Place all tensors, each aligned to 16 bytes, the overlapped pair as one.

    Of the pair the one with the larger elements is aligned.
    """
    tensors = {tensor.name: tensor for tensor in (*layer.inputs, *layer.outputs)}
    groups = [{name: 0} for name in tensors]
    if placement is not None:
        pair = _pair(layer, placement)
        groups = [group for group in groups if not group.keys() & pair.keys()] + [pair]
    offsets: dict[str, int] = {}
    cursor = 0
    for group in groups:
        anchor = -(-(cursor - min(group.values())) // ALIGN_BYTES) * ALIGN_BYTES
        offsets |= {name: anchor + relative for name, relative in group.items()}
        cursor = max(offsets[name] + tensors[name].size_bytes for name in group) + GAP_BYTES
    held = sum(tensor.size_bytes for tensor in tensors.values())
    return LayerOffsets(offsets, cursor + SCRATCH_FACTOR * held + FIXED_BYTES)


def _pair(layer: Layer, placement: Placement) -> dict[str, int]:
    """Both names of the pair, relative to the one that is aligned."""
    source = _named(layer, layer.inputs, placement.input)
    target = _named(layer, layer.outputs, placement.output)
    distance = placement.displacement_bytes
    if distance % min(source.element_bytes, target.element_bytes):
        raise DiagmemError(
            f"{layer.operator}: displacement {distance} bytes, expected a multiple of the"
            f" elements' {min(source.element_bytes, target.element_bytes)}"
        )
    return placement.offsets(source.element_bytes, target.element_bytes)


def _named(layer: Layer, tensors: tuple[Tensor, ...], name: str) -> Tensor:
    for tensor in tensors:
        if tensor.name == name:
            return tensor
    known = ", ".join(tensor.name for tensor in tensors)
    raise DiagmemError(f"{layer.operator}: no tensor {name!r}, expected one of: {known}")
