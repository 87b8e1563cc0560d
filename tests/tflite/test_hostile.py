"""Damaged and malicious files: one clear error, soon, or a model."""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Iterator
from typing import Any

import flatbuffers
import numpy as np
import pytest
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from diagmem.base.errors import DiagmemError
from diagmem.tflite import lifetimes, read_model, zoo
from diagmem.tflite.layers import layer_of
from diagmem.tflite.write import read_provenance
from tests.memory import bounded_memory
from tests.tflite.build import small

MUTATIONS = 4000
MAX_SECONDS = 1.0
NASTY = (0, 1, 0x7F, 0x80, 0xFF)


def _use(data: bytes) -> bool:
    """Do everything that is done with a model; whether it was not refused."""
    started = time.process_time()
    complaint = ""
    try:
        model = read_model(data)
        lifetimes(model)
        for operator in model.operators:
            layer_of(model, operator)
        read_provenance(model)
    except DiagmemError as error:
        complaint = str(error)
    assert "\n" not in complaint
    assert time.process_time() - started < MAX_SECONDS
    return not complaint


def _planned() -> bytes:
    draft = small()
    draft.metadata("OfflineMemoryAllocation", struct.pack("<9i", 1, 0, 6, 0, -1, -1, 420, 0, 420))
    draft.metadata("diagmem.plan", b'{"planner": "none"}')
    return draft.file()


def _mutations(data: bytes) -> Iterator[bytes]:
    """Bytes set, words set, and words moved a little, one to four at a time."""
    chance = random.Random(11)
    for _ in range(MUTATIONS):
        changed = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data) - 4)
            match chance.randrange(4):
                case 0:
                    changed[at] = chance.choice(NASTY)
                case 1:
                    changed[at] = chance.randrange(256)
                case 2:
                    changed[at : at + 4] = struct.pack(
                        "<I", chance.choice((0, 1, 2**31, 2**32 - 1))
                    )
                case _:
                    (word,) = struct.unpack_from("<I", changed, at)
                    step = chance.randint(-8, 8)
                    struct.pack_into("<I", changed, at, (word + step) % 2**32)
        yield bytes(changed)


def test_mutations() -> None:
    found = [_use(data) for data in _mutations(_planned())]
    # Both ends are reached, or this tests nothing.
    assert 0.02 < sum(found) / len(found) < 0.98


def test_truncations() -> None:
    whole = _planned()
    assert _use(whole)
    for end in range(len(whole) - 1):
        _use(whole[:end])
    network = zoo.network_bytes("mobilenet_v1_0.25_128_f32")
    for end in range(0, len(network), 97):
        _use(network[:end])


def _shared_vectors(tensors: int, elements: int) -> bytes:
    """One tensor with a long vector of scales, listed ever so often."""
    builder = flatbuffers.Builder(1 << 20)
    scales = builder.CreateNumpyVector(np.ones(elements, np.float32))
    schema.QuantizationParametersStart(builder)
    schema.QuantizationParametersAddScale(builder, scales)
    quantisation = schema.QuantizationParametersEnd(builder)
    schema.TensorStart(builder)
    schema.TensorAddQuantization(builder, quantisation)
    tensor = schema.TensorEnd(builder)
    listed = _vector(builder, [tensor] * tensors)
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, listed)
    graphs = _vector(builder, [schema.SubGraphEnd(builder)])
    schema.BufferStart(builder)
    buffers = _vector(builder, [schema.BufferEnd(builder)])
    schema.ModelStart(builder)
    schema.ModelAddVersion(builder, 3)
    schema.ModelAddSubgraphs(builder, graphs)
    schema.ModelAddBuffers(builder, buffers)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


def _vector(builder: Any, tables: list[int]) -> int:
    builder.StartVector(4, len(tables), 4)
    for table in tables:
        builder.PrependUOffsetTRelative(table)
    return int(builder.EndVector())


def test_a_vector_named_over_and_over_is_refused() -> None:
    """400 million scales in a file of 160 kB."""
    assert len(read_model(_shared_vectors(3, 5)).tensors) == 3
    data = _shared_vectors(20_000, 20_000)
    started = time.process_time()
    with bounded_memory(1 << 29), pytest.raises(DiagmemError, match="vectors without end"):
        read_model(data)
    assert time.process_time() - started < 5 * MAX_SECONDS
