"""Networks run on TFLM, under the tool and without."""

from __future__ import annotations

import pytest

from tests.tools import need_package


@pytest.fixture
def tflm(valgrind_tool: object) -> None:
    need_package("tflite_micro", "tflite-micro")
