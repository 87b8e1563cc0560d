"""Programs and packages that a test cannot do without."""

from __future__ import annotations

import importlib.util
import os
import shutil

import pytest

STRICT = bool(os.environ.get("CI")) and not os.environ.get("ALLOW_SKIPS")
"""CI installs all of them, so that one which is missing is a failure there."""


def missing(what: str) -> None:
    """Skip the test, or fail it in CI."""
    if STRICT:
        pytest.fail(f"{what} (CI installs it; ALLOW_SKIPS=1 skips such tests)", pytrace=False)
    pytest.skip(what, allow_module_level=True)


def need_programs(*programs: str, target: str) -> None:
    """Each on PATH; ``target`` is the make target that installs them."""
    for program in programs:
        if shutil.which(program) is None:
            missing(f"there is no {program} on PATH; make {target} installs it")


def need_package(module: str, package: str) -> None:
    """A Python package that can be imported."""
    if importlib.util.find_spec(module) is None:
        missing(f"{package} is not installed; make test installs it")
