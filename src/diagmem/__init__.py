"""diagmem: how far a kernel's output may lie over its input, measured.

    trace = diagmem.open_trace("depthwise.dmt")
    trace.overlaps()[0].pairs[0].min_displacement_bytes

The names below are imported when first used, so that ``import diagmem`` (and
``diagmem --help``) cost nothing.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from diagmem.base.errors import DiagmemError

if TYPE_CHECKING:
    from diagmem.analysis.overlap import Overlap
    from diagmem.analysis.trace import Trace, open_trace
    from diagmem.analysis.union import Union, merge
    from diagmem.recording import record, record_kernel

__version__ = "0.1.0"
__all__ = [
    "DiagmemError",
    "Overlap",
    "Trace",
    "Union",
    "__version__",
    "merge",
    "open_trace",
    "record",
    "record_kernel",
]

_HOMES = {
    "Overlap": "diagmem.analysis.overlap",
    "Trace": "diagmem.analysis.trace",
    "Union": "diagmem.analysis.union",
    "merge": "diagmem.analysis.union",
    "open_trace": "diagmem.analysis.trace",
    "record": "diagmem.recording",
    "record_kernel": "diagmem.recording",
}


class _Package(ModuleType):
    """The function `record` stays, though a package of that name is imported, too."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'diagmem' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
