"""A model as a planner sees it, and how long each tensor lives."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from diagmem.base.errors import DiagmemError
from diagmem.base.filetypes import FileType, refuse_other
from diagmem.tflite.decode import Decoded, decode
from diagmem.tflite.elements import ABSENT, ModelOperator, ModelTensor
from diagmem.tflite.flat import MAX_BYTES, Flat, Span

PLAN_NAME = "OfflineMemoryAllocation"
"""The metadata that TFLM takes a plan from: int32 [version 1, subgraph 0, number of
tensors, offset of each], -1 for tensors that are placed at run time."""
PLANNED_ONLINE = -1
IN_MEMORY = "<memory>"
"""What a model that was read from bytes is called."""


@dataclass(frozen=True, slots=True)
class Model:
    """A graph whose operators run in order.

    Attributes
    ----------
    inputs, outputs : tensor numbers.
    plan : the offset of each tensor in bytes, `PLANNED_ONLINE` where there is none;
        None if the file holds no plan.
    metadata : where each entry's contents are in `data`.
    data : the whole file; a file on disk is mapped, not read.
    """

    path: str
    tensors: tuple[ModelTensor, ...]
    operators: tuple[ModelOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    description: str
    plan: tuple[int, ...] | None
    metadata: Mapping[str, Span]
    data: memoryview = field(repr=False, compare=False)

    @property
    def activations(self) -> tuple[ModelTensor, ...]:
        """The tensors that the arena holds: made by an operator or given from outside."""
        used = {*self.inputs}.union(*(operator.outputs for operator in self.operators))
        return tuple(t for t in self.tensors if t.planned and t.index in used)

    def constant_data(self, tensor: ModelTensor) -> memoryview:
        """The bytes of a constant, empty for other tensors."""
        return self.data[tensor.data.start : tensor.data.end]


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The operator steps [start, end) in which the arena holds a tensor."""

    tensor: int
    start: int
    end: int


def read_model(source: str | os.PathLike[str] | bytes, name: str = IN_MEMORY) -> Model:
    """The graph of a ``.tflite`` file, given by its path or as its bytes.

    ``name`` is what complaints call bytes.

    Raises
    ------
    DiagmemError
        It cannot be read, is damaged, or is nothing that is planned here: several
        subgraphs, control flow, shapes that are not static, a tensor that is read
        before it is written or written twice.
    """
    if isinstance(source, bytes):
        path, data = name, memoryview(source)
    else:
        path, data = os.fspath(source), _mapped(source)
        refuse_other(Path(source), FileType.NETWORK)
    decoded = decode(Flat(data, path))
    plan = _plan(path, data, decoded)
    model = Model(
        path,
        decoded.tensors,
        decoded.operators,
        decoded.inputs,
        decoded.outputs,
        decoded.description,
        plan,
        decoded.metadata,
        data,
    )
    _check_order(model)
    return model


def lifetimes(model: Model) -> tuple[Lifetime, ...]:
    """How long each of `Model.activations` lives, in their order.

    Model inputs live from step 0, model outputs to the last step; a tensor that
    nobody reads lives for the operator that makes it.  An input that nobody reads
    lives through step 0: TFLM (micro_allocation_info.cc) gives inputs a step of their
    own before all operators and frees such a one after it, so this asks for a step
    more than TFLM does, never for less.
    """
    steps = max(len(model.operators), 1)
    start = dict.fromkeys(model.inputs, 0)
    end = dict.fromkeys(model.inputs, 1)
    for operator in model.operators:
        for tensor in operator.outputs:
            start.setdefault(tensor, operator.index)
        for tensor in (*operator.inputs, *operator.outputs):
            end[tensor] = operator.index + 1
    end.update(dict.fromkeys(model.outputs, steps))
    return tuple(Lifetime(t.index, start[t.index], end[t.index]) for t in model.activations)


def _mapped(source: str | os.PathLike[str]) -> memoryview:
    path = Path(source)
    try:
        with path.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            if not path.is_file():
                raise DiagmemError(f"{path}: is no plain file, expected a .tflite file")
            if size_bytes == 0:
                raise DiagmemError(f"{path}: is empty, expected a .tflite file")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise DiagmemError(f"{path}: cannot be read: {error.strerror}") from None


def _plan(path: str, data: memoryview, decoded: Decoded) -> tuple[int, ...] | None:
    span = decoded.metadata.get(PLAN_NAME)
    if span is None:
        return None
    tensors = len(decoded.tensors)
    place = f"{path}: metadata {PLAN_NAME}"
    if span.size_bytes != 4 * (3 + tensors):
        raise DiagmemError(
            f"{place}: found {span.size_bytes:,} bytes, expected {4 * (3 + tensors):,} for"
            f" {tensors:,} tensors"
        )
    version, graph, count, *offsets = struct.unpack_from(f"<{3 + tensors}i", data, span.start)
    if (version, graph, count) != (1, 0, tensors):
        raise DiagmemError(
            f"{place}: found version {version}, subgraph {graph}, {count} tensors, expected 1, 0"
            f" and {tensors}"
        )
    for tensor, offset in enumerate(offsets):
        if not PLANNED_ONLINE <= offset <= MAX_BYTES:
            raise DiagmemError(f"{place}: tensor {tensor}: found offset {offset}, expected -1 up")
    return tuple(offsets)


def _check_order(model: Model) -> None:
    """Every tensor is written once, before it is read."""
    made = {t.index for t in model.tensors if t.constant}.union(model.inputs)
    there = made | {t.index for t in model.tensors if not t.planned or t.size_bytes == 0}
    for operator in model.operators:
        for number in operator.inputs:
            if number != ABSENT and number not in there:
                _refuse(model, operator.label, number, "read", "an operator before that writes it")
        for number in operator.outputs:
            if number in made:
                _refuse(model, operator.label, number, "written again", "one writer at most")
            made.add(number)
        there.update(operator.outputs)
    for number in model.outputs:
        if number not in there:
            _refuse(model, "outputs", number, "given out", "an operator that writes it")


def _refuse(model: Model, place: str, number: int, found: str, expected: str) -> None:
    name = model.tensors[number].name
    raise DiagmemError(
        f"{model.path}: {place}: found tensor {number} ({name[:60]}) {found}, expected {expected}"
    )
