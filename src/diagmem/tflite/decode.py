"""From a ``.tflite`` file's tables to tensors and operators, each by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from types import MappingProxyType

from diagmem.tflite.elements import ABSENT, ModelOperator, ModelTensor, Option, size_bytes
from diagmem.tflite.flat import MAX_BYTES, Flat, FlatTable, Span
from diagmem.tflite.schema import DTYPES, IDENTIFIER, OPERATORS, VERSION, options

MAX_RANK = 32
CONTROL_FLOW = frozenset({"IF", "WHILE", "CALL", "CALL_ONCE", "STABLEHLO_WHILE", "STABLEHLO_CASE"})
PLACE = "model"
"""What complaints call the root table."""
CUSTOM_OPTIONS = "custom_options_sha256"


class Root(IntEnum):
    """Slots of the table Model."""

    VERSION = 0
    CODES = 1
    SUBGRAPHS = 2
    DESCRIPTION = 3
    BUFFERS = 4
    METADATA_BUFFER = 5
    METADATA = 6
    SIGNATURES = 7


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the file says, before it is checked that it makes a graph."""

    tensors: tuple[ModelTensor, ...]
    operators: tuple[ModelOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    description: str
    metadata: Mapping[str, Span]


def decode(flat: Flat) -> Decoded:
    """All that the file says about its one graph.

    Raises
    ------
    DiagmemError
        The file is damaged, or it is of a kind that nobody plans here.
    """
    root = flat.root(IDENTIFIER, PLACE)
    version = root.integer(Root.VERSION, "I")
    if version != VERSION:
        root.fail(f"schema version {version}", str(VERSION))
    graphs, _ = root.span(Root.SUBGRAPHS, 4)
    if graphs != 1:
        root.fail(f"{graphs:,} subgraphs", "one: control flow is not planned here")
    (graph,) = root.tables(Root.SUBGRAPHS, "subgraph")
    buffers = [_data(table) for table in root.tables(Root.BUFFERS, "buffer")]
    tensors = tuple(
        _tensor(index, table, buffers) for index, table in enumerate(graph.tables(0, "tensor"))
    )
    codes = [_code(table) for table in root.tables(Root.CODES, "operator code")]
    operators = tuple(
        _operator(index, table, codes, len(tensors))
        for index, table in enumerate(graph.tables(3, "operator"))
    )
    return Decoded(
        tensors,
        operators,
        _indices(graph, 1, "an input", len(tensors)),
        _indices(graph, 2, "an output", len(tensors)),
        root.text(Root.DESCRIPTION),
        MappingProxyType(_metadata(root, buffers)),
    )


def _data(buffer: FlatTable) -> Span:
    """Where a buffer's contents are: in the table, or behind all tables."""
    count, span = buffer.span(0, 1)
    outside = buffer.integer(1, "Q")
    # 0 and 1 are written where nothing lies outside.
    if count or outside <= 1:
        return span
    end = outside + buffer.integer(2, "Q")
    if end > buffer.flat.size_bytes:
        buffer.fail(f"data up to byte {end:,}", f"{buffer.flat.size_bytes:,} bytes at most")
    return Span(outside, end)


def _tensor(index: int, table: FlatTable, buffers: Sequence[Span]) -> ModelTensor:
    name = table.text(3)
    table = table.named(f"tensor {index} ({name[:60]})")
    number = table.integer(1, "b")
    if not 0 <= number < len(DTYPES):
        table.fail(f"type {number}", f"0 to {len(DTYPES) - 1}")
    dtype = DTYPES[number]
    buffer = table.integer(2, "I")
    if buffer >= len(buffers):
        table.fail(f"buffer {buffer}", f"one of {len(buffers)}")
    data = buffers[buffer]
    shape = _shape(table)
    constant = data.size_bytes > 0
    size = size_bytes(shape, dtype, constant)
    if size > MAX_BYTES:
        table.fail(f"{size:,} bytes", f"{MAX_BYTES:,} at most")
    scale, zero_point = _quantisation(table)
    variable = bool(table.scalar(5, "?"))
    return ModelTensor(index, name, shape, dtype, size, constant, variable, scale, zero_point, data)


def _shape(table: FlatTable) -> tuple[int, ...]:
    """The static shape, which is what TFLM goes by.

    A converter that does not know a size writes -1 into the signature and 1 into the
    shape.  TFLM then runs a batch of one, which is a fair thing to plan; any other
    size of 1 stands for one that nobody knows.
    """
    for slot, name in ((0, "shape"), (7, "shape signature")):
        rank, _ = table.span(slot, 4)
        if rank > MAX_RANK:
            table.fail(f"{name} of {rank:,} axes", f"{MAX_RANK} at most")
    shape, signature = table.numbers(0, "i"), table.numbers(7, "i")
    for axis, size in enumerate(shape):
        if size < 0:
            table.fail(f"axis {axis} of unknown size in shape {list(shape)}", "a static shape")
    for axis, size in enumerate(signature):
        if size < 0 and axis > 0:
            table.fail(
                f"axis {axis} of unknown size in shape signature {list(signature)}",
                "a static shape, but for the batch",
            )
    return shape


def _quantisation(table: FlatTable) -> tuple[tuple[float, ...], tuple[int, ...]]:
    quantised = table.table(4, "quantisation")
    return (quantised.floats(2), quantised.numbers(3, "q")) if quantised else ((), ())


def _code(table: FlatTable) -> tuple[str, int]:
    """An operator's name and version."""
    # The older field is a byte; readers of both take the larger.
    number = max(table.integer(0, "b"), table.integer(3, "i"))
    if not 0 <= number < len(OPERATORS):
        table.fail(f"operator {number}", f"0 to {len(OPERATORS) - 1}")
    name = OPERATORS[number]
    return (f"CUSTOM:{table.text(1)}" if name == "CUSTOM" else name), table.integer(2, "i", 1)


def _operator(
    index: int, table: FlatTable, codes: Sequence[tuple[str, int]], tensors: int
) -> ModelOperator:
    code = table.integer(0, "I")
    if code >= len(codes):
        table.fail(f"operator code {code}", f"one of {len(codes)}")
    name, version = codes[code]
    table = table.named(f"operator {index} ({name[:60]})")
    if name in CONTROL_FLOW:
        table.fail("control flow", "operators that call no other graph")
    return ModelOperator(
        index,
        name,
        version,
        _indices(table, 1, "an input", tensors, least=ABSENT),
        _indices(table, 2, "an output", tensors),
        _indices(table, 8, "an intermediate", tensors),
        MappingProxyType(_options(table)),
    )


def _options(table: FlatTable) -> dict[str, Option]:
    """Of a custom operator, whose options only its kernel can read, a hash of them."""
    option_values = options(table.integer(3, "B"), table.table(4, "options"))
    size_bytes, span = table.span(5, 1)
    if size_bytes:
        table.flat.charge(size_bytes, table.place)
        data = table.flat.data[span.start : span.end]
        option_values[CUSTOM_OPTIONS] = sha256(data).hexdigest()
    return option_values


def _indices(
    table: FlatTable, slot: int, name: str, tensors: int, least: int = 0
) -> tuple[int, ...]:
    numbers = table.numbers(slot, "i")
    for number in numbers:
        if not least <= number < tensors:
            table.fail(f"{name} {number}", f"one of {tensors} tensors")
    return numbers


def _metadata(root: FlatTable, buffers: Sequence[Span]) -> dict[str, Span]:
    entries: dict[str, Span] = {}
    for table in root.tables(Root.METADATA, "metadata"):
        name, buffer = table.text(0), table.integer(1, "I")
        if buffer >= len(buffers):
            table.fail(f"buffer {buffer}", f"one of {len(buffers)}")
        if name in entries:
            table.fail(f"{name[:60]!r} again", "each name once")
        entries[name] = buffers[buffer]
    return entries
