"""Networks run on TFLM, under the tool and without."""

from __future__ import annotations

import importlib.util

import pytest


@pytest.fixture
def tflm(valgrind_tool: object) -> None:
    if importlib.util.find_spec("tflite_micro") is None:
        pytest.skip("tflite-micro is not installed")
