"""What all tests share."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from diagmem.errors import DiagmemError
from diagmem.record.tool import Tool, find_tool

# No deadline: two test processes share the machine with compilers and Valgrind.
settings.register_profile("local", deadline=None)
# The same examples every time: what failed once there can be run again here.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(scope="session")
def valgrind_tool() -> Tool:
    """The built tool; a failure and no skip without it, because `make test` builds it."""
    try:
        return find_tool()
    except DiagmemError as error:
        pytest.fail(str(error))
