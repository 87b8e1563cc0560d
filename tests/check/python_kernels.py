"""A set of kernels that run loop nests over bytes in plain Python, truly overlapped.

What is read goes into a running checksum and every store is a piece of it, so that one
wrong byte spoils all that is stored afterwards.  A trace is the loop nest's own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from diagmem.analysis.overlap import Overlap
from diagmem.analysis.safe import Placement
from diagmem.check.kernel_set import LayerOutcome, LayerRun, Traced
from diagmem.ops import find_operator
from diagmem.ops.answer import by_loop_nest
from diagmem.ops.layer import Layer
from diagmem.ops.nest import Access, Nest, duration
from diagmem.ops.operator import REFERENCE
from tests.ops.interpreter import places

LARGEST_TICKS = 400


@dataclass
class PythonKernels:
    """``spoil`` changes what a trace says of a pair, ``lacks`` says which layers there
    is no kernel for, and ``stops`` which runs end early."""

    name: str = "python"
    spoil: Callable[[Overlap], Overlap] = lambda found: found
    lacks: Callable[[Layer], str] = lambda _: ""
    stops: Callable[[LayerRun], str] = lambda _: ""

    def order(self, layer: Layer) -> str:
        return REFERENCE

    def why_none(self, layer: Layer) -> str:
        ticks = sum(duration(node) for node in nest_of(layer))
        return f"more than {LARGEST_TICKS} steps" if ticks > LARGEST_TICKS else self.lacks(layer)

    def run(self, runs: Sequence[LayerRun]) -> list[LayerOutcome]:
        return [LayerOutcome({}, why) if (why := self.stops(run)) else execute(run) for run in runs]

    def trace(self, layers: Sequence[Layer], seed: int) -> list[Traced]:
        return [Traced(tuple(map(self.spoil, by_loop_nest(layer)))) for layer in layers]


def nest_of(layer: Layer) -> Nest:
    return find_operator(layer.operator).loop_nest(layer)


@dataclass(slots=True)
class Memory:
    cells: bytearray
    start: dict[str, int]
    element_bytes: dict[str, int]
    checksum: int = 1

    def run(self, body: Nest, counters: dict[str, int]) -> None:
        for node in body:
            if isinstance(node, Access):
                self.access(node, counters)
                continue
            for i in range(node.extent):
                self.run(node.body, {**counters, node.name: i})

    def access(self, access: Access, counters: dict[str, int]) -> None:
        size = self.element_bytes[access.tensor]
        for place in product(*(places(axis, counters) for axis in access.axes)):
            flat = 0
            for at, axis in zip(place, access.axes, strict=True):
                flat = flat * axis.extent + at
            begin = self.start[access.tensor] + flat * size
            if access.store:
                self.checksum = (self.checksum * 1103515245 + 12345) & 0xFFFFFFFF
                self.cells[begin : begin + size] = self.checksum.to_bytes(4, "big")[:size]
            else:
                for byte in self.cells[begin : begin + size]:
                    self.checksum = (self.checksum * 16777619 ^ byte) & 0xFFFFFFFF


def execute(run: LayerRun) -> LayerOutcome:
    layer = run.layer
    tensors = (*layer.inputs, *layer.outputs)
    start = layout(layer, run.placement)
    room = max(start[t.name] + t.size_bytes for t in tensors)
    memory = Memory(bytearray(room), start, {t.name: t.element_bytes for t in tensors})
    inputs = random.Random(run.seed)
    for tensor in layer.inputs:
        begin = start[tensor.name]
        memory.cells[begin : begin + tensor.size_bytes] = inputs.randbytes(tensor.size_bytes)
    memory.run(nest_of(layer), {})
    covered = run.placement.input if run.placement else ""
    return LayerOutcome(
        {
            t.name: np.frombuffer(
                bytes(memory.cells[start[t.name] : start[t.name] + t.size_bytes]), np.uint8
            )
            for t in tensors
            if t.name != covered
        }
    )


def layout(layer: Layer, placed: Placement | None) -> dict[str, int]:
    """Where each tensor begins: one behind the other, but for the pair that is placed."""
    start: dict[str, int] = {}
    end = 0
    for tensor in (*layer.outputs, *layer.inputs):
        if placed and tensor.name == placed.input:
            start[tensor.name] = start[placed.output] + placed.displacement_bytes
            end = max(end, start[tensor.name] + tensor.size_bytes)
        elif placed and tensor.name == placed.output:
            # The input that lies over it may reach beyond its end.
            start[tensor.name] = end
            end += tensor.size_bytes + sum(t.size_bytes for t in layer.inputs)
        else:
            start[tensor.name] = end
            end += tensor.size_bytes
    return start
