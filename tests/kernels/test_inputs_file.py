"""Inputs from an .npz file: what it claims is compared before it is loaded."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diagmem.base.errors import DiagmemError
from diagmem.tflite.zoo import open_zoo
from diagmem.tflm.network import read_inputs
from tests.memory import bounded_memory

MODEL = open_zoo("mobilenet_v1_0.25_128_int8")
TENSOR = MODEL.tensors[MODEL.inputs[0]]


def write(path: Path, shape: tuple[int, ...], data: bytes) -> Path:
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "|i1", "fortran_order": False, "shape": shape}
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(f"{TENSOR.name}.npy", head.getvalue() + data)
    return path


def test_the_right_array_is_read(tmp_path: Path) -> None:
    values = np.arange(np.prod(TENSOR.shape)).astype(np.int8).reshape(TENSOR.shape)
    arrays: dict[str, Any] = {TENSOR.name: values, "other": np.zeros(3)}
    np.savez(tmp_path / "i.npz", **arrays)
    (found,) = read_inputs(MODEL, tmp_path / "i.npz")
    assert np.array_equal(found, values)


@pytest.mark.parametrize(
    ("shape", "data"),
    [((1 << 40,), b""), ((1 << 28,), bytes(1 << 28)), (TENSOR.shape, b"short")],
)
def test_a_bomb_is_one_line(tmp_path: Path, shape: tuple[int, ...], data: bytes) -> None:
    path = write(tmp_path / "i.npz", shape, data)
    with bounded_memory(1 << 26), pytest.raises(DiagmemError) as raised:
        read_inputs(MODEL, path)
    assert str(path) in str(raised.value)


def test_a_damaged_archive_and_one_array_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "i.npz", TENSOR.shape, bytes(1000))
    data = bytearray(path.read_bytes())
    for at in range(0, len(data), 7):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        with pytest.raises(DiagmemError):
            read_inputs(MODEL, path)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(DiagmemError):
        read_inputs(MODEL, tmp_path / "one.npy")
